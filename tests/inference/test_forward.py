"""How a classifier computes: packed rows give what the model's own forward gives; half precision only within bounds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    CamembertConfig,
    CamembertForMaskedLM,
    CamembertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaForSequenceClassification,
)

from medbertde.inference import forward as forwards
from medbertde.inference import packed
from medbertde.inference.checkpoint import load_checkpoint
from medbertde.inference.forward import PROBE_LIMIT, Precision, forward_of, prepare
from medbertde.inference.packed import PackedModel, has_bf16, supports
from medbertde.inference.runtime import Runtime
from medbertde.types import CheckpointRefused
from tests import tiny

SIZES = {
    "vocab_size": 90,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "initializer_range": 0.2,
    "num_labels": 5,
}
KINDS = {
    "bert": (BertConfig, BertForSequenceClassification, {}),
    "bert, other activation": (BertConfig, BertForSequenceClassification, {"hidden_act": "gelu_new"}),
    "bert, one layer": (BertConfig, BertForSequenceClassification, {"num_hidden_layers": 1}),
    "roberta": (RobertaConfig, RobertaForSequenceClassification, {"type_vocab_size": 1}),
    "camembert": (CamembertConfig, CamembertForSequenceClassification, {"type_vocab_size": 1}),
    "xlm-roberta": (XLMRobertaConfig, XLMRobertaForSequenceClassification, {"type_vocab_size": 1}),
}
LANGUAGE_MODELS = {
    "bert": BertForMaskedLM,
    "roberta": RobertaForMaskedLM,
    "camembert": CamembertForMaskedLM,
    "xlm-roberta": XLMRobertaForMaskedLM,
}
needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this processor has no bfloat16 products")


def random_model(kind: str, *, language: bool = False) -> PreTrainedModel:
    config, loader, more = KINDS[kind]
    if language:
        loader = LANGUAGE_MODELS[kind]
    torch.manual_seed(0)
    model = loader(config(**SIZES | more)).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight)  # random checkpoints have none, so a forgotten one would not show
    return model


def random_rows() -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(5, 90, (length,), generator=generator).tolist() for length in (1, 3, 3, 3, 8, 30, 30)]


def own_logits(model: PreTrainedModel, rows: list[list[int]]) -> Tensor:
    with torch.inference_mode():
        return torch.cat([model(input_ids=torch.tensor([row])).logits for row in rows])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("onednn", [True, False])
def test_packed_rows_give_the_logits_of_the_models_own_forward(
    kind: str, onednn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if onednn and not packed.ONEDNN:
        pytest.skip("this build of torch has no oneDNN")
    monkeypatch.setattr(packed, "ONEDNN", onednn)
    model = random_model(kind)
    assert supports(model)
    found = PackedModel(model, torch.float32)(random_rows())
    assert torch.allclose(found, own_logits(model, random_rows()), atol=1e-4)


@pytest.mark.parametrize("kind", LANGUAGE_MODELS)
def test_a_language_model_is_asked_about_one_position_of_each_row(kind: str) -> None:
    model, rows = random_model(kind, language=True), random_rows()
    at = [len(row) // 2 for row in rows]
    with torch.inference_mode():
        own = [model(input_ids=torch.tensor([row])).logits[0, place] for row, place in zip(rows, at, strict=True)]
    assert supports(model)
    assert torch.allclose(PackedModel(model, torch.float32)(rows, at), torch.stack(own), atol=1e-4)


@needs_bf16
@pytest.mark.parametrize("kind", KINDS)
def test_in_bfloat16_they_are_close(kind: str) -> None:
    model = random_model(kind)
    found, exact = PackedModel(model, torch.bfloat16)(random_rows()), own_logits(model, random_rows())
    assert found.dtype is torch.float32
    assert (found - exact).abs().mean() < 0.05 * exact.abs().mean()


def test_other_families_and_decoders_go_their_own_way() -> None:
    sizes = {name: value for name, value in SIZES.items() if name != "initializer_range"}
    assert not supports(DebertaV2ForSequenceClassification(DebertaV2Config(**sizes)))
    assert not supports(BertForSequenceClassification(BertConfig(**SIZES, is_decoder=True)))


def test_padded_rows_give_the_same_logits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_checkpoint(tiny.classifier_folder(tmp_path / "m"))
    rows = [[2, 9, 3], [2, 8, 7, 6, 3], [2, 5, 5, 5, 3]]
    one = prepare(model, "fp32").logits(rows)
    monkeypatch.setattr(forwards, "supports", lambda model: False)
    way = prepare(model, "fp32")
    assert way.padded
    assert torch.allclose(way.logits(rows), one, atol=1e-5)


def test_a_language_model_over_padded_rows_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_checkpoint(tiny.mlm_folder(tmp_path / "m"))
    rows, at = [[2, 9, 3], [2, 8, 7, 6, 3], [2, 5, 5, 5, 3]], [1, 3, 2]
    one = prepare(model, "fp32").logits(rows, at)
    monkeypatch.setattr(forwards, "supports", lambda model: False)
    assert torch.allclose(prepare(model, "fp32").logits(rows, at), one, atol=1e-5)
    monkeypatch.setattr(forwards, "language_head", lambda model: None)
    assert torch.allclose(prepare(model, "fp32").logits(rows, at), one, atol=1e-5)


@needs_bf16
def test_half_precision_is_taken_where_it_is_close_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_checkpoint(tiny.classifier_folder(tmp_path / "m"))
    monkeypatch.setattr(forwards, "PROBE_LIMIT", 1.0)
    way = forward_of(model)  # nobody prepared it: as for auto
    assert way.precision is Precision.BF16
    assert 0 < way.difference < 0.3
    assert forward_of(model) is way


@needs_bf16
def test_half_precision_that_is_too_coarse_is_not_taken_and_refused_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_checkpoint(tiny.classifier_folder(tmp_path / "m"))
    monkeypatch.setattr(forwards, "PROBE_LIMIT", 1e-9)
    assert prepare(model, "auto").precision is Precision.FP32
    with pytest.raises(CheckpointRefused) as refused:
        prepare(model, "bf16")
    assert "In bf16 weichen die Wahrscheinlichkeiten des Modells m@" in refused.value.de


def test_without_the_hardware_it_stays_in_fp32_and_bf16_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwards, "has_bf16", lambda: False)
    folder = tiny.classifier_folder(tmp_path / "m")
    assert prepare(load_checkpoint(folder)).precision is Precision.FP32
    runtime = Runtime("cpu", precision="bf16")
    with pytest.raises(CheckpointRefused) as refused:
        runtime.swap("chest_xray", folder)
    assert "Bitte MEDBERTDE_PRECISION auf auto oder fp32 setzen." in refused.value.de
    assert runtime.versions() == {}


def test_the_runtime_says_in_what_it_computes(tiny_classifier_folder: Path) -> None:
    runtime = Runtime("cpu", precision="fp32")
    runtime.swap("chest_xray", tiny_classifier_folder)
    assert forwards.forward_of(runtime.model_for("chest_xray")).precision is Precision.FP32


@needs_bf16
def test_the_embedded_models_stay_within_the_tolerance() -> None:
    from medbertde.inference.catalogue import resolve

    for name in ("medbertde-mini", "mini-chest-xray", "mini-chest-ct"):
        way = prepare(load_checkpoint(resolve(name)), "bf16")
        assert way.difference <= PROBE_LIMIT
