"""The state of a training between two steps: weights, optimiser, loss scale and how far it has come, in one file.

No random state is kept: every step of a run seeds itself. The file (safetensors) is written beside its place and
renamed, so a kill leaves the previous one. Knows nothing of texts; a key decides whether a state belongs to a run.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.amp import GradScaler

from medbertde.types import TrainingRefused

STATE_FILE = "state.safetensors"


@dataclass
class Progress:
    """How far a run has come: `step` updates of phase (of a fine-tuning: epoch) number `phase` are done.

    `best` is the lowest held-out loss, `done` of `total` all updates where a run counts them.
    """

    phase: int = 0
    step: int = 0
    best: float = math.inf
    done: int = 0
    total: int = 0


def save_state(
    folder: Path,
    key: str,
    progress: Progress,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: GradScaler | None = None,
) -> None:
    """Keep the state of a run: the weights that are trained, the optimiser's moments and, in fp16, the loss scale."""
    tensors = {f"model.{name}": weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    partial = folder / f".{STATE_FILE}.partial"
    facts = {"key": key, "progress": json.dumps(asdict(progress))}
    if scaler:
        facts["scaler"] = json.dumps(scaler.state_dict())
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata=facts)
    partial.replace(folder / STATE_FILE)


def read_progress(folder: Path, key: str) -> Progress:
    """How far the run in `folder` came, nothing where there is none; `TrainingRefused` for a state of another run."""
    path = folder / STATE_FILE
    if not path.is_file():
        return Progress()
    with safe_open(path, "pt") as file:
        facts = file.metadata()
    if facts["key"] != key:
        raise TrainingRefused(
            f"Der angefangene Lauf in {folder.name} gehört zu anderen Texten oder Einstellungen. Bitte mit denselben "
            "fortsetzen oder ohne --resume neu beginnen.",
            f"The run begun in {folder.name} belongs to other texts or settings. Please go on with the same ones, or "
            "start anew without --resume.",
        )
    return Progress(**json.loads(facts["progress"]))


def load_weights(folder: Path, model: nn.Module) -> None:
    """Give the model the weights of the state."""
    with torch.no_grad(), safe_open(folder / STATE_FILE, "pt") as file:
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                weight.copy_(file.get_tensor(f"model.{name}"))


def load_optimizer(folder: Path, optimizer: torch.optim.Optimizer) -> None:
    """Give the optimiser the moments of the state."""
    state: dict[int, dict[str, Tensor]] = {}
    with safe_open(folder / STATE_FILE, "pt") as file:
        for full in file.keys():  # noqa: SIM118  # not a mapping
            kind, index, name = full.split(".", 2)
            if kind == "optimizer":
                state.setdefault(int(index), {})[name] = file.get_tensor(full)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def load_scaler(folder: Path, scaler: GradScaler) -> None:
    """Give the scaler of fp16 the loss scale of the state; a state of before it was kept has none."""
    with safe_open(folder / STATE_FILE, "pt") as file:
        facts = file.metadata()
    if "scaler" in facts:
        scaler.load_state_dict(json.loads(facts["scaler"]))
