"""Reports: adding them in bulk without duplicates and finding them. Knows nothing of labels or files."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, bindparam, insert, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute

from medbertde.store import text_index
from medbertde.store.session import Session
from medbertde.store.tables import ImportRow, ReportRow, table_of, utc_now
from medbertde.text import content_hash
from medbertde.types import NotFound, Report, ReportRecord

_CHUNK = 1000  # values per IN list
_ROW = table_of(ReportRow).c
_REPORT = select(_ROW.id, _ROW.key, _ROW.text, _ROW.modality, _ROW.created_at).where(_ROW.id == bindparam("report"))
_LOCK = select(_ROW.text).where(_ROW.id == bindparam("report")).with_for_update(key_share=True)


@dataclass(frozen=True)
class AddedReports:
    """What `add_reports` did.

    `report_ids` has one entry per record, in their order: the stored report with this text, new or known before. It is
    None where the record's own id already names a report with another text; nothing was stored for those.
    """

    import_id: int
    report_ids: tuple[int | None, ...]
    added_ids: tuple[int, ...]

    @property
    def clashes(self) -> tuple[int, ...]:
        """Positions (from 0) of the records that were not stored because their id names another text."""
        return tuple(position for position, report_id in enumerate(self.report_ids) if report_id is None)

    @property
    def duplicates(self) -> int:
        """How many records have a text that was stored before or stands earlier in the same import."""
        return len(self.report_ids) - len(self.clashes) - len(self.added_ids)


def add_reports(
    session: Session, *, records: Iterable[ReportRecord], imported_by: int, file_name: str = ""
) -> AddedReports:
    """Store the reports whose text is new; texts that differ only in white space count as the same.

    The texts must have gone through `text.clean`; `ValueError` otherwise.
    """
    records = list(records)
    hashes = [content_hash(_require_clean(record.text)) for record in records]
    known = _ids_by(session, ReportRow.content_hash, hashes)
    new = _new_rows(session, list(zip(records, hashes, strict=True)), known)
    report_import = ImportRow(file_name=file_name, added=len(new), duplicates=0, clashes=0, user_id=imported_by)
    session.add(report_import)
    session.flush()
    added: dict[str, int] = {}
    if new:
        shared = {"import_id": report_import.id, "created_at": utc_now()}
        inserting = insert(ReportRow).returning(ReportRow.content_hash, ReportRow.id)
        added.update(session.execute(inserting, [row | shared for row in new.values()]).all())
        text_index.add(session, texts={added[digest]: row["text"] for digest, row in new.items()})
    ids = known | added
    result = AddedReports(report_import.id, tuple(ids.get(digest) for digest in hashes), tuple(sorted(added.values())))
    report_import.duplicates, report_import.clashes = result.duplicates, len(result.clashes)
    return result


def get_report(session: Session, *, report_id: int) -> Report:
    """The report with this id; `NotFound` when there is none."""
    row = session.execute(_REPORT, {"report": report_id}).first()
    if row is None:
        raise _unknown(report_id)
    return Report(*row)


def find_report(session: Session, *, key: str) -> Report | None:
    """The report with this key."""
    row = session.scalar(select(ReportRow).where(ReportRow.key == key))
    return None if row is None else to_report(row)


def find_copy(session: Session, *, text: str) -> Report | None:
    """The report with this text, which may differ from it in white space."""
    row = session.scalar(select(ReportRow).where(ReportRow.content_hash == content_hash(text)))
    return None if row is None else to_report(row)


def lock_report(session: Session, *, report_id: int) -> str:
    """Let saves of one report wait for each other until the transaction ends (on SQLite all writers do anyway).

    Returns its text. `NotFound` when there is no such report. For functions in `store`.
    """
    text = session.scalar(_LOCK, {"report": report_id})
    if text is None:
        raise _unknown(report_id)
    return text


def of_modality(modality: str | None) -> ColumnElement[bool]:
    """The condition that a report fits a modality: it has this one or none; None fits all. For queries in `store`."""
    return true() if modality is None else or_(ReportRow.modality == modality, ReportRow.modality.is_(None))


def to_report(row: ReportRow) -> Report:
    """The core's report of a row. For queries in `store`."""
    return Report(row.id, row.key, row.text, row.modality, row.created_at)


def _new_rows(
    session: Session, hashed: Sequence[tuple[ReportRecord, str]], known: dict[str, int]
) -> dict[str, dict[str, Any]]:
    """By content hash the rows to insert: the first record of each new text whose key is still free."""
    keys = [_key(record, digest) for record, digest in hashed]
    taken = set(_ids_by(session, ReportRow.key, keys))
    new: dict[str, dict[str, Any]] = {}
    for (record, digest), key in zip(hashed, keys, strict=True):
        if digest in known or digest in new or key in taken:
            continue
        taken.add(key)
        new[digest] = {
            "key": key,
            "text": record.text,
            "content_hash": digest,
            "modality": record.modality,
            "meta": dict(record.meta),
        }
    return new


def _key(record: ReportRecord, digest: str) -> str:
    return record.id or f"r-{digest[:16]}"


def _ids_by(session: Session, column: InstrumentedAttribute[str], values: Sequence[str]) -> dict[str, int]:
    """The ids of the reports whose `column` is one of `values`, by that value."""
    found: dict[str, int] = {}
    for start in range(0, len(values), _CHUNK):
        query = select(column, ReportRow.id).where(column.in_(values[start : start + _CHUNK]))
        found.update((value, report_id) for value, report_id in session.execute(query))
    return found


def _require_clean(text: str) -> str:
    if "\x00" in text or not text.strip() or not unicodedata.is_normalized("NFC", text):
        raise ValueError("report texts must go through medbertde.text.clean before they are stored")
    return text


def _unknown(report_id: int) -> NotFound:
    return NotFound(
        f"Den Befund Nr. {report_id} gibt es nicht oder nicht mehr. Bitte mit einem anderen weitermachen.",
        f"There is no report no. {report_id}, or not any more. Please go on with another one.",
    )
