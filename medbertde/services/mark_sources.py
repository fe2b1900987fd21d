"""How the marks of a save came about: kept from the save before, accepted or changed from what was proposed, or made.

Owns the rule. What was proposed is taken from the database, never from the page.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from medbertde.store import labels, proposals
from medbertde.store.session import Session
from medbertde.types import Rationale, Source, Suggestion

Span = tuple[str, int, int]  # label, start, end


def with_sources(
    session: Session,
    marks: Sequence[Rationale],
    shown: Suggestion | None,
    report_id: int,
    schema_id: str,
    user_id: int,
) -> tuple[Rationale, ...]:
    """The marks, each once, with their sources; `shown` is the suggestion that was on the user's screen."""
    if not marks:
        return ()
    last = labels.latest_submission(session, report_id=report_id, schema_id=schema_id, user_id=user_id)
    before = {mark: mark.source for mark in (last.rationales if last else ())}
    explained = proposals.shown_to(session, report_ids=[report_id], schema_id=schema_id, user_id=user_id)
    proposed = {(one.label, *span) for one in explained.get(report_id, ()) for span in one.spans}
    proposed |= {(span.label, span.start, span.end) for span in (shown.spans if shown else None) or ()}
    return tuple(
        replace(mark, source=before[mark] if mark in before else source_of(mark, proposed))
        for mark in dict.fromkeys(marks)
    )


def source_of(mark: Rationale, proposed: Collection[Span]) -> Source:
    """Accepted where exactly this was proposed, changed where a proposal has words or place in common with it.

    >>> source_of(Rationale("Dosis", 9, 13), [("Dosis", 9, 10)]).value
    'suggestion_changed'
    """
    if (mark.label, mark.start, mark.end) in proposed:
        return Source.SUGGESTION_ACCEPTED
    touched = any(start < mark.end and mark.start < end for _, start, end in proposed)
    return Source.SUGGESTION_CHANGED if touched else Source.HUMAN
