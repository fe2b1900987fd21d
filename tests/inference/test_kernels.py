"""What oneDNN makes a kernel for, and keeps: not one for every number of tokens that reports happen to have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from medbertde.inference.runtime import Runtime


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch is built without oneDNN")
def test_reports_of_every_length_share_a_few_kernels(
    tiny_classifier_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Runtime("cpu")
    runtime.swap("chest_xray", tiny_classifier_folder)
    original, sizes = torch.ops.mkldnn._linear_pointwise, set()

    def noted(inputs: torch.Tensor, *others: Any) -> torch.Tensor:
        sizes.add(inputs.shape[0])
        return original(inputs, *others)

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", noted)
    for words in range(1, 40):
        runtime.classify("chest_xray", ["Erguss " * words, "Kein Erguss. " * (words % 7 + 1)])
    assert len(sizes) > 1
    assert {size % 32 for size in sizes} == {0}
