"""oneDNN keeps a kernel for every number of tokens that it has seen: batches come to it in steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from medbertde.inference.packed import ONEDNN
from medbertde.inference.runtime import Runtime

pytestmark = pytest.mark.skipif(not ONEDNN, reason="PyTorch is built without oneDNN, nothing of it is computed there")
TEXTS = ["Erguss " * words + "Kein Erguss. " * (words % 7 + 1) for words in range(1, 40)]


@pytest.fixture
def runtime(tiny_classifier_folder: Path) -> Runtime:
    runtime = Runtime("cpu")
    runtime.swap("chest_xray", tiny_classifier_folder)
    return runtime


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The numbers of tokens that oneDNN is given."""
    original, found = torch.ops.mkldnn._linear_pointwise, set[int]()

    def noted(inputs: torch.Tensor, *others: Any) -> torch.Tensor:
        found.add(inputs.shape[0])
        return original(inputs, *others)

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", noted)
    return found


def test_reports_of_every_length_share_a_few_kernels(runtime: Runtime, sizes: set[int]) -> None:
    for text in TEXTS:
        runtime.classify("chest_xray", [text, "Kein Erguss."])
    assert len(sizes) > 1
    assert {size % 32 for size in sizes} == {0}


def test_explanations_of_every_length_share_them_too(runtime: Runtime, sizes: set[int]) -> None:
    for text in TEXTS[::6]:
        runtime.explain("chest_xray", text, "Erguss")
    assert len(sizes) > 1
    assert {size % 32 for size in sizes} == {0}
