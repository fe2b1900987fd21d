"""Words of the user's own in a gap: their scores by hand, their order, and what is refused."""

from __future__ import annotations

from math import exp
from pathlib import Path

import pytest

from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.fill_mask import fill_mask
from medbertde.inference.fill_mask.own_words import parse_words, rank_words
from medbertde.types import InvalidText
from tests import tiny

TEXT = "Kein Nachweis eines [MASK] rechts."
WORDS = ["Erguss", "Pneumothorax", "Größenprogrediente", "Magensonde"]


@pytest.fixture(scope="module", params=["bert", "roberta"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_checkpoint(tiny.mlm_folder(tmp_path_factory.mktemp("m") / "tiny", family=request.param))


def log_likelihood(model: LoadedModel, word: str) -> tuple[float, int]:
    """The mean by hand: one plain pass per piece, with the pieces behind it masked."""
    tokenizer = model.tokenizer
    pieces = tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
    total = 0.0
    for place, piece in enumerate(pieces):
        masks = " ".join([tokenizer.mask_token] * (len(pieces) - place))
        batch = tokenizer(TEXT.replace("[MASK]", masks), return_tensors="pt")
        ids = batch["input_ids"][0].tolist()
        first = ids.index(tokenizer.mask_token_id)
        ids[first:first] = pieces[:place]
        logits = model.model(input_ids=batch["input_ids"].new_tensor([ids])).logits[0, first + place]
        total += float(logits.log_softmax(-1)[piece])
    return total / len(pieces), len(pieces)


def test_the_score_is_the_mean_log_probability_of_the_pieces_from_left_to_right(model: LoadedModel) -> None:
    for item in rank_words(model, TEXT, WORDS).words:
        mean, count = log_likelihood(model, item.word)
        assert item.pieces == count
        assert item.log_likelihood == pytest.approx(mean, abs=1e-4)
        assert item.probability == pytest.approx(exp(mean * count), rel=1e-3)
        assert item.text == f"Kein Nachweis eines {item.word} rechts."


def test_the_best_fitting_word_comes_first(model: LoadedModel) -> None:
    means = [item.log_likelihood for item in rank_words(model, TEXT, WORDS).words]
    assert means == sorted(means, key=lambda mean: -(mean or 0))


def test_a_word_of_one_piece_has_the_probability_it_has_among_the_candidates(model: LoadedModel) -> None:
    best = next(item for item in fill_mask(model, TEXT, 50) if item.word == "Erguss")
    (own,) = rank_words(model, TEXT, ["Erguss"]).words
    assert own.pieces == 1
    assert own.probability == pytest.approx(best.probability, rel=1e-4)


def test_the_end_of_a_word_has_the_figures_of_the_whole_word(model: LoadedModel) -> None:
    (end,) = rank_words(model, TEXT.replace("[MASK]", "Magen[MASK]"), ["sonde"]).words
    (whole,) = rank_words(model, TEXT, ["Magensonde"]).words
    assert (end.pieces, end.text) == (whole.pieces, whole.text)
    assert end.probability == pytest.approx(whole.probability, rel=1e-4)


def test_a_word_the_vocabulary_cannot_write_comes_last_without_a_score(tiny_mlm_folder: Path) -> None:
    ranked = rank_words(load_checkpoint(tiny_mlm_folder), TEXT, ["Ωmega", "Erguss"]).words
    assert [item.word for item in ranked] == ["Erguss", "Ωmega"]
    assert (ranked[1].log_likelihood, ranked[1].probability, ranked[1].mean_probability) == (None, None, 0.0)


def test_other_numbers_of_gaps_or_words_are_refused(model: LoadedModel) -> None:
    with pytest.raises(InvalidText, match="contains 2 gaps"):
        rank_words(model, "[MASK] und [MASK]", WORDS)
    with pytest.raises(InvalidText, match="contains 0 gaps"):
        rank_words(model, "Kein Erguss.", WORDS)
    with pytest.raises(InvalidText, match="The list contains 0 words"):
        rank_words(model, TEXT, parse_words(" ,; "))
    with pytest.raises(InvalidText, match="The list contains 51 words"):
        rank_words(model, TEXT, [f"Wort{number}" for number in range(51)])
    with pytest.raises(InvalidText, match="the longest has 70"):
        rank_words(model, TEXT, ["Erguss " * 10])
    with pytest.raises(InvalidText, match="more than 24 pieces"):
        rank_words(model, TEXT, ["e" * 50])
