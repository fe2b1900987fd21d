"""Reports in and labels out: from an uploaded file to rows in one transaction, and from rows to the lines of an export.

Owns what an import accepts and what an export says. Knows neither users' rights nor the page; the caller opens the
transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from medbertde.report_file import csv_line, read_reports, to_csv, to_json
from medbertde.schema import Schema, load_schema, schema_ids
from medbertde.settings import ROOT, Settings
from medbertde.store import labels, reports
from medbertde.store.reports import AddedReports
from medbertde.store.session import Session
from medbertde.types import ImportResult, InvalidFile, NotFound, Notice, Progress, ReportRecord, User

EXAMPLES_FOLDER = ROOT / "data" / "reports"
RESEARCH_ONLY = "Nur für die Forschung, nicht für Diagnostik. / Research use only, not for diagnosis."
_ROWS_PER_PROGRESS = 500
_REVISION_COLUMNS = (
    *("report", "schema", "label", "old_value", "new_value"),
    *("annotator", "source", "model_version", "created_at", "use"),
)
_ID_TAKEN = Notice(
    "id_taken",
    "Die Kennung (id) gehört schon zu einem anderen Befundtext. Bitte eine andere Kennung vergeben.",
    "The id already belongs to another report text. Please choose another id.",
)


class ExportKind(StrEnum):
    """What can be taken out: the labels that hold as a report file or as a table, or every change ever made."""

    JSONL = "jsonl"
    CSV = "csv"
    REVISIONS = "revisions"


@dataclass(frozen=True)
class ImportedFile:
    """A file that was read: its good rows by row number (from 1), and what is wrong with the others."""

    name: str
    records: dict[int, ReportRecord]
    rejected: tuple[tuple[int, Notice], ...] = ()


def read_file(
    name: str, data: bytes, schema: Schema, settings: Settings, on_progress: Callable[[Progress], None]
) -> ImportedFile:
    """Read an upload within the limits of the settings; `InvalidFile` when it cannot be read as a whole."""
    _require_size(name, data, settings.max_upload_mb)
    total = data.count(b"\n") + 1
    records: dict[int, ReportRecord] = {}
    rejected: list[tuple[int, Notice]] = []
    for row in read_reports(name, data, schema=schema, max_chars=settings.max_chars):
        if row.number > settings.max_import_rows:
            raise InvalidFile(
                f"Die Datei {name} hat mehr als {settings.max_import_rows} Zeilen. Bitte die Datei aufteilen.",
                f"The file {name} has more than {settings.max_import_rows} rows. Please split the file.",
            )
        if row.record is not None:
            records[row.number] = _with_known_modality(row.record)
        elif row.fault is not None:
            rejected.append((row.number, row.fault))
        if row.number % _ROWS_PER_PROGRESS == 0:
            on_progress(Progress(row.number, max(row.number, total)))
    return ImportedFile(name, records, tuple(rejected))


def example_file(schema: Schema) -> ImportedFile:
    """The shipped fictional reports of a schema without their labels; `NotFound` when there are none."""
    path = _examples_path(schema.id)
    if not path.is_file():
        raise NotFound(
            f"Für {schema.title['de']} gibt es keine Beispielbefunde. Bitte eine eigene Datei importieren.",
            f"There are no example reports for {schema.title['en']}. Please import a file of your own.",
        )
    rows = read_reports(path.name, path.read_bytes(), schema=schema)
    return ImportedFile(
        path.name, {row.number: replace(row.record, labels={}, rationales=()) for row in rows if row.record is not None}
    )


def has_examples(schema_id: str) -> bool:
    """Whether fictional reports are shipped for this schema."""
    return _examples_path(schema_id).is_file()


def store_file(session: Session, file: ImportedFile, schema: Schema, user: User) -> ImportResult:
    """Store the good rows. Labels that come along count as this user's, unless someone annotated the report before."""
    records = list(file.records.values())
    added = reports.add_reports(session, records=records, imported_by=user.id, file_name=file.name)
    labelled = labels.save_imported(
        session,
        schema_id=schema.id,
        schema_version=schema.version,
        user_id=user.id,
        labelled=_labelled(records, added),
    )
    numbers = list(file.records)
    clashes = [(numbers[position], _ID_TAKEN) for position in added.clashes]
    rejected = sorted([*file.rejected, *clashes], key=lambda item: item[0])
    return ImportResult(len(added.added_ids), added.duplicates, labelled, tuple(rejected))


def export_lines(session: Session, schema: Schema, kind: ExportKind) -> Iterator[str]:
    """The lines of an export, read while they are consumed; every row says that it is for research only."""
    if kind is ExportKind.REVISIONS:
        yield from _revision_lines(session, schema)
        return
    records = (_for_research(record) for record in labels.labelled_records(session, schema_id=schema.id))
    if kind is ExportKind.CSV:
        yield from to_csv(records, schema)
        return
    for record in records:
        yield to_json(record) + "\n"


def _require_size(name: str, data: bytes, max_mb: int) -> None:
    size_mb = len(data) / 1024 / 1024
    if size_mb > max_mb:
        raise InvalidFile(
            f"Die Datei {name} hat {size_mb:.0f} MB, erlaubt sind {max_mb} MB. Bitte die Datei aufteilen.",
            f"The file {name} has {size_mb:.0f} MB, {max_mb} MB are allowed. Please split the file.",
        )


def _with_known_modality(record: ReportRecord) -> ReportRecord:
    """A modality that belongs to no schema would keep the report out of every queue: it moves to `meta`."""
    if record.modality is None:
        return record
    modality = record.modality.lower()
    if modality in {load_schema(schema_id).modality for schema_id in schema_ids()}:
        return replace(record, modality=modality)
    return replace(record, modality=None, meta={**record.meta, "modality": record.modality})


def _examples_path(schema_id: str) -> Path:
    return EXAMPLES_FOLDER / f"queue_{schema_id}.jsonl"


def _labelled(records: Iterable[ReportRecord], added: AddedReports) -> dict[int, ReportRecord]:
    """By report id the records that bring labels; of several rows with the same text the first counts."""
    found: dict[int, ReportRecord] = {}
    for record, report_id in zip(records, added.report_ids, strict=True):
        if report_id is not None and record.labels:
            found.setdefault(report_id, record)
    return found


def _for_research(record: ReportRecord) -> ReportRecord:
    return replace(record, meta={**record.meta, "use": RESEARCH_ONLY})


def _revision_lines(session: Session, schema: Schema) -> Iterator[str]:
    yield csv_line(_REVISION_COLUMNS)
    for key, revision in labels.revisions(session, schema_id=schema.id):
        yield csv_line(
            (
                key,
                schema.id,
                revision.label,
                revision.old_value or "",
                revision.new_value or "",
                revision.annotator,
                revision.source,
                revision.model_version or "",
                revision.created_at.isoformat(timespec="seconds"),
                RESEARCH_ONLY,
            )
        )
