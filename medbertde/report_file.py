"""Report files: reading `.jsonl`, `.csv` and `.txt` into records, and writing records back.

Core: a row that is wrong is reported with its number and a sentence, the others are read on. Fields: `text`, optional
`id`, `modality`, `labels` {label: state}, `rationales` [{label, start, end}], `meta`; our own exports add the `source`
of each rationale. In CSV, labels stand in columns named `label:<id>`; every other column goes to `meta`, cut to 1,000
characters. No message repeats text of a report.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

from medbertde.schema import Schema, parse_state
from medbertde.text import MAX_CHARS, clean, decode, normalise, shown
from medbertde.types import (
    InvalidFile,
    InvalidSchema,
    InvalidText,
    Notice,
    Rationale,
    ReportRecord,
    Source,
    State,
    UserError,
)

LABEL_COLUMN = "label:"
FORMULA_START = ("=", "+", "-", "@", "\t", "\r")
_MAX_NAME = 200  # characters of an id or a modality
_MAX_META = 1_000
_MAX_CELL = 16 * 1024 * 1024
_LINE_END = re.compile("\r\n|\r|\n")
_SOURCES = {source.value: source for source in Source}  # another word is another tool's and says nothing here

NumberedRow = tuple[int, "Mapping[str, Any] | Notice"]


@dataclass(frozen=True)
class Row:
    """One row of a file: its number (from 1, without a header) and either the record or what is wrong with it.

    `source` is what a row of a text corpus says of where it comes from, beside its `meta`.
    """

    number: int
    record: ReportRecord | None = None
    fault: Notice | None = None
    source: str = ""


def read_reports(name: str, data: bytes, *, schema: Schema | None = None, max_chars: int = MAX_CHARS) -> Iterator[Row]:
    """The rows of an uploaded file; `InvalidFile` when the file as a whole cannot be read.

    With a `schema`, labels must belong to it.
    """
    suffix = PurePath(name).suffix.lower()
    readers = {".jsonl": _jsonl_rows, ".csv": _csv_rows, ".txt": _txt_rows}
    if suffix not in readers:
        raise InvalidFile(
            f"Dateien der Art „{suffix or name}“ werden nicht gelesen. Möglich sind .jsonl, .csv und .txt.",
            f"Files of the kind “{suffix or name}” are not read. Possible are .jsonl, .csv and .txt.",
        )
    text = decode(data, name)
    if not text.strip():
        raise InvalidFile(f"Die Datei {name} ist leer.", f"The file {name} is empty.")
    rows = readers[suffix](text)
    return (check_row(number, raw, schema, max_chars) for number, raw in rows)


def read_records(path: Path, schema: Schema | None = None) -> list[ReportRecord]:
    """All records of a trusted file; `InvalidFile` names the first row that is wrong."""
    records = []
    for row in read_reports(path.name, path.read_bytes(), schema=schema):
        if row.record is None:
            assert row.fault
            raise InvalidFile(
                f"{path.name}, Zeile {row.number}: {row.fault.de}", f"{path.name}, row {row.number}: {row.fault.en}"
            )
        records.append(row.record)
    return records


def _jsonl_rows(text: str) -> Iterator[NumberedRow]:
    """Numbers are lines of the file; blank ones are passed over."""
    for number, line in enumerate(text_lines(text), start=1):
        if line.strip():
            raw = json_object(line)
            yield number, _fault("kein JSON-Objekt", "not a JSON object") if raw is None else raw


def text_lines(text: str) -> Iterator[str]:
    """The lines with their ends, one by one: a copy of a large file would take four times its size."""
    start = 0
    for match in _LINE_END.finditer(text):
        yield text[start : match.end()]
        start = match.end()
    yield text[start:]


def json_object(text: str) -> dict[str, Any] | None:
    """The object that a text holds; None for anything else."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):  # ValueError: also a number of more than 4,300 digits
        return None
    return raw if isinstance(raw, dict) else None


def _csv_rows(text: str) -> Iterator[NumberedRow]:
    """Numbers count the reports, without the header."""
    rows = csv_cells(text_lines(text), delimiter_of(next(text_lines(text.lstrip()))))
    names = [name.strip() for name in next(rows)]
    if "text" not in names:
        found = ", ".join(shown(name) for name in names[:12])
        raise InvalidFile(
            f"Der CSV-Datei fehlt die Spalte „text“. Gefunden: {found}. Bitte die Spalte mit dem Befundtext „text“ "
            "nennen.",
            f"The CSV file has no column “text”. Found: {found}. Please name the column with the report “text”.",
        )
    first = next(rows, None)
    if first is None:
        raise InvalidFile(
            "Die CSV-Datei enthält nur die Kopfzeile und keine Befunde.",
            "The CSV file holds the header only and no reports.",
        )
    return ((number, _csv_row(names, cells)) for number, cells in enumerate(chain([first], rows), start=1))


def csv_cells(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """The rows of a CSV file that are not blank. Strict: a stray quote would otherwise swallow what follows."""
    csv.field_size_limit(_MAX_CELL)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error:
            raise InvalidFile(
                f"Die CSV-Datei ist ab Zeile {line} nicht lesbar: Ein Anführungszeichen ist nicht geschlossen oder "
                "innerhalb eines Textes nicht verdoppelt.",
                f"The CSV file cannot be read from line {line} on: a quote is not closed, or not doubled in a text.",
            ) from None
        if cells is None:
            return
        if cells:
            yield cells


def delimiter_of(header: str) -> str:
    r"""What separates the columns of a header; of a single column: nothing that occurs in a text.

    >>> delimiter_of("id;text"), delimiter_of("id,text"), delimiter_of("text")
    (';', ',', '\x1f')
    """
    likeliest = max(",;\t", key=header.count)
    return likeliest if likeliest in header else "\x1f"


def _csv_row(names: list[str], cells: list[str]) -> Mapping[str, Any] | Notice:
    if any(cell.strip() for cell in cells[len(names) :]):
        return _fault(
            f"länger als die Kopfzeile ({len(cells)} statt {len(names)} Zellen); ein Text mit Trennzeichen muss in "
            "Anführungszeichen stehen",
            f"longer than the header ({len(cells)} instead of {len(names)} cells); a text with a separator must stand "
            "in quotes",
        )
    row = {name: without_apostrophe(cell) for name, cell in zip(names, cells, strict=False) if name}
    known = {name: row.pop(name, None) for name in ("text", "id", "modality")}
    labels = {name.removeprefix(LABEL_COLUMN): row.pop(name) for name in list(row) if name.startswith(LABEL_COLUMN)}
    exported = json_object(row.get("meta", ""))
    if exported is not None:
        del row["meta"]
    return {**known, "labels": labels, "meta": {**row, **(exported or {})}, "source": row.get("source")}


def _txt_rows(text: str) -> Iterator[NumberedRow]:
    yield 1, {"text": text}


def check_row(number: int, raw: Mapping[str, Any] | Notice, schema: Schema | None, max_chars: int) -> Row:
    """The row with its record, or with what is wrong with it; `raw` has the fields of a line of a `.jsonl` file."""
    if isinstance(raw, Notice):
        return Row(number, fault=raw)
    try:
        return Row(number, record=_record(raw, schema, max_chars), source=str(raw.get("source") or ""))
    except UserError as error:
        return Row(number, fault=Notice(type(error).__name__, error.de, error.en))


def _record(raw: Mapping[str, Any], schema: Schema | None, max_chars: int) -> ReportRecord:
    given = raw.get("text")
    if not isinstance(given, str):
        raise InvalidFile("Das Feld „text“ fehlt oder ist kein Text.", "The field “text” is missing or not a text.")
    text = clean(given, max_chars)
    rationales = tuple(_rationale(item, text, schema) for item in _list(raw, "rationales"))
    if rationales and not given.startswith(text):
        raise InvalidFile(
            "Die Textstellen können verschoben sein, weil der Text beim Lesen bereinigt wurde (Leerraum am Anfang, "
            "Zeilenenden, NFC). Bitte die Positionen im bereinigten Text angeben.",
            "The rationales may be shifted, because the text was cleaned on reading (space at its start, line ends, "
            "NFC). Please give the positions in the cleaned text.",
        )
    return ReportRecord(
        text=text,
        id=_name(raw, "id"),
        modality=_name(raw, "modality"),
        labels=_states(_object(raw, "labels"), schema),
        rationales=rationales,
        meta=_meta(_object(raw, "meta")),
    )


def _object(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = raw.get(name) or {}
    if not isinstance(value, dict):
        raise InvalidFile(
            f"Das Feld „{name}“ muss ein Objekt in geschweiften Klammern sein.",
            f"The field “{name}” must be an object in braces.",
        )
    return value


def _list(raw: Mapping[str, Any], name: str) -> list[Any]:
    value = raw.get(name) or []
    if not isinstance(value, list):
        raise InvalidFile(
            f"Das Feld „{name}“ muss eine Liste in eckigen Klammern sein.",
            f"The field “{name}” must be a list in brackets.",
        )
    return value


def _name(raw: Mapping[str, Any], field: str) -> str | None:
    """An id or modality in one line, None when empty."""
    value = raw.get(field)
    if value is None:
        return None
    try:
        name = " ".join(normalise(str(value)).split()) if isinstance(value, str | int | float) else None
    except InvalidText:
        name = None
    if name is None or len(name) > _MAX_NAME:
        raise InvalidFile(
            f"Das Feld „{field}“ ist unbrauchbar. Erwartet wird ein lesbarer Text mit höchstens {_MAX_NAME} Zeichen.",
            f"The field “{field}” cannot be used. A readable text of at most {_MAX_NAME} characters is expected.",
        )
    return name or None


def _states(labels: Mapping[str, Any], schema: Schema | None) -> dict[str, State]:
    """The states of the findings that have one; null or an empty cell says: not mentioned."""
    given = {label: value for label, value in labels.items() if value is not None and str(value).strip()}
    if schema:
        for label in given:
            schema.label(label)
    return {label: parse_state(value) for label, value in given.items()}


def _meta(meta: Mapping[str, Any]) -> dict[str, str]:
    values = {
        normalise(name)[:100]: normalise(str(value))[:_MAX_META] for name, value in meta.items() if value is not None
    }
    return {name: value for name, value in values.items() if name and value}


def _rationale(item: Any, text: str, schema: Schema | None) -> Rationale:
    match item:
        case {"label": str(label), "start": int(start), "end": int(end)}:
            state = item.get("state")
            known = None if state is None else parse_state(state)
            span = Rationale(label, start, end, known, _SOURCES.get(str(item.get("source"))))
        case _:
            raise InvalidFile(
                "Jede Textstelle braucht „label“ sowie „start“ und „end“ als ganze Zahlen.",
                "Each rationale needs “label”, and “start” and “end” as whole numbers.",
            )
    if schema:
        schema.label(span.label)
    if not 0 <= span.start < span.end <= len(text):
        raise InvalidSchema(
            f"Die Textstelle {span.start}–{span.end} liegt außerhalb des Textes ({len(text)} Zeichen).",
            f"The rationale {span.start}–{span.end} lies outside the text ({len(text)} characters).",
        )
    return span


def _fault(de: str, en: str) -> Notice:
    return Notice("InvalidFile", f"Die Zeile ist {de}.", f"The row is {en}.")


def to_json(record: ReportRecord) -> str:
    """The record as one line of a `.jsonl` file."""
    return json.dumps(
        {
            "id": record.id,
            "modality": record.modality,
            "text": record.text,
            "labels": {label: state.value for label, state in record.labels.items()},
            "rationales": [span_fields(span) for span in record.rationales],
            "meta": dict(record.meta),
        },
        ensure_ascii=False,
    )


def span_fields(span: Rationale) -> dict[str, str | int]:
    """A span as it stands in files; what is not known of it is missing."""
    plain: dict[str, str | int] = {"label": span.label, "start": span.start, "end": span.end}
    known = {"state": span.state, "source": span.source}
    return plain | {name: word.value for name, word in known.items() if word}


def csv_line(cells: Iterable[str]) -> str:
    r"""One CSV line with its line end, formulas neutralised by an apostrophe that `read_reports` takes off again.

    >>> csv_line(["=1+1", "Kein Pneu."])
    "'=1+1,Kein Pneu.\r\n"
    """
    buffer = io.StringIO()
    csv.writer(buffer).writerow(map(with_apostrophe, cells))
    return buffer.getvalue()


def with_apostrophe(cell: str) -> str:
    """The cell as a spreadsheet will not run it."""
    return f"'{cell}" if is_formula(cell) else cell


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet would run the cell, or would after apostrophes are taken off."""
    return cell.lstrip("'").startswith(FORMULA_START)


def without_apostrophe(cell: str) -> str:
    """The cell as it was before `with_apostrophe`."""
    return cell[1:] if cell.startswith("'") and is_formula(cell) else cell
