"""What a model goes back to, also where the folder of the first one does not say its name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from medbertde import germedbert
from medbertde.inference.checkpoint import load_checkpoint
from medbertde.inference.facts import read_facts
from medbertde.types import ReportRecord
from tests import tiny
from tests.train.conftest import WriteRun
from train import finetune
from train.lineage import ancestors_of


@pytest.fixture
def downloaded(tmp_path: Path) -> Path:
    """A language model as the Hub's cache holds it: named by its commit, without facts."""
    snapshot = tmp_path / "models--GerMedBERT--medbert-512" / "snapshots" / "0123456789abcdef"
    tiny.mlm_folder(snapshot)
    (snapshot / "medbertde.json").unlink()
    return snapshot


def test_a_model_of_the_hub_is_named_by_its_id(downloaded: Path) -> None:
    assert ancestors_of(downloaded, load_checkpoint(downloaded).version) == ("GerMedBERT/medbert-512",)


def test_a_model_made_here_is_named_by_its_version_after_its_own_ancestors(tmp_path: Path) -> None:
    assert ancestors_of(tiny.classifier_folder(tmp_path / "zweites"), "zweites@1") == ("tiny", "zweites@1")
    assert ancestors_of(tiny.mlm_folder(tmp_path / "erstes"), "erstes@1") == ("erstes@1",)


def test_two_trainings_later_the_first_model_is_still_known_wherever_the_folders_went(
    downloaded: Path, write_run: WriteRun, reports: list[ReportRecord], tmp_path: Path
) -> None:
    first = write_run(reports, "erster", base_model=str(downloaded), epochs=1)
    finetune.train(first)
    moved = shutil.copytree(first / "checkpoint", tmp_path / "kopie")
    second = write_run(reports, "zweiter", base_model=str(moved), epochs=1)
    finetune.train(second)
    kept = shutil.copytree(second / "checkpoint", tmp_path / "weitergegeben")
    shutil.rmtree(second)
    shutil.rmtree(moved)
    ancestors = read_facts(kept).lineage.ancestors
    assert ancestors[0] == "GerMedBERT/medbert-512"
    assert len(ancestors) == 2
    assert germedbert.comes_from(kept)
    assert "GerMedBERT/medbert-512 → neu@" in (kept / "README.md").read_text(encoding="utf-8")
    facts = json.loads((kept / "medbertde.json").read_text(encoding="utf-8"))
    assert facts["lineage"]["base_model"] == ancestors[-1]
