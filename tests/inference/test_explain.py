"""Attributions: complete, exact where a hand can compute them, and mapped to the words of the original text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from captum.attr import LayerIntegratedGradients
from torch import Tensor

from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.classify import classify
from medbertde.inference.explain import explain, words_from_pieces
from medbertde.types import Attribution, InvalidSchema, InvalidText, ModelUnavailable, Progress, UserError
from tests import tiny

TEXT = "V. a. Infiltrat rechts basal (<5 mm), kein Erguss.\n\nHerz normal groß."


@pytest.fixture(scope="module", params=["bert", "roberta"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_checkpoint(tiny.classifier_folder(tmp_path_factory.mktemp("m") / "tiny", family=request.param))


def logits(model: LoadedModel, ids: list[int]) -> Tensor:
    tokens = torch.tensor([model.encoder.model_ids(ids)])
    return model.model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits[0]


def logit_difference(model: LoadedModel, text: str, output: str) -> float:
    """f(x) − f(baseline) the long way: for BERT by token ids, for RoBERTa by embeddings, whose positions stay."""
    [pieces] = model.encoder.pieces([text])
    ids, column = list(pieces.ids), model.outputs.index(output)
    baseline = torch.tensor([model.encoder.model_ids([model.encoder.pad_id] * len(ids))])
    embeddings = model.model.get_input_embeddings()(baseline)
    empty = model.model(inputs_embeds=embeddings, attention_mask=torch.ones_like(baseline)).logits[0]
    return float(logits(model, ids)[column] - empty[column])


def total(attribution: Attribution) -> float:
    return sum(word.score for word in attribution.words)


@pytest.mark.parametrize("target", ["present", "uncertain", "absent"])
def test_the_scores_add_up_to_the_logit_difference(model: LoadedModel, target: str) -> None:
    attribution = explain(model, TEXT, "Erguss", target=target)
    output = "Erguss" if target == "present" else f"Erguss:{target}"
    expected = logit_difference(model, TEXT, output)
    assert total(attribution) == pytest.approx(expected, abs=0.01 * abs(expected))
    assert attribution.delta == pytest.approx(total(attribution) - expected, abs=1e-5)
    assert attribution.relative_delta < 0.01
    assert attribution.model_version == model.version


def test_the_numbers_are_those_of_captums_layer_integrated_gradients(model: LoadedModel) -> None:
    attribution = explain(model, TEXT, "Erguss")
    [pieces] = model.encoder.pieces([TEXT])
    ids = torch.tensor([model.encoder.model_ids(pieces.ids)])
    baseline = torch.tensor([model.encoder.model_ids([model.encoder.pad_id] * len(pieces.ids))])
    first = model.encoder.pad_id + 1 if model.model.config.model_type == "roberta" else 0
    positions = torch.arange(first, first + ids.shape[1])[None]

    def forward(tokens: Tensor) -> Tensor:
        mask = torch.ones_like(tokens)
        return model.model(tokens, mask, position_ids=positions.expand(len(tokens), -1)).logits

    model.model.requires_grad_(True)  # Captum's layer variant needs the embedding layer's output to carry a graph
    try:
        layer = LayerIntegratedGradients(forward, model.model.get_input_embeddings())
        column = model.outputs.index("Erguss")
        expected = layer.attribute(ids, baseline, target=column, n_steps=attribution.steps).sum(-1)[0].detach()
    finally:
        model.model.requires_grad_(False)
    first_piece = len(model.encoder.prefix)
    scores = expected[first_piece : first_piece + len(pieces.ids)].tolist()
    by_word = [word.score for word in words_from_pieces(TEXT, pieces.offsets, scores)]
    assert [word.score for word in attribution.words] == pytest.approx(by_word, abs=1e-5)
    assert expected[0] == 0.0  # control tokens
    assert expected[-1] == 0.0


class MeanOfWords(torch.nn.Module):
    """A model that is linear in its word embeddings: logits = W · mean(embeddings)."""

    def __init__(self, embeddings: torch.nn.Module, weight: Tensor) -> None:
        super().__init__()
        self.embeddings, self.weight, self.device = embeddings, weight, torch.device("cpu")

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.embeddings

    def forward(self, inputs_embeds: Tensor, attention_mask: Tensor) -> object:
        return type("Output", (), {"logits": inputs_embeds.mean(dim=1) @ self.weight.T})


def test_a_linear_model_gives_each_word_what_the_hand_computes(tmp_path: Path) -> None:
    real = load_checkpoint(tiny.classifier_folder(tmp_path / "m"))
    torch.manual_seed(3)
    embeddings = real.model.get_input_embeddings()
    table = embeddings.state_dict()["weight"]  # [vocabulary, hidden]
    weight = torch.randn(len(real.outputs), table.shape[1])
    linear = LoadedModel(**{**vars(real), "model": MeanOfWords(embeddings, weight)})
    text = "Kein Erguss ."
    attribution = explain(linear, text, "Erguss")
    [pieces] = real.encoder.pieces([text])
    gain = weight[real.outputs.index("Erguss")] / (len(pieces.ids) + 2)
    by_hand = [float((table[i] - table[real.encoder.pad_id]) @ gain) for i in pieces.ids]
    assert [word.text for word in attribution.words] == ["Kein", "Erguss", "."]
    words = [word.score for word in words_from_pieces(text, pieces.offsets, by_hand)]
    assert [word.score for word in attribution.words] == pytest.approx(words, abs=1e-6)
    assert attribution.steps == 10
    assert abs(attribution.delta) < 1e-5


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "Herd <5 mm & <b>fett</b> <script>alert(1)</script> >3 cm",
        "Größenprogredienter Erguß 🫁🩻 links – „Pneumothorax“?!",
        "Erguss\t\n  \n - 1,5 cm;(rechts) [MASK] </s>",
    ],
)
def test_words_are_spans_of_the_original_text_and_cover_all_of_it(model: LoadedModel, text: str) -> None:
    attribution = explain(model, text, "Erguss", max_steps=10)
    assert all(attribution.text[word.start : word.end] == word.text for word in attribution.words)
    assert "".join(word.text for word in attribution.words) == re.sub(r"\s", "", text)
    starts = [word.start for word in attribution.words]
    assert starts == sorted(starts)
    expected = logit_difference(model, text, "Erguss")
    assert total(attribution) - attribution.delta == pytest.approx(expected, abs=1e-5)


def test_clinical_words_stay_whole() -> None:
    words = words_from_pieces("V. a. Herd (<5 mm), 1,5 cm: ZVK-Anlage re./li.", [], [])
    assert [word.text for word in words] == [
        *("V.", "a.", "Herd", "(", "<5", "mm", "),", "1,5", "cm", ":", "ZVK-Anlage", "re./li.")
    ]


def test_decomposed_umlauts_are_explained_on_the_stored_text(model: LoadedModel) -> None:
    attribution = explain(model, "Herz normal gro\u00df, O\u0308dem links.", "Erguss")
    assert attribution.text == "Herz normal groß, Ödem links."
    assert "Ödem" in [word.text for word in attribution.words]


def test_the_same_call_gives_the_same_numbers(model: LoadedModel) -> None:
    assert explain(model, TEXT, "Erguss") == explain(model, TEXT, "Erguss")


def test_explaining_leaves_no_graph_and_no_hook_behind(model: LoadedModel) -> None:
    before = classify(model, [TEXT])
    explain(model, TEXT, "Erguss")
    assert classify(model, [TEXT]) == before
    assert all(weight.grad is None for weight in model.model.parameters())
    assert not any(module._forward_hooks for module in model.model.modules())


def test_steps_double_until_the_scores_add_up(tmp_path: Path) -> None:
    rough = load_checkpoint(tiny.classifier_folder(tmp_path / "m", family="roberta"))
    with torch.no_grad():
        rough.model.get_input_embeddings().weight.mul_(2)  # type: ignore[operator]
        for name, weight in rough.model.named_parameters():
            if "query" in name or "key" in name:
                weight.mul_(2)  # a bumpier path than random weights give
    progress: list[Progress] = []
    attribution = explain(rough, TEXT, "Erguss", on_progress=progress.append)
    assert [item.done for item in progress] == [10, 20, 40]
    assert attribution.steps == 40
    assert attribution.relative_delta < 0.01
    assert attribution.warnings == ()


def test_a_word_that_is_no_state_is_refused(model: LoadedModel) -> None:
    with pytest.raises(InvalidSchema) as refused:
        explain(model, TEXT, "Erguss", target="vielleicht")
    assert "„vielleicht“ ist kein Zustand" in refused.value.de


def test_a_text_of_invisible_characters_is_refused_as_empty(model: LoadedModel) -> None:
    with pytest.raises(InvalidText, match="The text is empty"):
        explain(model, "\u00ad", "Erguss")


def test_too_few_steps_are_reported(model: LoadedModel) -> None:
    progress: list[Progress] = []
    attribution = explain(model, TEXT, "Erguss", max_steps=1, on_progress=progress.append)
    assert attribution.steps == 1
    assert attribution.relative_delta > 0.01
    assert [notice.code for notice in attribution.warnings] == ["not_converged"]
    assert "angestrebt ist höchstens 1 %" in attribution.warnings[0].de
    assert [(item.done, item.total) for item in progress] == [(1, 1)]


def test_of_a_long_text_the_strongest_window_is_explained(model: LoadedModel) -> None:
    text = "Herz normal groß. " * 20 + "Kleiner Erguss links. " + "Lunge frei belüftet. " * 20
    attribution = explain(model, text, "Erguss")
    assert [notice.code for notice in attribution.warnings] == ["long_text"]
    scored = [word for word in attribution.words if word.score != 0.0]
    assert 0 < len(scored) < len(attribution.words)
    assert attribution.words[-1].end == len(attribution.text)
    assert attribution.relative_delta < 0.01


def test_a_label_the_schema_does_not_have_is_refused(model: LoadedModel) -> None:
    with pytest.raises(InvalidSchema) as refused:
        explain(model, TEXT, "Hernie")
    assert "Der Befund „Hernie“ gehört nicht zum Schema chest_xray" in refused.value.de


def test_a_state_the_model_does_not_predict_is_refused(tmp_path: Path) -> None:
    model = load_checkpoint(tiny.classifier_folder(tmp_path / "m", states=False))
    with pytest.raises(InvalidSchema) as refused:
        explain(model, TEXT, "Erguss", target="absent")
    assert "keinen Zustand „absent“" in refused.value.de


def test_an_unknown_method_is_refused(model: LoadedModel) -> None:
    with pytest.raises(UserError) as refused:
        explain(model, TEXT, "Erguss", method="shap")
    assert "Verfügbar ist: layer_integrated_gradients" in refused.value.de


def test_a_language_model_explains_no_finding(tiny_mlm_folder: Path) -> None:
    with pytest.raises(ModelUnavailable):
        explain(load_checkpoint(tiny_mlm_folder), TEXT, "Erguss")
