"""What a file's columns, finding names and values mean: a first guess by their names, and what the user said instead.

Owns the rule by which a row becomes the fields of a report. Nothing is dropped unseen: a finding that the schema does
not know and a value that stands for no state reject their row until someone assigns or leaves them out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from medbertde.report_file import LABEL_COLUMN, json_object
from medbertde.schema import Schema
from medbertde.services.exchange.incoming.offsets import follow
from medbertde.services.exchange.incoming.value_words import DEFAULT_VALUES, word_of
from medbertde.text import normalise
from medbertde.types import InvalidFile

TEXT, ID, MODALITY, DATE, META = "text", "id", "modality", "date", "meta"
FINDINGS, RATIONALES, SKIP = "findings", "rationales", "skip"
ROLES = (TEXT, ID, MODALITY, DATE, META, FINDINGS, RATIONALES, SKIP)
LEFT_OUT = "-"  # a finding's name or a value that the user leaves out

_NAMES = {
    TEXT: "text befund befundtext befundbericht bericht berichtstext freitext dokument report reporttext reportbody "
    "content body",
    ID: "id kennung key befundid reportid befundnummer fallnummer accession accessionnumber studyinstanceuid uid",
    MODALITY: "modality modalitaet untersuchung untersuchungsart",
    DATE: "date datum befunddatum untersuchungsdatum studydate reportdate",
    FINDINGS: "findings label labels befunde kategorie category categories class klasse",
    RATIONALES: "rationales textstellen",
    SKIP: "use",
}
_OF_A_HISTORY = {"old_value", "new_value"}  # columns of our own export of all changes
_ROLE_OF = {name: role for role, names in _NAMES.items() for name in names.split()}
_DATE_FORMATS = ("%Y-%m-%d", "%d.%m.%Y", "%d.%m.%y", "%Y%m%d", "%d/%m/%Y")
_AFTER_DAY = re.compile(r"[tz+,\s]", re.IGNORECASE)  # what a time of day or a time zone begins with
_LIST_SEPARATOR = re.compile(r"[;|,]")


class NoTextColumn(InvalidFile):
    """No column is known as the report text; the user can say which one it is."""


@dataclass(frozen=True)
class Choices:
    """What the user said; what is missing is guessed. `sheet` names the sheet of a workbook, '' the first one."""

    columns: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    sheet: str = ""


@dataclass(frozen=True)
class Plan:
    """Roles by column, findings by their folded or given name, states by word."""

    columns: Mapping[str, str]
    findings: Mapping[str, str]
    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=lambda: DEFAULT_VALUES)

    def finding(self, name: str) -> str:
        """The id of a finding, '' for one that is left out; a name that nobody knows stays as it is."""
        chosen = self.names.get(name)
        if chosen is not None:
            return "" if chosen == LEFT_OUT else chosen
        return self.findings.get(fold(name), name)

    def state(self, value: object) -> str:
        """The word for a state, '' for not mentioned; a value that nobody knows stays as it is."""
        word = word_of(value)
        found = self.values.get(word, word)
        return "" if found == LEFT_OUT else found

    def fields(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """The row as a line of a report file would hold it."""
        texts: list[str] = []
        spans: list[Mapping[str, Any]] = []
        row: dict[str, Any] = {"labels": {}, "meta": {}}
        for column, value in raw.items():
            role = self.columns.get(column, META)
            if role == TEXT:
                texts.append(value)
            elif role == RATIONALES:
                spans += _listed(column, value)
            else:
                self._put(row, role, column, value)
        row["text"] = _joined(texts, spans)
        kept = [{**span, "label": self.finding(str(span.get("label", "")))} for span in spans]
        if kept and isinstance(row["text"], str):
            row["rationales"] = follow(row["text"], [span for span in kept if span["label"]])
            row["text"] = normalise(row["text"])  # as it will be stored: the spans count in it
        return row

    def _put(self, row: dict[str, Any], role: str, column: str, value: Any) -> None:
        if role.startswith(LABEL_COLUMN):
            state = self.state(value)
            if state:
                row["labels"][role.removeprefix(LABEL_COLUMN)] = state
        elif role in (ID, MODALITY):
            row[role] = value if isinstance(value, str | int | float) or value is None else str(value)
        elif role == FINDINGS:
            row["labels"] |= self._findings(value)
        elif role == DATE:
            row["meta"][DATE] = iso_date(value)
        elif role == META:
            _add_meta(row["meta"], column, value)

    def _findings(self, value: Any) -> dict[str, str]:
        """A column that names findings itself: an object with states, or a list of those that are present."""
        if isinstance(value, str):
            value = read_findings(value)
        if isinstance(value, dict):
            named = {self.finding(str(name)): self.state(state) for name, state in value.items()}
        elif isinstance(value, list):
            named = {self.finding(str(name)): "present" for name in value}
        elif value is None:
            named = {}
        else:
            raise InvalidFile(
                "Das Feld mit den Befunden ist weder ein Objekt noch eine Liste von Namen.",
                "The field with the findings is neither an object nor a list of names.",
            )
        return {label: state for label, state in named.items() if label and state}


def make_plan(columns: Sequence[str], sample: Sequence[Mapping[str, Any]], schema: Schema, choices: Choices) -> Plan:
    """The guess for these columns with the user's choices; `InvalidFile` where a choice is none or no text is left."""
    _require_no_history(columns)
    _require_known(columns, schema, choices)
    known = findings_by_name(schema)
    guessed = {column: guess_role(column, sample, known) for column in columns}
    if TEXT not in guessed.values() and len(columns) == 1:
        guessed = {columns[0]: TEXT}
    roles = {**guessed, **choices.columns}
    if TEXT not in roles.values():
        raise no_text(columns)
    said = {word_of(word): state for word, state in choices.values.items()}
    return Plan(roles, known, choices.names, DEFAULT_VALUES | said)


def guess_role(column: str, sample: Sequence[Mapping[str, Any]], known: Mapping[str, str]) -> str:
    """What a column holds, by its name, and for nested ones by what is in it."""
    if column.startswith(LABEL_COLUMN):
        name = column.removeprefix(LABEL_COLUMN)
        return LABEL_COLUMN + known.get(fold(name), name)
    role = _ROLE_OF.get(fold(column))
    value = next((row[column] for row in sample if row.get(column) not in (None, "", [], {})), None)
    if isinstance(value, list | dict) and role not in (FINDINGS, RATIONALES):
        return META
    if role is None and fold(column) in known:
        return LABEL_COLUMN + known[fold(column)]
    return role or META


def findings_by_name(schema: Schema) -> dict[str, str]:
    """The schema's findings by folded id, German and English name."""
    return {fold(name): label.id for label in schema.labels for name in (*label.name.values(), label.id)}


@lru_cache(4096)
def fold(name: str) -> str:
    """A name as it is compared: lower case, umlauts spelled out, nothing but letters and digits.

    >>> fold("Pleura-Erguß"), fold("Rundherd_Raumforderung")
    ('pleuraerguss', 'rundherdraumforderung')
    """
    spelled = name.lower().translate({ord("ä"): "ae", ord("ö"): "oe", ord("ü"): "ue", ord("ß"): "ss"})
    return "".join(char for char in spelled if char.isalnum())


def read_findings(cell: str) -> Any:
    """What a cell of findings holds: an object or a list as JSON text, else names with separators between them.

    >>> read_findings('{"Erguss": "absent"}'), read_findings("[]"), read_findings("Erguss; Stauung")
    ({'Erguss': 'absent'}, [], ['Erguss', 'Stauung'])
    """
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict | list):
        return found
    return [one for one in map(str.strip, _LIST_SEPARATOR.split(cell)) if one]


def iso_date(value: Any) -> str:
    """A date as ISO 8601, '' for none; `InvalidFile` for what is no date. The time of day is left out.

    >>> iso_date("1.3.2024 08:30"), iso_date("2024-03-01T08:30:00"), iso_date(None)
    ('2024-03-01', '2024-03-01', '')
    """
    text = str("" if value is None else value).strip()
    if not text:
        return ""
    day = _AFTER_DAY.split(text, maxsplit=1)[0]
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(day, form).date().isoformat()
        except ValueError:
            continue
    raise InvalidFile(
        "Das Datum ist nicht lesbar. Erwartet wird zum Beispiel 2024-03-01 oder 01.03.2024.",
        "The date cannot be read. Expected is for example 2024-03-01 or 01.03.2024.",
    )


def no_text(columns: Sequence[str]) -> NoTextColumn:
    """The refusal of a table without a text; a header that is a report by mistake is not repeated."""
    found = ", ".join(column if len(column) <= 40 else "…" for column in columns[:12])
    return NoTextColumn(
        f"Keine Spalte ist als Befundtext erkannt. Gefunden: {found}. Bitte eine Spalte als Befundtext wählen oder sie "
        "„text“ nennen.",
        f"No column was recognised as the report text. Found: {found}. Please choose a column as the report text or "
        "name it “text”.",
    )


def _require_no_history(columns: Sequence[str]) -> None:
    """`InvalidFile` for the export of all changes: its column `report` holds ids, and no row is a report."""
    if set(columns) >= _OF_A_HISTORY:
        raise InvalidFile(
            "Die Datei enthält Änderungen von Labels und keine Befundtexte (Export aller Änderungen, „revisions“). Zum "
            "Importieren bitte die Labels als JSONL oder CSV exportieren.",
            "The file holds changes of labels and no report texts (export of all changes, “revisions”). To import "
            "labels, please export them as JSONL or CSV.",
        )


def _require_known(columns: Sequence[str], schema: Schema, choices: Choices) -> None:
    ids = set(schema.label_ids)
    for column, role in choices.columns.items():
        finding = role.removeprefix(LABEL_COLUMN) if role.startswith(LABEL_COLUMN) else None
        if column not in columns:
            raise _unknown("Spalte", "column", column, columns)
        if role not in ROLES and finding not in ids:
            raise _unknown("Rolle", "role", role, [*ROLES, LABEL_COLUMN + "…"])
    for name in choices.names.values():
        if name != LEFT_OUT:
            schema.label(name)
    for value in choices.values.values():
        if value not in ("present", "uncertain", "absent", "", LEFT_OUT):
            raise _unknown("Zustand", "state", value, ["present", "uncertain", "absent"])


def _unknown(kind_de: str, kind_en: str, found: str, allowed: Sequence[str]) -> InvalidFile:
    listed = ", ".join(one if len(one) <= 40 else "…" for one in allowed[:20])
    return InvalidFile(
        f"{kind_de} „{found[:40]}“ gibt es nicht. Möglich sind: {listed}.",
        f"There is no {kind_en} “{found[:40]}”. Possible are: {listed}.",
    )


def _joined(texts: Sequence[Any], spans: Sequence[Any]) -> Any:
    """The text of one or several columns (for example findings and impression), separated by a blank line."""
    if len(texts) <= 1:
        return texts[0] if texts else None
    if spans:
        raise InvalidFile(
            "Textstellen lassen sich nur übernehmen, wenn der Befundtext in einer einzigen Spalte steht.",
            "Spans can be taken over only when the report text stands in a single column.",
        )
    parts = [text.strip() for text in texts if isinstance(text, str) and text.strip()]
    return "\n\n".join(parts)


def _listed(column: str, value: Any) -> list[Mapping[str, Any]]:
    """The spans of a cell: a list, or a list as JSON text."""
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = value.strip()
    if value in (None, ""):
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InvalidFile(
            f"Das Feld „{column[:40]}“ muss eine Liste von Textstellen sein.",
            f"The field “{column[:40]}” must be a list of spans.",
        )
    return value


def _add_meta(meta: dict[str, Any], column: str, value: Any) -> None:
    """A column of its own, or an object (also as JSON text, as exports have it) whose fields are taken in."""
    nested = value if isinstance(value, dict) else None
    if column == META and isinstance(value, str):
        nested = json_object(value)
    if nested is not None:
        meta.update(nested)
    elif value not in (None, "", []):
        meta[column] = ", ".join(map(str, value)) if isinstance(value, list) else value
