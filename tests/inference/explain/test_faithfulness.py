"""Faithfulness: the figures of a model whose reasons are known are those a hand computes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.classify import classify
from medbertde.inference.explain import against_chance, explain, faithfulness
from medbertde.inference.rows import Cancelled
from medbertde.types import AttributedWord, Attribution, Conflict, Erasure, Reading
from tests import tiny

TEXT = "Kein Infiltrat. Kleiner Erguss links. Herz normal groß. Keine Stauung. Tubus in der Trachea."


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    found = load_checkpoint(tiny.classifier_folder(tmp_path_factory.mktemp("m") / "tiny"))
    return replace(found, facts=replace(found.facts, reads=Reading.SENTENCES))


def scored(attribution: Attribution, scores: list[float]) -> Attribution:
    words = [AttributedWord(w.text, w.start, w.end, s) for w, s in zip(attribution.words, scores, strict=True)]
    return replace(attribution, words=tuple(words))


def test_comprehensiveness_and_sufficiency_are_the_losses_of_probability(model: LoadedModel) -> None:
    text = "Erguss links Herz groß"  # one sentence, four words of one piece: shares of 5, 10, 20 % are one word
    attribution = scored(explain(model, text, "Erguss"), [0.1, 3.0, 0.2, 0.3])
    found = faithfulness(model, attribution)

    def probability(words: str) -> float:
        return classify(model, [words])[0].scores["Erguss"].present

    whole = probability(text)
    without = [probability("Erguss Herz groß")] * 3 + [probability("Erguss Herz")]
    only = [probability("links")] * 3 + [probability("links groß")]
    assert found.comprehensiveness == pytest.approx(whole - sum(without) / 4, abs=1e-3)
    assert found.sufficiency == pytest.approx(whole - sum(only) / 4, abs=1e-3)


def test_scores_turned_round_are_less_faithful(model: LoadedModel) -> None:
    right = explain(model, TEXT, "Erguss")
    wrong = scored(right, [-word.score for word in right.words])
    assert faithfulness(model, right).comprehensiveness > faithfulness(model, wrong).comprehensiveness
    assert faithfulness(model, right).sufficiency < faithfulness(model, wrong).sufficiency


def test_a_common_factor_changes_nothing_and_noise_makes_it_worse(model: LoadedModel) -> None:
    right = explain(model, TEXT, "Erguss", method="kernel_shap")
    scores = [word.score for word in right.words]
    torch.manual_seed(0)
    noise = scored(right, torch.randn(len(scores)).tolist())
    doubled = scored(right, [2 * score for score in scores])
    figure = faithfulness(model, right).infidelity
    assert 0 <= figure < faithfulness(model, noise).infidelity <= 1
    assert faithfulness(model, doubled).infidelity == pytest.approx(figure)


def test_the_figures_are_the_same_at_each_call(model: LoadedModel) -> None:
    attribution = explain(model, TEXT, "Erguss")
    first = faithfulness(model, attribution)
    assert faithfulness(model, attribution) == first
    assert 0 < first.sensitivity < 1


def test_another_models_attribution_is_not_measured(model: LoadedModel, tmp_path: Path) -> None:
    other = load_checkpoint(tiny.classifier_folder(tmp_path / "other", seed=1))
    for measure in (faithfulness, against_chance):
        with pytest.raises(Conflict):
            measure(other, explain(model, TEXT, "Erguss"))


def test_an_explanation_beats_random_orders_of_the_words_and_one_turned_round_does_not(model: LoadedModel) -> None:
    right = explain(model, TEXT, "Erguss")
    found = against_chance(model, right)
    measured = faithfulness(model, right)
    assert found.explained == Erasure(measured.comprehensiveness, measured.sufficiency)
    assert found.probability == pytest.approx(classify(model, [TEXT])[0].scores["Erguss"].present, abs=1e-3)
    assert found.chance.comprehensiveness < found.explained.comprehensiveness
    assert found.chance.sufficiency > found.explained.sufficiency
    assert found.more_comprehensive >= 0.9 * found.orderings
    wrong = against_chance(model, scored(right, [-word.score for word in right.words]))
    assert wrong.more_comprehensive < found.more_comprehensive
    assert wrong.more_sufficient <= 0.1 * wrong.orderings
    assert wrong.chance == found.chance, "the random orders do not depend on the explanation"


def test_the_comparison_tells_how_far_it_is_and_can_be_stopped(model: LoadedModel) -> None:
    attribution, seen = explain(model, TEXT, "Erguss"), []
    against_chance(model, attribution, on_progress=seen.append)
    assert [each.done for each in seen] == list(range(1, seen[0].total))
    with pytest.raises(Cancelled):
        against_chance(model, attribution, on_progress=seen.append, stop=lambda: len(seen) > 25)
