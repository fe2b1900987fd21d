"""A checkpoint as ONNX: the same logits for any number of rows and tokens, or nothing at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from medbertde.__main__ import main
from medbertde.inference import onnx_export
from medbertde.inference.checkpoint import load_checkpoint
from medbertde.inference.onnx_export import NEEDED, TOLERANCE, compare, export_onnx
from medbertde.settings import ROOT
from medbertde.types import CheckpointRefused, InvalidFile, ModelUnavailable
from tests import tiny


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tagger's checkpoint and its ONNX folder, written from the command line."""
    folder = tmp_path_factory.mktemp("models")
    checkpoint = tiny.tagger_folder(folder / "tagger")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDBERTDE_VAR", str(folder / "var"))
        assert main(["terms", "--accept"]) == 0
        reason = "Nur für den Test, frei erfunden."
        wanted = ["export-model", str(checkpoint), "--onnx", str(folder / "onnx"), "--override-audit", reason]
        assert main(wanted) == 0
    return checkpoint, folder / "onnx"


def test_its_parity_is_measured_on_many_logits(exported: tuple[Path, Path]) -> None:
    checkpoint, folder = exported
    parity = compare(load_checkpoint(checkpoint), folder / "model.onnx")
    assert parity.difference < 1e-4
    assert parity.logits > 1_000


def test_it_answers_like_the_original_for_other_numbers_of_rows_and_tokens(exported: tuple[Path, Path]) -> None:
    checkpoint, folder = exported
    model = load_checkpoint(checkpoint).model
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    for rows, tokens in ((1, 3), (7, 64)):
        ids = torch.randint(5, 40, (rows, tokens), generator=torch.Generator().manual_seed(rows))
        mask = torch.ones_like(ids)
        (found,) = session.run(["logits"], {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        with torch.inference_mode():
            expected = model(input_ids=ids, attention_mask=mask).logits.numpy()
        assert found.shape == expected.shape == (rows, tokens, 13)
        assert np.abs(found - expected).max() < 1e-4


def test_everything_else_of_the_checkpoint_comes_along_and_no_weights_twice(exported: tuple[Path, Path]) -> None:
    checkpoint, folder = exported
    names = {path.name for path in checkpoint.iterdir()}
    assert {path.name for path in folder.iterdir()} == names - {"model.safetensors"} | {"model.onnx"}


def test_other_logits_are_noticed_and_leave_nothing(exported: tuple[Path, Path], tmp_path: Path) -> None:
    checkpoint, folder = exported
    other = load_checkpoint(tiny.tagger_folder(tmp_path / "other", seed=1))
    assert compare(other, folder / "model.onnx").difference > TOLERANCE
    assert compare(load_checkpoint(checkpoint), folder / "model.onnx").difference < TOLERANCE


def test_a_difference_above_the_tolerance_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported: tuple[Path, Path]
) -> None:
    _, folder = exported
    other = load_checkpoint(tiny.tagger_folder(tmp_path / "other", seed=1))

    def write_another_model(_model: object, path: Path) -> None:
        path.write_bytes((folder / "model.onnx").read_bytes())

    monkeypatch.setattr(onnx_export, "_write", write_another_model)
    with pytest.raises(CheckpointRefused, match="computes differently as ONNX") as refused:
        export_onnx(other, tmp_path / "out")
    assert "Es wurde nichts geschrieben" in refused.value.de
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_folder_that_is_there_is_kept(exported: tuple[Path, Path]) -> None:
    checkpoint, folder = exported
    with pytest.raises(InvalidFile, match="is there already"):
        export_onnx(load_checkpoint(checkpoint), folder)


def test_without_the_libraries_it_says_what_to_install(
    exported: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "find_spec", lambda _name: None)
    with pytest.raises(ModelUnavailable, match="pip install onnx==") as refused:
        export_onnx(load_checkpoint(exported[0]), tmp_path / "out")
    assert "Bitte installieren" in refused.value.de


def test_the_versions_it_names_are_the_tested_ones() -> None:
    assert set(NEEDED) <= set((ROOT / "tests" / "requirements.txt").read_text(encoding="utf-8").split())


def test_a_classifier_of_another_architecture_has_parity(tmp_path: Path) -> None:
    model = load_checkpoint(tiny.classifier_folder(tmp_path / "roberta", family="roberta"))
    assert export_onnx(model, tmp_path / "onnx").difference < 1e-4
