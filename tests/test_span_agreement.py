"""Agreement of marked and weighed words: cases that one can count by hand, and what must always hold."""

from __future__ import annotations

import random

import pytest
from sklearn.metrics import average_precision_score

from medbertde.span_agreement import SpanAgreement, average_precision, mean_agreement, span_agreement
from medbertde.types import AttributedWord

TEXT = "Kein Pneu. Kleiner Erguss links basal."


def weighed(**scores: float) -> list[AttributedWord]:
    """The words of `TEXT` and its full stops, with a score of 0 where none is given."""
    spans = [(0, 4), (5, 9), (9, 10), (11, 18), (19, 25), (26, 31), (32, 37), (37, 38)]
    return [AttributedWord(TEXT[a:b], a, b, scores.get(TEXT[a:b], 0.0)) for a, b in spans]


def test_half_of_the_marked_words_found_counts_one_half() -> None:
    words = weighed(Erguss=0.8, Pneu=0.5, links=0.1)
    found = span_agreement(words, [(19, 31)])  # "Erguss links"
    assert found is not None
    assert (found.f1, found.iou) == (0.5, pytest.approx(1 / 3))
    assert found.auprc == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert found.chance == pytest.approx(2 / 6), "full stops are no words"


def test_words_that_speak_against_the_finding_are_not_among_the_models_words() -> None:
    found = span_agreement(weighed(Erguss=0.8, links=-0.9), [(19, 31)])
    assert found is not None
    assert (found.f1, found.iou) == (pytest.approx(2 / 3), 0.5)


def test_part_of_a_word_marks_the_word_and_overlapping_spans_count_once() -> None:
    assert span_agreement(weighed(Erguss=1.0), [(20, 22), (19, 25)]) == SpanAgreement(1.0, 1.0, 1.0, 1 / 6)


def test_without_a_marked_word_there_is_nothing_to_compare() -> None:
    assert span_agreement(weighed(Erguss=1.0), []) is None
    assert span_agreement(weighed(Erguss=1.0), [(9, 11)]) is None
    assert mean_agreement([]) is None


def test_scores_that_are_all_equal_give_the_chance_level() -> None:
    found = span_agreement(weighed(), [(19, 31)])
    assert found is not None
    assert found.auprc == pytest.approx(found.chance)


@pytest.mark.parametrize("seed", range(20))
def test_average_precision_is_that_of_scikit_learn(seed: int) -> None:
    chance = random.Random(seed)
    scores = [chance.choice([-0.5, 0.0, 0.1, 0.3, 0.9]) for _ in range(30)]
    relevant = set(chance.sample(range(30), 7))
    expected = average_precision_score([index in relevant for index in range(30)], scores)
    assert average_precision(scores, relevant) == pytest.approx(expected)


def test_the_mean_counts_every_finding_of_every_report_once() -> None:
    found = [SpanAgreement(1.0, 1.0, 1.0, 0.2), SpanAgreement(0.0, 0.0, 0.5, 0.4)]
    assert mean_agreement(found) == SpanAgreement(0.5, 0.5, 0.75, pytest.approx(0.3), n=2)
