"""Spans to tags and back: a round trip over real tokenizers, overlaps, decoding, windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medbertde.inference.checkpoint import load_checkpoint
from medbertde.span_tags import best_path, found_spans, gather, places, runs, tag_names, tags_of, words_of
from medbertde.types import Rationale
from tests import tiny

LABELS = ("Medikament", "Dosis", "Frequenz")
TEXT = "Ramipril 5mg 1-0-1, dann Salbutamol-Spray, 2 Hübe b. B., Größe 1,80 m.\nKein Erguss."


def spans(text: str, **phrases: str) -> list[Rationale]:
    """The first place of each phrase."""
    return [Rationale(label, text.index(phrase), text.index(phrase) + len(phrase)) for label, phrase in phrases.items()]


def certain(tags: list[int]) -> np.ndarray:
    """Scores that say these tags."""
    return np.eye(len(tag_names(LABELS)))[tags] * 9.0


class TestRoundTrip:
    @pytest.mark.parametrize("family", tiny.FAMILIES)
    def test_spans_at_words_numbers_and_signs_come_back_as_they_were(self, tmp_path: Path, family: tiny.Family) -> None:
        encoder = load_checkpoint(tiny.mlm_folder(tmp_path / family, family=family)).encoder
        given = spans(TEXT, Medikament="Salbutamol", Dosis="2 Hübe", Frequenz="b. B.")
        words = words_of(TEXT, encoder.pieces([TEXT])[0].offsets)
        tags = tags_of(words, given, LABELS)
        found = found_spans(words, certain(tags), LABELS)
        assert [(one.label, TEXT[one.start : one.end]) for one in found] == [
            ("Medikament", "Salbutamol"),
            ("Dosis", "2 Hübe"),
            ("Frequenz", "b. B."),
        ]

    def test_a_number_and_its_unit_without_a_space_are_two_words(self, tmp_path: Path) -> None:
        encoder = load_checkpoint(tiny.mlm_folder(tmp_path / "roberta", family="roberta")).encoder
        words = words_of(TEXT, encoder.pieces([TEXT])[0].offsets)
        assert {"5", "mg", "1", "-", "Salbutamol", "Spray"} <= {TEXT[word.start : word.end] for word in words}

    def test_two_spans_of_a_label_side_by_side_stay_two(self) -> None:
        words = words_of("mg mg", [(0, 2), (3, 5)])
        tags = tags_of(words, [Rationale("Dosis", 0, 2), Rationale("Dosis", 3, 5)], LABELS)
        assert tags == [3, 3]
        assert len(found_spans(words, certain(tags), LABELS)) == 2


class TestTags:
    def test_of_spans_that_overlap_the_longest_counts(self) -> None:
        words = words_of("a b c", [(0, 1), (2, 3), (4, 5)])
        assert tags_of(words, [Rationale("Dosis", 0, 3), Rationale("Medikament", 0, 5)], LABELS) == [1, 2, 2]

    def test_a_span_inside_a_word_marks_the_whole_word(self) -> None:
        words = words_of("Herzerguss klein", [(0, 10), (11, 16)])
        assert tags_of(words, [Rationale("Dosis", 4, 10)], LABELS) == [3, 0]

    def test_an_inside_tag_without_its_beginning_begins_a_span(self) -> None:
        assert runs([2, 2, 4, 0, 4]) == [(0, 0, 2), (1, 2, 3), (1, 4, 5)]

    def test_an_unknown_piece_over_two_words_is_one_word(self) -> None:
        assert [(word.start, word.end, word.piece) for word in words_of("5mg ja", [(0, 3), (3, 4), (4, 6)])] == [
            (0, 3, 0),
            (4, 6, 2),
        ]


class TestDecoding:
    def test_no_path_has_an_inside_tag_after_another_label(self) -> None:
        rng = np.random.default_rng(0)
        for _ in range(50):
            path = best_path(rng.normal(size=(12, 7)))
            for before, tag in zip([0, *path], path, strict=False):
                assert tag in (0, 1, 3, 5) or before in (tag - 1, tag)

    def test_the_path_is_the_best_of_all_allowed_ones(self) -> None:
        scores = np.random.default_rng(1).normal(size=(5, 5))

        def allowed(path: tuple[int, ...]) -> bool:
            pairs = zip((0, *path), path, strict=False)
            return all(tag in (0, 1, 3) or before in (tag - 1, tag) for before, tag in pairs)

        paths = [path for path in np.ndindex(5, 5, 5, 5, 5) if allowed(path)]
        best = max(paths, key=lambda path: sum(scores[at, tag] for at, tag in enumerate(path)))
        assert tuple(best_path(scores)) == best

    def test_the_confidence_is_that_of_the_least_sure_word_and_falls_with_the_temperature(self) -> None:
        words = words_of("5 mg", [(0, 1), (2, 4)])
        scores = np.zeros((2, 3))
        scores[0, 1], scores[1, 2] = 4.0, 2.0
        (sure,) = found_spans(words, scores, ["Dosis"])
        (soft,) = found_spans(words, scores, ["Dosis"], temperature=2.0)
        assert sure.confidence == pytest.approx(np.exp(2) / (np.exp(2) + 2))
        assert soft.confidence == pytest.approx(np.exp(1) / (np.exp(1) + 2))

    def test_a_text_without_words_has_no_spans(self) -> None:
        assert found_spans([], np.empty((0, 3)), ["Dosis"]) == ()


class TestWindows:
    def test_a_shared_piece_is_read_where_it_stands_farthest_from_the_ends(self) -> None:
        assert places([range(0, 6), range(3, 9)], 9)[3:6] == [(0, 3), (0, 4), (1, 2)]

    def test_scores_come_from_those_places_and_a_word_in_no_window_is_outside(self) -> None:
        words = words_of("a b c", [(0, 1), (2, 3), (4, 5)])
        scores = gather(words, [(0,), (1,)], [np.full((1, 3), 1.0), np.full((1, 3), 2.0)])
        assert scores[:2].tolist() == [[1.0] * 3, [2.0] * 3]
        assert scores[2].argmax() == 0

    def test_a_last_word_of_several_pieces_has_the_scores_of_its_first(self) -> None:
        words = words_of("a Dosisbc", [(0, 1), (2, 7), (7, 9)])
        assert len(words) == 2
        scores = gather(words, [(0, 1, 2)], [np.arange(3.0).repeat(3).reshape(3, 3)])
        assert scores.tolist() == [[0.0] * 3, [1.0] * 3]
