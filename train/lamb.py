"""LAMB, the optimiser of medBERT.de's pretraining: Adam whose step is scaled by each tensor's own size.

You et al. 2020, "Large batch optimization for deep learning: training BERT in 76 minutes" (arXiv:1904.00962),
algorithm 2, with φ the identity. As in the authors' code, tensors without weight decay (biases, LayerNorm) take the
plain Adam step. Own and small because the maintained ones do not fit: pytorch-optimizer 4.1 caps the weight norm at 10
(a fresh 30,000 × 768 embedding has 96) and leaves out the bias correction, timm 1.0 brings torchvision along.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class Lamb(torch.optim.Optimizer):
    """The state of a tensor is `step`, `exp_avg` and `exp_avg_sq`, as in AdamW; nothing waits for the device."""

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure is ever given
        """Move every tensor that has a gradient."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                self._move(group, weights)

    def _move(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        states = [self._state_of(weight) for weight in weights]
        first, second = [state["exp_avg"] for state in states], [state["exp_avg_sq"] for state in states]
        beta1, beta2 = group["betas"]
        torch._foreach_lerp_(first, gradients, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - beta2)
        for state in states:
            state["step"] += 1
        done = int(states[0]["step"])
        updates = list(torch._foreach_div(second, 1 - beta2**done))
        torch._foreach_sqrt_(updates)
        torch._foreach_add_(updates, group["eps"])
        torch._foreach_reciprocal_(updates)
        torch._foreach_mul_(updates, first)
        torch._foreach_div_(updates, 1 - beta1**done)  # r = m̂ / (√v̂ + ε)
        if group["weight_decay"]:
            torch._foreach_add_(updates, weights, alpha=group["weight_decay"])
            for update, ratio in zip(updates, trust_ratios(weights, updates), strict=True):
                update.mul_(ratio)
        torch._foreach_add_(weights, updates, alpha=-group["lr"])

    def _state_of(self, weight: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.state[weight]
        if not state:
            state["step"] = torch.tensor(0.0)  # on the CPU: reading it does not wait for the device
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
        return state


def trust_ratios(weights: list[Tensor], updates: list[Tensor]) -> list[Tensor]:
    """‖w‖ / ‖update‖ of each tensor, 1 where either is zero.

    >>> trust_ratios([torch.tensor([3.0, 4.0])], [torch.tensor([0.0, 0.5])])
    [tensor(10.)]
    """
    norms = zip(torch._foreach_norm(weights), torch._foreach_norm(updates), strict=True)
    return [torch.where((size > 0) & (move > 0), size / move, torch.ones_like(size)) for size, move in norms]
