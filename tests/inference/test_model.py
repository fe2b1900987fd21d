"""The Python API of a notebook."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import medbertde
from medbertde.types import ModelUnavailable, State


def test_a_classifier_reads_and_explains(tiny_classifier_folder: Path) -> None:
    model = medbertde.load(str(tiny_classifier_folder), device="cpu")
    [prediction] = model.classify(["Kein Erguss, Herz normal groß."])
    attribution = model.explain("Kein Erguss, Herz normal groß.", "Erguss", target="absent")
    assert prediction.scores["Erguss"].state(model.thresholds["Erguss"]) in (*State, None)
    assert prediction.model_version == attribution.model_version == model.version
    with pytest.raises(ModelUnavailable):
        model.fill_mask("Kein [MASK].")


def test_a_language_model_fills_masks(tiny_mlm_folder: Path) -> None:
    model = medbertde.load(str(tiny_mlm_folder), device="cpu")
    assert len(model.fill_mask("Kein [MASK].", top_k=4)) == 4
    assert model.thresholds == {}


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, medbertde, medbertde.types; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
