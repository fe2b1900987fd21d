"""Strict figures of spans against cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from train.span_figures import (
    Spans,
    by_label,
    compare_spans,
    figures,
    measure_spans,
    micro_f1,
    overall,
    table,
    weighted,
)

LABELS = ("Medikament", "Dosis", "Dauer")
DRUG, DOSE = ("Medikament", 0, 8), ("Dosis", 9, 13)
# Report 1: the drug is right; the dose ends one character too early, so it is a false alarm and a miss.
# Report 2: the place of the dose is right, its label is not. Report 3: nothing annotated, one drug said.
TRUTH: list[Spans] = [frozenset({DRUG, DOSE}), frozenset({DOSE}), frozenset()]
SAID: list[Spans] = [frozenset({DRUG, ("Dosis", 9, 12)}), frozenset({("Medikament", 9, 13)}), frozenset({DRUG})]


def test_only_both_ends_and_the_label_right_count_as_a_hit() -> None:
    counts = compare_spans(TRUTH, SAID, LABELS)
    assert counts.hits.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert counts.false_alarms.tolist() == [[0, 1, 0], [1, 0, 0], [1, 0, 0]]
    assert counts.misses.tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_the_figures_are_those_counted_by_hand() -> None:
    metrics = measure_spans(compare_spans(TRUTH, SAID, LABELS), LABELS)
    assert metrics.f1_micro == micro_f1(TRUTH, SAID, LABELS) == pytest.approx(2 * 1 / (2 * 1 + 3 + 2))
    drug, dose = metrics.per_label["Medikament"], metrics.per_label["Dosis"]
    assert (drug["positives"], drug["precision"], drug["recall"]) == (1, pytest.approx(1 / 3), 1)
    assert drug["f1"] == pytest.approx(1 / 2)
    assert (dose["positives"], dose["f1"]) == (2, 0)
    assert metrics.f1_macro == pytest.approx((1 / 2 + 0) / 2), "Dauer is not annotated and has no part in the mean"
    assert metrics.auroc_macro is None
    assert metrics.n_reports == 3


def test_outside_is_no_class_so_a_silent_model_has_nothing() -> None:
    assert micro_f1(TRUTH, [frozenset()] * 3, LABELS) == 0
    assert micro_f1(TRUTH, TRUTH, LABELS) == 1


def test_intervals_are_those_of_drawn_reports() -> None:
    counts = compare_spans(TRUTH * 10, SAID * 10, LABELS)
    found = overall(counts)["f1_micro"]
    assert found is not None
    assert found.value == pytest.approx(2 / 7)
    assert found.low < found.value < found.high
    labels = by_label(counts, LABELS)
    assert labels["Dauer"]["f1"] is None
    assert labels["Dosis"]["recall"] is not None
    assert labels["Dosis"]["recall"].value == 0


def test_a_drawn_sample_counts_a_report_as_often_as_it_is_drawn() -> None:
    counts = weighted(compare_spans(TRUTH, SAID, LABELS), np.array([[2.0, 0.0, 1.0]]))
    assert figures(counts)["precision_micro"][0] == pytest.approx(2 / (2 + 2 + 1))
    assert figures(counts)["recall_micro"][0] == pytest.approx(2 / (2 + 2))


def test_the_table_has_a_row_for_each_label_and_the_means() -> None:
    counts = compare_spans(TRUTH, SAID, LABELS)
    rows = table(measure_spans(counts, LABELS), overall(counts), by_label(counts, LABELS)).splitlines()
    assert rows[2].startswith("| Medikament | 1 | 0.50 (")
    assert rows[4] == "| Dauer | 0 | – | – | – |"
    assert rows[-1].startswith("| micro | 3 | 0.29 (")
