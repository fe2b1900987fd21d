"""Findings with states as what a fine-tuning learns: independent sigmoids, the best epoch by the lowest loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import PreTrainedModel

from medbertde.inference.checkpoint import LoadedModel
from medbertde.schema import Schema
from medbertde.types import ReportRecord
from train.classifier import batch_loss, class_weights, predict_logits
from train.dataset import Batch, Example, collate, examples
from train.objective import Quality
from train.run_folder import FinetuneConfig


@dataclass(frozen=True)
class FindingsObjective:
    """The objective of a schema of findings."""

    schema: Schema
    base: LoadedModel
    config: FinetuneConfig

    def examples(self, records: Sequence[ReportRecord]) -> list[Example]:
        """Windows and one target per output for each report."""
        return examples(records, self.schema, self.base, self.config.uncertain)

    def weights(self, pool: Sequence[Example]) -> Tensor:
        """One weight per output."""
        return class_weights(pool) if self.config.class_weights else torch.ones(len(pool[0].targets))

    def targets(self, batch: Sequence[Example]) -> int:
        """Outputs of all reports, unknown ones left out."""
        return sum(target >= 0 for example in batch for target in example.targets)

    def collate(self, chosen: Sequence[Example]) -> Batch:
        """Several reports as one batch."""
        return collate(chosen, self.base.encoder.pad_id)

    def loss(self, model: nn.Module, batch: Batch, weights: Tensor) -> Tensor:
        """Binary cross-entropy, summed."""
        return batch_loss(model, batch, weights)

    def predict(self, model: PreTrainedModel, pool: Sequence[Example]) -> Sequence[np.ndarray]:
        """Logits `(outputs,)` of each report."""
        return list(predict_logits(model, pool, self.base.encoder.pad_id))

    def quality(self, predicted: Sequence[np.ndarray], pool: Sequence[Example]) -> Quality:
        """The mean cross-entropy, and micro F1 over all outputs at 0.5; unknown targets count for neither."""
        logits, gold = np.array(predicted), np.array([example.targets for example in pool])
        known = gold >= 0
        decided = (logits > 0) & known
        f1 = 2 * float((decided & (gold == 1)).sum()) / max(1.0, float(decided.sum() + (gold == 1).sum()))
        loss = binary_cross_entropy_with_logits(torch.from_numpy(logits[known]), torch.from_numpy(gold[known]))
        rounded, f1 = round(loss.item(), 5), round(f1, 4)
        return Quality(rounded, f1, rank=(-rounded, f1))
