"""Fixtures that many tests share: real tiny checkpoints in folders, built once per session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import tiny


@pytest.fixture(scope="session")
def tiny_mlm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT masked language model."""
    return tiny.mlm_folder(tmp_path_factory.mktemp("models") / "tiny-mlm")


@pytest.fixture(scope="session")
def tiny_classifier_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT classifier for `chest_xray` with all three states."""
    return tiny.classifier_folder(tmp_path_factory.mktemp("models") / "tiny-chest-xray")
