"""What a fine-tuning learns, as far as its loop has to know: findings of a report, or spans in it.

The loop (`train.fit`) owns steps, processes, the best epoch and resuming; an objective turns reports into examples,
examples into a loss and predictions into a figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn
from transformers import PreTrainedModel

from medbertde.types import ReportRecord


@dataclass(frozen=True)
class Quality:
    """How good a model is on the validation reports; of two, the one with the larger `rank` is better."""

    loss: float
    f1: float
    rank: tuple[float, float]


class Objective(Protocol):
    """What the loop asks for. Its examples know their number of `tokens`; `weights` are fixed once for the run."""

    def examples(self, records: Sequence[ReportRecord]) -> list[Any]:
        """Reports ready for batching."""

    def weights(self, pool: Sequence[Any]) -> Tensor:
        """What a positive target of each output weighs."""

    def targets(self, batch: Sequence[Any]) -> int:
        """How many targets a batch has, by which its loss is divided."""

    def collate(self, chosen: Sequence[Any]) -> Any:
        """Several examples as tensors."""

    def loss(self, model: nn.Module, batch: Any, weights: Tensor) -> Tensor:
        """The sum over the targets of a batch."""

    def predict(self, model: PreTrainedModel, pool: Sequence[Any]) -> Sequence[np.ndarray]:
        """What the model says about each example, in the order of `pool`."""

    def quality(self, predicted: Sequence[np.ndarray], pool: Sequence[Any]) -> Quality:
        """How good that is."""
