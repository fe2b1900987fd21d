"""Figures against cases computed by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from train.evaluate import best_temperature, best_threshold, measure


def test_a_case_computed_by_hand() -> None:
    truth = np.array([[1], [1], [0], [0]])
    scores = np.array([[0.9], [0.4], [0.6], [0.1]])
    metrics = measure(truth, scores, [0.5], ["Erguss"])
    assert metrics.per_label["Erguss"] == {"positives": 2, "auroc": 0.75, "f1": 0.5, "precision": 0.5, "recall": 0.5}
    assert (metrics.auroc_macro, metrics.f1_macro, metrics.f1_micro, metrics.n_reports) == (0.75, 0.5, 0.5, 4)


def test_the_averages_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (200, 5))
    scores = np.clip(truth * 0.2 + rng.random((200, 5)) * 0.8, 0, 1)
    limits = [0.3, 0.4, 0.5, 0.6, 0.7]
    metrics, decided = measure(truth, scores, limits, list("abcde")), scores >= limits
    assert metrics.f1_macro == pytest.approx(f1_score(truth, decided, average="macro"))
    assert metrics.f1_micro == pytest.approx(f1_score(truth, decided, average="micro"))
    assert metrics.precision_macro == pytest.approx(precision_score(truth, decided, average="macro"))
    assert metrics.recall_macro == pytest.approx(recall_score(truth, decided, average="macro"))
    assert metrics.auroc_macro == pytest.approx(roc_auc_score(truth, scores, average="macro"))


def test_a_finding_without_positives_does_not_count_in_macro_figures_but_its_false_alarms_do_in_micro() -> None:
    truth = np.array([[1, 0], [0, 0]])
    metrics = measure(truth, np.array([[0.9, 0.9], [0.1, 0.1]]), [0.5, 0.5], ["Erguss", "Tubus"])
    assert metrics.f1_macro == 1.0
    assert metrics.f1_micro == pytest.approx(2 / 3)
    assert metrics.per_label["Tubus"]["auroc"] is None


def test_where_no_finding_has_both_kinds_there_is_no_auroc() -> None:
    metrics = measure(np.array([[1], [1]]), np.array([[0.9], [0.2]]), [0.5], ["Erguss"])
    assert metrics.auroc_macro is None
    assert metrics.recall_macro == 0.5


def test_without_any_positive_all_figures_are_zero() -> None:
    metrics = measure(np.zeros((3, 1), dtype=np.int64), np.array([[0.1], [0.2], [0.3]]), [0.5], ["Erguss"])
    assert (metrics.auroc_macro, metrics.f1_macro, metrics.f1_micro) == (None, 0.0, 0.0)


def test_left_out_reports_count_nowhere() -> None:
    truth = np.array([[1, -1], [0, -1], [-1, -1]])
    metrics = measure(truth, np.array([[0.9, 0.9], [0.1, 0.9], [0.9, 0.9]]), [0.5, 0.5], ["Erguss", "Tubus"])
    assert (metrics.f1_macro, metrics.f1_micro) == (1.0, 1.0)
    assert metrics.per_label["Tubus"]["positives"] == 0


class TestThreshold:
    def test_it_separates_what_can_be_separated(self) -> None:
        truth = np.array([1] * 6 + [0] * 6)
        scores = np.array([0.35] * 6 + [0.22] * 6)
        assert best_threshold(truth, scores) == 0.35

    def test_among_equals_the_one_nearest_to_a_half_is_taken(self) -> None:
        truth = np.array([1] * 6 + [0] * 6)
        assert best_threshold(truth, np.array([0.9] * 6 + [0.1] * 6)) == 0.5

    def test_a_gain_that_one_report_makes_does_not_move_it(self) -> None:
        truth = np.array([1] * 8 + [0] * 30)
        scores = np.array([0.9] * 7 + [0.22] + [0.1] * 29 + [0.21])  # F1 at 0.2 is 0.94, at 0.5 it is 0.93
        assert best_threshold(truth, scores) == 0.5

    def test_with_too_few_positives_it_stays_at_a_half(self) -> None:
        truth = np.array([1] * 4 + [0] * 8)
        assert best_threshold(truth, np.array([0.2] * 4 + [0.1] * 8)) == 0.5

    def test_left_out_reports_do_not_move_it(self) -> None:
        truth = np.array([1] * 6 + [0] * 6 + [-1] * 50)
        assert best_threshold(truth, np.array([0.9] * 6 + [0.1] * 6 + [0.7] * 50)) == 0.5


class TestTemperature:
    @pytest.mark.parametrize("factor", [1.0, 2.0, 3.0])
    def test_it_undoes_an_overconfidence_of_known_size(self, factor: float) -> None:
        rng = np.random.default_rng(0)
        logits = rng.normal(0, 2, (4_000, 3))
        targets = (rng.random((4_000, 3)) < 1 / (1 + np.exp(-logits))).astype(np.float64)
        assert best_temperature(targets, logits * factor, np.ones_like(logits)) == pytest.approx(factor, rel=0.1)

    def test_outputs_of_weight_zero_do_not_count(self) -> None:
        rng = np.random.default_rng(1)
        logits = rng.normal(0, 2, (4_000, 2))
        targets = (rng.random((4_000, 2)) < 1 / (1 + np.exp(-logits))).astype(np.float64)
        stretched, weights = logits * [1.0, 4.0], np.array([1.0, 0.0]) * np.ones_like(logits)
        assert best_temperature(targets, stretched, weights) == pytest.approx(1.0, rel=0.1)
