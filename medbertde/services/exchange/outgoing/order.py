"""What can be taken out: in which format, and which reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from medbertde.store.exports import Wanted


class ExportFormat(StrEnum):
    """The formats of an export. `REVISIONS` is every change ever made, without texts."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    HUGGING_FACE = "huggingface"
    LABEL_STUDIO = "label_studio"
    LABEL_STUDIO_CONFIG = "label_studio_config"
    CONLL = "conll"
    REVISIONS = "revisions"

    @property
    def ending(self) -> str:
        """How the files of this format are called after the schema."""
        return _ENDINGS[self]


_ENDINGS = {
    ExportFormat.JSONL: "labels.jsonl",
    ExportFormat.CSV: "labels.csv",
    ExportFormat.PARQUET: "labels.parquet",
    ExportFormat.HUGGING_FACE: "dataset.zip",
    ExportFormat.LABEL_STUDIO: "label_studio.json",
    ExportFormat.LABEL_STUDIO_CONFIG: "label_studio.xml",
    ExportFormat.CONLL: "spans.conll",
    ExportFormat.REVISIONS: "revisions.csv",
}


EVERYTHING = Wanted()


@dataclass(frozen=True)
class ExportOrder:
    """One export: a schema's labels in a format, filtered."""

    schema_id: str
    format: ExportFormat
    wanted: Wanted = EVERYTHING
