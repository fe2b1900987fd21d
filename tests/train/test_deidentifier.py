"""The way of `make deidentifier`, short: letters → texts and tokenizer → language model → tagger with its threshold."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from medbertde.identifying import GAP, LINE_END
from medbertde.inference.checkpoint import load_checkpoint, save_checkpoint
from medbertde.inference.facts import CheckpointFacts
from medbertde.inference.identify import Identifier
from medbertde.privacy.deidentify import deidentify
from medbertde.privacy.kinds import DeidentificationRefused, Kind
from medbertde.report_file import read_records
from medbertde.schema import load_schema
from medbertde.settings import ROOT
from medbertde.types import Task, TrainingRefused
from train import deidentifier, finetune, pretrain
from train.letters import parse, read_letters
from train.pretrain_config import MINI, PretrainConfig

TINY = replace(
    MINI,
    layers=1,
    hidden=32,
    heads=2,
    cues=0,
    precision="no",
    held_out_of=10,
    phases=(replace(MINI.phases[0], epochs=1, warmup=2),),
)


def shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the letters, and one threshold tried on few reports."""
    monkeypatch.setattr(deidentifier, "read_letters", lambda part: read_letters(part)[::10])
    monkeypatch.setattr(deidentifier, "THRESHOLDS", (0.9,))
    monkeypatch.setattr(deidentifier, "UNSEEN", 3)
    monkeypatch.setattr(deidentifier, "FEWEST_RIGHT", 0.0)  # so short a training teaches nothing yet
    monkeypatch.setattr(deidentifier, "MOST_WRONG", 100.0)


def test_the_labels_of_the_model_are_the_kinds_of_the_de_identification() -> None:
    assert load_schema("identifying").label_ids == tuple(Kind)


def test_a_letter_is_shown_with_its_line_ends_and_without_placeholders() -> None:
    letter = parse("a", "\n {hospital:Klinikum Xq}\nFrau {patient:Kasulke}, [GEBURTSDATUM]......\n")
    record = deidentifier.as_record(letter, "a")
    assert record.text == f"{LINE_END} Klinikum Xq{LINE_END}Frau Kasulke, {GAP}" + " " * 13 + "." + " " * 5 + LINE_END
    assert [record.text[one.start : one.end] for one in record.rationales] == ["Klinikum Xq", "Kasulke"]


def test_reports_without_anybody_hold_nothing_but_dates() -> None:
    records = list(deidentifier.negatives({"chest_xray": 20}, random.Random(1)))
    assert len(records) == 20
    assert {one.label for record in records for one in record.rationales} <= {"date", "birth"}


def test_letters_lead_to_a_model_that_marks_beside_the_rules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shortened(monkeypatch)
    run = tmp_path / "run"
    deidentifier.write_texts(run, 7, copies=2, lines=15, numbers={"chest_xray": 6})
    assert len(read_records(run / "test.jsonl")) == 4
    base = tmp_path / "language-model"
    pretrain.train(PretrainConfig([run / "texts.jsonl"], base, str(run / "tokenizer"), TINY, half=True))
    recipe = json.loads((ROOT / "train" / "recipes" / "deidentifier.json").read_text(encoding="utf-8"))
    short = {"epochs": 1, "base_model": str(base), "test_file": str(run / "test.jsonl")}
    (run / "config.json").write_text(json.dumps(recipe | short), encoding="utf-8")
    finetune.train(run)

    deidentifier.write_model(run, tmp_path / "model")
    model = load_checkpoint(tmp_path / "model")
    assert (model.task, model.facts.schema_id) == (Task.NER, "identifying")
    assert model.thresholds == dict.fromkeys(deidentifier.ADDED, 0.9)
    assert (
        deidentify("Herr Kasulke hustet.", classifier=Identifier(tmp_path / "model")).text == "Herr [PATIENT] hustet."
    )
    text = "Seit Montag Husten. Xqzinger besorgt."
    everything = Identifier(tmp_path / "model", dict.fromkeys(Kind, 0.0))(text)
    assert "".join(text[span.start : span.end] for span in everything).replace(" ", "") == text.replace(" ", "")


def test_a_model_that_is_wrong_too_often_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shortened(monkeypatch)
    monkeypatch.setattr(deidentifier, "FEWEST_RIGHT", 1.01)
    with pytest.raises(TrainingRefused, match="At no threshold is the model right often enough"):
        deidentifier.choose(ROOT / "data" / "models" / "deidentifier", ["Kein Erguss."])


def test_a_model_without_thresholds_is_not_used(tmp_path: Path) -> None:
    kept = load_checkpoint(ROOT / "data" / "models" / "deidentifier")
    facts = CheckpointFacts("bare", Task.NER, schema_id="identifying", schema_version=1)
    save_checkpoint(kept.model, kept.tokenizer, facts, tmp_path / "bare")
    with pytest.raises(DeidentificationRefused, match="has no thresholds"):
        deidentify("Heute Xqzinger.", classifier=Identifier(tmp_path / "bare"))
