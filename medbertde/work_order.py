"""In which order reports are worth annotating, from what a model says about them.

Core: plain numbers (numpy); knows neither models nor databases. A strategy gives every report its position: a
permutation of the candidates, the most useful first, the same for the same input. What is not known of a report is
never guessed: only scored reports are candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medbertde.bootstrap import Floats
from medbertde.types import Rules, WorkOrder

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """Reports to order: the probability of "present" per finding, `(reports, findings)`, and a random number each."""

    probabilities: Floats
    chance: Floats  # (reports,) in [0, 1), fixed per report


class Strategy(Protocol):
    """Something that orders candidates."""

    def order(self, candidates: Candidates) -> Positions:
        """The indices of all candidates, the most useful first."""


@dataclass(frozen=True)
class AtRandom:
    """By the number that was drawn for each report."""

    def order(self, candidates: Candidates) -> Positions:
        """The indices of all candidates, the smallest number first."""
        return np.argsort(candidates.chance, kind="stable")


@dataclass(frozen=True)
class MostUncertain:
    """What the model doubts most: mean binary entropy over the findings.

    D. D. Lewis, W. A. Gale, A sequential algorithm for training text classifiers (1994), for many findings at once.
    """

    def order(self, candidates: Candidates) -> Positions:
        """The indices of all candidates, the highest entropy first."""
        p = np.clip(candidates.probabilities, 1e-6, 1 - 1e-6)
        entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p)).mean(axis=1)
        return _descending(entropy, candidates.chance)


@dataclass(frozen=True)
class RareFindings:
    """What probably has a finding that few reports have: the largest p(finding) × −log(its mean share)."""

    def order(self, candidates: Candidates) -> Positions:
        """The indices of all candidates, the rarest finding first."""
        p = candidates.probabilities
        share = (p.sum(axis=0) + 1) / (len(p) + 2)
        return _descending((p * -np.log(share)).max(axis=1), candidates.chance)


@dataclass(frozen=True)
class MostDiverse:
    """One report of every combination of findings that the model sees, then a second of each, and so on."""

    def order(self, candidates: Candidates) -> Positions:
        """The indices of all candidates, round by round; within a round the rarer combinations first."""
        seen = candidates.probabilities >= 0.5
        _, group, sizes = np.unique(seen, axis=0, return_inverse=True, return_counts=True)
        group = group.reshape(-1)
        by_group = np.lexsort((candidates.chance, group))
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        rounds = np.empty(len(group), dtype=np.int64)
        rounds[by_group] = np.arange(len(group)) - starts[group[by_group]]
        return np.lexsort((candidates.chance, sizes[group], rounds))


@dataclass(frozen=True)
class Mixed:
    """Several orders merged by weight: in any stretch of the queue each has its share of the places."""

    parts: tuple[tuple[Strategy, float], ...]

    def order(self, candidates: Candidates) -> Positions:
        """The indices of all candidates; each stands where the first of the orders would bring it."""
        due = np.full(len(candidates.chance), np.inf)
        for strategy, weight in self.parts:
            if weight > 0:
                chosen = strategy.order(candidates)
                due[chosen] = np.minimum(due[chosen], (np.arange(len(chosen)) + 0.5) / weight)
        return np.lexsort((candidates.chance, due))


def strategy(rules: Rules) -> Strategy:
    """The strategy of a project whose order needs a model; the mixed one keeps `random_share` for chance."""
    single: dict[WorkOrder, Strategy] = {
        WorkOrder.UNCERTAINTY: MostUncertain(),
        WorkOrder.RARE: RareFindings(),
        WorkOrder.DIVERSITY: MostDiverse(),
    }
    if rules.order in single:
        return single[rules.order]
    rest = 1 - rules.random_share
    return Mixed(
        (
            (AtRandom(), rules.random_share),
            (MostUncertain(), rest / 2),
            (RareFindings(), rest / 4),
            (MostDiverse(), rest / 4),
        )
    )


def _descending(score: Floats, chance: Floats) -> Positions:
    """The largest first, equal ones by chance."""
    return np.lexsort((chance, -score))
