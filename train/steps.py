"""One optimisation step, shared by pretraining and fine-tuning: optimiser, clipping, a check that it converges."""

from __future__ import annotations

import math
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from medbertde.types import TrainingRefused
from train.lamb import Lamb

MAX_GRADIENT_NORM = 1.0


def adamw(model: nn.Module, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW with decay for matrices and none for biases and LayerNorm; `take_step` sets the learning rate."""
    return torch.optim.AdamW(decay_groups(model, weight_decay), fused=True)


def lamb(model: nn.Module, weight_decay: float) -> torch.optim.Optimizer:
    """LAMB with the same groups; biases and LayerNorm have neither decay nor a trust ratio."""
    return Lamb(decay_groups(model, weight_decay))


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The matrices, which decay, and the vectors (biases, LayerNorm), which do not."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def take_step(
    accelerator: Accelerator, model: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, learning_rate: float
) -> float:
    """Move the weights against the gradient of `loss` and return its value; `TrainingRefused` when it is no number."""
    value = loss.item()
    require_finite(value)
    accelerator.backward(loss)
    apply_gradients(accelerator, model, optimizer, learning_rate)
    return value


def apply_gradients(
    accelerator: Accelerator, model: nn.Module, optimizer: torch.optim.Optimizer, learning_rate: float
) -> None:
    """Clip the gradients that are there, move the weights against them and forget them."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
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
