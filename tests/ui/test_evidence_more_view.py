"""What the card below an explanation and the calibration plot say: no model, no browser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medbertde.inference.checkpoint import load_checkpoint
from medbertde.inference.explain import DEFAULT, METHODS, Baseline, explain
from medbertde.services.proposals import Proposed
from medbertde.types import AgainstChance, Erasure, ReliabilityBin
from medbertde.ui import methods
from medbertde.ui.calibration_view import calibration_value
from medbertde.ui.evidence_more_view import check_value, more_value
from medbertde.ui.threshold import threshold_value
from tests.ui.test_evidence_view import attribution, shown

GOOD = AgainstChance(0.92, 60, Erasure(0.61, 0.05), Erasure(0.08, 0.5), 20, 19, 20)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "Die Erklärung nennt die Wörter, auf die sich das Modell hier wirklich stützt"),
        ({"more_sufficient": 12}, "Die Erklärung trifft das Modell nur zum Teil"),
        ({"more_comprehensive": 9, "more_sufficient": 12}, "nicht verlässlicher als der Zufall"),
        ({"more_comprehensive": 9, "probability": 0.04}, "Hier lässt sich nicht klar sagen"),
        ({"more_comprehensive": 9, "words": 3}, "Hier lässt sich nicht klar sagen"),
    ],
)
def test_the_verdict_follows_from_both_comparisons_with_chance(change: dict[str, Any], verdict: str) -> None:
    assert verdict in check_value("de", replace(GOOD, **change))["verdict"]


def test_the_losses_stand_beside_those_of_chance() -> None:
    without, only = check_value("de", GOOD)["tests"]
    assert [(bar["name"], bar["shown"]) for bar in without["bars"]] == [
        ("nach dieser Erklärung", "−61 Punkte"),
        ("zufällig gewählt", "−8 Punkte"),
    ]
    assert without["said"] == "besser als 20 von 20 zufälligen Reihenfolgen der Wörter"
    assert only["said"] == "besser als 19 von 20 zufälligen Reihenfolgen der Wörter"
    assert "nicht, ob das Modell recht hat" in check_value("de", GOOD)["notes"][-1]


def test_only_who_may_annotate_is_offered_to_propose() -> None:
    assert more_value("de", shown())["propose"] == ""
    assert more_value("de", replace(shown(), may_propose=True))["propose"] == "Als Begründung vorschlagen"


def test_a_proposal_says_where_it_waits_and_an_unknown_text_is_offered_to_be_taken_in() -> None:
    sent = replace(shown(), proposed={"Erguss": Proposed(7, "r1", ("Erguss <5 mm",))})
    value = more_value("de", sent)["proposed"]
    assert value["said"].startswith("1 Stelle für Pleuraerguss vorgeschlagen, Befund r1. Sie gelten erst, wenn")
    assert (value["quotes"], value["report"], value["schema"]) == (["Erguss <5 mm"], 7, "chest_xray")
    value = more_value("de", replace(shown(), proposed={"Erguss": None}))["proposed"]
    assert value["add"] == "Aufnehmen und vorschlagen"
    assert "report" not in value


def test_a_new_explanation_drops_what_was_said_about_the_one_before() -> None:
    told = replace(shown(), checks={"Erguss": GOOD, "ZVK": GOOD}, proposed={"Erguss": None})
    again = told.explained({"Erguss": attribution()})
    assert (set(again.checks), dict(again.proposed)) == ({"ZVK"}, {})


def test_every_method_has_its_line_and_the_default_comes_first() -> None:
    assert list(methods.METHODS) == list(METHODS)
    assert (methods.DEFAULT_METHOD, methods.DEFAULT_BASELINE) == (DEFAULT, Baseline.PAD)
    assert list(methods.BASELINES) == list(Baseline)
    for named in (*methods.METHODS.values(), *methods.BASELINES.values()):
        assert named.said.de.endswith(".")
        assert named.said.en.endswith(".")


def test_a_baseline_is_offered_where_it_changes_the_scores(tiny_classifier_folder: Path) -> None:
    model = load_checkpoint(tiny_classifier_folder)
    unchanged = set()
    for method in METHODS:
        scores = [
            [word.score for word in explain(model, "Kleiner Erguss links.", "Erguss", method=method, baseline=at).words]
            for at in Baseline
        ]
        if scores[0] == pytest.approx(scores[1], abs=1e-4):
            unchanged.add(method)
    assert unchanged == methods.WITHOUT_BASELINE
    chosen = replace(shown(replace(attribution(), method="saliency")), method="saliency")
    assert more_value("de", chosen)["methods"]["baselines"] == []
    assert [item["chosen"] for item in more_value("de", shown())["methods"]["baselines"]] == [True, False]


ROWS = (ReliabilityBin(0.02, 0.01, 900), ReliabilityBin(0.71, 0.66, 41), ReliabilityBin(0.9, 1.0, 6))


def test_the_plot_says_in_words_how_often_probabilities_like_this_one_came_true() -> None:
    value = calibration_value("de", ROWS, 0.68, 0.5)
    assert value["said"] == ("Von den Befunden, denen das Modell etwa 71 % gab, waren 66 % vorhanden (n = 41).")
    assert [point["here"] for point in value["points"]] == [False, True, False]
    low, high = value["points"][1]["interval"]
    assert low < 0.66 < high


def test_a_share_of_few_is_called_uncertain() -> None:
    assert calibration_value("de", ROWS, 0.95, 0.5)["said"].endswith("Das sind wenige; die Zahl ist unsicher.")


def test_a_model_without_the_table_has_no_plot() -> None:
    assert threshold_value("de", shown(), None, "Erguss", 0.4)["plot"] is None
    assert threshold_value("de", shown(), None, "Erguss", 0.4, None, ROWS)["plot"]["threshold"] == 0.4
