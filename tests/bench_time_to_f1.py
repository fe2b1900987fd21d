"""Seconds of learning until a macro F1 is reached: `train.finetune` against Hugging Face's `Trainer`.

    python -m tests.bench_time_to_f1 [--target 0.5 0.7] [--epochs 12] [--threads 2]

Both begin with the embedded language model and the same new head, learn from the same X-ray reports at the same
learning rate, which the small model needs, and are measured after each epoch on the same validation reports (macro F1
of "present" at a probability of 0.5). Theirs: 8 reports per step, padded, fp32, linear decay, everything else at its
default. Ours: batches of similar length that hold 8 reports on the average, bf16, positives weighed more at the start.
The seconds are those of learning alone, without the measuring. Not a test: nothing fails here.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.state import AcceleratorState
from datasets import Dataset
from transformers import (
    DataCollatorWithPadding,
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.parts import Parts
from medbertde.settings import ROOT
from tests.bench_finetune import PER_STEP, REPORTS, SCHEMA
from train.classifier import build_model, predict_logits
from train.dataset import Example, examples
from train.evaluate import measure
from train.finetune import split
from train.fit import Fitting
from train.run_folder import CONFIG_FILE, LABELS_FILE, FinetuneConfig

RATE = 5e-4
Reached = Iterator[tuple[float, float]]  # seconds of learning so far and macro F1, after each epoch


def ours(base: LoadedModel, folder: Path, config: FinetuneConfig, parts: Parts) -> Reached:
    """Our loop."""
    AcceleratorState._reset_state(reset_partial_state=True)
    fitting = Fitting(build_model(base, SCHEMA), base, parts, config, SCHEMA, folder)
    pool, spent = examples(parts.validation, SCHEMA, base), 0.0
    for _ in range(config.epochs):
        start = time.perf_counter()
        fitting.epoch()
        spent += time.perf_counter() - start
        yield spent, macro_f1(fitting._plain, pool, base)


def theirs(base: LoadedModel, config: FinetuneConfig, parts: Parts, enough: float) -> Reached:
    """Hugging Face's loop; ends when `enough` is reached."""
    AcceleratorState._reset_state(reset_partial_state=True)
    pool, found = examples(parts.validation, SCHEMA, base), list[tuple[float, float]]()
    learnt = examples(parts.train, SCHEMA, base)
    rows = dict(base.tokenizer([record.text for record in parts.train], truncation=True, max_length=512))
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        num_train_epochs=config.epochs,
        learning_rate=config.learning_rate,
        per_device_train_batch_size=PER_STEP,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
    )
    watch = Watch(lambda model: macro_f1(model, pool, base), found, enough)
    Trainer(
        model=build_model(base, SCHEMA),
        args=arguments,
        train_dataset=Dataset.from_dict({**rows, "labels": [list(example.targets) for example in learnt]}),
        data_collator=DataCollatorWithPadding(base.tokenizer),
        callbacks=[watch],
    ).train()
    yield from found


class Watch(TrainerCallback):
    """Measures after each epoch, outside the clock."""

    def __init__(
        self, measured: Callable[[PreTrainedModel], float], found: list[tuple[float, float]], enough: float
    ) -> None:
        self._measured, self._found, self._enough = measured, found, enough
        self._spent = self._start = 0.0

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The clock runs."""
        self._start = time.perf_counter()

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The clock stops."""
        self._spent += time.perf_counter() - self._start
        model = kwargs["model"]
        self._found.append((self._spent, self._measured(model)))
        control.should_training_stop |= self._found[-1][1] >= self._enough
        model.train()


def macro_f1(model: PreTrainedModel, pool: Sequence[Example], base: LoadedModel) -> float:
    """Of "present" at a probability of 0.5, on whole reports."""
    logits = predict_logits(model, pool, base.encoder.pad_id)[:, : len(SCHEMA.labels)]
    truth = np.array([example.targets for example in pool])[:, : len(SCHEMA.labels)].astype(np.int64)
    return measure(truth, 1 / (1 + np.exp(-logits)), [0.5] * len(SCHEMA.labels), SCHEMA.label_ids).f1_macro


def until(reached: Reached, targets: Sequence[float]) -> dict[float, tuple[float, int]]:
    """The seconds and epochs after which each target is reached; ends with the last one."""
    found: dict[float, tuple[float, int]] = {}
    for epoch, (seconds, f1) in enumerate(reached, 1):
        found |= {target: (seconds, epoch) for target in targets if f1 >= target and target not in found}
        if len(found) == len(targets):
            break
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", nargs="+", type=float, default=[0.5, 0.7])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    base = load_checkpoint(ROOT / "data" / "models" / "medbertde-mini")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / LABELS_FILE).write_bytes(REPORTS.read_bytes())
        config = FinetuneConfig(
            SCHEMA.id, str(base.folder), "bench", precision="bf16", sentences=False, learning_rate=RATE,
            positive_weight=4.0, epochs=args.epochs, batch_tokens=PER_STEP * _tokens(base, folder),
        )  # fmt: skip
        (folder / CONFIG_FILE).write_text(json.dumps(asdict(config)), encoding="utf-8")
        parts = split(folder, config, SCHEMA)
        ways = {"ours": ours(base, folder, config, parts), "Trainer": theirs(base, config, parts, max(args.target))}
        print(f"{platform.machine()}, torch {torch.__version__}, {args.threads} threads, {len(parts.train)} reports")
        print("| | " + " | ".join(f"macro F1 {target}" for target in args.target) + " |")
        print("|---|" + "---|" * len(args.target))
        for name, reached in ways.items():
            found = until(reached, args.target)
            cells = ["{:.0f} s, {} epochs".format(*found[t]) if t in found else "–" for t in args.target]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _tokens(base: LoadedModel, folder: Path) -> int:
    """Of a report, on the average."""
    pool = examples(split(folder, FinetuneConfig(SCHEMA.id, str(base.folder), "bench"), SCHEMA).train, SCHEMA, base)
    return sum(example.tokens for example in pool) // len(pool)


if __name__ == "__main__":
    main()
