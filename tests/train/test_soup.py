"""Several classifiers averaged into one: by hand, as a run folder, and refused where they do not fit together."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from medbertde.inference.checkpoint import load_checkpoint
from medbertde.types import ReportRecord, TrainingRefused
from tests import tiny
from tests.train.conftest import WriteRun
from train import soup


def test_each_weight_is_the_mean_of_all_models(tmp_path: Path) -> None:
    folders = [tiny.classifier_folder(tmp_path / f"model-{seed}", seed=seed) for seed in (1, 2, 3)]
    given = [dict(load_checkpoint(folder).model.named_parameters()) for folder in folders]
    averaged = dict(soup.mean([load_checkpoint(folder) for folder in folders]).named_parameters())
    assert averaged.keys() == given[0].keys()
    for name, weight in averaged.items():
        expected = (given[0][name] + given[1][name] + given[2][name]) / 3
        torch.testing.assert_close(weight, expected)
    assert any(not torch.equal(weight, given[0][name]) for name, weight in averaged.items())


def test_a_run_folder_gets_what_a_fine_tuning_leaves(
    write_run: WriteRun, reports: list[ReportRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (tiny.classifier_folder(tmp_path / f"model-{seed}", seed=seed) for seed in (1, 2))
    folder = write_run(reports)
    monkeypatch.setattr(sys, "argv", ["soup", str(folder), str(first), str(second)])
    soup.main()
    made = load_checkpoint(folder / "checkpoint")
    expected = soup.mean([load_checkpoint(first), load_checkpoint(second)])
    for (name, weight), other in zip(made.model.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(weight, other, msg=name)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["new"]["n_reports"] == metrics["reports"]["test"] > 0
    assert (made.facts.name, made.facts.lineage.base_model) == ("neu", load_checkpoint(first).version)
    assert set(made.thresholds) == set(metrics["thresholds"])


def test_models_with_other_outputs_or_another_size_are_refused(
    write_run: WriteRun, reports: list[ReportRecord], tmp_path: Path
) -> None:
    first = tiny.classifier_folder(tmp_path / "first")
    ct = tiny.classifier_folder(tmp_path / "ct", schema_id="chest_ct")
    longer = tiny.classifier_folder(tmp_path / "longer", max_tokens=128)
    folder = write_run(reports)
    for unlike in ([first, ct], [first, longer], [ct, ct]):
        with pytest.raises(TrainingRefused):
            soup.soup(folder, unlike)
    assert not (folder / "checkpoint").exists()
