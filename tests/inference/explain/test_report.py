"""Findings explained: complete over the whole report, mapped to the original text, the same however computed."""

from __future__ import annotations

import gc
import random
import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from itertools import combinations, permutations, product
from math import comb
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.classify import classify
from medbertde.inference.explain import METHODS, explain, explain_all, paths, report, with_words
from medbertde.inference.explain.network import network_of
from medbertde.inference.explain.row import Row
from medbertde.inference.explain.shares import shapley_of_maximum
from medbertde.inference.forward import prepare
from medbertde.inference.packed import has_bf16
from medbertde.inference.rows import Cancelled
from medbertde.types import (
    AttributedPassage,
    Attribution,
    Conflict,
    InvalidSchema,
    InvalidText,
    ModelUnavailable,
    Progress,
    Reading,
    State,
    UserError,
)
from tests import tiny

TEXT = "V. a. Infiltrat rechts basal (<5 mm), kein Erguss.\n\nHerz normal groß."
REPORT = "Klinik: Husten.\nKein Pneumothorax. Kleiner Erguss links basal.\nBeurteilung: Kleiner Erguss links basal."
MIXED = "Klinik: Husten.\nHerz normal groß. Keine Stauung.\nKleiner Erguss links basal.\nLunge frei belüftet."
FAMILIES = ["bert", "roberta", "deberta-v2"]


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    found = load_checkpoint(tiny.classifier_folder(tmp_path_factory.mktemp("m") / "tiny", family=request.param))
    prepare(found, "fp32")  # bf16 has its own test
    return found


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_checkpoint(tiny.classifier_folder(tmp_path_factory.mktemp("m") / "tiny"))


def by_sentence(model: LoadedModel) -> LoadedModel:
    found = replace(model, facts=replace(model.facts, reads=Reading.SENTENCES))
    prepare(found, "fp32")
    return found


def complete(model: LoadedModel, text: str, **options: str) -> Attribution:
    """With the words of all passages."""
    return with_words(model, explain(model, text, "Erguss", **options))


def scores_of(passage: AttributedPassage) -> list[float]:
    assert passage.words is not None
    return [word.score for word in passage.words]


def total(attribution: Attribution) -> float:
    return sum(word.score for word in attribution.words)


def logit_of(model: LoadedModel, ids: list[int], output: str) -> float:
    """A row's logit by the model's own `forward`; embeddings are given, so that RoBERTa's positions stay."""
    tokens = torch.tensor([model.encoder.model_ids(ids)])
    embeddings = model.model.get_input_embeddings()(tokens)
    logits = model.model(inputs_embeds=embeddings, attention_mask=torch.ones_like(tokens)).logits[0]
    return float(logits[model.outputs.index(output)])


def report_change(model: LoadedModel, text: str, output: str, blank: int) -> float:
    """f(x) − f(baseline) by hand: the largest logit of the passages, with text and with blanks."""
    [pieces] = model.encoder.pieces([text])
    rows = [pieces.at(window) for window in model.windows(text, pieces)]
    there = max(logit_of(model, row, output) for row in rows)
    return there - max(logit_of(model, [blank] * len(row), output) for row in rows)


@pytest.mark.parametrize("target", ["present", "uncertain", "absent"])
def test_the_scores_of_a_report_add_up_to_the_change_of_its_logit(model: LoadedModel, target: str) -> None:
    output = "Erguss" if target == "present" else f"Erguss:{target}"
    blanks = {"mask": model.encoder.mask_id, "pad": model.encoder.pad_id}
    if model.model.config.model_type == "deberta-v2":
        del blanks["pad"]  # no path leads there, see test_methods
    for (baseline, blank), (reader, text) in product(blanks.items(), ((model, TEXT), (by_sentence(model), REPORT))):
        assert blank is not None
        attribution = explain(reader, text, "Erguss", target=target, baseline=baseline)
        expected = report_change(reader, text, output, blank)
        assert total(attribution) == pytest.approx(expected, abs=0.01 * max(abs(expected), 0.05))
        assert attribution.delta == pytest.approx(total(attribution) - expected, abs=1e-4)
        assert attribution.logit - attribution.baseline_logit == pytest.approx(expected, abs=1e-4)
        assert (attribution.target, attribution.model_version) == (target, model.version)


def test_every_passage_adds_up_by_itself_and_all_of_them_to_the_report(bert: LoadedModel) -> None:
    reader = by_sentence(bert)
    attribution = complete(reader, REPORT)
    assert [REPORT[each.start : each.end] for each in attribution.passages] == [
        "Klinik: Husten.",
        "Kein Pneumothorax.",
        "Kleiner Erguss links basal.",
        "Beurteilung: Kleiner Erguss links basal.",
    ]
    for each in attribution.passages:
        assert sum(scores_of(each)) == pytest.approx(each.score + each.delta, abs=1e-9)
        assert each.contribution * each.score >= 0
        assert abs(each.contribution) <= abs(each.score) + 1e-9
    change = attribution.logit - attribution.baseline_logit
    assert sum(each.contribution for each in attribution.passages) == pytest.approx(change, abs=1e-6)
    assert [notice.code for notice in attribution.warnings if notice.code == "by_sentence"] == ["by_sentence"]


def test_the_probability_is_the_one_of_the_classification(model: LoadedModel) -> None:
    for reader, text in ((model, TEXT), (by_sentence(model), REPORT)):
        score = classify(reader, [text])[0].scores["Erguss"]
        for target in ("present", "uncertain"):
            attribution = explain(reader, text, "Erguss", target=target)
            assert attribution.probability == pytest.approx(getattr(score, target), abs=0.01)  # may be in bf16
            assert attribution.probability == pytest.approx(max(each.probability for each in attribution.passages))


def test_a_heading_counts_in_every_passage_it_belongs_to(bert: LoadedModel) -> None:
    text = "Kein Nachweis von:\n- Erguss\n- Infiltrat\n\nHerz normal groß."
    passages = complete(by_sentence(bert), text).passages
    assert [each.heading and text[slice(*each.heading)] for each in passages] == [
        None,
        "Kein Nachweis von:",
        "Kein Nachweis von:",
        None,
    ]
    assert [word.text for word in passages[1].words or ()][:3] == ["Kein", "Nachweis", "von"]


def test_sentences_that_say_the_same_share_alike_and_are_computed_once(bert: LoadedModel) -> None:
    text = "Kleiner Erguss links basal.\nHerz normal groß.\nKleiner Erguss links basal."
    first, _, last = complete(by_sentence(bert), text).passages
    assert first.contribution == last.contribution
    assert scores_of(first) == scores_of(last)


def test_all_windows_of_a_long_text_are_explained_in_one_piece(model: LoadedModel) -> None:
    text = "Herz normal groß. " * 20 + "Kleiner Erguss links. " + "Lunge frei belüftet. " * 20
    attribution = explain(model, text, "Erguss", baseline="mask")
    assert "long_text" in [notice.code for notice in attribution.warnings]
    assert len(attribution.passages) > 2
    assert all(any(scores_of(each)) for each in with_words(model, attribution).passages)
    assert attribution.words[-1].end == len(attribution.text)
    change = attribution.logit - attribution.baseline_logit
    assert total(attribution) == pytest.approx(change, abs=0.01 * max(abs(change), 0.05))


@pytest.mark.parametrize("seed", range(4))
def test_contributions_are_the_shapley_values_of_the_maximum(seed: int) -> None:
    torch.manual_seed(seed)
    text, blank = torch.randn(5).tolist(), (0.3 * torch.randn(5)).tolist()

    def maximum(there: set[int]) -> float:
        return max(text[each] if each in there else blank[each] for each in range(5))

    by_hand = [0.0] * 5
    orders = list(permutations(range(5)))
    for order in orders:
        there: set[int] = set()
        for each in order:
            before = maximum(there)
            there.add(each)
            by_hand[each] += (maximum(there) - before) / len(orders)
    assert shapley_of_maximum(text, blank) == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_contributions_are_exact_where_logits_are_equal_and_where_passages_add_nothing(seed: int) -> None:
    """Over all subsets, in fractions. Whole numbers as logits: many are equal, texts are above and below the blank."""
    draw = random.Random(seed)
    text, blank = ([draw.randint(-4, 4) for _ in range(7)] for _ in range(2))
    for each in range(7):
        others = [other for other in range(7) if other != each]
        by_hand = Fraction(0)
        for size in range(7):
            for there in combinations(others, size):
                most = max(text[other] if other in there else blank[other] for other in others)
                change = max(most, text[each]) - max(most, blank[each])
                by_hand += Fraction(change, 7 * comb(6, size))
        found = shapley_of_maximum(text, blank)[each]
        assert found == pytest.approx(float(by_hand), abs=1e-11)
        assert (found == 0) == (by_hand == 0)


def test_contributions_of_many_passages_take_memory_in_proportion_to_their_number() -> None:
    sizes = [1]

    class Watched(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            sizes.extend(each.numel() for each in tree_leaves(made) if isinstance(each, Tensor))
            return made

    torch.manual_seed(0)
    text, blank = torch.randn(500).tolist(), (torch.randn(500) - 1).tolist()
    with Watched():
        found = shapley_of_maximum(text, blank)
    assert max(sizes) <= 2 * 500
    assert sum(found) == pytest.approx(max(text) - max(blank), abs=1e-9)


# ------------------------------------------------------------------------------------------------ words that come later


def test_what_adds_exactly_nothing_has_no_words_and_is_never_computed(
    bert: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, seen = by_sentence(bert), set[int]()
    network = network_of(reader)

    def watched(rows: Sequence[Row], blocks: Sequence[Tensor]) -> Tensor:
        seen.update(id(row) for row, block in zip(rows, blocks, strict=True) if block.requires_grad)
        return network(rows, blocks)

    monkeypatch.setattr(report, "network_of", lambda model: watched)
    attribution = explain(reader, MIXED, "Erguss")
    added = [each.contribution for each in attribution.passages]
    assert [each.words is not None for each in attribution.passages] == [each != 0 for each in added]
    assert 0 < len(seen) == sum(each != 0 for each in added) < len(added)
    assert all(each.score != 0 and each.probability > 0 for each in attribution.passages), "known from the logits alone"
    for each in attribution.passages:
        own = [word.score for word in attribution.words if each.start <= word.start < each.end]
        assert any(own) is (each.contribution != 0)


@pytest.mark.parametrize("method", ["layer_integrated_gradients", "gradient_shap", "occlusion", "kernel_shap"])
def test_words_that_come_later_are_those_of_an_explanation_that_leaves_nothing_out(
    bert: LoadedModel, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = by_sentence(bert)
    usual = explain(reader, MIXED, "Erguss", method=method)
    later = with_words(reader, usual)
    monkeypatch.setattr(report, "contributing", lambda _report, logits: torch.ones_like(logits.text, dtype=torch.bool))
    whole = explain(reader, MIXED, "Erguss", method=method)
    for one, other in zip(later.passages, whole.passages, strict=True):
        assert scores_of(one) == pytest.approx(scores_of(other), abs=2e-5)
        assert (one.score, one.contribution) == pytest.approx((other.score, other.contribution), abs=1e-5)
    assert [word.score for word in usual.words] == pytest.approx([word.score for word in whole.words], abs=2e-5)
    assert replace(later, passages=usual.passages) == usual


def test_only_the_words_asked_for_are_computed(bert: LoadedModel) -> None:
    reader = by_sentence(bert)
    usual = explain(reader, MIXED, "Erguss")
    wanted = next(each for each in usual.passages if each.words is None)
    later = with_words(reader, usual, [wanted.start])
    news = [one.start for one, other in zip(later.passages, usual.passages, strict=True) if one != other]
    assert news == [wanted.start]
    assert with_words(reader, with_words(reader, usual)) == with_words(reader, usual)


def test_another_model_adds_no_words(bert: LoadedModel, tmp_path: Path) -> None:
    other = load_checkpoint(tiny.classifier_folder(tmp_path / "other", seed=1))
    with pytest.raises(Conflict):
        with_words(other, explain(by_sentence(bert), MIXED, "Erguss"))


def test_findings_that_need_other_sentences_share_passes_only_where_that_saves_some() -> None:
    one, other = [True, False], [False, True]
    assert paths._alike([900, 900, 900], torch.tensor([one, other, one])) == [{1}, {0, 2}]
    assert paths._alike([4, 4, 0], torch.tensor([one, other, one])) == [{0, 1}], "small ones go together"


# ------------------------------------------------------------------------------------------------ all findings


def test_all_findings_at_once_are_the_single_ones(model: LoadedModel) -> None:
    reader = by_sentence(model)
    states = {"Erguss": State.PRESENT, "Stauung": State.ABSENT}
    together = explain_all(reader, REPORT, states)
    assert list(together) == ["Erguss", "Stauung"]
    for label, state in states.items():
        alone = explain(reader, REPORT, label, target=state)
        assert [word.score for word in together[label].words] == pytest.approx(
            [word.score for word in alone.words], abs=2e-5
        )
        assert together[label].steps == alone.steps
    assert model.schema
    assert list(explain_all(reader, "Kein Erguss.")) == list(model.schema.label_ids)


@pytest.mark.parametrize("budget", [8, 40])
def test_chunk_size_changes_nothing(model: LoadedModel, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = by_sentence(model)
    usual = explain(reader, REPORT, "Erguss")
    monkeypatch.setattr(paths, "TOKENS_PER_CHUNK", budget)
    small = explain(reader, REPORT, "Erguss")
    assert [word.score for word in small.words] == pytest.approx([word.score for word in usual.words], abs=2e-5)


def test_no_pass_holds_more_tokens_than_the_budget_whatever_the_length(
    bert: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    network = network_of(bert)

    def counted(rows: Sequence[Row], blocks: Sequence[Tensor]) -> Tensor:
        sizes.append(sum(block.shape[0] * block.shape[1] for block in blocks if block.requires_grad))
        return network(rows, blocks)

    monkeypatch.setattr(report, "network_of", lambda model: counted)
    explain_all(bert, "Herz normal groß. Kleiner Erguss links. " * 40, ["Erguss"], max_steps=7)
    assert len(sizes) > 5
    assert max(sizes) <= paths.TOKENS_PER_CHUNK


def test_progress_only_grows_and_ends_at_the_total(bert: LoadedModel) -> None:
    seen: list[Progress] = []
    explain_all(by_sentence(bert), REPORT, ["Erguss", "Stauung"], on_progress=seen.append)
    assert [each.done for each in seen] == sorted(each.done for each in seen)
    assert (seen[-1].done, {each.total for each in seen}) == (8, {8})


def test_an_explanation_can_be_stopped_between_passes(bert: LoadedModel) -> None:
    asked: list[bool] = []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 4

    with pytest.raises(Cancelled):
        explain_all(by_sentence(bert), REPORT, stop=stop)
    assert len(asked) == 5


def test_the_same_call_gives_the_same_numbers_also_beside_classifications(bert: LoadedModel) -> None:
    alone = {method: explain(bert, TEXT, "Erguss", method=method) for method in METHODS}
    answer = classify(bert, [REPORT])
    done = threading.Event()

    def classify_on() -> bool:
        while not done.is_set():
            if classify(bert, [REPORT]) != answer:
                return False
        return True

    with ThreadPoolExecutor(3) as pool:
        undisturbed = pool.submit(classify_on)
        again = {method: pool.submit(explain, bert, TEXT, "Erguss", method=method) for method in METHODS}
        try:
            assert {method: future.result() for method, future in again.items()} == alone
        finally:
            done.set()
        assert undisturbed.result()


def test_nothing_of_the_graph_stays_behind(model: LoadedModel) -> None:
    def graphs() -> int:
        gc.collect()
        return sum(issubclass(type(each), Tensor) and each.grad_fn is not None for each in gc.get_objects())

    before = graphs()
    kept = explain_all(model, TEXT)
    assert graphs() == before
    assert kept
    assert all(weight.grad is None and not weight.requires_grad for weight in model.model.parameters())
    assert not any(module._forward_hooks for module in model.model.modules())


@pytest.mark.skipif(not has_bf16(), reason="this processor has no bfloat16 products")
def test_bfloat16_adds_up_as_well_and_says_nearly_the_same(tmp_path: Path) -> None:
    folder = tiny.classifier_folder(tmp_path / "m")
    exact, half = load_checkpoint(folder), load_checkpoint(folder)
    prepare(exact, "fp32")
    try:
        prepare(half, "bf16")
    except UserError:
        pytest.fail("the tiny model must be within the tolerance of bf16")
    one, other = (explain(each, TEXT, "Erguss") for each in (exact, half))
    assert other.relative_delta < 0.01
    largest = max(abs(word.score) for word in one.words)
    assert [word.score for word in other.words] == pytest.approx([word.score for word in one.words], abs=0.05 * largest)


# ------------------------------------------------------------------------------------------------ words and bad input


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "Herd <5 mm & <b>fett</b> <script>alert(1)</script> >3 cm",
        "Größenprogredienter Erguß 🫁🩻 links – „Pneumothorax“?!",
        "Erguss\t\n  \n - 1,5 cm;(rechts) [MASK] </s>",
        "Erguss",
    ],
)
def test_words_are_spans_of_the_original_text_and_cover_all_of_it(model: LoadedModel, text: str) -> None:
    attribution = explain(by_sentence(model), text, "Erguss", max_steps=3)
    assert all(attribution.text[word.start : word.end] == word.text for word in attribution.words)
    assert "".join(word.text for word in attribution.words) == re.sub(r"\s", "", text)
    starts = [word.start for word in attribution.words]
    assert starts == sorted(starts)


def test_decomposed_umlauts_are_explained_on_the_stored_text(bert: LoadedModel) -> None:
    attribution = explain(bert, "Herz normal gro\u00df, O\u0308dem links.", "Erguss")
    assert attribution.text == "Herz normal groß, Ödem links."
    assert "Ödem" in [word.text for word in attribution.words]


def test_too_few_steps_are_reported(bert: LoadedModel, tmp_path: Path) -> None:
    rough = load_checkpoint(tiny.classifier_folder(tmp_path / "m", family="roberta"))
    with torch.no_grad():
        for name, weight in rough.model.named_parameters():
            if "query" in name or "key" in name or "word" in name:
                weight.mul_(3)  # a bumpier path than random weights give
    attribution = explain(rough, TEXT, "Erguss", max_steps=3)
    assert attribution.steps == 3
    assert attribution.relative_delta > 0.01
    assert [notice.code for notice in attribution.warnings] == ["not_converged"]
    assert "angestrebt ist höchstens 1 %" in attribution.warnings[0].de
    better = explain(rough, TEXT, "Erguss")
    assert better.steps > 3
    assert better.relative_delta < attribution.relative_delta


@pytest.mark.parametrize("text", ["\u00ad", "", " \n "])
def test_a_text_without_anything_to_read_is_refused(bert: LoadedModel, text: str) -> None:
    with pytest.raises(InvalidText, match="The text is empty"):
        explain(bert, text, "Erguss")


def test_fifty_thousand_characters_are_refused_with_the_limit(bert: LoadedModel) -> None:
    with pytest.raises(InvalidText) as refused:
        explain(bert, "Kein Erguss. " * 4000, "Erguss")
    assert "erlaubt sind 20.000" in refused.value.de


def test_a_text_of_the_models_own_control_tokens_is_read_as_characters(bert: LoadedModel) -> None:
    attribution = explain(bert, "[SEP] [CLS] [PAD]", "Erguss")
    assert "".join(word.text for word in attribution.words) == "[SEP][CLS][PAD]"


def test_what_there_is_not_is_refused_with_what_there_is(bert: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(InvalidSchema) as label:
        explain(bert, TEXT, "Hernie")
    assert "Der Befund „Hernie“ gehört nicht zum Schema chest_xray" in label.value.de
    with pytest.raises(InvalidSchema) as state:
        explain(bert, TEXT, "Erguss", target="vielleicht")
    assert "„vielleicht“ ist kein Zustand" in state.value.de
    with pytest.raises(UserError) as method:
        explain(bert, TEXT, "Erguss", method="shap")
    assert "Verfügbar sind: layer_integrated_gradients, gradient_shap" in method.value.de
    with pytest.raises(UserError) as baseline:
        explain(bert, TEXT, "Erguss", baseline="zero")
    assert "Verfügbar sind: pad, mask" in baseline.value.de
    stateless = load_checkpoint(tiny.classifier_folder(tmp_path / "m", states=False))
    with pytest.raises(InvalidSchema) as unknown:
        explain(stateless, TEXT, "Erguss", target="absent")
    assert "keinen Zustand „absent“" in unknown.value.de


def test_a_language_model_explains_no_finding(tiny_mlm_folder: Path) -> None:
    with pytest.raises(ModelUnavailable):
        explain(load_checkpoint(tiny_mlm_folder), TEXT, "Erguss")
