"""An exported report as the fields that every format shares; each says that it is for research only."""

from __future__ import annotations

import json
from typing import Any

from medbertde.report_file import LABEL_COLUMN, span_fields
from medbertde.schema import Schema
from medbertde.store.exports import ExportedReport
from medbertde.terms import RESEARCH_ONLY
from medbertde.types import ReportRecord

FIRST = ("id", "modality", "text")
PROVENANCE = (
    *("provenance", "annotator", "annotators", "annotated_at", "schema", "schema_version"),
    *("model_version", "sources", "flagged", "split", "comment"),
)


def provenance_of(report: ExportedReport, schema: Schema) -> dict[str, str]:
    """On what the labels rest, as text; what does not apply is missing."""
    fields = {
        "provenance": report.provenance.value,
        "annotator": report.annotator,
        "annotators": ", ".join(report.annotators),
        "annotated_at": report.annotated_at.isoformat(timespec="seconds"),
        "schema": schema.id,
        "schema_version": str(report.schema_version),
        "model_version": report.model_version or "",
        "sources": ", ".join(f"{label}={source}" for label, source in report.sources.items()),
        "flagged": "true" if report.flagged else "",
        "split": report.split,
        "comment": report.comment,
    }
    return {name: value for name, value in fields.items() if value}


def record_of(report: ExportedReport, schema: Schema) -> ReportRecord:
    """The report as a line of a report file, provenance and note of use in `meta`."""
    meta = {**report.meta, **provenance_of(report, schema), "use": RESEARCH_ONLY}
    return ReportRecord(report.text, report.key, report.modality, report.labels, report.rationales, meta)


def cells_of(report: ExportedReport, schema: Schema) -> dict[str, Any]:
    """The report as one row of a table: a column per finding, spans as a list, other meta data as JSON text."""
    said = provenance_of(report, schema)
    return {
        "id": report.key,
        "modality": report.modality,
        "text": report.text,
        **{LABEL_COLUMN + label: _value(report, label) for label in schema.label_ids},
        "rationales": [span_fields(span) for span in report.rationales],
        **{name: said.get(name) for name in PROVENANCE},
        "meta": json.dumps(dict(report.meta), ensure_ascii=False),
        "use": RESEARCH_ONLY,
    }


def columns_of(schema: Schema) -> list[str]:
    """The names of `cells_of`, in its order."""
    return [*FIRST, *(LABEL_COLUMN + label for label in schema.label_ids), "rationales", *PROVENANCE, "meta", "use"]


def _value(report: ExportedReport, label: str) -> str | None:
    state = report.labels.get(label)
    return None if state is None else state.value
