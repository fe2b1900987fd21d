"""Every architecture and tokenizer kind fills gaps: whole words, the model's own probabilities, the right spacing."""

from __future__ import annotations

import pytest
import torch

from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.fill_mask import fill_mask
from medbertde.inference.fill_mask.own_words import rank_words
from medbertde.inference.fill_mask.scores import log_probabilities
from medbertde.inference.fill_mask.vocabulary import CLOSING, vocabulary
from medbertde.inference.pieces import tokenise
from tests import tiny

TEXT = "Kein Nachweis eines [MASK] rechts."


@pytest.fixture(scope="module", params=tiny.FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_checkpoint(tiny.mlm_folder(tmp_path_factory.mktemp("m") / "tiny", family=request.param))


def test_the_scores_at_a_gap_are_those_of_the_whole_model(model: LoadedModel) -> None:
    encoder = model.encoder
    assert encoder.mask_id is not None
    rows = [encoder.model_ids([*before.ids, encoder.mask_id]) for before in encoder.pieces(["Kein", "Kein Nachweis"])]
    positions = [row.index(encoder.mask_id) for row in rows]
    found = log_probabilities(model, list(zip(rows, positions, strict=True)))
    for row, position, scores in zip(rows, positions, found, strict=True):
        expected = model.model(input_ids=torch.tensor([row])).logits[0, position].log_softmax(-1)
        assert torch.allclose(scores, expected, atol=1e-4)


def test_candidates_are_words_in_their_place(model: LoadedModel) -> None:
    candidates = fill_mask(model, TEXT, top_k=20)
    assert len({item.word for item in candidates}) == 20
    for item in candidates:
        gap = "" if item.word in CLOSING else " "
        assert item.text == f"Kein Nachweis eines{gap}{item.word} rechts."
        assert not item.word.startswith(("##", "▁", "Ġ"))


def test_several_gaps_are_filled_together(model: LoadedModel) -> None:
    best = fill_mask(model, "Kein [MASK] rechts, [MASK] Erguss links.", top_k=3)[0]
    assert best.word.count(" … ") == 1
    assert "[MASK]" not in best.text


def test_own_words_and_pieces_are_those_of_the_tokenizer(model: LoadedModel) -> None:
    ranked = rank_words(model, TEXT, ["Erguss", "Pneumothorax"]).words
    assert {item.word: item.pieces for item in ranked} == {
        word: len(model.tokenizer(f"eines {word}", add_special_tokens=False)["input_ids"])
        - len(model.tokenizer("eines", add_special_tokens=False)["input_ids"])
        for word in ("Erguss", "Pneumothorax")
    }
    cut = tokenise(model, "Kein Pneumothorax, Größe <5 mm.")
    assert ["".join(piece.text for piece in word.pieces).strip() for word in cut.words] == [w.text for w in cut.words]


def test_a_vocabulary_says_which_pieces_begin_and_which_continue_a_word(model: LoadedModel) -> None:
    known, (cut,) = vocabulary(model), model.encoder.pieces([" Größenprogrediente"])
    first, *rest = [piece for piece in cut.ids if known.texts[piece]]
    assert known.spaced[first] or known.either[first]
    assert all(known.continues[piece] for piece in rest)
    assert known.word([first, *rest]) == "Größenprogrediente"
