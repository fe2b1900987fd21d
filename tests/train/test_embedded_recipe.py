"""The way of `make models`, short: report files → vocabulary → language model → classifier that reads by sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from medbertde.inference.checkpoint import load_checkpoint
from medbertde.inference.classify import classify
from medbertde.report_file import read_records
from medbertde.settings import ROOT
from medbertde.types import Reading, Task
from train import finetune, pretrain
from train.pretrain_config import MINI, PretrainConfig
from train.tokenizer import train_tokenizer

REPORTS, RECIPES = ROOT / "data" / "reports", ROOT / "train" / "recipes"
TINY = replace(
    MINI,
    layers=1,
    hidden=32,
    heads=2,
    cues=20,
    precision="no",
    held_out_of=10,
    phases=(replace(MINI.phases[0], epochs=1, warmup=5),),
)


def some(name: str, count: int, folder: Path) -> Path:
    """The first reports of a shipped file."""
    lines = (REPORTS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[:count]
    path = folder / f"{name}.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("schema_id", ["chest_xray", "chest_ct"])
def test_the_recipes_lead_from_report_sources_to_a_classifier(schema_id: str, tmp_path: Path) -> None:
    reports, statements = some(schema_id, 60, tmp_path), some(f"statements_{schema_id}", 60, tmp_path)
    texts = [record.text for path in (reports, statements) for record in read_records(path)]
    train_tokenizer(texts, vocabulary=600).save_pretrained(tmp_path / "tokenizer")
    base = tmp_path / "language-model"
    pretrain.train(PretrainConfig([reports, statements], base, str(tmp_path / "tokenizer"), TINY, half=True))
    assert load_checkpoint(base).task is Task.FILL_MASK

    run = tmp_path / "run"
    run.mkdir()
    recipe = json.loads((RECIPES / f"mini-{schema_id.replace('_', '-')}.json").read_text(encoding="utf-8"))
    short = {
        "epochs": 1,
        "precision": "no",
        "run_together": 5,
        "cues": 5,
        "base_model": str(base),
        "statements": [str(statements)],
    }
    (run / "config.json").write_text(json.dumps(recipe | short), encoding="utf-8")
    (run / "labels.jsonl").write_bytes(reports.read_bytes())
    finetune.train(run)
    model = load_checkpoint(run / "checkpoint")
    assert model.facts.reads is Reading.SENTENCES
    assert set(classify(model, ["Kein Pneumothorax."])[0].scores) == set(model.thresholds)
