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

from sqlalchemy import Boolean, ColumnElement, Row, Select, and_, bindparam, func, or_, select, update

from medbertde.store import intake, projects
from medbertde.store.projects import Project
from medbertde.store.reports import get_report
from medbertde.store.session import Session
from medbertde.store.skips import put_aside, put_aside_by_reader
from medbertde.store.tables import ReportRow, table_of, utc_now
from medbertde.store.work_tables import AssignmentRow, ProjectPersonRow, ProjectRow
from medbertde.types import Conflict, QueueProgress, Report

_CHUNK = 1000
_ROW, _PROJECT, _PERSON = (table_of(row).c for row in (AssignmentRow, ProjectRow, ProjectPersonRow))
_NOT_LEFT_OUT = _ROW.report_id.not_in(bindparam("exclude", expanding=True)) & or_(
    bindparam("skipped", type_=Boolean), ~put_aside(_ROW.report_id)
)
_FREE = or_(_ROW.user_id.is_(None), _ROW.expires_at <= bindparam("now"))


@dataclass(frozen=True)
class Assigned:
    """A report in someone's hands; a `bare` one is to be read without suggestions."""

    report: Report
    bare: bool


def next_report(
    session: Session,
    *,
    project: Project,
    user_id: int,
    lease_minutes: float,
    exclude: Collection[int] = (),
    skipped: bool = False,
) -> Assigned | None:
    """A report for this user, leased to them from now on; None when nothing waits. Needs a write transaction.

    The user's own open leases come first (a reloaded page gets its report back). `exclude` names the reports the page
    already holds. What the user has put aside is left out unless `skipped` asks for it.
    """
    intake.take_in(session, project=project)
    now = utc_now()
    until = now + timedelta(minutes=lease_minutes)
    asked = {"project": project.id, "schema": project.schema_id, "reader": user_id, "now": now}
    asked |= {"exclude": list(exclude), "skipped": skipped}
    for query in (_OWN, _WAITING):
        while (found := session.execute(query, asked).first()) is not None:
            if _take(session, found, user_id, now, until):
                return Assigned(Report(found.report_id, *found[-4:]), found.bare)
    return None


def take(session: Session, *, project: Project, report_id: int, user_id: int, lease_minutes: float) -> Assigned:
    """One report out of turn, leased to the user; `Conflict` when it is not free in the project."""
    intake.take_in(session, project=project)
    now = utc_now()
    until = now + timedelta(minutes=lease_minutes)
    slots = _slots(session, report_id, project.schema_id, user_id)
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
    slots = _slots(session, report_id, schema_id, user_id)
    if not slots:
        get_report(session, report_id=report_id)  # no assignment: the report may be gone altogether
    if not slots or any(slot.user_id == user_id and slot.done_at for slot in slots):
        return
    until = now + timedelta(minutes=lease_minutes)
    if not any(_take(session, slot, user_id, now, until) for slot in _mine_first(slots, user_id)):
        raise _lost(slots)


def _lost(slots: Iterable[Row[Any]]) -> Conflict:
    """What to say when all assignments of a report belong to others by now."""
    if all(slot.done_at for slot in slots):
        return Conflict(
            "Dieser Befund lag zu lange offen und wurde inzwischen von jemand anderem gespeichert. Ihre Angaben dazu "
            "sind nicht gespeichert.",
            "This report was open for too long and someone else has saved it by now. Your values for it are not saved.",
        )
    return Conflict(
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


def finish(session: Session, *, report_id: int, schema_id: str, user_id: int, leased: bool = False) -> None:
    """The user has read the report: in each project of the schema this takes one assignment of it off the queue.

    `leased`: it must have been theirs or free in one of the projects, else `Conflict`; outside projects none is needed.
    """
    now = utc_now()
    slots = _slots(session, report_id, schema_id, user_id)
    read = {slot.project_id for slot in slots if slot.user_id == user_id and slot.done_at}
    for slot in _mine_first(slots, user_id):
        if slot.project_id not in read and _take(session, slot, user_id, now, None, done_at=now):
            read.add(slot.project_id)
            projects.count_done(session, counts={(slot.project_id, user_id): 1})
    if leased and slots and not read:
        raise _lost(slots)


def finish_imported(session: Session, *, report_ids: Sequence[int], schema_id: str, user_id: int) -> None:
    """The reports came with labels: take those off the queue that have been in it."""
    for start in range(0, len(report_ids), _CHUNK):
        queued = select(AssignmentRow.report_id).where(AssignmentRow.report_id.in_(report_ids[start : start + _CHUNK]))
        for report_id in session.scalars(queued.distinct()).all():
            finish(session, report_id=report_id, schema_id=schema_id, user_id=user_id)


def progress(session: Session, *, project: Project, user_id: int) -> QueueProgress:
    """How many assignments the user has done, how many anyone has, and how many there are; only skips are counted."""
    intake.take_in(session, project=project)
    asked = {"project": project.id, "schema": project.schema_id, "reader": user_id, "now": utc_now()}
    found = session.execute(_PROGRESS, asked).one()
    return QueueProgress(
        done_by_user=found.own or 0,
        done=found.done or 0,
        total=found.total,
        several=project.rules.readers > 1 and project.rules.overlap_share > 0,
        skipped=found.skipped,
    )


def _slots(session: Session, report_id: int, schema_id: str, user_id: int) -> Sequence[Row[Any]]:
    """All assignments of a report in the projects of a schema where the user may work."""
    return session.execute(_SLOTS, {"report": report_id, "schema": schema_id, "reader": user_id}).all()


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
    taking = {"report": slot.report_id, "project": slot.project_id, "at": slot.slot, "reader": user_id, "now": now}
    return session.scalar(_TAKE, taking | {"taker": user_id, "until": until, "done": done_at}) is not None


# ---------------------------------------------------------------------------------------------- statements, built once


def _columns() -> Select[*tuple[Any, ...]]:
    return select(_ROW.report_id, _ROW.project_id, _ROW.slot, _ROW.bare, _ROW.user_id, _ROW.done_at)


def _with_report(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """The query with the report's key, text, modality and time of import as its last four columns."""
    report = table_of(ReportRow)
    columns = report.c.key, report.c.text, report.c.modality, report.c.created_at
    return query.add_columns(*columns).join(report, report.c.id == _ROW.report_id)


def _open() -> ColumnElement[bool]:
    """The condition that an assignment of the project is free, and of a report that the user does not read anyway."""
    other = table_of(AssignmentRow).alias().c
    mine = select(other.slot).where(
        other.report_id == _ROW.report_id,
        other.project_id == bindparam("project"),
        other.user_id == bindparam("reader"),
        other.slot != _ROW.slot,
    )
    return and_(_ROW.project_id == bindparam("project"), _ROW.done_at.is_(None), _FREE, ~mine.exists())


def _waiting() -> Select[*tuple[Any, ...]]:
    """The first open assignment. PostgreSQL passes over rows that another transaction is about to take."""
    return (
        _with_report(_columns())
        .where(_open(), _NOT_LEFT_OUT)
        .order_by(_ROW.place, _ROW.report_id, _ROW.slot)
        .limit(1)
        .with_for_update(skip_locked=True, of=table_of(AssignmentRow))
    )


_WAITING = _waiting()
_OWN = (
    _with_report(_columns())
    .where(
        _ROW.user_id == bindparam("reader"),
        _ROW.done_at.is_(None),
        _ROW.project_id == bindparam("project"),
        _ROW.expires_at > bindparam("now"),
        _NOT_LEFT_OUT,
    )
    .order_by(_ROW.expires_at, _ROW.place, _ROW.report_id)
    .limit(1)
)
_SLOTS = (
    _columns()
    .join(table_of(ProjectRow), _PROJECT.id == _ROW.project_id)
    .where(
        _ROW.report_id == bindparam("report"),
        _PROJECT.schema_id == bindparam("schema"),
        projects.open_to(bindparam("reader")),
    )
    .order_by(_ROW.project_id, _ROW.slot)
)
_TAKE = (
    update(table_of(AssignmentRow))
    .where(
        _ROW.report_id == bindparam("report"),
        _ROW.project_id == bindparam("project"),
        _ROW.slot == bindparam("at"),
        _ROW.done_at.is_(None),
        or_(_ROW.user_id == bindparam("reader"), _FREE),
    )
    .values(user_id=bindparam("taker"), expires_at=bindparam("until"), done_at=bindparam("done"))
    .returning(_ROW.slot)
)
_SKIPPED = select(func.count(_ROW.report_id.distinct())).where(_ROW.report_id.in_(put_aside_by_reader()), _open())
_PROGRESS = (
    select(
        _PROJECT.total,
        func.sum(_PERSON.done).label("done"),
        func.sum(_PERSON.done).filter(_PERSON.user_id == bindparam("reader")).label("own"),
        _SKIPPED.scalar_subquery().label("skipped"),
    )
    .outerjoin(table_of(ProjectPersonRow), _PERSON.project_id == _PROJECT.id)
    .where(_PROJECT.id == bindparam("project"))
    .group_by(_PROJECT.id)
)
