"""The way of `make models`, short: report files → vocabulary → language model → three fine-tunings → their mean."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medbertde.inference.checkpoint import load_checkpoint
from medbertde.inference.classify import classify
from medbertde.report_file import read_records
from medbertde.settings import ROOT
from medbertde.types import Reading, Task
from train import finetune, pretrain, soup
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

    short = {"epochs": 1, "precision": "no", "run_together": 5, "cues": 5, "statements": [str(statements)]}
    recipe = f"mini-{schema_id.replace('_', '-')}"
    first = run_folder(recipe, reports, short | {"base_model": str(base)})
    finetune.train(first)
    again = run_folder(f"{recipe}-on", reports, short | {"base_model": str(first / "checkpoint")})
    finetune.train(again)
    averaged = run_folder(recipe, reports, short | {"base_model": str(base)}, name="mean")
    soup.soup(averaged, [first / "checkpoint", again / "checkpoint"])
    model = load_checkpoint(averaged / "checkpoint")
    assert model.facts.reads is Reading.SENTENCES
    assert set(classify(model, ["Kein Pneumothorax."])[0].scores) == set(model.thresholds)


def run_folder(recipe: str, reports: Path, changed: dict[str, Any], name: str = "") -> Path:
    """A run folder beside the reports with a shipped recipe, some of it changed."""
    folder = reports.parent / (name or recipe)
    folder.mkdir()
    config = json.loads((RECIPES / f"{recipe}.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | changed), encoding="utf-8")
    (folder / "labels.jsonl").write_bytes(reports.read_bytes())
    return folder
