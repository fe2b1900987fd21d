"""The pieces of a text: every character in its word, ids as the tokenizer gives them, figures by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.pieces import tokenise
from tests import tiny

TEXT = "Kein Pneumothorax, Größe  <5 mm."


@pytest.fixture(scope="module", params=["bert", "roberta"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_checkpoint(tiny.mlm_folder(tmp_path_factory.mktemp("m") / "tiny", family=request.param))


def test_words_and_pieces_are_the_text_and_the_tokenizers_ids(model: LoadedModel) -> None:
    cut = tokenise(model, TEXT)
    assert [word.text for word in cut.words] == ["Kein", "Pneumothorax", ",", "Größe", "<", "5", "mm", "."]
    pieces = [piece for word in cut.words for piece in word.pieces]
    expected = model.tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    assert [piece.id for piece in pieces] == [
        id for id in expected if model.tokenizer.convert_ids_to_tokens(id) != "Ġ" or id in {p.id for p in pieces}
    ]
    assert all("".join(piece.text for piece in word.pieces).strip() == word.text for word in cut.words)


def test_the_fertility_counts_words_without_punctuation_and_gaps(model: LoadedModel) -> None:
    cut = tokenise(model, f"[MASK] {TEXT}")
    counted = [word for word in cut.words if word.text in ("Kein", "Pneumothorax", "Größe", "5", "mm")]
    assert cut.counted == tuple(counted)
    assert cut.n_pieces == sum(len(word.pieces) for word in counted)
    assert cut.fertility == pytest.approx(cut.n_pieces / 5)
    assert cut.whole == sum(len(word.pieces) == 1 for word in counted)


def test_a_gap_is_the_models_own_mask_token(model: LoadedModel) -> None:
    gap = tokenise(model, "Kein [MASK] rechts.").words[1]
    assert (gap.text, gap.counted, [piece.id for piece in gap.pieces]) == ("[MASK]", False, [model.encoder.mask_id])


def test_unknown_characters_are_said(tiny_mlm_folder: Path) -> None:
    cut = tokenise(load_checkpoint(tiny_mlm_folder), "Kein Ωmega.")
    assert cut.unknown == 1
    assert cut.words[1].pieces[0].unknown


def test_a_classifier_has_a_tokenizer_too(tiny_classifier_folder: Path) -> None:
    cut = tokenise(load_checkpoint(tiny_classifier_folder), "Kein Erguss.")
    assert cut.model_version.startswith("tiny-chest-xray@")


def test_a_text_of_punctuation_has_no_fertility(model: LoadedModel) -> None:
    assert tokenise(model, "…").fertility == 0.0
