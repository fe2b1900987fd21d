"""What the part “Dateien” shows: a file before its import, the progress, the result.

Pure functions from the services' dataclasses to the JSON that `cards/files.js` reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any

from medbertde.report_file import LABEL_COLUMN, Row, csv_line
from medbertde.schema import Kind, Schema
from medbertde.services.exchange.incoming.plan import LEFT_OUT, Choices
from medbertde.services.exchange.incoming.preview import Column, Found, Preview
from medbertde.services.exchange.incoming.screened import SCREENING
from medbertde.services.exchange.incoming.table import SCANNED_ROWS
from medbertde.services.screened_records import HELD_BACK, Treatment, became, summary
from medbertde.types import ImportResult, Progress, Screened, State
from medbertde.ui.findings import STATES
from medbertde.ui.words import Text, counted

Json = dict[str, Any]
SHOWN_FAULTS = 200
_BEGINNING = 160
QUIET = ("separator", "members")  # facts about a file, nothing to look into
OPEN = Text("— bitte zuordnen —", "— please assign —")
FORMATS = {
    "csv": Text("Tabelle (.csv)", "table (.csv)"),
    "xlsx": Text("Excel-Tabelle (.xlsx)", "Excel sheet (.xlsx)"),
    "parquet": Text("Parquet-Tabelle (.parquet)", "Parquet table (.parquet)"),
    "jsonl": Text("JSON-Zeilen (.jsonl)", "JSON lines (.jsonl)"),
    "json": Text("JSON-Liste (.json)", "JSON list (.json)"),
    "doccano": Text("Export aus doccano", "export of doccano"),
    "label_studio": Text("Export aus Label Studio (JSON)", "export of Label Studio (JSON)"),
    "label_studio_min": Text("Export aus Label Studio (JSON-MIN)", "export of Label Studio (JSON-MIN)"),
    "txt": Text("ein Befund (.txt)", "one report (.txt)"),
    "zip": Text("Archiv (.zip)", "archive (.zip)"),
}
ROLES = {
    "text": Text("Befundtext", "Report text"),
    "id": Text("Kennung", "Id"),
    "modality": Text("Untersuchungsart", "Modality"),
    "date": Text("Datum", "Date"),
    "meta": Text("Zusatzangabe", "Additional field"),
    "findings": Text("Befunde (Liste)", "Findings (list)"),
    "rationales": Text("Textstellen", "Spans"),
    "skip": Text("nicht übernehmen", "leave out"),
}
RULE = Text(
    "Übliche Regel: 1, + oder ja = vorhanden; 0, − oder nein = verneint; −1 oder ? = unsicher; leer = nicht erwähnt. "
    "Jeder Wert lässt sich hier anders zuordnen.",
    "Usual rule: 1, + or yes = present; 0, − or no = absent; −1 or ? = uncertain; empty = not mentioned. Each value "
    "can be assigned differently here.",
)

TREATMENTS = {
    Treatment.HOLD: Text("Diese Zeilen zurückhalten", "Hold these rows back"),
    Treatment.REPLACE: Text("Durch Platzhalter ersetzen", "Replace by placeholders"),
    Treatment.KEEP: Text("So übernehmen", "Take them as they are"),
}
NOTHING_STORED = Text(
    "Noch ist nichts gespeichert. Was soll mit diesen Zeilen geschehen?",
    "Nothing is stored yet. What is to be done with these rows?",
)


def choices_of(value: Mapping[str, Any] | None) -> Choices:
    """What the user chose, from the card or from its event; anything malformed counts as no choice."""
    given = (value or {}).get("choices")
    given = given if isinstance(given, dict) else {}

    def words(name: str) -> dict[str, str]:
        pairs = given.get(name)
        return {str(key): str(one) for key, one in pairs.items()} if isinstance(pairs, dict) else {}

    sheet = given.get("sheet")
    return Choices(words("columns"), words("names"), words("values"), sheet if isinstance(sheet, str) else "")


def preview_value(language: str, name: str, seen: Preview, schema: Schema, choices: Choices) -> Json:
    """The card before the import."""
    return {
        "facts": _facts(language, name, seen),
        "notices": [notice.sentence(language) for notice in seen.notices if notice.code not in QUIET],
        "sheet": _sheet(language, seen),
        "tables": [table for table in (_columns(language, seen, schema), *_meanings(language, seen, schema)) if table],
        "first": _first(language, seen, schema),
        "problem": _problem(seen).say(language) if seen.faulty else "",
        "choices": _said(choices),
    }


def _said(choices: Choices) -> Json:
    """The choices as the card sends them back."""
    return {
        "columns": dict(choices.columns),
        "names": dict(choices.names),
        "values": dict(choices.values),
        "sheet": choices.sheet,
    }


def progress_value(language: str, progress: Progress) -> Json:
    """The card while the import runs."""
    share = min(1.0, progress.done / progress.total) if progress.total else 0.0
    rows = counted(progress.done, Text("Zeile", "row"), Text("Zeilen", "rows"))
    said = Text(f"{rows.de} gelesen …", f"{rows.en} read …")
    if progress.note == SCREENING:
        reports = counted(progress.done, Text("Befund", "report"), Text("Befunde", "reports"))
        said = Text(
            f"{reports.de} auf Angaben zu Personen geprüft …", f"{reports.en} screened for details of persons …"
        )
    elif progress.note:
        said = Text("Wird gespeichert …", "Storing …")
    return {"progress": {"share": share, "status": said.say(language)}}


def question_value(language: str, found: Screened, choices: Choices, *, may_keep: bool) -> Json:
    """The card when rows were found that could show who a person is and somebody has to decide about them."""
    offered = [one for one in TREATMENTS if may_keep or one is not Treatment.KEEP]
    return {
        "question": {
            "lead": summary(found).sentence(language),
            "hint": NOTHING_STORED.say(language),
            "choices": [{"name": one.value, "label": TREATMENTS[one].say(language)} for one in offered],
        },
        "choices": _said(choices),
        "found": {"rows": found.rows, "kinds": dict(found.kinds)},
    }


def result_value(language: str, result: ImportResult) -> Json:
    """The card after the import."""
    faults = result.rejected[:SHOWN_FAULTS]
    return {
        "result": {
            "sentence": imported_sentence(result).say(language),
            "heads": [Text("Zeile", "Row").say(language), Text("Grund", "Reason").say(language)],
            "rows": [{"cells": [str(number), fault.sentence(language)]} for number, fault in faults],
        }
    }


def imported_sentence(result: ImportResult) -> Text:
    """What an import did, in one sentence.

    >>> imported_sentence(ImportResult(added=48, duplicates=2, labelled=0)).de
    '48 neu, 2 doppelt, 0 abgelehnt.'
    """
    held = sum(fault.code == HELD_BACK for _, fault in result.rejected)
    counts = (result.added, result.duplicates, len(result.rejected) - held)
    de = "{} neu, {} doppelt, {} abgelehnt.".format(*counts)
    en = "{} new, {} known already, {} rejected.".format(*counts)
    if result.labelled:
        de += f" {result.labelled} davon mit Labels übernommen."
        en += f" {result.labelled} came with labels."
    if result.screened:
        said = became(result.screened)
        de, en = f"{de} {said.de}", f"{en} {said.en}"
    return Text(de, en)


def write_faults(language: str, result: ImportResult, path: Path) -> Path:
    """All rejected rows with their reasons as a table; like any export it cannot run in a spreadsheet."""
    path.parent.mkdir(parents=True)
    heads = [Text("Zeile", "row").say(language), Text("Grund", "reason").say(language)]
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        file.write(csv_line(heads))
        file.writelines(csv_line([str(number), fault.sentence(language)]) for number, fault in result.rejected)
    return path


# ---------------------------------------------------------------------------------------------- parts of the preview


def _facts(language: str, name: str, seen: Preview) -> str:
    is_all = seen.scanned < SCANNED_ROWS
    total = seen.scanned if is_all else max(seen.table.total, seen.scanned)
    rows = counted(total, Text("Zeile", "row"), Text("Zeilen", "rows"))
    if not is_all:
        rows = Text(f"etwa {rows.de}", f"about {rows.en}")
    quiet = [notice.sentence(language).rstrip(".") for notice in seen.notices if notice.code in QUIET]
    return " · ".join([name, FORMATS[seen.table.format].say(language), rows.say(language), *quiet])


def _sheet(language: str, seen: Preview) -> Json | None:
    if len(seen.table.sheets) < 2:
        return None
    options = [{"value": sheet, "label": sheet} for sheet in seen.table.sheets]
    return {"label": Text("Blatt", "Sheet").say(language), "options": options, "chosen": seen.table.sheet}


def _columns(language: str, seen: Preview, schema: Schema) -> Json:
    roles = [{"value": role, "label": text.say(language)} for role, text in ROLES.items()]
    findings = [{"value": LABEL_COLUMN + one.id, "label": one.name[language]} for one in schema.labels]
    groups: list[Json] = [{"options": roles}]
    if schema.kind is Kind.FINDINGS:
        groups.append({"label": Text("Befund", "Finding").say(language), "options": findings})
    known = {LABEL_COLUMN + label for label in schema.label_ids} | ROLES.keys()
    return {
        "kind": "columns",
        "title": Text("Spalten", "Columns").say(language),
        "heads": _heads(language, Text("Spalte", "Column"), Text("Beispiele", "Examples")),
        "rows": [_column(column, open_=column.role not in known) for column in seen.columns],
        "groups": groups,
        "open": OPEN.say(language),
    }


def _column(column: Column, *, open_: bool) -> Json:
    return {
        "name": column.name,
        "shown": column.name,
        "samples": " · ".join(column.samples),
        "chosen": column.role,
        "open": open_,
    }


def _meanings(language: str, seen: Preview, schema: Schema) -> Iterator[Json]:
    """The tables of finding names and of values, where the file has some."""
    left_out = {"value": LEFT_OUT, "label": ROLES["skip"].say(language)}
    if seen.names:
        findings = [{"value": one.id, "label": one.name[language]} for one in schema.labels]
        title, head = Text("Namen der Befunde in der Datei", "Names of findings in the file"), Text("Name", "Name")
        yield _found(language, "names", title, head, seen.names, [left_out, *findings])
    if seen.values:
        states = [{"value": state.value, "label": STATES[state].say(language)} for state in State]
        nothing = {"value": "", "label": Text("nicht erwähnt", "not mentioned").say(language)}
        title, head = Text("Werte der Befunde", "Values of findings"), Text("Wert", "Value")
        table = _found(language, "values", title, head, seen.values, [*states, nothing])
        yield {**table, "note": RULE.say(language)}


def _found(
    language: str, kind: str, title: Text, head: Text, found: tuple[Found, ...], options: list[dict[str, str]]
) -> Json:
    known = {option["value"] for option in options} | ({""} if kind == "names" else set())
    empty = Text("(leer)", "(empty)").say(language)
    rows = [
        {
            "name": one.name,
            "shown": one.name or empty,
            "samples": f"{one.count} ×",
            "chosen": one.meaning or (LEFT_OUT if kind == "names" else ""),
            "open": one.meaning not in known,
        }
        for one in found
    ]
    return {
        "kind": kind,
        "title": title.say(language),
        "heads": _heads(language, head, Text("Häufigkeit", "Frequency")),
        "rows": rows,
        "groups": [{"options": options}],
        "open": OPEN.say(language),
    }


def _heads(language: str, *heads: Text) -> list[str]:
    return [head.say(language) for head in (*heads, Text("wird gelesen als", "is read as"))]


def _first(language: str, seen: Preview, schema: Schema) -> Json:
    heads = (Text("Zeile", "Row"), Text("Kennung", "Id"), Text("Befund", "Report"), Text("Labels", "Labels"))
    return {
        "title": Text("Die ersten Zeilen", "The first rows").say(language),
        "heads": [head.say(language) for head in heads],
        "rows": [_row(language, row, schema) for row in seen.rows],
    }


def _row(language: str, row: Row, schema: Schema) -> Json:
    if row.record is None:
        reason = row.fault.sentence(language) if row.fault else ""
        return {"cells": [str(row.number), "", reason, ""], "fault": True}
    names = {label.id: label.name[language] for label in schema.labels}
    said = [f"{names[label]}: {STATES[state].say(language)}" for label, state in row.record.labels.items()]
    if row.record.rationales:
        count = len(row.record.rationales)
        said.append(counted(count, Text("Textstelle", "span"), Text("Textstellen", "spans")).say(language))
    beginning = shorten(row.record.text, _BEGINNING, placeholder=" …")
    return {"cells": [str(row.number), row.record.id or "", beginning, ", ".join(said)], "fault": False}


def _problem(seen: Preview) -> Text:
    assert seen.first_fault
    return Text(
        f"{seen.faulty} der ersten {seen.scanned} Zeilen würden abgelehnt, zum Beispiel: {seen.first_fault.de}",
        f"{seen.faulty} of the first {seen.scanned} rows would be rejected, for example: {seen.first_fault.en}",
    )
