"""Reviews: which reports wait for a curator, and the curator's decision; `review_cases` has what everyone said.

Owns the list of open reviews and how a decision is kept: as a save of its own with a reason per finding, beside the
annotators' saves and never over them. Knows no roles; who may see what is decided before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, exists, func, or_, select, update

from medbertde.store.consensus import (
    Consensus,
    consensus,
    decisions,
    marks_holding,
    readers_of,
    values_by_annotator,
)
from medbertde.store.mark_consensus import Marks, has_marks_only
from medbertde.store.queue import finish
from medbertde.store.reports import lock_report
from medbertde.store.session import Session, insert
from medbertde.store.tables import LabelEventRow, RationaleRow, ReportRow, SubmissionRow, table_of, utc_now
from medbertde.store.work_tables import AssignmentRow, ProjectRow, ReviewRow
from medbertde.types import Purpose, Source, State

_REVIEW, _SAVED = table_of(ReviewRow).c, table_of(SubmissionRow).c


@dataclass(frozen=True)
class OpenReview:
    """A line of the review list; `disputed` is how many findings are seen differently, `asked`: a model doubts them."""

    report_id: int
    key: str
    disputed: int
    flagged: bool
    skip_reason: str
    readers: int
    asked: bool = False


@dataclass(frozen=True)
class Ruling:
    """A curator's decision: a value and a reason per finding. The same `client_uuid` again writes nothing.

    In a schema of spans `values` names the kinds that are decided, all with None, and `marks` holds their spans.
    """

    client_uuid: str
    schema_id: str
    report_id: int
    values: Mapping[str, State | None]
    reasons: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""
    active_ms: int = 0
    marks: Marks = ()


def note(session: Session, *, report_id: int, schema_id: str, skip_reason: str = "") -> None:
    """Look whether the report needs a curator after a save, or after a skip with a reason."""
    if not skip_reason and not session.scalar(_MATTERS, {"report": report_id, "schema": schema_id}):
        return
    found = consensus(session, schema_id=schema_id, report_ids=[report_id]).get(report_id)
    _put(session, report_id, schema_id, found, skip_reason)


def ask(session: Session, *, report_id: int, schema_id: str) -> None:
    """Ask a curator to look at the report, because a model doubts its labels; stays until a curator decides."""
    found = consensus(session, schema_id=schema_id, report_ids=[report_id]).get(report_id)
    known = session.get(ReviewRow, (report_id, schema_id))
    _put(session, report_id, schema_id, found, known.skip_reason if known else "", asked=True)


def _put(
    session: Session, report_id: int, schema_id: str, found: Consensus | None, skip_reason: str, *, asked: bool = False
) -> None:
    """Write the review; a skip stays until somebody saves the report, a report without questions is settled."""
    disputed, flagged = (len(found.disputed), found.flagged) if found else (0, False)
    known = session.get(ReviewRow, (report_id, schema_id))
    asked = asked or (known is not None and known.asked)
    now = utc_now()
    values = {
        "disputed": disputed,
        "flagged": flagged,
        "skip_reason": skip_reason,
        "asked": asked,
        "settled_at": None if disputed or flagged or skip_reason or asked else now,
        "updated_at": now,
    }
    putting = insert(session, ReviewRow).values(report_id=report_id, schema_id=schema_id, **values)
    session.execute(putting.on_conflict_do_update(index_elements=["report_id", "schema_id"], set_=values))
    session.expire_all()


def open_reviews(
    session: Session, *, schema_id: str, project_id: int | None = None, limit: int = 200
) -> list[OpenReview]:
    """What waits for a curator, most disagreement first; not what somebody still has to read blind, in that project."""
    readers = (
        select(func.count(SubmissionRow.user_id.distinct()))
        .where(
            SubmissionRow.schema_id == schema_id,
            SubmissionRow.report_id == ReviewRow.report_id,
            SubmissionRow.purpose == Purpose.ANNOTATION,
        )
        .scalar_subquery()
    )
    row = ReviewRow
    query = (
        select(row.report_id, ReportRow.key, row.disputed, row.flagged, row.skip_reason, readers, row.asked)
        .join(ReportRow, ReportRow.id == row.report_id)
        .where(row.schema_id == schema_id, row.settled_at.is_(None))
        .where(or_(row.flagged, row.asked, row.skip_reason != "", ~_unread(schema_id, project_id)))
        .order_by(row.disputed.desc(), row.report_id.desc())
        .limit(limit)
    )
    if project_id is not None:
        inside = select(AssignmentRow.slot).where(
            AssignmentRow.report_id == row.report_id, AssignmentRow.project_id == project_id
        )
        query = query.where(inside.exists())
    return [OpenReview(*found) for found in session.execute(query)]


def _unread(schema_id: str, project_id: int | None) -> ColumnElement[bool]:
    """Whether a project (this one, or any) still waits for a blind reading of the report of the query around.

    Only a project that asks for several readings does: one that asks for a single one compares nobody with anybody.
    """
    other = table_of(AssignmentRow).alias().c
    several = exists().where(
        other.report_id == AssignmentRow.report_id,
        other.project_id == AssignmentRow.project_id,
        other.slot != AssignmentRow.slot,
    )
    query = (
        select(AssignmentRow.slot)
        .join(ProjectRow)
        .where(
            AssignmentRow.report_id == ReviewRow.report_id,
            AssignmentRow.done_at.is_(None),
            ProjectRow.schema_id == schema_id,
            ProjectRow.closed_at.is_(None),
            several,
        )
    )
    return (query if project_id is None else query.where(AssignmentRow.project_id == project_id)).exists()


def decide(session: Session, *, ruling: Ruling, schema_version: int, user_id: int) -> None:
    """Keep a curator's decision and take the report off the list. Evidence that fits the decision comes along.

    In a schema of spans the kinds that are not decided keep the marks that hold.
    """
    lock_report(session, report_id=ruling.report_id)
    if session.scalar(select(SubmissionRow.id).where(SubmissionRow.client_uuid == ruling.client_uuid)) is not None:
        return
    before = decisions(session, schema_id=ruling.schema_id, report_ids=[ruling.report_id]).get(ruling.report_id, {})
    held = marks_holding(session, report_id=ruling.report_id, schema_id=ruling.schema_id)
    submission = SubmissionRow(
        client_uuid=ruling.client_uuid,
        report_id=ruling.report_id,
        schema_id=ruling.schema_id,
        schema_version=schema_version,
        user_id=user_id,
        active_ms=ruling.active_ms,
        comment=ruling.comment,
        flagged=False,
        purpose=Purpose.ADJUDICATION,
    )
    session.add(submission)
    session.flush()
    session.add_all(
        LabelEventRow(
            submission_id=submission.id,
            label=label,
            old_value=before.get(label),
            new_value=value,
            source=Source.ADJUDICATED,
            reason=ruling.reasons.get(label) or None,
        )
        for label, value in ruling.values.items()
    )
    session.flush()
    if has_marks_only(ruling.schema_id):
        marks = (*(mark for mark in held if mark.label not in ruling.values), *ruling.marks)
        _add_spans(session, submission.id, {(mark.label, mark.start, mark.end) for mark in marks})
    else:
        _carry_evidence(session, ruling, submission.id)
    finish(session, report_id=ruling.report_id, schema_id=ruling.schema_id, user_id=user_id)
    session.execute(
        update(ReviewRow)
        .where(ReviewRow.report_id == ruling.report_id, ReviewRow.schema_id == ruling.schema_id)
        .values(settled_at=utc_now(), updated_at=utc_now(), disputed=0, flagged=False, skip_reason="", asked=False)
    )


def _carry_evidence(session: Session, ruling: Ruling, submission_id: int) -> None:
    """Give the decision the spans of those annotators who said the same about the finding, each span once."""
    schema_id, ids = ruling.schema_id, [ruling.report_id]
    readers = readers_of(session, schema_id=schema_id, report_ids=ids).get(ruling.report_id, [])
    if not readers:
        return
    latest = {one.submission_id: one.user_id for one in readers}
    values = values_by_annotator(session, schema_id=schema_id, report_ids=ids)
    settled = consensus(session, schema_id=schema_id, report_ids=ids)[ruling.report_id]
    spans = {
        (row.label, row.start_char, row.end_char): row
        for row in session.scalars(select(RationaleRow).where(RationaleRow.submission_id.in_(latest)))
        if values.get((ruling.report_id, latest[row.submission_id]), {}).get(row.label) == settled.labels.get(row.label)
    }
    _add_spans(session, submission_id, spans)


def _add_spans(session: Session, submission_id: int, spans: Iterable[tuple[str, int, int]]) -> None:
    session.add_all(
        RationaleRow(
            submission_id=submission_id, label=label, start_char=start, end_char=end, source=Source.ADJUDICATED
        )
        for label, start, end in sorted(spans)
    )
    session.flush()


# ---------------------------------------------------------------------------------------------- statements, built once


def _matters() -> Select[bool]:
    """Whether a save of a report can concern a curator: it is known to the list, flagged, or read by several people."""
    known = exists().where(_of_report(_REVIEW))
    reading = _of_report(_SAVED) & (_SAVED.purpose == Purpose.ANNOTATION)
    several = select(func.count(_SAVED.user_id.distinct()) > 1).where(reading).scalar_subquery()
    return select(or_(known, several, exists().where(reading, _SAVED.flagged)))


def _of_report(columns: Any) -> ColumnElement[bool]:
    """The condition that a row belongs to the `report` in the `schema`."""
    return and_(columns.report_id == bindparam("report"), columns.schema_id == bindparam("schema"))


_MATTERS = _matters()
