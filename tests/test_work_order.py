"""Orders of work: one contract that all strategies keep, and what each of them is for."""

from __future__ import annotations

import numpy as np
import pytest

from medbertde.types import Rules, WorkOrder
from medbertde.work_order import (
    AtRandom,
    Candidates,
    Mixed,
    MostDiverse,
    MostUncertain,
    RareFindings,
    Strategy,
    strategy,
)

STRATEGIES: list[Strategy] = [
    AtRandom(),
    MostUncertain(),
    RareFindings(),
    MostDiverse(),
    Mixed(((AtRandom(), 0.2), (MostUncertain(), 0.8))),
    *(strategy(Rules(order)) for order in WorkOrder if order.needs_model),
]


def candidates(reports: int, findings: int = 5, seed: int = 0) -> Candidates:
    rng = np.random.default_rng(seed)
    return Candidates(rng.beta(0.4, 1.2, (reports, findings)), rng.random(reports))


@pytest.mark.parametrize("one", STRATEGIES, ids=repr)
class TestContract:
    @pytest.mark.parametrize("reports", [0, 1, 2, 257])
    def test_every_report_has_exactly_one_position(self, one: Strategy, reports: int) -> None:
        assert sorted(one.order(candidates(reports)).tolist()) == list(range(reports))

    def test_the_same_input_gives_the_same_order(self, one: Strategy) -> None:
        assert one.order(candidates(50)).tolist() == one.order(candidates(50)).tolist()

    def test_the_order_does_not_depend_on_how_the_reports_are_listed(self, one: Strategy) -> None:
        given = candidates(50)
        turned = Candidates(given.probabilities[::-1], given.chance[::-1])
        assert one.order(given).tolist() == [49 - index for index in one.order(turned)]

    def test_equal_scores_are_ordered_by_chance(self, one: Strategy) -> None:
        chance = np.array([0.9, 0.1, 0.5])
        assert one.order(Candidates(np.full((3, 2), 0.3), chance)).tolist() == [1, 2, 0]

    def test_certain_scores_are_no_trouble(self, one: Strategy) -> None:
        assert len(one.order(Candidates(np.eye(4), np.arange(4) / 4))) == 4


def test_the_uncertain_report_comes_first() -> None:
    given = Candidates(np.array([[0.01, 0.99], [0.5, 0.4], [0.2, 0.9]]), np.zeros(3))
    assert MostUncertain().order(given).tolist() == [1, 2, 0]


def test_the_rare_finding_comes_first() -> None:
    """The second finding is seen in one report of five, the first in four."""
    given = Candidates(np.array([[0.9, 0.0]] * 4 + [[0.1, 0.9]]), np.arange(5) / 5)
    assert RareFindings().order(given)[0] == 4


def test_one_report_of_each_combination_comes_before_a_second_one() -> None:
    kinds = [[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9]]
    chosen = MostDiverse().order(Candidates(np.array(kinds), np.arange(5) / 5))
    assert set(chosen[:3].tolist()) == {0, 3, 4}


def test_the_mixed_order_keeps_a_fifth_of_the_places_for_chance() -> None:
    given = candidates(1_000)
    lucky = set(AtRandom().order(given)[:20].tolist())
    first = strategy(Rules(WorkOrder.MIXED, random_share=0.2)).order(given)[:100].tolist()
    assert len(lucky & set(first)) == 20
    uncertain = set(MostUncertain().order(given)[:40].tolist())
    assert len(uncertain & set(first)) == 40
