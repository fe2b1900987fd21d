"""What the labels of a schema look like as a whole: how often what was said, what goes together, who did how much.

Counts in the database, never row by row in Python. A report counts with the values of the annotator who saved it last,
and with what a curator decided instead of them. Knows no pages and no roles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import CTE, ColumnElement, case, exists, func, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from medbertde.store.session import Session
from medbertde.store.tables import LabelEventRow, SubmissionRow, UserRow
from medbertde.types import Purpose, Source, State


@dataclass(frozen=True)
class DayOfWork:
    """What one person saved on one day (UTC), and the time the card counted while it was in front."""

    day: str
    annotator: str
    reports: int
    active_ms: int


def value_counts(session: Session, *, schema_id: str) -> dict[tuple[str, State], int]:
    """How many reports have each finding in each state."""
    gold = _gold(schema_id)
    query = select(gold.c.label, gold.c.new_value, func.count()).group_by(gold.c.label, gold.c.new_value)
    return {(label, State(value)): count for label, value, count in session.execute(query)}


def annotated(session: Session, *, schema_id: str) -> int:
    """How many reports anyone has saved."""
    query = select(func.count(SubmissionRow.report_id.distinct())).where(SubmissionRow.schema_id == schema_id)
    return session.scalars(query).one()


def present_together(session: Session, *, schema_id: str) -> dict[tuple[str, str], int]:
    """How many reports have two findings present at once, by the pair of them in alphabetical order."""
    gold = _gold(schema_id)
    first, second = gold.alias("first"), gold.alias("second")
    query = (
        select(first.c.label, second.c.label, func.count())
        .select_from(first)
        .join(second, (first.c.report_id == second.c.report_id) & (first.c.label < second.c.label))
        .where(first.c.new_value == State.PRESENT, second.c.new_value == State.PRESENT)
        .group_by(first.c.label, second.c.label)
    )
    return {(one, other): count for one, other, count in session.execute(query)}


def days_of_work(
    session: Session, *, schema_id: str, annotator: str | None = None, limit: int = 300
) -> list[DayOfWork]:
    """What was saved by hand on the last days, newest first; of all, or of one person."""
    imported = exists().where(LabelEventRow.submission_id == SubmissionRow.id, LabelEventRow.source == Source.IMPORT)
    day: Any = func.date(SubmissionRow.created_at)
    query = (
        select(day, UserRow.name, func.count(SubmissionRow.report_id.distinct()), func.sum(SubmissionRow.active_ms))
        .join(UserRow, UserRow.id == SubmissionRow.user_id)
        .where(SubmissionRow.schema_id == schema_id, ~imported)
        .group_by(day, UserRow.name)
        .order_by(day.desc(), UserRow.name)
        .limit(limit)
    )
    if annotator is not None:
        query = query.where(UserRow.name == annotator)
    return [DayOfWork(str(at), name, count, int(ms)) for at, name, count, ms in session.execute(query)]


def _gold(schema_id: str) -> CTE:
    """(report_id, label, new_value): what counts of each report now, findings not mentioned left out.

    That is what a curator decided, per finding, else what the last annotator says; a report may have either alone.
    """
    row = SubmissionRow
    last = (
        select(row.report_id, row.schema_id, _newest(row.id, row.purpose == Purpose.ANNOTATION).label("id"))
        .where(row.schema_id == schema_id)
        .group_by(row.schema_id, row.report_id)
        .subquery()
    )
    newest, said, event = aliased(SubmissionRow), aliased(SubmissionRow), aliased(LabelEventRow)
    decided = _newest(LabelEventRow.id, said.purpose == Purpose.ADJUDICATION)
    standing = (
        select(func.coalesce(decided, func.max(LabelEventRow.id)).label("id"), said.report_id)
        .select_from(last)
        .outerjoin(newest, newest.id == last.c.id)
        .join(
            said,
            # Written so that SQLite, which has no statistics of a young database, can only look up by report: it would
            # begin with all of a schema, or of a person, again and again.
            (said.report_id == last.c.report_id)
            & ((said.user_id + 0 == newest.user_id) | (said.purpose == Purpose.ADJUDICATION))
            & (said.schema_id == last.c.schema_id),
        )
        .join(LabelEventRow, LabelEventRow.submission_id == said.id)
        .group_by(said.report_id, LabelEventRow.label)
        .subquery()
    )
    columns = (standing.c.report_id, event.label, event.new_value)
    return select(*columns).join(event, event.id == standing.c.id).where(event.new_value.is_not(None)).cte("gold")


def _newest(number: InstrumentedAttribute[int], where: ColumnElement[bool]) -> ColumnElement[int | None]:
    """The highest number among those of a group of which the condition holds; NULL without any."""
    return func.max(case((where, number)))
