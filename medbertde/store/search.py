"""Finding reports: by words in their text and by what was said about them.

A term is found anywhere in the folded text, also inside a compound ("erguss" in "Pleuraerguss"); `text_index` narrows
down where to look. Both databases compare the text folded by the same rules, so they find the same. Knows no pages and
no roles.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.orm import aliased

from medbertde.search_text import Piece, excerpt
from medbertde.store import text_index
from medbertde.store.reports import of_modality, to_report
from medbertde.store.session import Session
from medbertde.store.tables import LabelEventRow, ReportRow, SubmissionRow, SuggestionRow, UserRow
from medbertde.store.work_tables import ReviewRow
from medbertde.types import Report, State

COUNTED_UP_TO = 1000
DOUBTFUL = 0.8  # a suggestion counts as doubtful from here on: some probability lies between 0.4 and 0.6


class Value(StrEnum):
    """What a search asks of a finding."""

    PRESENT = "present"
    UNCERTAIN = "uncertain"
    ABSENT = "absent"
    NOT_MENTIONED = "not_mentioned"


class Status(StrEnum):
    """What a search asks of the work on a report."""

    OPEN = "open"
    ANNOTATED = "annotated"
    FLAGGED = "flagged"
    DISPUTED = "disputed"
    DOUBTFUL = "doubtful"


@dataclass(frozen=True)
class Filters:
    """What the reports found must fulfil, all of it at once.

    With `label` and `value`: someone says so now (`annotator` says so, where one is given). A label without a value: it
    is mentioned. A value without a label: of any finding. `modality` takes reports of this one and of none.
    """

    schema_id: str
    modality: str | None = None
    label: str | None = None
    value: Value | None = None
    annotator: str | None = None
    status: Status | None = None


@dataclass(frozen=True)
class Hit:
    """A report that was found, who has saved it, and the part of its text that holds the first hit."""

    report: Report
    annotators: tuple[str, ...]
    excerpt: tuple[Piece, ...]


@dataclass(frozen=True)
class Page:
    """Some hits in import order; `after` continues behind the last one and is None at the end."""

    hits: tuple[Hit, ...]
    after: int | None


def search(session: Session, *, wanted: tuple[str, ...], filters: Filters, after: int = 0, limit: int = 20) -> Page:
    """The reports behind the one with the id `after` that hold all the terms (`search_text.terms`) and fit."""
    query = (
        _matching(session, wanted, filters, after)
        .with_only_columns(ReportRow, maintain_column_froms=True)
        .limit(limit + 1)
    )
    rows = session.scalars(query).all()
    names = _annotators(session, filters.schema_id, [row.id for row in rows])
    hits = tuple(Hit(to_report(row), names.get(row.id, ()), excerpt(row.text, wanted)) for row in rows[:limit])
    return Page(hits, rows[limit - 1].id if len(rows) > limit else None)


def count(session: Session, *, wanted: tuple[str, ...], filters: Filters) -> int:
    """How many reports fit, counted up to one more than `COUNTED_UP_TO`."""
    found = _matching(session, wanted, filters, 0).limit(COUNTED_UP_TO + 1).subquery()
    return session.scalars(select(func.count()).select_from(found)).one()


def _matching(session: Session, wanted: tuple[str, ...], filters: Filters, after: int) -> Select[int]:
    """The ids of the reports that fit, in import order."""
    query = select(ReportRow.id).where(ReportRow.id > after, of_modality(filters.modality)).order_by(ReportRow.id)
    folded = text_index.folded(session)
    query = query.where(*(folded.contains(term, autoescape=True) for term in wanted))
    return text_index.narrow(session, query, wanted=wanted, after=after).where(*_conditions(filters))


def _conditions(filters: Filters) -> Iterator[ColumnElement[bool]]:
    saved = select(SubmissionRow.report_id).where(SubmissionRow.schema_id == filters.schema_id)
    if filters.annotator is not None:
        saved = saved.join(UserRow).where(UserRow.name == filters.annotator)
    if filters.label is not None or filters.value is not None:
        yield ReportRow.id.in_(_saying(saved, filters))
    elif filters.annotator is not None:
        yield ReportRow.id.in_(saved)
    if filters.status is not None:
        yield _of_status(filters.schema_id, filters.status)


def _saying(saved: Select[int], filters: Filters) -> Select[int]:
    """The reports about which someone among those who `saved` them says this now."""
    if filters.value is Value.NOT_MENTIONED and filters.label is not None:
        said = aliased(SubmissionRow)
        mentions = _current(said).where(
            said.report_id == SubmissionRow.report_id,
            said.user_id == SubmissionRow.user_id,
            said.schema_id == filters.schema_id,
            LabelEventRow.label == filters.label,
        )
        return saved.where(~mentions.exists())
    events = _current(SubmissionRow, saved.join(LabelEventRow, LabelEventRow.submission_id == SubmissionRow.id))
    if filters.label is not None:
        events = events.where(LabelEventRow.label == filters.label)
    if filters.value is not None and filters.value is not Value.NOT_MENTIONED:
        events = events.where(LabelEventRow.new_value == State(filters.value.value))
    return events


def _current(said: type[SubmissionRow], events: Select[int] | None = None) -> Select[int]:
    """The events of `said` that mention a finding and that the same person has not replaced since."""
    if events is None:
        events = select(said.report_id).join(LabelEventRow, LabelEventRow.submission_id == said.id)
    later, replaced_by = aliased(SubmissionRow), aliased(LabelEventRow)
    replaced = exists().where(
        later.report_id == said.report_id,
        later.schema_id == said.schema_id,
        later.user_id == said.user_id,
        replaced_by.submission_id == later.id,
        replaced_by.label == LabelEventRow.label,
        replaced_by.id > LabelEventRow.id,
    )
    return events.where(LabelEventRow.new_value.is_not(None), ~replaced)


def _of_status(schema_id: str, status: Status) -> ColumnElement[bool]:
    of_schema = SubmissionRow.schema_id == schema_id
    if status is Status.OPEN:
        return ~exists().where(of_schema, SubmissionRow.report_id == ReportRow.id)
    if status is Status.ANNOTATED:
        return ReportRow.id.in_(select(SubmissionRow.report_id).where(of_schema))
    if status is Status.FLAGGED:
        newest = select(func.max(SubmissionRow.id)).where(of_schema)
        newest = newest.group_by(SubmissionRow.report_id, SubmissionRow.user_id)
        flagged = select(SubmissionRow.report_id).where(SubmissionRow.flagged, SubmissionRow.id.in_(newest))
        return ReportRow.id.in_(flagged)
    if status is Status.DISPUTED:
        reviews = select(ReviewRow.report_id).where(ReviewRow.schema_id == schema_id, ReviewRow.disputed > 0)
        return ReportRow.id.in_(reviews)
    doubtful = select(SuggestionRow.report_id).where(
        SuggestionRow.schema_id == schema_id, SuggestionRow.doubt >= DOUBTFUL
    )
    return ReportRow.id.in_(doubtful)


def _annotators(session: Session, schema_id: str, report_ids: Collection[int]) -> dict[int, tuple[str, ...]]:
    """The names of all who saved each report, alphabetically."""
    names: dict[int, tuple[str, ...]] = {}
    query = (
        select(SubmissionRow.report_id, UserRow.name)
        .join(UserRow)
        .where(SubmissionRow.schema_id == schema_id, SubmissionRow.report_id.in_(report_ids))
        .distinct()
        .order_by(UserRow.name)
    )
    for report_id, name in session.execute(query):
        names[report_id] = (*names.get(report_id, ()), name)
    return names
