"""A file that was read, screened for what could show who a person is, row by row with its progress."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from medbertde.report_file import Row
from medbertde.services.exchange.incoming.reports import ImportedFile
from medbertde.services.screened_records import Gatekeeper, Tally
from medbertde.types import Notice, Progress, ReportRecord, Screened

SCREENING = "screening"  # the note of a step
ROWS_PER_PROGRESS = 200


@dataclass(frozen=True)
class ScreenedFile:
    """The file as it may be stored, and what was found in it; `found` is None where there was nothing."""

    file: ImportedFile
    found: Screened | None


def screen_steps(file: ImportedFile, gatekeeper: Gatekeeper) -> Iterator[Progress | ScreenedFile]:
    """Screen all rows; yields the progress now and then, and the treated file as the last item."""
    records: dict[int, ReportRecord] = {}
    rejected: list[tuple[int, Notice]] = list(file.rejected)
    tally = Tally()
    for count, (number, record) in enumerate(file.records.items(), start=1):
        row, found = gatekeeper.row(Row(number, record=record))
        tally.add(found)
        if row.record is not None:
            records[number] = row.record
        elif row.fault is not None:
            rejected.append((number, row.fault))
        if count % ROWS_PER_PROGRESS == 0:
            yield Progress(count, len(file.records), SCREENING)
    rejected.sort(key=lambda item: item[0])
    yield ScreenedFile(ImportedFile(file.name, records, tuple(rejected)), tally.screened(gatekeeper.treatment))
