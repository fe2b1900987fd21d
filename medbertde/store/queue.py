"""The annotation queue: which report an annotator gets next, held by a lease, and how far the work has come.

Owns leases: an assignment is with one person until they save the report, give it back or the lease runs out. Whoever
takes one does so in a single UPDATE, so that two people never get the same. Knows neither models nor pages, and not how
a report's place in the queue came about (`projects`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, or_, select, update
from sqlalchemy.orm import aliased

from medbertde.store import intake, projects
from medbertde.store.projects import Project
from medbertde.store.reports import get_report
from medbertde.store.session import Session
from medbertde.store.tables import utc_now
from medbertde.store.work_tables import AssignmentRow, ProjectRow
from medbertde.types import Conflict, QueueProgress, Report

_CHUNK = 1000


@dataclass(frozen=True)
class Assigned:
    """A report in someone's hands; a `bare` one is to be read without suggestions."""

    report: Report
    bare: bool


def next_report(
    session: Session, *, project: Project, user_id: int, lease_minutes: float, exclude: Collection[int] = ()
) -> Assigned | None:
    """A report for this user, leased to them from now on; None when nothing waits. Needs a write transaction.

    The user's own open leases come first (a reloaded page gets its report back). `exclude` names the reports the page
    already holds or has skipped.
    """
    intake.take_in(session, project=project)
    now = utc_now()
    until = now + timedelta(minutes=lease_minutes)
    for query in (_own(project.id, user_id, exclude, now), _waiting(project.id, user_id, exclude, now)):
        while (found := session.execute(query).first()) is not None:
            if _take(session, found, user_id, now, until):
                return Assigned(get_report(session, report_id=found.report_id), found.bare)
    return None


def take(session: Session, *, project: Project, report_id: int, user_id: int, lease_minutes: float) -> Assigned:
    """One report out of turn, leased to the user; `Conflict` when it is not free in the project."""
    intake.take_in(session, project=project)
    now = utc_now()
    until = now + timedelta(minutes=lease_minutes)
    slots = session.execute(_slots(report_id, project.schema_id, user_id)).all()
    for slot in _mine_first((slot for slot in slots if slot.project_id == project.id), user_id):
        if _take(session, slot, user_id, now, until):
            return Assigned(get_report(session, report_id=report_id), slot.bare)
    raise Conflict(
        "Dieser Befund ist in Ihrem Projekt nicht frei: Er gehört nicht dazu, jemand anderes bearbeitet ihn, oder er "
        "ist fertig annotiert.",
        "This report is not free in your project: it is not part of it, someone else is working on it, or it is "
        "finished.",
    )


def renew(session: Session, *, report_id: int, schema_id: str, user_id: int, lease_minutes: float) -> None:
    """Keep a report longer, also after the lease ran out as long as nobody else took it; `Conflict` when they did.

    A report that the user has saved, or that is in no project, needs no lease.
    """
    now = utc_now()
    slots = session.execute(_slots(report_id, schema_id, user_id)).all()
    if not slots:
        get_report(session, report_id=report_id)  # no assignment: the report may be gone altogether
    if not slots or any(slot.user_id == user_id and slot.done_at for slot in slots):
        return
    until = now + timedelta(minutes=lease_minutes)
    if any(_take(session, slot, user_id, now, until) for slot in _mine_first(slots, user_id)):
        return
    if all(slot.done_at for slot in slots):
        raise Conflict(
            "Dieser Befund lag zu lange offen und wurde inzwischen von jemand anderem gespeichert. Ihre Angaben dazu "
            "sind nicht gespeichert.",
            "This report was open for too long and someone else has saved it by now. Your values for it are not saved.",
        )
    raise Conflict(
        "Dieser Befund wird inzwischen von jemand anderem bearbeitet. Bitte mit dem nächsten Befund weitermachen.",
        "Someone else is working on this report by now. Please go on with the next one.",
    )


def release(session: Session, *, report_id: int, schema_id: str, user_id: int) -> None:
    """Give a report back unsaved; nothing happens when the user does not hold it any more."""
    session.execute(
        update(AssignmentRow)
        .where(
            AssignmentRow.report_id == report_id,
            AssignmentRow.user_id == user_id,
            AssignmentRow.done_at.is_(None),
            AssignmentRow.project_id.in_(select(ProjectRow.id).where(ProjectRow.schema_id == schema_id)),
        )
        .values(user_id=None, expires_at=None)
    )


def finish(session: Session, *, report_id: int, schema_id: str, user_id: int) -> None:
    """The user has read the report: in each project of the schema this takes one assignment of it off the queue."""
    now = utc_now()
    slots = session.execute(_slots(report_id, schema_id, user_id)).all()
    read = {slot.project_id for slot in slots if slot.user_id == user_id and slot.done_at}
    for slot in _mine_first(slots, user_id):
        if slot.project_id not in read and _take(session, slot, user_id, now, None, done_at=now):
            read.add(slot.project_id)
            projects.count_done(session, counts={(slot.project_id, user_id): 1})


def finish_imported(session: Session, *, report_ids: Sequence[int], schema_id: str, user_id: int) -> None:
    """The reports came with labels: take those off the queue that have been in it."""
    for start in range(0, len(report_ids), _CHUNK):
        queued = select(AssignmentRow.report_id).where(AssignmentRow.report_id.in_(report_ids[start : start + _CHUNK]))
        for report_id in session.scalars(queued.distinct()).all():
            finish(session, report_id=report_id, schema_id=schema_id, user_id=user_id)


def progress(session: Session, *, project: Project, user_id: int) -> QueueProgress:
    """How many assignments the user has done, how many anyone has, and how many there are, without counting rows."""
    intake.take_in(session, project=project)
    done = projects.done_by_person(session, project_id=project.id)
    total = session.scalars(select(ProjectRow.total).where(ProjectRow.id == project.id)).one()
    return QueueProgress(done_by_user=done.get(user_id, 0), done=sum(done.values()), total=total)


def _own(project_id: int, user_id: int, exclude: Collection[int], now: datetime) -> Select[*tuple[Any, ...]]:
    return (
        _columns()
        .where(
            AssignmentRow.user_id == user_id,
            AssignmentRow.done_at.is_(None),
            AssignmentRow.project_id == project_id,
            AssignmentRow.expires_at > now,
            AssignmentRow.report_id.not_in(exclude),
        )
        .order_by(AssignmentRow.expires_at, AssignmentRow.place, AssignmentRow.report_id)
        .limit(1)
    )


def _waiting(project_id: int, user_id: int, exclude: Collection[int], now: datetime) -> Select[*tuple[Any, ...]]:
    """The first free assignment of a report that the user does not read anyway.

    PostgreSQL passes over rows that another transaction is about to take.
    """
    other = aliased(AssignmentRow)
    mine = select(other.slot).where(
        other.report_id == AssignmentRow.report_id,
        other.project_id == project_id,
        other.user_id == user_id,
        other.slot != AssignmentRow.slot,
    )
    return (
        _columns()
        .where(
            AssignmentRow.project_id == project_id,
            AssignmentRow.done_at.is_(None),
            _free(now),
            AssignmentRow.report_id.not_in(exclude),
            ~mine.exists(),
        )
        .order_by(AssignmentRow.place, AssignmentRow.report_id, AssignmentRow.slot)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def _slots(report_id: int, schema_id: str, user_id: int) -> Select[*tuple[Any, ...]]:
    """All assignments of a report in the projects of a schema where the user may work."""
    return (
        _columns()
        .join(ProjectRow)
        .where(AssignmentRow.report_id == report_id, ProjectRow.schema_id == schema_id, projects.open_to(user_id))
        .order_by(AssignmentRow.project_id, AssignmentRow.slot)
    )


def _columns() -> Select[*tuple[Any, ...]]:
    row = AssignmentRow
    return select(row.report_id, row.project_id, row.slot, row.bare, row.user_id, row.done_at)


def _mine_first(slots: Iterable[Row[Any]], user_id: int) -> list[Row[Any]]:
    """What is not done, the user's own assignment before one that is free or that somebody else let run out.

    A second one of the same project would be a second reading by the same person.
    """
    waiting = [slot for slot in slots if not slot.done_at]
    held = {slot.project_id for slot in waiting if slot.user_id == user_id}
    return [
        *(slot for slot in waiting if slot.user_id == user_id),
        *(slot for slot in waiting if slot.project_id not in held),
    ]


def _free(now: datetime) -> ColumnElement[bool]:
    return or_(AssignmentRow.user_id.is_(None), AssignmentRow.expires_at <= now)


def _take(
    session: Session,
    slot: Row[Any],
    user_id: int,
    now: datetime,
    until: datetime | None,
    *,
    done_at: datetime | None = None,
) -> bool:
    """Lease the assignment, or mark it as done, in one atomic statement; False when someone else has it."""
    taking = (
        update(AssignmentRow)
        .where(
            AssignmentRow.report_id == slot.report_id,
            AssignmentRow.project_id == slot.project_id,
            AssignmentRow.slot == slot.slot,
            AssignmentRow.done_at.is_(None),
            or_(AssignmentRow.user_id == user_id, _free(now)),
        )
        .values(user_id=user_id, expires_at=until, done_at=done_at)
        .returning(AssignmentRow.slot)
    )
    return session.scalar(taking.execution_options(synchronize_session=False)) is not None
