"""The tests of this folder compare with what a model computes by itself, so all of them compute in float32."""

from __future__ import annotations

import pytest

from medbertde.inference import forward


@pytest.fixture(autouse=True)
def _exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "has_bf16", lambda: False)
