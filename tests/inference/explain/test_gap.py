"""Why a word stands in a gap: complete for words of one and of several pieces, in the original text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.explain import explain_word
from medbertde.types import InvalidText, ModelUnavailable
from tests import tiny

BASELINES = {"bert": "pad", "roberta": "pad", "deberta-v2": "mask"}
TEXT = "V. a. Infiltrat rechts (<5 mm), kein [MASK] links. Herz normal groß."


@pytest.fixture(scope="module", params=["bert", "roberta", "deberta-v2"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_checkpoint(tiny.mlm_folder(tmp_path_factory.mktemp("m") / "tiny", family=request.param))


def test_the_words_add_up_to_the_logit_of_the_word_in_the_gap(model: LoadedModel) -> None:
    attribution = explain_word(model, TEXT, "Erguss", baseline=BASELINES[model.model.config.model_type])
    left, right = TEXT.split("[MASK]")
    front, back, [*word] = (each.ids for each in model.encoder.pieces([left.rstrip(), right, " Erguss"]))
    tokens = torch.tensor([model.encoder.model_ids([*front, model.encoder.mask_id, *back])])
    logits = model.model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits[0]
    if len(word) == 1:
        at = len(model.encoder.prefix) + len(front)
        assert attribution.logit == pytest.approx(float(logits[at, word[0]]), abs=1e-4)
        assert attribution.probability == pytest.approx(float(logits[at].softmax(-1)[word[0]]), abs=1e-5)
    change = attribution.logit - attribution.baseline_logit
    assert sum(each.score for each in attribution.words) == pytest.approx(change, abs=0.01 * max(abs(change), 0.05))
    assert (attribution.label, attribution.target) == ("", "Erguss")


def test_a_word_of_several_pieces_is_explained_by_its_log_probability(model: LoadedModel) -> None:
    attribution = explain_word(model, TEXT, "Sonden", baseline=BASELINES[model.model.config.model_type])
    assert attribution.logit == pytest.approx(float(torch.tensor(attribution.probability).log()), rel=1e-3)
    change = attribution.logit - attribution.baseline_logit
    assert sum(each.score for each in attribution.words) == pytest.approx(change, abs=0.01 * max(abs(change), 0.05))


def test_the_end_of_a_word_is_explained_as_the_whole_word(model: LoadedModel) -> None:
    baseline = BASELINES[model.model.config.model_type]
    whole = explain_word(model, TEXT, "Magensonde", baseline=baseline)
    text = TEXT.replace("[MASK]", "Magen[MASK]")
    end = explain_word(model, text, "sonde", baseline=baseline)
    assert end.logit == pytest.approx(whole.logit, abs=1e-4)
    assert all(text[word.start : word.end] == word.text for word in end.words)
    assert [word.text for word in end.words] == [word.text for word in whole.words]


def test_words_are_spans_of_the_text_and_the_gap_is_none_of_them(model: LoadedModel) -> None:
    words = explain_word(model, TEXT, "Erguss").words
    assert all(TEXT[word.start : word.end] == word.text for word in words)
    assert [word.text for word in words] == [
        *("V.", "a.", "Infiltrat", "rechts", "(", "<5", "mm", "),", "kein", "links.", "Herz", "normal", "groß.")
    ]


@pytest.mark.parametrize("method", ["occlusion", "kernel_shap", "saliency"])
def test_other_methods_explain_a_gap_as_well(model: LoadedModel, method: str) -> None:
    assert any(word.score for word in explain_word(model, TEXT, "Erguss", method=method).words)


@pytest.mark.parametrize("method", ["occlusion", "kernel_shap", "lime", "layer_integrated_gradients"])
def test_where_the_gap_is_the_whole_text_no_word_is_a_reason(model: LoadedModel, method: str) -> None:
    attribution = explain_word(model, "[MASK]", "Erguss", method=method)
    assert (attribution.words, attribution.delta) == ((), 0.0)
    assert attribution.logit == attribution.baseline_logit


@pytest.mark.parametrize(("text", "word"), [("Kein Erguss.", "Erguss"), ("[MASK] [MASK]", "Erguss"), (TEXT, " ")])
def test_what_cannot_be_explained_is_refused(model: LoadedModel, text: str, word: str) -> None:
    with pytest.raises(InvalidText):
        explain_word(model, text, word)


def test_a_classifier_fills_no_gaps(tiny_classifier_folder: Path) -> None:
    with pytest.raises(ModelUnavailable):
        explain_word(load_checkpoint(tiny_classifier_folder), TEXT, "Erguss")
