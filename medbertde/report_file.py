"""Report files: reading `.jsonl`, `.csv` and `.txt` into records, and writing records back.

Core: a row that is wrong is reported with its number and a sentence, the others are read on. Fields: `text`, optional
`id`, `modality`, `labels` {label: state}, `rationales` [{label, start, end}], `meta`. In CSV, labels stand in columns
named `label:<id>`; every other column goes to `meta`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from medbertde.schema import Schema, parse_state
from medbertde.text import MAX_CHARS, clean, decode
from medbertde.types import InvalidFile, InvalidSchema, Notice, Rationale, ReportRecord, State, UserError

LABEL_COLUMN = "label:"
FORMULA_START = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Row:
    """One row of a file: its number (from 1, without a header) and either the record or what is wrong with it."""

    number: int
    record: ReportRecord | None = None
    fault: Notice | None = None


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
    return (_checked(number, raw, schema, max_chars) for number, raw in enumerate(rows, start=1))


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


def _jsonl_rows(text: str) -> Iterator[Mapping[str, Any] | Notice]:
    for line in text.split("\n"):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
        except (json.JSONDecodeError, RecursionError):
            raw = None
        yield raw if isinstance(raw, dict) else _fault("kein JSON-Objekt", "not a JSON object")


def _csv_rows(text: str) -> Iterator[Mapping[str, Any]]:
    dialect: type[csv.Dialect] = csv.excel
    header = text.split("\n", 1)[0]
    if header.count(";") > header.count(","):
        dialect = type("Semicolon", (csv.excel,), {"delimiter": ";"})
    csv.field_size_limit(16 * 1024 * 1024)
    rows = csv.DictReader(io.StringIO(text), dialect=dialect)
    names = [name.strip() for name in rows.fieldnames or []]
    if "text" not in names:
        shown = ", ".join(name[:30] for name in names[:12])
        raise InvalidFile(
            f"Der CSV-Datei fehlt die Spalte „text“. Gefunden: {shown}. Bitte die Spalte mit dem Befundtext „text“ nennen.",
            f"The CSV file has no column “text”. Found: {shown}. Please name the column with the report “text”.",
        )
    rows.fieldnames = names
    return (_from_csv(row) for row in rows)


def _from_csv(row: Mapping[str, Any]) -> Mapping[str, Any]:
    labels = {
        name.removeprefix(LABEL_COLUMN): value
        for name, value in row.items()
        if name and name.startswith(LABEL_COLUMN) and value and value.strip()
    }
    known = {"text", "id", "modality"}
    meta = {
        name: value for name, value in row.items() if name and name not in known and not name.startswith(LABEL_COLUMN)
    }
    return {"labels": labels, "meta": meta, **{name: row.get(name) or None for name in known}}


def _txt_rows(text: str) -> Iterator[Mapping[str, Any]]:
    yield {"text": text}


def _checked(number: int, raw: Mapping[str, Any] | Notice, schema: Schema | None, max_chars: int) -> Row:
    if isinstance(raw, Notice):
        return Row(number, fault=raw)
    try:
        return Row(number, record=_record(raw, schema, max_chars))
    except UserError as error:
        return Row(number, fault=Notice(type(error).__name__, error.de, error.en))


def _record(raw: Mapping[str, Any], schema: Schema | None, max_chars: int) -> ReportRecord:
    given = raw.get("text")
    if not isinstance(given, str):
        raise InvalidFile("Das Feld „text“ fehlt oder ist kein Text.", "The field “text” is missing or not a text.")
    text = clean(given, max_chars)
    labels = _typed(raw, "labels", dict)
    meta = _typed(raw, "meta", dict)
    return ReportRecord(
        text=text,
        id=_short(raw.get("id")),
        modality=_short(raw.get("modality")),
        labels=_states(labels, schema),
        rationales=tuple(_rationale(item, text, schema) for item in _typed(raw, "rationales", list)),
        meta={str(name)[:100]: str(value)[:1000] for name, value in meta.items() if value not in (None, "")},
    )


def _typed(raw: Mapping[str, Any], name: str, kind: type) -> Any:
    value = raw.get(name) or kind()
    if not isinstance(value, kind):
        raise InvalidFile(
            f"Das Feld „{name}“ hat die falsche Form (erwartet: {kind.__name__}).",
            f"The field “{name}” has the wrong form (expected: {kind.__name__}).",
        )
    return value


def _short(value: object) -> str | None:
    """An id or modality as a clean short string, None when empty."""
    return clean(str(value), 200) if value not in (None, "") and str(value).strip() else None


def _states(labels: Mapping[str, Any], schema: Schema | None) -> dict[str, State]:
    if schema:
        for label in labels:
            schema.label(label)
    return {label: parse_state(value) for label, value in labels.items()}


def _rationale(item: Any, text: str, schema: Schema | None) -> Rationale:
    try:
        span = Rationale(str(item["label"]), int(item["start"]), int(item["end"]))
    except (TypeError, KeyError, ValueError):
        raise InvalidFile(
            "Eine Textstelle braucht „label“, „start“ und „end“.", "A rationale needs “label”, “start” and “end”."
        ) from None
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
            "rationales": [{"label": span.label, "start": span.start, "end": span.end} for span in record.rationales],
            "meta": dict(record.meta),
        },
        ensure_ascii=False,
    )


def to_csv(records: Iterable[ReportRecord], schema: Schema) -> Iterator[str]:
    """The records as lines of a `.csv` file, one column per finding; cells that a spreadsheet would run are escaped."""
    yield csv_line(["id", "modality", "text", *(LABEL_COLUMN + label for label in schema.label_ids), "meta"])
    for record in records:
        states = [record.labels[label].value if label in record.labels else "" for label in schema.label_ids]
        meta = json.dumps(dict(record.meta), ensure_ascii=False)
        yield csv_line([record.id or "", record.modality or "", record.text, *states, meta])


def csv_line(cells: Iterable[str]) -> str:
    """One CSV line with its line end, formulas neutralised by an apostrophe.

    >>> csv_line(["=1+1", "Kein Pneu."])
    "'=1+1,Kein Pneu.\\r\\n"
    """
    buffer = io.StringIO()
    csv.writer(buffer).writerow(f"'{cell}" if cell.startswith(FORMULA_START) else cell for cell in cells)
    return buffer.getvalue()
