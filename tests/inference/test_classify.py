"""Classification: calibrated, independent of the batch, honest about long and strange texts."""

from __future__ import annotations

import math
import unicodedata
from pathlib import Path

import pytest
import torch

from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.classify import classify, merge_windows
from medbertde.inference.forward import prepare
from medbertde.types import InvalidText, LabelScore, ModelUnavailable, Prediction
from tests import tiny

TEXTS = [
    "Kein Nachweis eines Pneumothorax.",
    "V. a. Infiltrat rechts basal, kleiner Erguss links. ZVK regelrecht. Herz normal groß. Lunge frei belüftet.",
    "Erguss.",
    "Rundherd <5 mm im linken Oberlappen.",
]


@pytest.fixture(scope="module", params=["bert", "roberta"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    loaded = load_checkpoint(tiny.classifier_folder(tmp_path_factory.mktemp("m") / "tiny", family=request.param))
    prepare(loaded, "fp32")  # so that scores can be compared to the last digit on any machine
    return loaded


def values(prediction: Prediction) -> list[float]:
    return [
        value
        for score in prediction.scores.values()
        for value in (score.present, score.uncertain, score.absent)
        if value is not None
    ]


def codes(prediction: Prediction) -> list[str]:
    return [notice.code for notice in prediction.warnings]


def test_scores_are_probabilities_in_the_schemas_order_with_the_version(model: LoadedModel) -> None:
    [prediction] = classify(model, TEXTS[:1])
    assert model.schema is not None
    assert tuple(prediction.scores) == model.schema.label_ids
    assert len(values(prediction)) == 3 * 13
    assert all(0 < value < 1 for value in values(prediction))
    assert prediction.model_version == model.version


def test_a_score_does_not_depend_on_the_other_texts_of_the_batch(model: LoadedModel) -> None:
    together = classify(model, [*TEXTS, TEXTS[1] * 9])
    for text, prediction in zip(TEXTS, together, strict=False):
        [alone] = classify(model, [text])
        assert values(prediction) == pytest.approx(values(alone), abs=1e-5)


def test_the_order_of_the_texts_is_kept(model: LoadedModel) -> None:
    forward, backward = classify(model, TEXTS), classify(model, TEXTS[::-1])
    assert [values(item) for item in forward] == [pytest.approx(values(item), abs=1e-5) for item in backward[::-1]]


def test_probabilities_are_sigmoids_of_the_logits_over_the_temperature(model: LoadedModel) -> None:
    batch = model.tokenizer(TEXTS[0], return_tensors="pt")
    logits = model.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[0]
    [prediction] = classify(model, TEXTS[:1])
    column = model.outputs.index("Erguss:absent")
    assert prediction.scores["Erguss"].absent == pytest.approx(1 / (1 + math.exp(-logits[column].item() / 1.5)))


def test_decomposed_umlauts_and_odd_line_ends_are_read_as_the_stored_text(model: LoadedModel) -> None:
    composed = "Größenprogrediente Verschattung.\nHerz normal groß."
    decomposed = unicodedata.normalize("NFD", composed).replace("\n", "\r\n")
    first, second = classify(model, [composed, decomposed])
    assert values(first) == pytest.approx(values(second), abs=1e-5)


def test_control_tokens_written_in_a_report_are_ordinary_characters(model: LoadedModel) -> None:
    assert model.tokenizer.sep_token_id is not None
    for token in model.tokenizer.all_special_tokens:
        [pieces] = model.encoder.pieces([f"Kein {token} Erguss"])
        assert set(pieces.ids).isdisjoint(model.encoder.special_ids - {model.encoder.unknown_id})


def test_a_long_text_is_read_in_windows_and_says_so(model: LoadedModel) -> None:
    long = "Herz normal groß. " * 40 + "Kleiner Erguss links."
    [prediction] = classify(model, [long])
    assert codes(prediction) == ["long_text"]
    assert "überlappenden Abschnitten" in prediction.warnings[0].de
    beginning = classify(model, ["Herz normal groß. " * 40])[0]
    assert values(prediction) != values(beginning)  # the last sentence was read


def merged(*windows: LabelScore) -> LabelScore:
    """What windows with these scores of one finding say together."""
    rows = [[[score.present], [score.uncertain], [score.absent]] for score in windows]
    return LabelScore(*merge_windows(torch.tensor(rows, dtype=torch.double))[:, 0].tolist())


def test_a_finding_in_one_window_outweighs_its_negation_in_another() -> None:
    together = merged(LabelScore(0.1, 0.05, 0.95), LabelScore(0.9, 0.2, 0.02))
    assert (together.present, together.uncertain) == (0.9, 0.2)
    assert together.absent == pytest.approx(0.1)


def test_a_negation_survives_windows_that_do_not_mention_the_finding() -> None:
    assert merged(LabelScore(0.1, 0.05, 0.95), LabelScore(0.02, 0.03, 0.1)).absent == 0.95


def test_a_negation_is_measured_against_the_other_windows_only() -> None:
    both_stated = merged(LabelScore(0.8, 0.0, 0.9), LabelScore(0.3, 0.6, 0.1), LabelScore(0.0, 0.0, 0.7))
    assert both_stated.absent == pytest.approx(0.4)  # 0.9 against the 0.6 of the second; 0.7 against 0.8


def test_one_window_keeps_its_scores() -> None:
    assert merged(LabelScore(0.8, 0.7, 0.9)) == LabelScore(0.8, 0.7, 0.9)


def test_a_model_without_states_says_none(tmp_path: Path) -> None:
    model = load_checkpoint(tiny.classifier_folder(tmp_path / "m", states=False))
    for text in (TEXTS[0], TEXTS[0] * 30):
        score = classify(model, [text])[0].scores["Erguss"]
        assert (score.uncertain, score.absent) == (None, None)


def test_english_short_and_unknown_texts_get_a_remark(tmp_path: Path) -> None:
    model = load_checkpoint(tiny.classifier_folder(tmp_path / "m"))
    english, short, strange = classify(
        model,
        ["No evidence of pneumothorax. The heart is normal in size.", "Erguss", "Erguss 日本 中文 한국 🫁 und mehr"],
    )
    assert "not_german" in codes(english)
    assert codes(short) == ["very_short"]
    assert codes(strange) == ["many_unknown"]


def test_no_text_gives_no_prediction(model: LoadedModel) -> None:
    assert classify(model, []) == []


def test_an_empty_text_is_refused_before_any_is_read(model: LoadedModel) -> None:
    with pytest.raises(InvalidText, match="empty"):
        classify(model, ["Kein Erguss.", "  "])


def test_a_language_model_does_not_classify(tiny_mlm_folder: Path) -> None:
    with pytest.raises(ModelUnavailable) as refused:
        classify(load_checkpoint(tiny_mlm_folder), TEXTS)
    assert "kann keine Befunde erkennen" in refused.value.de


def test_classifying_keeps_no_graph(model: LoadedModel) -> None:
    classify(model, TEXTS)
    assert all(weight.grad is None for weight in model.model.parameters())
    assert torch.is_grad_enabled()
