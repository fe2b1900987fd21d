"""The loop of a fine-tuning: steps divided over processes, validation after each epoch, the best weights, resuming.

Every process draws the same batches and computes its share of the reports of each; the gradient is that of the whole
batch, so any number of processes takes the same steps. A step seeds itself: a run that was killed goes on from its last
state as if nothing had happened.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from medbertde.inference.checkpoint import LoadedModel
from medbertde.parts import Parts
from medbertde.schema import Kind, Schema
from train.classifier import adapt, learning_groups, merged
from train.dataset import buckets
from train.epochs import Epochs
from train.findings import FindingsObjective
from train.objective import Objective
from train.resume import load_optimizer, load_scaler, load_weights, read_progress, save_state
from train.run_folder import CONFIG_FILE, LABELS_FILE, FinetuneConfig, RunLog
from train.schedule import seed_of
from train.spans import SpanObjective
from train.steps import accelerator, apply_gradients, require_finite

BEST_FILE = "best.safetensors"
Watch = Callable[[int, float], None]  # told after each epoch (from 0): its validation loss


def state_folder(folder: Path) -> Path:
    """Where a run keeps what it needs to go on."""
    return folder / "state"


def fit(
    model: PreTrainedModel,
    base: LoadedModel,
    parts: Parts,
    config: FinetuneConfig,
    schema: Schema,
    folder: Path,
    watch: Watch = lambda _epoch, _loss: None,
) -> PreTrainedModel:
    """Train and return the model as it was in the best epoch; stops after `patience` epochs that are no better.

    A state in `folder` is gone on with; `TrainingRefused` where it belongs to another configuration or other reports.
    """
    run = Fitting(model, base, parts, config, schema, folder)
    while run.progress.phase < config.epochs and run.progress.phase - run.best.epoch < config.patience:
        run.epoch()
        watch(run.progress.phase - 1, run.validate())
    return run.result()


@dataclass
class Best:
    """The trained weights of the best epoch (from 1) so far; `quality` is the rank its objective gave it."""

    keep_last: bool = False
    quality: tuple[float, float] = (-math.inf, -math.inf)
    epoch: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, model: nn.Module, quality: tuple[float, float], epoch: int) -> bool:
        """Keep a copy of the weights if they are better."""
        better = quality > self.quality or self.keep_last
        if better:
            self.quality, self.epoch = quality, epoch
            self.weights = {name: weight.detach().cpu().clone() for name, weight in _trained(model)}
        return better

    def give(self, model: nn.Module) -> None:
        """Set the model's weights to the kept ones."""
        with torch.no_grad():
            for name, weight in _trained(model):
                weight.copy_(self.weights[name])

    def save(self, folder: Path) -> None:
        """Write beside and rename."""
        facts = {"quality": json.dumps(self.quality), "epoch": str(self.epoch)}
        partial = folder / f".{BEST_FILE}.partial"
        save_file(self.weights, partial, metadata=facts)
        partial.replace(folder / BEST_FILE)

    def load(self, folder: Path) -> None:
        """What `save` wrote, if it did."""
        if (folder / BEST_FILE).is_file():
            with safe_open(folder / BEST_FILE, "pt") as file:
                facts = file.metadata()
                self.weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
            first, second = json.loads(facts["quality"])
            self.quality, self.epoch = (first, second), int(facts["epoch"])


class Fitting:
    """The state of one run between its steps. `progress.phase` counts finished epochs, `.step` steps in this one."""

    def __init__(
        self,
        model: PreTrainedModel,
        base: LoadedModel,
        parts: Parts,
        config: FinetuneConfig,
        schema: Schema,
        folder: Path,
    ) -> None:
        self.accelerator = accelerator(config.precision)
        self._config, self._objective = config, _objective(schema, base, config)
        self._epochs = Epochs(config, parts, schema)
        self._validation = self._objective.examples(parts.validation)
        self._folder, self._key = state_folder(folder), _key(folder)
        self._folder.mkdir(exist_ok=True)
        self._saved = time.monotonic()
        self.best = Best(config.keep_last)
        self.progress = read_progress(self._folder, self._key)
        adapted = adapt(model, config).to(self.accelerator.device)
        self._optimizer = torch.optim.AdamW(
            learning_groups(adapted, config.weight_decay, config.layer_decay), fused=True
        )
        if self.progress.done:
            load_weights(self._folder, adapted)
            load_optimizer(self._folder, self._optimizer)
            if self.accelerator.scaler:
                load_scaler(self._folder, self.accelerator.scaler)
            self.best.load(self._folder)
        self._model, self._optimizer = self.accelerator.prepare(adapted, self._optimizer)
        self._plain = self.accelerator.unwrap_model(self._model)
        self._weights: Tensor | None = None
        self._log = RunLog(folder, self.progress.done, write=self.accelerator.is_main_process)

    def epoch(self) -> None:
        """The rest of this epoch's steps."""
        number = self.progress.phase
        pool = self._objective.examples(self._epochs.draw(number))
        plan = buckets([example.tokens for example in pool], self._config.batch_tokens, self._random(number))
        self.progress.total = self.progress.total or self._config.epochs * len(plan)
        self.weigh(pool)
        self._model.train()
        for at in range(self.progress.step, len(plan)):
            share = (number + at / len(plan)) / self._config.epochs
            loss = self.step([pool[index] for index in plan[at]], share)
            self.progress.step, self.progress.done = at + 1, self.progress.done + 1
            self._write(loss=round(loss, 5))
            if time.monotonic() - self._saved > 60 * self._config.checkpoint_minutes:
                self._save()
        self.progress.phase, self.progress.step = number + 1, 0

    def weigh(self, pool: Sequence[Any]) -> None:
        """Fix what a positive target of each output weighs, once for the whole run: by the texts of its first epoch."""
        if self._weights is None:
            gone_on = self.progress.phase > 0  # from a later epoch, which draws other texts
            first = self._objective.examples(self._epochs.draw(0)) if gone_on else pool
            self._weights = self._objective.weights(first)

    def validate(self) -> float:
        """The validation loss after an epoch; keeps the weights if they are the best, and the state."""
        quality = self._objective.quality(self._predict(), self._validation)
        require_finite(quality.loss)
        self._write(validation_f1=quality.f1, validation_loss=quality.loss)
        better = self.best.offer(self._plain, quality.rank, self.progress.phase)
        if better and self.accelerator.is_main_process:
            self.best.save(self._folder)
        self._save()
        return quality.loss

    def result(self) -> PreTrainedModel:
        """The best model, in the precision it is served in."""
        self.best.give(self._plain)
        return merged(self.accelerator.unwrap_model(self._model, keep_fp32_wrapper=False)).eval()

    def step(self, batch: Sequence[Any], share: float) -> float:
        """One update from this process's part of the batch, when `share` of the run is done; the whole batch's loss."""
        rank, processes = self.accelerator.process_index, self.accelerator.num_processes
        mine = batch[rank::processes]
        known = self._objective.targets(batch)
        torch.manual_seed(seed_of(self._config.seed, self.progress.done, rank))  # dropout
        rows = self._objective.collate(mine or batch[:1]).to(self.accelerator.device)
        assert self._weights is not None
        weight = self._weights.to(self.accelerator.device) * _positive_weight(self._config, share)
        with self.accelerator.autocast():
            loss = self._objective.loss(self._model, rows, weight) * (bool(mine) / max(1, known))
        value = float(self.accelerator.reduce(loss.detach(), "sum"))
        require_finite(value)
        self.accelerator.backward(loss * processes)  # gradients are averaged over the processes
        apply_gradients(self.accelerator, self._model, self._optimizer, _learning_rate(self._config, share))
        return value

    def _predict(self) -> list[np.ndarray]:
        """What the model says about each validation report; each process computes its share, all get the whole."""
        rank, processes = self.accelerator.process_index, self.accelerator.num_processes
        parts = gather_object([list(self._objective.predict(self._plain, self._validation[rank::processes]))])
        whole = [np.empty(0)] * len(self._validation)
        for start, part in enumerate(parts):
            whole[start::processes] = part
        return whole

    def _random(self, epoch: int) -> random.Random:
        return random.Random(self._config.seed + epoch)

    def _write(self, **facts: float) -> None:
        """One line of the log."""
        epoch = self.progress.phase + (1 if self.progress.step else 0)
        self._log.write(self.progress.done, self.progress.total, epoch=epoch, epochs=self._config.epochs, **facts)

    def _save(self) -> None:
        self._saved = time.monotonic()
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            save_state(self._folder, self._key, self.progress, self._plain, self._optimizer, scaler)


def _objective(schema: Schema, base: LoadedModel, config: FinetuneConfig) -> Objective:
    """Findings or spans, as the schema says."""
    return SpanObjective(schema, base) if schema.kind is Kind.SPANS else FindingsObjective(schema, base, config)


def _trained(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]


def _key(folder: Path) -> str:
    """What must be the same for a run to be gone on with."""
    return sha256((folder / CONFIG_FILE).read_bytes() + (folder / LABELS_FILE).read_bytes()).hexdigest()


def _learning_rate(config: FinetuneConfig, share: float) -> float:
    """Linear warm-up, then linear decay to a twentieth of the peak; `share` of the run is done.

    The first step is not lost: it has a twentieth of the peak as well.
    """
    if share < config.warmup_share:
        return config.learning_rate * max(0.05, share / config.warmup_share)
    return config.learning_rate * max(0.05, (1 - share) / (1 - config.warmup_share))


def _positive_weight(config: FinetuneConfig, share: float) -> float:
    """`positive_weight` for half of the run, then down to 1 at three quarters: the rest learns calibrated scores."""
    return 1 + (config.positive_weight - 1) * min(1.0, max(0.0, 3 - 4 * share))
