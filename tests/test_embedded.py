"""The shipped models answer plain sentences sensibly, fit together and stay small."""

from __future__ import annotations

from functools import cache

import pytest

import medbertde
from medbertde.inference.catalogue import EMBEDDED_FOLDER
from medbertde.inference.facts import read_facts
from medbertde.inference.model import Model
from medbertde.schema import load_schema
from medbertde.types import State

XRAY, CT = "mini-chest-xray", "mini-chest-ct"


@cache
def model(name: str) -> Model:
    return medbertde.load(name, device="cpu")


def state(name: str, text: str, label: str) -> State | None:
    loaded = model(name)
    return loaded.classify([text])[0].scores[label].state(loaded.thresholds[label])


def test_all_models_together_stay_below_40_mb() -> None:
    assert sum(path.stat().st_size for path in EMBEDDED_FOLDER.rglob("*") if path.is_file()) <= 40_000_000


@pytest.mark.parametrize(
    ("name", "text", "label", "expected"),
    [
        (XRAY, "Kein Nachweis eines Pneumothorax.", "Pneumothorax", State.ABSENT),
        (XRAY, "Ausgedehnter Pleuraerguss rechts.", "Erguss", State.PRESENT),
        (XRAY, "Keine Infiltrate, Ergüsse oder Stauungszeichen.", "Stauung", State.ABSENT),
        (XRAY, "Deutliche pulmonalvenöse Stauung.", "Stauung", State.PRESENT),
        (XRAY, "Herz normal groß.", "Kardiomegalie", State.ABSENT),
        (CT, "Kleiner Pleuraerguss beidseits.", "Pleuraerguss", State.PRESENT),
    ],
)
def test_a_plain_statement_is_read_as_it_is_meant(name: str, text: str, label: str, expected: State) -> None:
    assert state(name, text, label) is expected


@pytest.mark.parametrize(
    ("name", "text", "label"),
    [
        (XRAY, "Keine Infiltrate, Ergüsse oder Stauungszeichen.", "Erguss"),
        (CT, "Kein Nachweis einer Lungenembolie.", "Lungenembolie"),
        (CT, "Kein Pneumothorax.", "Pneumothorax"),
    ],
)
def test_what_is_negated_is_not_present(name: str, text: str, label: str) -> None:
    assert state(name, text, label) is not State.PRESENT


def test_a_clear_finding_outranks_all_others() -> None:
    scores = model(XRAY).classify(["Ausgedehnter Pleuraerguss rechts."])[0].scores
    assert max(scores, key=lambda label: scores[label].present) == "Erguss"


def test_the_language_model_expects_nachweis_after_kein() -> None:
    assert medbertde.load("medbertde-mini").fill_mask("Kein [MASK] eines Pneumothorax.")[0].word == "Nachweis"


@pytest.mark.parametrize("name", [XRAY, CT])
def test_a_classifier_carries_its_held_out_figures_and_lineage(name: str) -> None:
    facts = read_facts(EMBEDDED_FOLDER / name)
    assert facts.metrics is not None
    assert set(facts.metrics.per_label) == set(load_schema(facts.schema_id or "").label_ids)
    assert facts.lineage.base_model
    assert facts.lineage.data_hash


def test_the_words_that_matter_carry_the_explanation() -> None:
    attribution = model(XRAY).explain("Ausgedehnter Pleuraerguss rechts.", "Erguss")
    strongest = max(attribution.words, key=lambda word: word.score)
    assert strongest.text.startswith("Pleuraerguss")
    assert attribution.relative_delta < 0.01
