"""From a table and a plan to records: each row checked, progress told, all within the limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from medbertde.report_file import Row, check_row
from medbertde.schema import ALL_KINDS, Schema, load_schema, schema_ids
from medbertde.services.exchange.incoming.plan import Plan
from medbertde.services.exchange.incoming.table import Limits, NumberedRow, Table
from medbertde.types import InvalidFile, Notice, Progress, ReportRecord, UserError

ROWS_PER_PROGRESS = 500


@dataclass(frozen=True)
class ImportedFile:
    """A file that was read: its good rows by row number (from 1), and what is wrong with the others."""

    name: str
    records: dict[int, ReportRecord]
    rejected: tuple[tuple[int, Notice], ...] = ()


def read_steps(
    name: str, table: Table, plan: Plan, schema: Schema, limits: Limits
) -> Iterator[Progress | ImportedFile]:
    """Read all rows; yields the progress now and then, and what was read as the last item."""
    records: dict[int, ReportRecord] = {}
    rejected: list[tuple[int, Notice]] = []
    modalities = known_modalities()
    for count, numbered in enumerate(table.rows(), start=1):
        if count > limits.max_rows:
            raise InvalidFile(
                f"Die Datei {name} hat mehr als {limits.max_rows} Zeilen. Bitte die Datei aufteilen.",
                f"The file {name} has more than {limits.max_rows} rows. Please split the file.",
            )
        row = read_row(numbered, plan, schema, limits)
        if row.record is not None:
            records[row.number] = _with_known_modality(row.record, modalities)
        elif row.fault is not None:
            rejected.append((row.number, row.fault))
        if count % ROWS_PER_PROGRESS == 0:
            yield Progress(count, max(count, table.total))
    yield ImportedFile(name, records, tuple(rejected))


def read_row(numbered: NumberedRow, plan: Plan, schema: Schema, limits: Limits) -> Row:
    """One row by the plan: its record, or what is wrong with it."""
    number, raw = numbered
    if isinstance(raw, Notice):
        return Row(number, fault=raw)
    try:
        fields = plan.fields(raw)
    except UserError as error:
        return Row(number, fault=Notice(type(error).__name__, error.de, error.en))
    return check_row(number, fields, schema, limits.max_chars)


def known_modalities() -> frozenset[str]:
    """The modalities that a schema reads."""
    return frozenset(load_schema(schema_id).modality for schema_id in schema_ids(kinds=ALL_KINDS))


def _with_known_modality(record: ReportRecord, known: frozenset[str]) -> ReportRecord:
    """A modality that belongs to no schema would keep the report out of every queue: it moves to `meta`."""
    if record.modality is None:
        return record
    modality = record.modality.lower()
    if modality in known:
        return replace(record, modality=modality)
    return replace(record, modality=None, meta={**record.meta, "modality": record.modality})
