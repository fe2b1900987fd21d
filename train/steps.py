"""One optimisation step, shared by pretraining and fine-tuning: optimiser, clipping, a check that it converges."""

from __future__ import annotations

import math
import os
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from medbertde.types import TrainingRefused
from train.lamb import Lamb

MAX_GRADIENT_NORM = 1.0


def accelerator(precision: str, *, cpu: bool = False, **options: Any) -> Accelerator:
    """Accelerate's view of the machine; processes of one launcher without a GPU work together as well.

    Asked for nothing, Accelerate would let each of them train a model of its own.
    """
    launched = "LOCAL_RANK" in os.environ
    return Accelerator(mixed_precision=precision, cpu=cpu or (launched and not torch.cuda.is_available()), **options)


def adamw(model: nn.Module, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW with decay for matrices and none for biases and LayerNorm; `apply_gradients` sets the learning rate."""
    return torch.optim.AdamW(decay_groups(model, weight_decay), fused=True)


def lamb(model: nn.Module, weight_decay: float) -> torch.optim.Optimizer:
    """LAMB with the same groups; biases and LayerNorm have neither decay nor a trust ratio."""
    return Lamb(decay_groups(model, weight_decay))


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The matrices, which decay, and the vectors (biases, LayerNorm), which do not."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def apply_gradients(
    accelerator: Accelerator, model: nn.Module, optimizer: torch.optim.Optimizer, learning_rate: float
) -> None:
    """Clip the gradients that are there, move the weights against them and forget them.

    A parameter group with a `scale` takes that share of the learning rate.
    """
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group.get("scale", 1.0)
    accelerator.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
    optimizer.step()
    optimizer.zero_grad()


def require_finite(loss: float) -> None:
    """Refuse to go on, and to keep weights, once a loss is NaN or infinite."""
    if not math.isfinite(loss):
        raise TrainingRefused(
            "Das Training ist entgleist: Der Fehler ist keine Zahl mehr. Bitte mit kleinerer Lernrate neu starten.",
            "The training diverged: its loss is no number any more. Please start again with a smaller learning rate.",
        )
