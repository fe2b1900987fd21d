"""Which spans of an explanation are worth marking."""

from __future__ import annotations

import time

import pytest

from medbertde.strongest import MOST_SPANS, same_place, strongest_spans
from medbertde.types import AttributedWord


def quoted(scored: list[tuple[str, float]]) -> list[str]:
    text, words = "", []
    for token, score in scored:
        words.append(AttributedWord(token, len(text), len(text) + len(token), score))
        text += f"{token} "
    return [text[start:end] for start, end in strongest_spans(text.strip(), words)]


def test_neighbours_are_one_span_and_a_word_between_them_belongs_to_it() -> None:
    assert quoted([("Erguss", 2.0), ("im", 0.0), ("Recessus", 2.0), ("links.", 0.1)]) == ["Erguss im Recessus"]


def test_a_span_ends_with_its_sentence() -> None:
    assert quoted([("Herz", 0.1), ("Erguss.", 2.0), ("Erguss", 2.0), ("auch.", 0.2)]) == ["Erguss", "Erguss"]


def test_only_the_strongest_few_are_marked_in_the_order_of_the_text() -> None:
    scored = [
        (word, score)
        for number in range(8)
        for word, score in ((f"Befund{number}", 1.0 + number), ("ohne", 0.0), ("Belang.", 0.0))
    ]
    found = quoted(scored)
    assert len(found) == MOST_SPANS
    assert found == ["Befund5", "Befund6", "Befund7"]


def test_many_sentences_take_no_time() -> None:
    text = "Kein Pneu.\n" * 8_000
    words = [AttributedWord("Pneu.", start + 5, start + 10, 1.0 + start) for start in range(0, len(text), 11)]
    before = time.process_time()
    assert len(strongest_spans(text, words)) == MOST_SPANS
    assert time.process_time() - before < 1.5


@pytest.mark.parametrize("scores", [(-1.0, 0.0), (0.0, -2.0)])
def test_nothing_is_marked_where_nothing_speaks_for_it(scores: tuple[float, float]) -> None:
    assert quoted([("Kein", scores[0]), ("Pneu.", scores[1])]) == []


def test_punctuation_is_no_evidence() -> None:
    assert quoted([("Erguss", 1.0), (",", 9.0), ("links", 0.1)]) == ["Erguss"]


def test_a_place_is_found_again_in_other_white_space() -> None:
    text, other = "Kein Pneu. Kleiner Erguss.", "Kein  Pneu.\n\n  Kleiner\tErguss."
    start, end = same_place((11, 25), text, other)
    assert other[start:end] == "Kleiner\tErguss"
