"""The TF-IDF baseline learns what can be learnt, keeps to its validation part and is deterministic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medbertde.parts import part_of
from medbertde.report_file import read_records
from medbertde.schema import load_schema
from medbertde.types import ReportRecord, State, TrainingRefused
from tests.train.conftest import write_reports
from train.tfidf import VALIDATION_SHARE, Tfidf, fit, main

XRAY = load_schema("chest_xray")
ERGUSS = XRAY.label_ids.index("Erguss")
SENTENCES = {
    State.PRESENT: "Kleiner Erguss links",
    State.UNCERTAIN: "Fraglicher Erguss links",
    State.ABSENT: "Kein Erguss nachweisbar",
}


@pytest.fixture(scope="module")
def records() -> list[ReportRecord]:
    return [
        ReportRecord(f"{text} am Tag {number}.", labels={"Erguss": state})
        for number in range(40)
        for state, text in SENTENCES.items()
    ]


@pytest.fixture(scope="module")
def model(records: list[ReportRecord]) -> Tfidf:
    return fit(records, XRAY)


@pytest.mark.parametrize("state", State)
def test_it_learns_the_three_states(model: Tfidf, state: State) -> None:
    assert model.states(model.probabilities([f"{SENTENCES[state]} am Tag 77."])) == [{"Erguss": state}]


def test_probabilities_stand_by_report_state_and_label(model: Tfidf) -> None:
    found = model.probabilities(["Kleiner Erguss links.", "Kein Erguss nachweisbar."])
    assert found.shape == (2, 3, len(XRAY.label_ids))
    assert found[0, 0, ERGUSS] > 0.5 > found[1, 0, ERGUSS]
    assert model.probabilities([]).shape == (0, 3, len(XRAY.label_ids))


def test_a_finding_that_training_never_shows_is_never_said(model: Tfidf) -> None:
    tubus = XRAY.label_ids.index("Tubus")
    assert not model.probabilities(["Tubus regelrecht."])[0, :, tubus].any()
    assert model.states(model.probabilities(["Tubus regelrecht."])) != [{"Tubus": State.PRESENT}]


def test_the_same_reports_give_the_same_model(records: list[ReportRecord], model: Tfidf) -> None:
    again = fit(records, XRAY)
    texts = ["Fraglicher Erguss links am Tag 3."]
    assert np.array_equal(again.probabilities(texts), model.probabilities(texts))


def test_words_of_the_validation_part_are_not_learnt(records: list[ReportRecord]) -> None:
    kept = next(record for record in records if part_of(record, 0.0, VALIDATION_SHARE) == "validation")
    assert fit([*records, *[ReportRecord(f"{kept.text}", labels=kept.labels)] * 3], XRAY).probabilities(
        [kept.text]
    ) == pytest.approx(fit(records, XRAY).probabilities([kept.text]))


def test_thresholds_belong_to_their_state(model: Tfidf) -> None:
    probabilities = np.zeros((1, 3, len(XRAY.label_ids)))
    probabilities[0, :, ERGUSS] = model.thresholds[:, ERGUSS] * [0.9, 1.05, 1.2]
    assert model.states(probabilities) == [{"Erguss": State.ABSENT}]
    probabilities[0, :, ERGUSS] = model.thresholds[:, ERGUSS] * [1.0, 1.5, 1.5]
    assert model.states(probabilities) == [{"Erguss": State.PRESENT}]


def test_too_few_reports_are_refused(records: list[ReportRecord]) -> None:
    with pytest.raises(TrainingRefused, match="Too few reports for the TF-IDF baseline"):
        fit(records[:6], XRAY)


def test_the_command_labels_a_file(tmp_path: Path, records: list[ReportRecord]) -> None:
    learnt = write_reports(tmp_path / "train.jsonl", records)
    source = write_reports(tmp_path / "in.jsonl", [ReportRecord("Kein Erguss nachweisbar am Tag 99.")])
    assert main([str(source), "--train", str(learnt), "--out", str(tmp_path / "out.jsonl")]) == 0
    (labelled,) = read_records(tmp_path / "out.jsonl")
    assert labelled.labels == {"Erguss": State.ABSENT}


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jsonl"
    assert main([str(tmp_path / "a.jsonl"), "--train", str(tmp_path / "b.jsonl"), "--out", str(out)]) == 2
    assert "There is no file" in capsys.readouterr().err
