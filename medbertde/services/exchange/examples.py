"""The fictional reports that are shipped for a schema, to fill an empty queue."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from medbertde.report_file import read_reports
from medbertde.schema import Schema
from medbertde.services.exchange.incoming.reports import ImportedFile
from medbertde.settings import ROOT
from medbertde.types import NotFound

EXAMPLES_FOLDER = ROOT / "data" / "reports"


def has_examples(schema_id: str) -> bool:
    """Whether fictional reports are shipped for this schema."""
    return _path(schema_id).is_file()


def example_file(schema: Schema) -> ImportedFile:
    """The shipped reports without their labels; `NotFound` when there are none."""
    path = _path(schema.id)
    if not path.is_file():
        raise NotFound(
            f"Für {schema.title['de']} gibt es keine Beispielbefunde. Bitte eine eigene Datei importieren.",
            f"There are no example reports for {schema.title['en']}. Please import a file of your own.",
        )
    rows = read_reports(path.name, path.read_bytes(), schema=schema)
    return ImportedFile(
        path.name, {row.number: replace(row.record, labels={}, rationales=()) for row in rows if row.record is not None}
    )


def _path(schema_id: str) -> Path:
    return EXAMPLES_FOLDER / f"queue_{schema_id}.jsonl"
