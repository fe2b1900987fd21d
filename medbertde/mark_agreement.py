"""How far two readers mark the same spans: entity-level F1, the figure where kappa is undefined.

Core: pure functions over sets of marks (label, start, end). Kappa asks how often both readers say "nothing here", and
a text has no number of places where nothing is marked. F1 does not ask, treats both readers alike, and is what kappa is
near when such places are very many (Hripcsak & Rothschild 2005, doi:10.1197/jamia.M1733). Strict: both ends and the
label are equal. Overlap: marks of one label share a character, which tells differing ends from differing finds.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

Mark = tuple[str, int, int]  # label, start, end


@dataclass(frozen=True)
class Shared:
    """What two readers have in common, counted from both sides: of `total` marks how many are equal or touch."""

    equal: int
    touching: int
    total: int


def shared(first: Collection[Mark], second: Collection[Mark]) -> Shared:
    """Count the marks of both; F1 is `equal / total`, with overlap `touching / total`.

    >>> shared({("Dosis", 0, 4), ("Dosis", 9, 13)}, {("Dosis", 0, 4), ("Dosis", 9, 10), ("Medikament", 20, 28)})
    Shared(equal=2, touching=4, total=5)
    """
    one, other = frozenset(first), frozenset(second)
    return Shared(2 * len(one & other), _touched(one, other) + _touched(other, one), len(one) + len(other))


def touches(one: Mark, other: Mark) -> bool:
    """Whether two marks have a character in common, whatever their labels."""
    return one[1] < other[2] and other[1] < one[2]


def _touched(one: frozenset[Mark], other: frozenset[Mark]) -> int:
    """How many marks of `one` share a character with a mark of the same label in `other`."""
    return sum(any(mark[0] == found[0] and touches(mark, found) for found in other) for mark in one)
