"""Tables for spreadsheets: labels and the history of changes. No cell can run as a formula."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence

from medbertde.report_file import with_apostrophe
from medbertde.schema import Schema
from medbertde.services.exchange.outgoing.rows import cells_of, columns_of
from medbertde.store.exports import ExportedReport, Wanted
from medbertde.terms import RESEARCH_ONLY
from medbertde.types import LabelRevision

_ROWS_AT_ONCE = 200
_REVISION_COLUMNS = (
    *("report", "schema", "label", "old_value", "new_value"),
    *("annotator", "source", "model_version", "created_at", "use"),
)


def label_lines(reports: Iterable[ExportedReport], schema: Schema) -> Iterator[str]:
    """The labels, one report per row; spans and meta data as JSON in a cell."""
    columns = columns_of(schema)
    return csv_text(columns, (_plain(cells_of(report, schema)) for report in reports))


def revision_lines(revisions: Iterable[tuple[str, LabelRevision]], schema: Schema) -> Iterator[str]:
    """Every change as one row, without texts."""
    rows = (
        (
            key,
            schema.id,
            one.label,
            one.old_value or "",
            one.new_value or "",
            one.annotator,
            one.source,
            one.model_version or "",
            one.created_at.isoformat(timespec="seconds"),
            RESEARCH_ONLY,
        )
        for key, one in revisions
    )
    return csv_text(_REVISION_COLUMNS, rows)


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    r"""A table as pieces of text of some rows each; cells that a spreadsheet would run get an apostrophe in front.

    >>> "".join(csv_text(["a"], [["=1+1"]]))
    "a\r\n'=1+1\r\n"
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    for number, row in enumerate(rows, start=1):
        writer.writerow(map(with_apostrophe, row))
        if number % _ROWS_AT_ONCE == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _plain(cells: dict[str, object]) -> list[str]:
    spans = cells["rationales"]
    cells["rationales"] = json.dumps(spans, ensure_ascii=False) if spans else ""
    return ["" if value is None else str(value) for value in cells.values()]


def takes_change(wanted: Wanted, one: LabelRevision) -> bool:
    """Whether a change passes the filters that apply to it: finding, annotator and days."""
    day = one.created_at.date()
    return (
        wanted.finding in ("", one.label)
        and wanted.annotator in ("", one.annotator)
        and (not wanted.since or day >= wanted.since)
        and (not wanted.until or day <= wanted.until)
    )
