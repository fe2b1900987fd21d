"""Evidence for findings: what people marked in the reports, and how model versions weighed the words.

Owns the attributions: kept with the version that gave them, so that versions can be compared later without loading
them again. Rationales belong to their submission (`labels`) and are only read here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from medbertde.store import labels, proposals
from medbertde.store.session import Session, insert
from medbertde.store.tables import AttributionRow, RationaleRow, ReportRow, SubmissionRow
from medbertde.types import AttributedWord, State


@dataclass(frozen=True)
class MarkedFinding:
    """The words that one person marked for one finding in their last save of a report."""

    report_id: int
    text: str
    label: str
    state: State
    spans: tuple[tuple[int, int], ...]


def marked_findings(session: Session, *, schema_id: str) -> Iterator[MarkedFinding]:
    """Every finding with marked words, by report; a finding that has no state any more is left out.

    So is one where a mark is a span that a model proposed: it would be compared with itself.
    """
    proposed = proposals.proposed_spans(session, schema_id=schema_id)
    newest = (
        select(func.max(SubmissionRow.id))
        .where(SubmissionRow.schema_id == schema_id)
        .group_by(SubmissionRow.report_id, SubmissionRow.user_id)
    )
    marked = (
        select(SubmissionRow.id, SubmissionRow.report_id, SubmissionRow.user_id, ReportRow.text)
        .join(ReportRow, ReportRow.id == SubmissionRow.report_id)
        .where(SubmissionRow.id.in_(newest), select(RationaleRow.id).where(_of_submission()).exists())
        .order_by(SubmissionRow.id)
    )
    for submission_id, report_id, user_id, text in session.execute(marked).all():
        states = labels.current(session, report_id=report_id, schema_id=schema_id, user_id=user_id)
        for label, spans in _spans(session, submission_id).items():
            if label in states and proposed.isdisjoint((report_id, label, *span) for span in spans):
                yield MarkedFinding(report_id, text, label, states[label], tuple(spans))


def get_attribution(
    session: Session, *, report_id: int, text: str, schema_id: str, label: str, state: State, model_version: str
) -> tuple[AttributedWord, ...] | None:
    """How this version weighed the words, None when it has not been asked."""
    query = select(AttributionRow.words).where(
        AttributionRow.report_id == report_id,
        AttributionRow.schema_id == schema_id,
        AttributionRow.label == label,
        AttributionRow.state == state,
        AttributionRow.model_version == model_version,
    )
    kept = session.scalar(query)
    return None if kept is None else _words(text, kept)


def put_attribution(
    session: Session,
    *,
    report_id: int,
    schema_id: str,
    label: str,
    state: State,
    model_version: str,
    words: Sequence[AttributedWord],
) -> None:
    """Keep how a version weighed the words; what is there stays."""
    row: dict[str, Any] = {
        "report_id": report_id,
        "schema_id": schema_id,
        "label": label,
        "state": state,
        "model_version": model_version,
        "words": {"spans": [[word.start, word.end, round(word.score, 6)] for word in words]},
    }
    session.execute(insert(session, AttributionRow).values(**row).on_conflict_do_nothing())


def versions(session: Session, *, schema_id: str) -> list[str]:
    """The model versions with attributions, the newest first."""
    query = (
        select(AttributionRow.model_version)
        .where(AttributionRow.schema_id == schema_id)
        .group_by(AttributionRow.model_version)
        .order_by(func.max(AttributionRow.id).desc())
    )
    return list(session.scalars(query))


def _of_submission() -> Any:
    return RationaleRow.submission_id == SubmissionRow.id


def _spans(session: Session, submission_id: int) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    query = select(RationaleRow).where(RationaleRow.submission_id == submission_id).order_by(RationaleRow.id)
    for row in session.scalars(query):
        found.setdefault(row.label, []).append((row.start_char, row.end_char))
    return found


def _words(text: str, kept: dict[str, Any]) -> tuple[AttributedWord, ...]:
    return tuple(AttributedWord(text[start:end], start, end, score) for start, end, score in kept["spans"])
