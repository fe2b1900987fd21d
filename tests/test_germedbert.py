"""Weights of GerMedBERT are known by their name, by what they were made from and by their shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medbertde.germedbert import comes_from
from medbertde.inference.catalogue import CATALOGUE, EMBEDDED_FOLDER

SHAPE = {
    "model_type": "bert",
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "vocab_size": 30_000,
}


def model(folder: Path, config: dict[str, Any] | None = None, name: str = "modell", **lineage: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config or {}), encoding="utf-8")
    (folder / "medbertde.json").write_text(json.dumps({"name": name, "lineage": lineage}), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "place",
    ["medbert-512", "GerMedBERT", "models--GerMedBERT--medbert-512-no-duplicates/snapshots/1234"],
)
def test_by_the_name_of_the_folder_or_of_the_cache(place: str, tmp_path: Path) -> None:
    assert comes_from(model(tmp_path / place))


def test_by_the_name_in_its_files(tmp_path: Path) -> None:
    assert comes_from(model(tmp_path / "a", name="medbert-512"))
    assert comes_from(model(tmp_path / "b", {"_name_or_path": "GerMedBERT/medbert-512"}))


def test_by_the_model_it_was_made_from(tmp_path: Path) -> None:
    assert comes_from(model(tmp_path / "a", base_model="medbert-512@1234abcd"))
    assert not comes_from(model(tmp_path / "b", base_model="medbertde-mini@1234abcd"))


def test_by_a_model_further_back_as_long_as_its_folder_is_there(tmp_path: Path) -> None:
    first = model(tmp_path / "first", base_model="GerMedBERT/medbert-512")
    second = model(tmp_path / "second", base_model=str(first))
    run = model(tmp_path / "run" / "checkpoint", base_model="second@1234abcd")
    (run.parent / "config.json").write_text(json.dumps({"base_model": str(second)}), encoding="utf-8")
    assert comes_from(second)
    assert comes_from(run)


def test_by_its_shape_unless_it_was_made_here_from_texts(tmp_path: Path) -> None:
    assert comes_from(model(tmp_path / "copy", SHAPE))
    assert comes_from(model(tmp_path / "tuned", SHAPE, base_model="renamed@1234abcd"))
    assert not comes_from(model(tmp_path / "own", SHAPE, data_hash="0" * 64))
    assert not comes_from(model(tmp_path / "bert", {**SHAPE, "num_attention_heads": 12}))


def test_a_folder_above_does_not_make_a_model_theirs(tmp_path: Path) -> None:
    assert not comes_from(model(tmp_path / "medbert-512-study" / "own", base_model="/runs/medbert-512-study/base"))


def test_models_that_name_each_other_end_somewhere(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    model(first, base_model=str(second))
    model(second, base_model=str(first))
    assert not comes_from(first)


def test_the_embedded_models_are_our_own() -> None:
    for entry in CATALOGUE:
        if entry.folder is not None:
            assert not comes_from(EMBEDDED_FOLDER / entry.id)
