"""Suggestions: what a model version proposed for a report, kept so that the history can say what was shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from medbertde.store.session import Session, insert
from medbertde.store.tables import SuggestionRow, utc_now
from medbertde.types import FoundSpan, State, Suggestion


def put(session: Session, *, schema_id: str, suggestions: Mapping[int, Suggestion]) -> None:
    """Keep suggestions by report id; one that this model version already made for the report stays as it is."""
    if not suggestions:
        return
    rows = [
        {
            "report_id": report_id,
            "schema_id": schema_id,
            "model_version": suggestion.model_version,
            "states": dict(suggestion.states),
            "scores": dict(suggestion.scores),
            "spans": _kept_spans(suggestion),
            "doubt": max((1 - abs(2 * score - 1) for score in suggestion.scores.values()), default=0.0),
            "created_at": utc_now(),
        }
        for report_id, suggestion in suggestions.items()
    ]
    session.execute(insert(session, SuggestionRow).on_conflict_do_nothing(), rows)


def get(session: Session, *, report_id: int, schema_id: str, model_version: str) -> Suggestion | None:
    """What this model version proposed for the report."""
    row = session.scalar(
        select(SuggestionRow).where(
            SuggestionRow.report_id == report_id,
            SuggestionRow.schema_id == schema_id,
            SuggestionRow.model_version == model_version,
        )
    )
    if row is None:
        return None
    states = {label: None if state is None else State(state) for label, state in row.states.items()}
    spans = None if row.spans is None else tuple(FoundSpan(*span) for span in row.spans["spans"])
    return Suggestion(row.model_version, states, dict(row.scores), spans)


def _kept_spans(suggestion: Suggestion) -> dict[str, Any] | None:
    if suggestion.spans is None:
        return None
    return {"spans": [[one.label, one.start, one.end, one.confidence] for one in suggestion.spans]}
