"""The annotation queue: which report an annotator gets next, held by a lease, and how far the work has come.

Owns leases. A report waits while nobody has saved it for the schema; a lease keeps it from everyone else until it
expires, is released, or the report is saved. Knows neither models nor pages.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Select, delete, func, select

from medbertde.store.reports import count_reports, get_report, of_modality, to_report
from medbertde.store.session import Session, insert
from medbertde.store.tables import LeaseRow, ReportRow, SubmissionRow, utc_now
from medbertde.types import Conflict, QueueProgress, Report


class Order(StrEnum):
    """In which order waiting reports are handed out."""

    OLDEST_FIRST = "oldest_first"
    NEWEST_FIRST = "newest_first"


def next_report(
    session: Session,
    *,
    schema_id: str,
    user_id: int,
    modality: str | None,
    lease_minutes: float,
    exclude: Collection[int] = (),
    order: Order = Order.OLDEST_FIRST,
) -> Report | None:
    """A report for this user, leased to them from now on; None when nothing waits. Needs a write transaction.

    The user's own open leases come first (a reloaded page gets its report back). `exclude` names the reports the page
    already holds or has skipped. `modality` takes reports of this modality and of none.
    """
    now = utc_now()
    expires_at = now + timedelta(minutes=lease_minutes)
    own = session.scalar(_own_leased(schema_id, user_id, modality, exclude, now))
    if own is not None:
        renew(session, report_id=own.id, schema_id=schema_id, user_id=user_id, lease_minutes=lease_minutes)
        return to_report(own)
    waiting = _waiting(schema_id, modality, exclude, order, now)
    while (report_id := session.scalar(waiting)) is not None:
        if _take(session, report_id, schema_id, user_id, now, expires_at):
            return get_report(session, report_id=report_id)
    return None


def renew(session: Session, *, report_id: int, schema_id: str, user_id: int, lease_minutes: float) -> None:
    """Keep a report longer, also after the lease ran out as long as nobody else took it; `Conflict` when they did."""
    get_report(session, report_id=report_id)
    now = utc_now()
    if not _take(session, report_id, schema_id, user_id, now, now + timedelta(minutes=lease_minutes)):
        raise Conflict(
            "Dieser Befund wird inzwischen von jemand anderem bearbeitet. Bitte mit dem nächsten Befund weitermachen.",
            "Someone else is working on this report by now. Please go on with the next one.",
        )


def release(session: Session, *, report_id: int, schema_id: str, user_id: int) -> None:
    """Give a report back unsaved; nothing happens when the user does not hold it any more."""
    session.execute(
        delete(LeaseRow).where(
            LeaseRow.report_id == report_id, LeaseRow.schema_id == schema_id, LeaseRow.user_id == user_id
        )
    )


def progress(session: Session, *, schema_id: str, modality: str | None, user_id: int) -> QueueProgress:
    """How many reports the user has saved, how many anyone has, and how many there are."""
    annotated = (
        select(func.count(SubmissionRow.report_id.distinct()))
        .join(ReportRow)
        .where(SubmissionRow.schema_id == schema_id, of_modality(modality))
    )
    return QueueProgress(
        done_by_user=session.scalars(annotated.where(SubmissionRow.user_id == user_id)).one(),
        done=session.scalars(annotated).one(),
        total=count_reports(session, modality=modality),
    )


def _own_leased(
    schema_id: str, user_id: int, modality: str | None, exclude: Collection[int], now: datetime
) -> Select[ReportRow]:
    return (
        select(ReportRow)
        .join(LeaseRow)
        .where(
            LeaseRow.schema_id == schema_id,
            LeaseRow.user_id == user_id,
            LeaseRow.expires_at > now,
            ReportRow.id.not_in(exclude),
            of_modality(modality),
            ~_saved(schema_id).exists(),
        )
        .order_by(LeaseRow.expires_at, ReportRow.id)
        .limit(1)
    )


def _waiting(
    schema_id: str, modality: str | None, exclude: Collection[int], order: Order, now: datetime
) -> Select[int]:
    """The first report nobody saved or holds. PostgreSQL passes over rows another transaction is about to take."""
    held = select(LeaseRow.report_id).where(
        LeaseRow.schema_id == schema_id, LeaseRow.report_id == ReportRow.id, LeaseRow.expires_at > now
    )
    return (
        select(ReportRow.id)
        .where(of_modality(modality), ReportRow.id.not_in(exclude), ~_saved(schema_id).exists(), ~held.exists())
        .order_by(ReportRow.id if order is Order.OLDEST_FIRST else ReportRow.id.desc())
        .limit(1)
        .with_for_update(skip_locked=True, key_share=True)
    )


def _saved(schema_id: str) -> Select[int]:
    """The saves of the report of the query around."""
    return select(SubmissionRow.id).where(SubmissionRow.schema_id == schema_id, SubmissionRow.report_id == ReportRow.id)


def _take(session: Session, report_id: int, schema_id: str, user_id: int, now: datetime, expires_at: datetime) -> bool:
    """Lease the report in one atomic statement; False when another user's lease is still open."""
    taking = insert(session, LeaseRow).values(
        report_id=report_id, schema_id=schema_id, user_id=user_id, expires_at=expires_at
    )
    taking = taking.on_conflict_do_update(
        index_elements=[LeaseRow.report_id, LeaseRow.schema_id],
        set_={"user_id": taking.excluded.user_id, "expires_at": taking.excluded.expires_at},
        where=(LeaseRow.expires_at <= now) | (LeaseRow.user_id == user_id),
    )
    return session.scalar(taking.returning(LeaseRow.report_id)) is not None
