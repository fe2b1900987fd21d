"""Old against new on the same reports: figures with intervals, the paired test, reliability, where they differ."""

from __future__ import annotations

import numpy as np
import pytest

from train.compare import Judged, by_report, comparison, figures, intervals, paired, reliability
from train.evaluate import measure

LABELS = ("Erguss", "Tubus")


def drawn(reports: int, strength: float, seed: int = 0) -> tuple[np.ndarray, Judged]:
    """Random truth, and a model that knows it the better the larger `strength`."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((reports, 2)) < 0.4).astype(np.int64)
    noise = np.random.default_rng(seed + 1).normal(size=truth.shape)
    return truth, Judged(1 / (1 + np.exp(-(strength * (truth - 0.5) + noise))), [0.5, 0.5])


def test_the_figures_are_those_of_the_metrics_also_where_truth_is_unknown() -> None:
    truth, judged = drawn(80, 2.0)
    truth[::7, 0] = -1
    found = figures(truth, judged, np.ones((1, 80)))
    expected = measure(truth, judged.scores, judged.thresholds, LABELS)
    for name, values in found.items():
        assert values[0] == pytest.approx(getattr(expected, name)), name


def test_intervals_hold_the_figure_and_are_null_where_it_is_undefined() -> None:
    truth, judged = drawn(60, 2.0)
    value = figures(truth, judged, np.ones((1, 60)))["f1_macro"][0]
    low, high = intervals(truth, judged)["f1_macro"] or (1.0, 0.0)
    assert low < value < high
    assert intervals(np.zeros_like(truth), judged)["auroc_macro"] is None


def test_a_better_model_is_told_from_an_equal_one_by_the_paired_test() -> None:
    truth, good = drawn(150, 4.0)
    _, poor = drawn(150, 0.5)
    better, same = paired(truth, poor, good)["f1_macro"], paired(truth, good, good)["f1_macro"]
    assert better
    assert same
    assert better["low"] > 0
    assert better["p"] < 0.01
    assert (same["difference"], same["low"], same["high"], same["p"]) == (0.0, 0.0, 0.0, 1.0)


def test_reliability_sets_probabilities_beside_what_was_true() -> None:
    truth = np.array([[1, 0], [1, 0], [0, -1], [1, 0]])
    judged = Judged(np.array([[0.91, 0.02], [0.95, 0.04], [0.93, 0.99], [0.97, 0.06]]), [0.5, 0.5])
    assert reliability(truth, judged) == [
        {"score": 0.04, "share": 0.0, "decisions": 3.0},
        {"score": 0.94, "share": 0.75, "decisions": 4.0},
    ]


def test_each_report_names_the_findings_on_which_the_models_differ() -> None:
    truth = np.array([[1, 0], [0, 0]])
    old, new = (Judged(np.array(scores), [0.5, 0.5]) for scores in ([[0.2, 0.1], [0.1, 0.1]], [[0.9, 0.1], [0.1, 0.1]]))
    rows = by_report(["r1", "r2"], LABELS, truth, new, old)
    assert rows[0]["differ"] == ["Erguss"]
    assert rows[0]["old"] == {"Erguss": 0.2, "Tubus": 0.1}
    assert rows[1]["differ"] == []
    assert by_report(["r1", "r2"], LABELS, truth, new, None)[0].keys() == {"report", "truth", "new", "differ"}


def test_without_an_old_model_there_is_nothing_to_pair() -> None:
    truth, judged = drawn(30, 2.0)
    found = comparison(truth, judged, None)
    assert found["paired"] is None
    assert found["intervals"]["old"] is None
    assert found["intervals"]["new"]["f1_macro"]
