"""What everyone said about a report, side by side, with what a curator decided before: all that a decision needs.

Knows no roles; who may see other people's values is decided before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from medbertde.store.consensus import Latest, decisions, differing, marks_holding, readers_of, values_by_annotator
from medbertde.store.mark_consensus import Marks, has_marks_only, marks_of, places_by_kind
from medbertde.store.reports import get_report
from medbertde.store.session import Session
from medbertde.store.tables import LabelEventRow, SubmissionRow, UserRow
from medbertde.store.work_tables import ReviewRow
from medbertde.types import Purpose, Report, State


@dataclass(frozen=True)
class ReaderView:
    """What one annotator said: values that are not mentioned are missing, `active_ms` is the whole time spent.

    `marks` are the spans of a schema that knows nothing else.
    """

    annotator: str
    values: Mapping[str, State]
    comment: str
    flagged: bool
    active_ms: int
    saved_at: datetime
    marks: Marks = ()


@dataclass(frozen=True)
class ReviewCase:
    """All that a curator needs for one report. `decided` is what a curator said before, with the reasons.

    In a schema of spans `differing` and `decided` name kinds of spans, `marks` are those that hold now.
    """

    report: Report
    readers: tuple[ReaderView, ...]
    differing: tuple[str, ...]
    decided: Mapping[str, State | None]
    reasons: Mapping[str, str]
    skip_reason: str
    marks: Marks = ()


def review_case(session: Session, *, report_id: int, schema_id: str) -> ReviewCase:
    """The report with what everyone said about it, in the order of their last saves."""
    report = get_report(session, report_id=report_id)
    ids = [report_id]
    latest = readers_of(session, schema_id=schema_id, report_ids=ids).get(report_id, [])
    values = values_by_annotator(session, schema_id=schema_id, report_ids=ids)
    readings = [values.get((report_id, reader.user_id), {}) for reader in latest]
    marks: dict[int, Marks] = {}
    if has_marks_only(schema_id):
        marks = marks_of(session, submission_ids=[reader.submission_id for reader in latest])
    differ = differing([places_by_kind(marks.get(reader.submission_id, ())) for reader in latest])
    review = session.get(ReviewRow, (report_id, schema_id))
    return ReviewCase(
        report=report,
        readers=_views(session, latest, readings, marks),
        differing=differ or differing(readings),
        decided=decisions(session, schema_id=schema_id, report_ids=ids).get(report_id, {}),
        reasons=_reasons(session, report_id, schema_id),
        skip_reason=review.skip_reason if review else "",
        marks=marks_holding(session, report_id=report_id, schema_id=schema_id),
    )


def _views(
    session: Session,
    latest: Sequence[Latest],
    readings: Sequence[Mapping[str, State | None]],
    marks: Mapping[int, Marks],
) -> tuple[ReaderView, ...]:
    ids = [one.submission_id for one in latest]
    rows = {row.id: row for row in session.scalars(select(SubmissionRow).where(SubmissionRow.id.in_(ids)))}
    people = select(UserRow.id, UserRow.name).where(UserRow.id.in_([one.user_id for one in latest]))
    names = {user_id: name for user_id, name in session.execute(people)}
    return tuple(
        ReaderView(
            annotator=names[one.user_id],
            values={label: value for label, value in reading.items() if value is not None},
            comment=rows[one.submission_id].comment,
            flagged=one.flagged,
            active_ms=_time_spent(session, rows[one.submission_id]),
            saved_at=rows[one.submission_id].created_at,
            marks=marks.get(one.submission_id, ()),
        )
        for one, reading in zip(latest, readings, strict=True)
    )


def _time_spent(session: Session, latest: SubmissionRow) -> int:
    """Milliseconds over all saves of the report by this annotator."""
    query = select(func.sum(SubmissionRow.active_ms)).where(
        SubmissionRow.report_id == latest.report_id,
        SubmissionRow.schema_id == latest.schema_id,
        SubmissionRow.user_id == latest.user_id,
        SubmissionRow.purpose == Purpose.ANNOTATION,
    )
    return session.scalar(query) or 0


def _reasons(session: Session, report_id: int, schema_id: str) -> dict[str, str]:
    """The reasons of the curators' last decisions, by finding."""
    query = (
        select(LabelEventRow.label, LabelEventRow.reason)
        .join(SubmissionRow)
        .where(
            SubmissionRow.report_id == report_id,
            SubmissionRow.schema_id == schema_id,
            SubmissionRow.purpose == Purpose.ADJUDICATION,
        )
        .order_by(LabelEventRow.id)
    )
    return {label: reason or "" for label, reason in session.execute(query)}
