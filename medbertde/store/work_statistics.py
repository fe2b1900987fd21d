"""What the statistics of a team's work are made of: who read what how fast, what was proposed, what it was.

Owns queries over the latest part of a project only (`limit`), so that a page over a million reports answers too.
Computes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute

from medbertde.store.intake import has_read
from medbertde.store.session import Session
from medbertde.store.tables import LabelEventRow, ReportRow, SubmissionRow, SuggestionRow
from medbertde.store.work_tables import AssignmentRow, ReviewRow
from medbertde.types import Purpose, Source, State

_CHUNK = 500


@dataclass(frozen=True)
class DoneReading:
    """The first save of one report by one person within a project. `bare`: it was drawn to come without suggestion."""

    report_id: int
    user_id: int
    submission_id: int
    active_ms: int
    chars: int
    bare: bool
    model_version: str | None
    read_at: datetime


@dataclass(frozen=True)
class Proposal:
    """What the latest model version that read the report says about it; None: not mentioned."""

    model_version: str
    states: dict[str, State | None]


def done_readings(session: Session, *, project_id: int, schema_id: str, limit: int) -> list[DoneReading]:
    """The latest `limit` readings of a project by people (imported labels are left out), the newest first."""
    row, save = AssignmentRow, SubmissionRow
    latest = (
        select(row.report_id, row.user_id, row.bare, row.done_at)
        .where(row.project_id == project_id, row.done_at.is_not(None))
        .order_by(row.done_at.desc())
        .limit(limit)
        .subquery()
    )
    first = (
        select(func.min(save.id))
        .where(
            save.schema_id == schema_id,
            save.report_id == latest.c.report_id,
            save.user_id == latest.c.user_id,
            save.purpose == Purpose.ANNOTATION,
        )
        .correlate(latest)
        .scalar_subquery()
    )
    query = (
        select(
            latest.c.report_id, latest.c.user_id, save.id, save.active_ms, func.length(ReportRow.text), latest.c.bare,
            save.model_version, save.created_at,
        )
        .select_from(latest)
        .join(save, save.id == first)
        .join(ReportRow, ReportRow.id == latest.c.report_id)
        .where(save.active_ms > 0)
        .order_by(latest.c.done_at.desc())
    )  # fmt: skip
    return [DoneReading(*found) for found in session.execute(query)]


def decided_by_person(session: Session, *, project_id: int, schema_id: str) -> dict[int, int]:
    """How many assignments of a project everyone finished by a curator's decision, without reading the report.

    Begins with the reviews, which are few, instead of all that is done.
    """
    row = AssignmentRow
    query = (
        select(row.user_id, func.count())
        .select_from(ReviewRow)
        .join(row, row.report_id == ReviewRow.report_id)
        .where(
            ReviewRow.schema_id == schema_id,
            row.project_id == project_id,
            row.done_at.is_not(None),
            ~has_read(schema_id),
        )
        .group_by(row.user_id)
    )
    return {user_id: count for user_id, count in session.execute(query) if user_id is not None}


def shared_reports(session: Session, *, project_id: int, limit: int) -> list[int]:
    """The reports of a project that a second person has read, the latest first."""
    row = AssignmentRow
    query = (
        select(row.report_id)
        .where(row.project_id == project_id, row.done_at.is_not(None), row.slot >= 1)
        .group_by(row.report_id)
        .order_by(func.max(row.done_at).desc())
        .limit(limit)
    )
    return list(session.scalars(query))


def proposals(session: Session, *, schema_id: str, report_ids: Collection[int]) -> dict[int, Proposal]:
    """What the model that answered last proposed for each report, whether it was shown or not."""
    found: dict[int, Proposal] = {}
    for report_id, version, states in _suggested(session, schema_id, report_ids, SuggestionRow.states):
        known = {label: None if state is None else State(state) for label, state in states.items()}
        found[report_id] = Proposal(version, known)
    return found


def suggested_marks(
    session: Session, *, schema_id: str, report_ids: Collection[int]
) -> dict[tuple[int, str], frozenset[tuple[str, int, int]]]:
    """The spans that each model version suggested for the reports, (label, start, end), the newest version last."""
    found: dict[tuple[int, str], frozenset[tuple[str, int, int]]] = {}
    for report_id, version, spans in _suggested(session, schema_id, report_ids, SuggestionRow.spans):
        if spans is not None:
            found[report_id, version] = frozenset((label, *place) for label, *place, _ in spans["spans"])
    return found


def accepted_proposals(session: Session, *, submission_ids: Collection[int]) -> tuple[int, int]:
    """Of the findings for which these saves saw a proposed state: how many kept it, and how many there were."""
    kept = total = 0
    ids = list(submission_ids)
    for start in range(0, len(ids), _CHUNK):
        query = (
            select(LabelEventRow.source, func.count())
            .where(
                LabelEventRow.submission_id.in_(ids[start : start + _CHUNK]),
                LabelEventRow.suggested.is_not(None),
            )
            .group_by(LabelEventRow.source)
        )
        for source, count in session.execute(query):
            total += count
            kept += count if source is Source.SUGGESTION_ACCEPTED else 0
    return kept, total


def scored(
    session: Session, *, schema_id: str, model_version: str, report_ids: Collection[int]
) -> Iterator[tuple[int, dict[str, float]]]:
    """The scores that a model version gave to these reports; reports without are missing."""
    query = select(SuggestionRow.report_id, SuggestionRow.scores).where(
        SuggestionRow.schema_id == schema_id,
        SuggestionRow.model_version == model_version,
        SuggestionRow.report_id.in_(report_ids),
    )
    yield from ((report_id, scores) for report_id, scores in session.execute(query))


def _suggested(
    session: Session, schema_id: str, report_ids: Collection[int], what: InstrumentedAttribute[Any]
) -> Iterator[tuple[int, str, Any]]:
    """Report, model version and `what` it suggested, of each part of the reports the oldest suggestion first."""
    row, ids = SuggestionRow, list(report_ids)
    for start in range(0, len(ids), _CHUNK):
        query = (
            select(row.report_id, row.model_version, what)
            .where(row.schema_id == schema_id, row.report_id.in_(ids[start : start + _CHUNK]))
            .order_by(row.id)
        )
        yield from (tuple(found) for found in session.execute(query))
