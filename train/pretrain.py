"""Pretrain a BERT with masked language modelling, or go on with a model that is there.

    python -m train.pretrain --tokenizer build/tokenizer --out build/mini data/reports/*.jsonl
    python -m train.pretrain --base GerMedBERT/medbert-512 --epochs 3 --rate 5e-5 --out build/ours reports.jsonl
    torchrun --nproc-per-node 8 -m -- train.pretrain --preset medbert --tokenizer build/tok30k --out build/full corpus/

One CPU, one GPU or many processes run the same steps: a step's batch is divided over them and accumulated. One document
in fifty (`medbert`: in 2,000) is held out, chosen by its hash; the weights with the lowest held-out loss are kept.
`--out` gets the model, `<out>.state` beside it what `--resume` needs, until the run is over. docs/pretraining.md has
recipes and figures.
"""

from __future__ import annotations

import math
import shutil
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from medbertde.inference.checkpoint import load_checkpoint, save_checkpoint
from medbertde.inference.facts import CheckpointFacts, Lineage
from medbertde.types import Task, UserError
from train.lineage import ancestors_of, git_commit
from train.mlm import held_out_batches, held_out_sums, make_batch
from train.pretrain_config import PretrainConfig, parse
from train.pretrain_start import Run, prepare
from train.resume import load_optimizer, save_state
from train.schedule import Plan, Step, learning_rate, seed_of, warmup_notice
from train.steps import adamw, apply_gradients, lamb, require_finite
from train.token_store import Windows, cut


def train(config: PretrainConfig) -> float:
    """Run the job; returns the lowest held-out loss (nats per chosen token)."""
    run = prepare(config)
    for number in range(run.progress.phase, len(config.recipe.phases)):
        run_phase(run, number)
    require_finite(run.progress.best)
    run.accelerator.wait_for_everyone()
    if run.accelerator.is_main_process:
        if config.half:
            _halve(config.out)
        shutil.rmtree(run.folder)
    return run.progress.best


def run_phase(run: Run, number: int) -> None:
    """One phase, from where it was left; it begins with a fresh optimiser."""
    recipe, accelerator, progress = run.config.recipe, run.accelerator, run.progress
    phase = recipe.phases[number]
    windows = cut(run.train, run.encoder, phase.max_tokens)
    micro_tokens = run.config.micro_tokens_of(phase, accelerator.num_processes)
    plan = Plan(windows.lengths, phase, micro_tokens, seed_of(run.config.seed, number))
    optimizer = accelerator.prepare((lamb if recipe.optimizer == "lamb" else adamw)(run.module, recipe.weight_decay))
    if progress.phase == number and progress.step:
        load_optimizer(run.folder, optimizer)
    progress.phase = number
    every, meter, total = recipe.evaluate_every or plan.per_epoch, Meter(), plan.total
    if notice := warmup_notice(total, phase.warmup, phase.rate):
        accelerator.print(f"phase {number + 1}/{len(recipe.phases)} {notice}", flush=True)
    for step, batches in enumerate(plan.steps(progress.step), start=progress.step):
        rate = learning_rate(step, total, phase.warmup, phase.rate, phase.decay)
        loss = take_batches(run, optimizer, windows, batches, rate, seed_of(run.config.seed, number, step))
        meter.add(loss, sum(int(windows.lengths[rows].sum()) for rows in batches))
        progress.step = step + 1
        if progress.step % every == 0 or progress.step == total:
            held = evaluate(run)
            accelerator.print(
                f"phase {number + 1}/{len(recipe.phases)} step {progress.step}/{total} {meter.read()} "
                f"held-out {held:.3f} rate {rate:.1e}",
                flush=True,
            )
            keep(run, held, optimizer)
    progress.step = 0


def take_batches(
    run: Run, optimizer: torch.optim.Optimizer, windows: Windows, step: Step, rate: float, seed: int
) -> float:
    """One update from all micro-batches of a step, this process's share of them; the mean loss over all processes.

    Every process makes at least one backward pass, since all wait for each other in the last one.
    """
    accelerator, device = run.accelerator, run.accelerator.device
    rank, processes = accelerator.process_index, accelerator.num_processes
    mine = range(rank, len(step), processes)
    batches = [make_batch(windows, step[at], run.how, seed_of(seed, at)) for at in mine or [0]]
    weight = 1.0 if mine else 0.0
    chosen = torch.tensor(weight * sum(len(batch.targets) for batch in batches), device=device)
    scale = processes / accelerator.reduce(chosen, "sum").clamp(min=1)  # the gradient is averaged over processes
    torch.manual_seed(seed_of(seed, len(step), rank))  # dropout
    total = torch.zeros((), device=device)
    for left, batch in zip(reversed(range(len(batches))), batches, strict=True):
        with accelerator.no_sync(run.model) if left else nullcontext():
            loss: Tensor = weight * run.model(batch.to(device))
            accelerator.backward(loss * scale)
        total += loss.detach()
    value = (accelerator.reduce(total, "sum") * scale / processes).item()
    require_finite(value)
    apply_gradients(accelerator, run.model, optimizer, rate)
    return value


def evaluate(run: Run) -> float:
    """Mean loss per chosen token of the held-out rows, in full precision; all processes take part."""
    accelerator = run.accelerator
    batches = held_out_batches(run.held_out, run.how, accelerator.process_index, accelerator.num_processes)
    sums = torch.tensor(held_out_sums(run.module.model, batches), device=accelerator.device)
    total, chosen = accelerator.reduce(sums, "sum").tolist()
    return float(total / max(1.0, chosen))


def keep(run: Run, held: float, optimizer: torch.optim.Optimizer) -> None:
    """Store the weights if they are the best so far, and the state in any case."""
    better = held < run.progress.best
    run.progress.best = min(held, run.progress.best)
    if run.accelerator.is_main_process:
        if better:
            save_checkpoint(run.module.model, run.tokenizer, _facts(run), run.config.out)
        save_state(run.folder, run.key, run.progress, run.module, optimizer)


class Meter:
    """Mean loss and tokens per second since it was last read."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._losses: list[float] = []
        self._tokens, self._started = 0, time.monotonic()

    def add(self, loss: float, tokens: int) -> None:
        """One step."""
        self._losses.append(loss)
        self._tokens += tokens

    def read(self) -> str:
        """What it measured; starts anew."""
        speed = self._tokens / max(1e-9, time.monotonic() - self._started)
        text = f"loss {sum(self._losses) / len(self._losses):.3f} {speed:,.0f} tokens/s"
        self._start()
        return text


def _facts(run: Run) -> CheckpointFacts:
    best, config = run.progress.best, run.config
    return CheckpointFacts(
        name=config.name or config.out.name,
        task=Task.FILL_MASK,
        figures={"held_out_loss": best, "held_out_perplexity": math.exp(best)},
        lineage=Lineage(
            base_model=config.base,
            ancestors=ancestors_of(Path(config.base), Path(config.base).name) if config.base else (),
            data_hash=run.data_hash,
            cues=config.recipe.cues,
            held_out_of=config.recipe.held_out_of,
            git_commit=git_commit(),
            seed=config.seed,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
    )


def _halve(folder: Path) -> None:
    """Store the weights of a checkpoint in 16 bits."""
    kept = load_checkpoint(folder)
    save_checkpoint(kept.model.half(), kept.tokenizer, kept.facts, folder)


def main() -> None:
    """Command line."""
    try:
        loss = train(parse(description=__doc__))
    except UserError as error:
        raise SystemExit(str(error)) from None
    print(f"lowest held-out loss {loss:.3f}")


if __name__ == "__main__":
    main()
