"""The held-out reports of a run on spans that the new model marks most differently, to be looked at by a person.

Not confident learning, as for findings: that would need the probabilities of every word, and a run keeps spans. What
differs is listed as it is, the most first; who is wrong the list does not say. Pure: rows of `held_out.jsonl` in,
frozen dataclasses out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medbertde.mark_agreement import Mark, touches

MOST = 100


@dataclass(frozen=True)
class Apart:
    """A place that annotation and model do not mark alike; None: that side marks nothing of the kind there."""

    label: str
    annotated: tuple[int, int] | None
    model: tuple[int, int] | None


@dataclass(frozen=True)
class MarkDoubt:
    """A held-out report, with how many marks are equal and the places that are not."""

    report: str
    equal: int
    apart: tuple[Apart, ...]


def mark_doubts(rows: Iterable[Mapping[str, Any]]) -> tuple[MarkDoubt, ...]:
    """The reports in which something differs: most places first, of equally many those with less in common."""
    found = [_doubt(row) for row in rows]
    differing = sorted((one for one in found if one.apart), key=lambda one: (-len(one.apart), one.equal, one.report))
    return tuple(differing[:MOST])


def _doubt(row: Mapping[str, Any]) -> MarkDoubt:
    annotated, model = ({(one["label"], one["start"], one["end"]) for one in row[said]} for said in ("truth", "new"))
    apart = _paired(sorted(annotated - model, key=_place), sorted(model - annotated, key=_place))
    return MarkDoubt(row["report"], len(annotated & model), tuple(sorted(apart, key=_first)))


def _paired(annotated: Sequence[Mark], model: Sequence[Mark]) -> list[Apart]:
    """Marks of one kind that overlap are one place with differing ends; each mark counts once."""
    free = list(model)
    found = []
    for mark in annotated:
        other = next((one for one in free if one[0] == mark[0] and touches(one, mark)), None)
        if other:
            free.remove(other)
        found.append(Apart(mark[0], _place(mark), _place(other) if other else None))
    return [*found, *(Apart(one[0], None, _place(one)) for one in free)]


def _place(mark: Mark) -> tuple[int, int]:
    return mark[1], mark[2]


def _first(one: Apart) -> tuple[int, int]:
    return one.annotated or one.model or (0, 0)
