"""One place that knows which writer belongs to which format. Every writer streams; none holds more than some rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO, TypeVar

from medbertde.report_file import to_json
from medbertde.schema import Schema
from medbertde.services.exchange.outgoing.conll import conll_lines
from medbertde.services.exchange.outgoing.delimited import label_lines, revision_lines, takes_change
from medbertde.services.exchange.outgoing.hugging_face import write_hugging_face
from medbertde.services.exchange.outgoing.label_studio import interface, task_lines
from medbertde.services.exchange.outgoing.order import ExportFormat, ExportOrder
from medbertde.services.exchange.outgoing.parquet import write_parquet
from medbertde.services.exchange.outgoing.rows import record_of
from medbertde.store import exports, labelled
from medbertde.store.exports import ExportedReport
from medbertde.store.session import Session

Item = TypeVar("Item")
_BYTE_ORDER_MARK = "\ufeff"  # without it Excel misreads the umlauts of a table
_BINARY = {ExportFormat.PARQUET: write_parquet, ExportFormat.HUGGING_FACE: write_hugging_face}


def write_export(session: Session, order: ExportOrder, schema: Schema, out: BinaryIO) -> int:
    """Write what is ordered; returns how many reports (of the history: changes) it holds."""
    counted = _Counted()
    found = counted.each(exports.exported_reports(session, schema_id=schema.id, wanted=order.wanted))
    if order.format in _BINARY:
        _BINARY[order.format](found, schema, out)
    else:
        for piece in _text(session, order, schema, found, counted):
            out.write(piece.encode())
    return counted.count


def _text(
    session: Session, order: ExportOrder, schema: Schema, found: Iterator[ExportedReport], counted: _Counted
) -> Iterator[str]:
    """The pieces of a text file."""
    match order.format:
        case ExportFormat.JSONL:
            yield from (to_json(record_of(report, schema)) + "\n" for report in found)
        case ExportFormat.CSV:
            yield _BYTE_ORDER_MARK
            yield from label_lines(found, schema)
        case ExportFormat.LABEL_STUDIO:
            yield from task_lines(found, schema)
        case ExportFormat.LABEL_STUDIO_CONFIG:
            yield interface(schema)
        case ExportFormat.CONLL:
            yield from conll_lines(found)
        case ExportFormat.REVISIONS:
            yield _BYTE_ORDER_MARK
            changes = labelled.revisions(session, schema_id=schema.id)
            taken = (one for one in changes if takes_change(order.wanted, one[1]))
            yield from revision_lines(counted.each(taken), schema)


class _Counted:
    """Counts what passes by."""

    def __init__(self) -> None:
        self.count = 0

    def each(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, counted."""
        for item in items:
            self.count += 1
            yield item
