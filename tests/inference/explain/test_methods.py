"""The methods: exact where a hand can compute them, equal to Captum where it is right, zero where they must be."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from captum.attr import DeepLift, LayerIntegratedGradients
from torch import Tensor

from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.explain import METHODS, Baseline, explain
from medbertde.inference.explain.network import network_of
from medbertde.inference.explain.nodes import SIZES, added, weights
from medbertde.inference.explain.reading import read_report
from medbertde.inference.explain.row import Network, Row
from medbertde.inference.explain.words import place_pieces, scored_words, word_spans
from medbertde.inference.explain.work import Work, ends, whole_budget
from medbertde.inference.rows import never
from tests import tiny

TEXT = "V. a. Infiltrat rechts basal (<5 mm), kein Erguss.\n\nHerz normal groß."
ADD_UP_EXACTLY = (
    "layer_integrated_gradients",
    "gradient_shap",
    "occlusion",
    "occlusion_sentence",
    "kernel_shap",
    "lime",
)


@pytest.fixture(scope="module", params=["bert", "roberta", "deberta-v2"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_checkpoint(tiny.classifier_folder(tmp_path_factory.mktemp("m") / "tiny", family=request.param))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_checkpoint(tiny.classifier_folder(tmp_path_factory.mktemp("m") / "tiny"))


def work(model: LoadedModel, network: Network, *, max_steps: int = 63) -> Work:
    """One report, two outputs."""
    report = read_report(model, TEXT, Baseline.PAD)
    text, blank = ends(network, report.rows, (2, 5), never)
    scale = (text - blank)[0]
    everything = torch.ones_like(text)
    ends_of = (report.rows, report.units, (2, 5), text, blank, scale)
    return Work(
        network, network, *ends_of, everything, whole_budget(scale), everything.bool(), max_steps, 0, never, None
    )


class TestTheBudget:
    """What rows may leave open in the whole."""

    def test_all_may_stop_where_their_gaps_fit_in_together(self, bert: LoadedModel) -> None:
        assert affordable(bert, gaps=[0.1, 0.2], weight=[1.0, 1.0], budget=0.31) == [True, True]

    def test_otherwise_the_largest_gaps_are_worked_on(self, bert: LoadedModel) -> None:
        assert affordable(bert, gaps=[0.1, 0.3], weight=[1.0, 1.0], budget=0.31) == [True, False]

    def test_a_row_that_adds_nothing_to_the_whole_costs_nothing(self, bert: LoadedModel) -> None:
        assert affordable(bert, gaps=[9.0, 0.1], weight=[0.0, 1.0], budget=0.2) == [True, True]


def affordable(model: LoadedModel, *, gaps: list[float], weight: list[float], budget: float) -> list[bool]:
    one = work(model, network_of(model))
    asked = replace(
        one,
        rows=one.rows * len(gaps),
        weight=torch.tensor(weight)[:, None],
        budget=torch.tensor([budget]),
    )
    return asked.affordable(torch.tensor(gaps, dtype=torch.float64)[:, None])[:, 0].tolist()


class Linear:
    """A model that is linear in its word embeddings: logits = W · Σ embeddings."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight  # [outputs, hidden]

    def __call__(self, rows: Sequence[Row], blocks: Sequence[Tensor]) -> Tensor:
        return torch.cat([block.sum(dim=1) @ self.weight.T for block in blocks])


@pytest.mark.parametrize("method", ["layer_integrated_gradients", "gradient_shap", "occlusion", "kernel_shap", "lime"])
def test_a_linear_model_gives_each_word_exactly_weight_times_change(bert: LoadedModel, method: str) -> None:
    torch.manual_seed(3)
    task = work(bert, Linear(torch.randn(39, 32)))
    network: Linear = task.network  # type: ignore[assignment]
    scores = METHODS[method].compute(task).by_row[0]  # [columns, length]
    by_token = (task.rows[0].change @ network.weight[[2, 5]].T).T.double()
    units = torch.tensor(task.units[0])
    for unit in range(int(units.max()) + 1):
        assert scores[:, units == unit].sum(dim=1).tolist() == pytest.approx(
            by_token[:, units == unit].sum(dim=1).tolist(), abs=2e-3 if method in ("kernel_shap", "lime") else 1e-4
        )


def test_a_linear_model_gives_weight_times_input_and_the_length_of_the_weight(bert: LoadedModel) -> None:
    torch.manual_seed(3)
    weight = torch.randn(39, 32)
    task = work(bert, Linear(weight))
    free = task.rows[0].free.double()
    product = METHODS["input_x_gradient"].compute(task).by_row[0]
    expected = (task.rows[0].text @ weight[[2, 5]].T).T.double() * free
    assert torch.allclose(product, expected, atol=1e-5)
    length = METHODS["saliency"].compute(task).by_row[0]
    assert torch.allclose(length, weight[[2, 5]].norm(dim=1)[:, None].double() * free, atol=1e-5)


def test_a_product_of_two_words_is_shared_by_halves(bert: LoadedModel) -> None:
    """The model is (x₁ − b₁)(x₂ − b₂) along one direction; for both methods each word has half of it."""
    task = work(bert, Linear(torch.randn(39, 32)))
    one, two = 1, 3
    direction = torch.zeros(32)
    direction[4] = 1.0

    def product(rows: Sequence[Row], blocks: Sequence[Tensor]) -> Tensor:
        found = []
        for row, block in zip(rows, blocks, strict=True):
            moved = (block - row.blank) @ direction
            found.append((moved[:, one] * moved[:, two])[:, None].expand(-1, 39))
        return torch.cat(found)

    task = work(bert, product)
    half = float(task.change[0, 0]) / 2
    assert half != 0
    for method, exactness in (
        ("layer_integrated_gradients", 0.001),
        ("kernel_shap", 0.25),
    ):  # the latter is an estimate
        scores = METHODS[method].compute(task).by_row[0][0]
        units = torch.tensor(task.units[0])
        for position in (one, two):
            assert float(scores[units == units[position]].sum()) == pytest.approx(half, rel=exactness)


@pytest.mark.parametrize("method", METHODS)
def test_control_tokens_are_exactly_zero(model: LoadedModel, method: str) -> None:
    task = work(model, network_of(model), max_steps=7)
    scores = METHODS[method].compute(task).by_row[0]
    assert torch.isfinite(scores).all()
    assert (scores[:, ~task.rows[0].free] == 0).all()
    assert (scores[:, task.rows[0].free] != 0).any()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_explains_every_family(model: LoadedModel, method: str) -> None:
    attribution = explain(model, TEXT, "Erguss", method=method, baseline="mask")
    assert attribution.method == method
    assert attribution.delta == pytest.approx(
        sum(word.score for word in attribution.words) - (attribution.logit - attribution.baseline_logit), abs=1e-9
    )
    change = attribution.logit - attribution.baseline_logit
    if METHODS[method].adds_up:
        assert abs(attribution.delta) <= 0.01 * max(abs(change), 0.05)
    assert ("unsigned" in [notice.code for notice in attribution.warnings]) is (method == "saliency")
    if not METHODS[method].signed:
        assert all(word.score >= 0 for word in attribution.words)


def test_the_network_computes_what_the_model_computes(model: LoadedModel) -> None:
    report = read_report(model, TEXT, Baseline.MASK)
    row = report.rows[0]
    half = torch.lerp(row.blank, row.text, 0.5)
    found = network_of(model)([row, row], [torch.stack([row.text, half]), row.blank[None]])
    together = torch.stack([row.text, half, row.blank])
    expected = model.model(inputs_embeds=together, attention_mask=torch.ones(together.shape[:2])).logits
    assert torch.allclose(found, expected, atol=0.02 * float(expected.abs().max()))  # bf16 where there is


def test_the_numbers_are_those_of_captums_layer_integrated_gradients(model: LoadedModel) -> None:
    attribution = explain(model, TEXT, "Erguss", baseline="mask")
    [pieces] = model.encoder.pieces([TEXT])
    assert model.encoder.mask_id is not None
    ids = torch.tensor([model.encoder.model_ids(pieces.ids)])
    baseline = torch.tensor([model.encoder.model_ids([model.encoder.mask_id] * len(pieces.ids))])
    first = model.encoder.pad_id + 1 if model.model.config.model_type == "roberta" else 0
    positions = torch.arange(first, first + ids.shape[1])[None]

    def forward(tokens: Tensor) -> Tensor:
        mask = torch.ones_like(tokens)
        return own(tokens, mask, position_ids=positions.expand(len(tokens), -1)).logits

    own = copy.deepcopy(model.model).requires_grad_(True)  # Captum hooks the model and needs gradients of its weights
    layer = LayerIntegratedGradients(forward, own.get_input_embeddings())
    column = model.outputs.index("Erguss")
    expected = layer.attribute(ids, baseline, target=column, n_steps=100, internal_batch_size=20).sum(-1)[0].detach()
    inner = expected[len(model.encoder.prefix) : len(model.encoder.prefix) + len(pieces.ids)].tolist()
    spans = word_spans(TEXT)
    by_word = [word.score for word in scored_words(TEXT, spans, place_pieces(TEXT, spans, pieces.offsets), inner)]
    largest = max(map(abs, by_word))
    assert [word.score for word in attribution.words] == pytest.approx(by_word, abs=0.02 * largest)


def test_captums_deep_lift_does_not_add_up_on_these_models(bert: LoadedModel) -> None:
    """Why DeepLIFT is not offered: its scores miss the logit difference, whatever the text."""

    class Wrapped(torch.nn.Module):
        def __init__(self, model: torch.nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, embeddings: Tensor) -> Tensor:
            mask = torch.ones(embeddings.shape[:2], dtype=torch.long)
            return self.model(inputs_embeds=embeddings, attention_mask=mask).logits

    report = read_report(bert, TEXT, Baseline.PAD)
    row, column = report.rows[0], bert.outputs.index("Erguss")
    text, blank = ends(network_of(bert), report.rows, (column,), never)
    with pytest.warns(UserWarning, match="hooks"):
        scores = DeepLift(Wrapped(copy.deepcopy(bert.model))).attribute(
            row.text[None].requires_grad_(), row.blank[None], target=column
        )
    gap = abs(float(scores.detach().sum()) - float(text - blank)) / abs(float(text - blank))
    assert gap > 0.05


def test_where_padding_is_a_point_of_discontinuity_the_answer_says_that_it_is_inexact(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """DeBERTa adds no positions to its word embeddings, and [PAD] is 0 there: LayerNorm jumps where the path begins."""
    model = load_checkpoint(tiny.classifier_folder(tmp_path_factory.mktemp("m") / "tiny", family="deberta-v2"))
    assert "not_converged" in [notice.code for notice in explain(model, TEXT, "Erguss").warnings]
    assert "not_converged" not in [notice.code for notice in explain(model, TEXT, "Erguss", baseline="mask").warnings]


@pytest.mark.parametrize("level", range(len(SIZES)))
def test_a_rule_integrates_polynomials_exactly_and_keeps_the_nodes_of_the_smaller_one(level: int) -> None:
    nodes = torch.tensor([node for each in range(level + 1) for node in added(each)], dtype=torch.float64)
    assert len(nodes) == SIZES[level] == len(set(nodes.tolist()))
    assert ((nodes > 0) & (nodes < 1)).all()
    degree = (3 * SIZES[level] + 1) // 2
    for power in range(degree + 1):
        assert float(weights(level) @ nodes**power) == pytest.approx(1 / (power + 1), rel=1e-10)


@pytest.mark.parametrize("text", ["," * 19_999 + "a", '".' * 10_000], ids=["commas", "quotes and dots"])
def test_the_longest_text_of_marks_is_cut_into_words_at_once(text: str) -> None:
    before = time.process_time()
    assert sum(end - start for start, end in word_spans(text)) == len(text)
    assert time.process_time() - before < 2


def test_clinical_words_stay_whole() -> None:
    text = "V. a. Herd (<5 mm), 1,5 cm: ZVK-Anlage re./li."
    assert [text[start:end] for start, end in word_spans(text)] == [
        *("V.", "a.", "Herd", "(", "<5", "mm", "),", "1,5", "cm", ":", "ZVK-Anlage", "re./li.")
    ]
