"""The second model: by folder or catalogue id, never the first one in disguise, never one that is not here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file

from medbertde.inference.catalogue import resolve
from medbertde.inference.checkpoint import WEIGHTS_FILE, LoadedModel, load_checkpoint
from medbertde.inference.fill_mask.second import SecondModel, available_entries
from medbertde.types import CheckpointRefused, ModelUnavailable
from tests import tiny
from tests.hub import Hub, hub_at


@pytest.fixture(scope="module")
def first(tiny_mlm_folder: Path) -> LoadedModel:
    return load_checkpoint(tiny_mlm_folder)


def test_a_folder_is_loaded_once_and_gives_way_to_the_next(first: LoadedModel, tmp_path: Path) -> None:
    second, other = SecondModel(), tiny.mlm_folder(tmp_path / "other", family="roberta")
    found = second.get(str(other), "cpu", first)
    assert found.version.startswith("other@")
    assert second.get(str(other), "cpu", first) is found
    third = second.get(str(tiny.mlm_folder(tmp_path / "third", seed=3)), "cpu", first)
    assert third.version.startswith("third@")
    assert second.get(str(other), "cpu", first) is not found


def test_the_same_model_is_refused_also_from_another_folder(first: LoadedModel, tiny_mlm_folder: Path) -> None:
    with pytest.raises(ModelUnavailable) as refused:
        SecondModel().get(str(tiny_mlm_folder), "cpu", first)
    assert refused.value.de.startswith(f"Das zweite Modell ist dasselbe wie das erste ({first.version}).")


def test_what_is_not_here_is_refused_without_a_download(first: LoadedModel, tmp_path: Path) -> None:
    for name in ("GerMedBERT/medbert-512-not-there", str(tmp_path / "nothing"), "x" * 400, "~nobody/here", "a\0b"):
        with pytest.raises(ModelUnavailable, match="is not on this machine"):
            SecondModel().get(name, "cpu", first)


def test_a_folder_that_is_no_model_is_refused_with_its_reason(first: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(CheckpointRefused):
        SecondModel().get(str(tmp_path), "cpu", first)


def test_a_model_whose_weights_were_pickled_is_on_offer_once_it_was_downloaded(
    first: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "smanjil/German-MedBERT"
    folder = tiny.mlm_folder(tmp_path / "served", seed=4)
    torch.save(load_file(folder / WEIGHTS_FILE), folder / "pytorch_model.bin")
    (folder / WEIGHTS_FILE).unlink()
    with hub_at(Hub({name: folder}), tmp_path / "cache", monkeypatch):
        assert name not in {entry.id for entry in available_entries()}
        resolve(name)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert name in {entry.id for entry in available_entries()}
    assert SecondModel().get(name, "cpu", first).version != first.version


def test_the_embedded_models_are_on_offer() -> None:
    assert {"medbertde-mini", "mini-chest-xray"} <= {entry.id for entry in available_entries()}
