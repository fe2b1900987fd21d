"""A model that loads while another one answers leaves alone what both share: PyTorch's default number format."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from medbertde.inference.runtime import Runtime


def test_a_model_stored_in_half_precision_never_changes_the_default_for_those_who_answer(
    tiny_classifier_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(tiny_classifier_folder, tmp_path / "half"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "float16"}), encoding="utf-8")
    defaults = set()
    original = torch.set_default_dtype

    def noted(dtype: torch.dtype) -> None:
        original(dtype)
        defaults.add(torch.get_default_dtype())

    monkeypatch.setattr(torch, "set_default_dtype", noted)
    Runtime("cpu").swap("chest_xray", folder)
    assert defaults == {torch.float32}
