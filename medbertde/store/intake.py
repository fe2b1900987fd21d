"""How reports come into a project: drawing each one's part once, and giving it a place in the queue.

Owns how a report becomes assignments: how many people read it, whether it comes without suggestions, whether it belongs
to the fixed test part. All of that is drawn from a hash of project and report key, so it never depends on a model, on
the order of imports or on the day. Knows no leases (`queue`) and no labels.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, exists, func, insert, select, true, update

from medbertde.store.projects import Project, assigned_people, count_done
from medbertde.store.reports import of_modality
from medbertde.store.session import Session
from medbertde.store.tables import ImportRow, ReportRow, SubmissionRow, table_of
from medbertde.store.work_tables import AssignmentRow, ProjectImportRow, ProjectRow
from medbertde.types import Purpose, WorkOrder

FEWEST_MEASURED = 20  # a project with fewer reports holds no suggestions back: nothing could be measured with them
LAST = 1.0  # the place of reports that no model has scored yet; those with a score lie in [0, 1)
_CHUNK = 1000
_IMPORT, _TAKEN = table_of(ImportRow).c, table_of(ProjectImportRow).c
_SEEN = exists().where(_TAKEN.project_id == bindparam("project"), _TAKEN.import_id == _IMPORT.id)
_UNSEEN = select(_IMPORT.id).where(~_SEEN).order_by(_IMPORT.id)
_ANY_UNSEEN = _UNSEEN.limit(1)


@dataclass(frozen=True)
class Draw:
    """What the hash of a report says in a project: four independent numbers in [0, 1)."""

    overlap: float
    bare: float
    test: float
    place: float


def draw(project_id: int, key: str) -> Draw:
    """The numbers of a report: the same in every run and on every machine.

    >>> draw(1, "thorax-1") == draw(1, "thorax-1") != draw(2, "thorax-1")
    True
    """
    digest = hashlib.blake2b(f"{project_id}\n{key}".encode(), digest_size=16).digest()
    return Draw(*(int.from_bytes(digest[start : start + 4]) / 2**32 for start in range(0, 16, 4)))


# ---------------------------------------------------------------------------------------------- reports come in


def take_in(session: Session, *, project: Project) -> None:
    """Draw the parts of the reports that came since the last call; in most calls there is nothing to do."""
    asked = {"project": project.id}
    if session.scalar(_ANY_UNSEEN, asked) is None:
        return
    session.execute(select(ProjectRow.id).where(ProjectRow.id == project.id).with_for_update())
    people = assigned_people(session, project_id=project.id)
    for import_id in session.scalars(_UNSEEN, asked).all():
        session.add(ProjectImportRow(project_id=project.id, import_id=import_id))
        if project.imports is None or import_id in project.imports:
            for reports in _reports_of(session, project, import_id):
                _draw_parts(session, project, reports, people)
    session.flush()


def _draw_parts(session: Session, project: Project, reports: Sequence[tuple[int, str]], people: frozenset[int]) -> None:
    """Insert the assignments of some reports; whoever has read one before has done theirs."""
    total = session.scalars(select(ProjectRow.total).where(ProjectRow.id == project.id)).one()
    measured = total + len(reports) >= FEWEST_MEASURED
    readings = _readings(session, project.schema_id, [report_id for report_id, _ in reports], people)
    rows = [
        row
        for report_id, key in reports
        for row in _assignments(project, report_id, key, measured, readings.get(report_id, []))
    ]
    session.execute(insert(table_of(AssignmentRow)), rows)
    session.execute(update(ProjectRow).where(ProjectRow.id == project.id).values(total=ProjectRow.total + len(rows)))
    done = Counter((project.id, row["user_id"]) for row in rows if row["done_at"] is not None)
    count_done(session, counts=done)


def _assignments(
    project: Project, report_id: int, key: str, measured: bool, readings: Sequence[tuple[int, datetime]]
) -> Iterator[dict[str, Any]]:
    """The rows of one report: one, or one per reader where it is drawn into the overlap."""
    drawn, rules = draw(project.id, key), project.rules
    test = drawn.test < rules.test_share
    for slot in range(rules.readers if drawn.overlap < rules.overlap_share else 1):
        user_id, done_at = readings[slot] if slot < len(readings) else (None, None)
        yield {
            "report_id": report_id,
            "project_id": project.id,
            "slot": slot,
            "place": first_place(rules.order, report_id, drawn, test=test),
            "bare": measured and drawn.bare < rules.bare_share,
            "test": test,
            "user_id": user_id,
            "expires_at": None,
            "done_at": done_at,
        }


def first_place(order: WorkOrder, report_id: int, drawn: Draw, *, test: bool) -> float:
    """Where a report stands before any model has scored it; test reports stand at random for good."""
    if order is WorkOrder.IMPORT:
        return 0.0
    if order is WorkOrder.NEWEST:
        return -float(report_id)
    return drawn.place if test or order is WorkOrder.RANDOM else LAST


def _reports_of(session: Session, project: Project, import_id: int) -> Iterator[list[tuple[int, str]]]:
    """The reports of an import that the project takes, (id, key) in chunks."""
    keys, last = None if project.keys is None else set(project.keys), 0
    query = select(ReportRow.id, ReportRow.key).where(
        ReportRow.import_id == import_id, of_modality(project.modality) if keys is None else true()
    )
    query = query.order_by(ReportRow.id).limit(_CHUNK)
    while rows := session.execute(query.where(ReportRow.id > last)).all():
        last = rows[-1].id
        taken = [(report_id, key) for report_id, key in rows if keys is None or key in keys]
        if taken:
            yield taken


def _readings(
    session: Session, schema_id: str, report_ids: Sequence[int], people: frozenset[int]
) -> dict[int, list[tuple[int, datetime]]]:
    """Who has read which of these reports before, the first reader first."""
    query = (
        select(SubmissionRow.report_id, SubmissionRow.user_id, func.min(SubmissionRow.created_at))
        .where(
            SubmissionRow.schema_id == schema_id,
            SubmissionRow.report_id.in_(report_ids),
            SubmissionRow.purpose == Purpose.ANNOTATION,
        )
        .group_by(SubmissionRow.report_id, SubmissionRow.user_id)
        .order_by(func.min(SubmissionRow.id))
    )
    found: dict[int, list[tuple[int, datetime]]] = {}
    for report_id, user_id, read_at in session.execute(query):
        if not people or user_id in people:
            found.setdefault(report_id, []).append((user_id, read_at))
    return found


def list_imports(session: Session) -> list[tuple[int, str, int]]:
    """Every import that brought something new: id, file name and number of reports, the latest first."""
    query = select(ImportRow.id, ImportRow.file_name, ImportRow.added).where(ImportRow.added > 0)
    return [(one, name, added) for one, name, added in session.execute(query.order_by(ImportRow.id.desc()))]


def unknown_keys(session: Session, *, keys: Sequence[str]) -> list[str]:
    """Those of the keys that no report has."""
    known: set[str] = set()
    for start in range(0, len(keys), _CHUNK):
        known.update(session.scalars(select(ReportRow.key).where(ReportRow.key.in_(keys[start : start + _CHUNK]))))
    return [key for key in keys if key not in known]


def who_read(
    session: Session, *, project_id: int, schema_id: str, report_ids: Collection[int]
) -> list[tuple[int, int]]:
    """Who has read which of these reports in a project: (report id, user id). A mere decision is no reading."""
    row = AssignmentRow
    query = select(row.report_id, row.user_id).where(
        row.project_id == project_id, row.report_id.in_(report_ids), row.done_at.is_not(None), has_read(schema_id)
    )
    return [(report_id, user_id) for report_id, user_id in session.execute(query) if user_id is not None]


def has_read(schema_id: str) -> ColumnElement[bool]:
    """Whether the person of an assignment has saved the report as an annotator. For queries in `store`."""
    return exists().where(
        SubmissionRow.report_id == AssignmentRow.report_id,
        SubmissionRow.user_id == AssignmentRow.user_id,
        SubmissionRow.schema_id == schema_id,
        SubmissionRow.purpose == Purpose.ANNOTATION,
    )


# ---------------------------------------------------------------------------------------------- places


def open_reports(session: Session, *, project_id: int, after: int = 0, limit: int = _CHUNK) -> list[tuple[int, str]]:
    """The reports (id, key) that still have something open and are not of the test part, by id."""
    query = (
        select(AssignmentRow.report_id, ReportRow.key)
        .join(ReportRow)
        .where(
            AssignmentRow.project_id == project_id,
            AssignmentRow.done_at.is_(None),
            AssignmentRow.test.is_(False),
            AssignmentRow.report_id > after,
        )
        .distinct()
        .order_by(AssignmentRow.report_id)
        .limit(limit)
    )
    return [(report_id, key) for report_id, key in session.execute(query)]


def set_places(session: Session, *, project_id: int, places: Iterable[tuple[int, float]]) -> None:
    """Give open reports their places in the queue; reports of the test part keep theirs."""
    moving = (
        update(table_of(AssignmentRow))
        .where(
            AssignmentRow.report_id == bindparam("moved"),
            AssignmentRow.project_id == project_id,
            AssignmentRow.done_at.is_(None),
            AssignmentRow.test.is_(False),
        )
        .values(place=bindparam("to"))
    )
    rows = [{"moved": report_id, "to": place} for report_id, place in places]
    if rows:
        session.execute(moving, rows)


def test_reports(session: Session, *, schema_id: str, report_ids: Collection[int]) -> set[int]:
    """Those of the reports that belong to the test part of any project of the schema."""
    query = (
        select(AssignmentRow.report_id)
        .join(ProjectRow)
        .where(ProjectRow.schema_id == schema_id, AssignmentRow.test, AssignmentRow.report_id.in_(report_ids))
    )
    return set(session.scalars(query))
