"""Reports per second of `train.finetune` against Hugging Face's `Trainer` as its text classification guide sets it up.

    python -m tests.bench_finetune [--sizes mini base] [--threads 2] [--rounds 5] [--memory]

Same model (random weights), same reports, same number of reports per step, whole reports of at most 512 tokens. Theirs:
truncation, DataCollatorWithPadding over shuffled batches, fp32, AdamW, everything else at its default. Ours: batches of
similar length, bf16. Both take turns, round by round; a ratio is the median over rounds, by wall time and by CPU time.
`--memory` measures the peak of each in a process of its own. Not a test: nothing fails here.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from itertools import cycle
from pathlib import Path

import torch
from accelerate.state import AcceleratorState
from datasets import Dataset
from transformers import BertConfig, BertForSequenceClassification, DataCollatorWithPadding, TrainingArguments

from medbertde.inference.checkpoint import LoadedModel, load_checkpoint, save_checkpoint
from medbertde.inference.checkpoint_labels import output_names
from medbertde.inference.facts import CheckpointFacts
from medbertde.parts import Parts
from medbertde.report_file import read_records, to_json
from medbertde.schema import load_schema
from medbertde.settings import ROOT
from medbertde.types import ReportRecord, Task
from tests.bench_pretrain import OpenTrainer, Round, Turn, timed
from train.classifier import build_model
from train.dataset import Example, buckets, examples
from train.fit import Fitting
from train.run_folder import CONFIG_FILE, LABELS_FILE, FinetuneConfig

SCHEMA = load_schema("chest_xray")
REPORTS = ROOT / "data" / "reports" / "chest_xray.jsonl"
SIZES = {"mini": (4, 256, 4, 4), "base": (12, 768, 8, 1)}  # layers, hidden, heads, steps per round
PER_STEP = 8  # reports, the Trainer's default


def new_classifier(size: str, folder: Path) -> LoadedModel:
    """Random weights of a size in the embedded classifier's clothes."""
    layers, hidden, heads, _ = SIZES[size]
    embedded = load_checkpoint(ROOT / "data" / "models" / "mini-chest-xray")
    outputs = output_names(SCHEMA, states=True)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(embedded.tokenizer),
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * hidden,
            id2label=dict(enumerate(outputs)),
            label2id={output: index for index, output in enumerate(outputs)},
            problem_type="multi_label_classification",
        )
    )
    facts = CheckpointFacts(
        name=size,
        task=Task.CLASSIFY,
        schema_id=SCHEMA.id,
        schema_version=SCHEMA.version,
        thresholds=dict.fromkeys(SCHEMA.label_ids, 0.5),
    )
    save_checkpoint(model, embedded.tokenizer, facts, folder)
    return load_checkpoint(folder)


def ours(base: LoadedModel, records: Sequence[ReportRecord], steps: int) -> Turn:
    """Rounds of our loop."""
    run = Path(tempfile.mkdtemp())
    config = FinetuneConfig(SCHEMA.id, str(base.folder), "bench", precision="bf16", sentences=False)
    (run / CONFIG_FILE).write_text(json.dumps(asdict(config)), encoding="utf-8")
    (run / LABELS_FILE).write_text("".join(to_json(record) + "\n" for record in records), encoding="utf-8")
    pool = examples(records, SCHEMA, base)
    parts = Parts(list(records), [], list(records[:1]), list(records[:1]))
    AcceleratorState._reset_state(reset_partial_state=True)
    fitting = Fitting(build_model(base, SCHEMA), base, parts, config, SCHEMA, run)
    fitting.weigh(pool)
    batches = cycle(_of_similar_length(pool))

    def turn() -> int:
        return sum(len(batch) for batch in (next(batches) for _ in range(steps)) if fitting.step(batch, 0.5))

    return timed(turn)


def _of_similar_length(pool: Sequence[Example]) -> list[list[Example]]:
    """Batches under a token budget that hold as many reports as the Trainer's on the average."""
    tokens = PER_STEP * sum(example.tokens for example in pool) // len(pool)
    return [
        [pool[index] for index in batch] for batch in buckets([each.tokens for each in pool], tokens, random.Random(0))
    ]


def theirs(base: LoadedModel, records: Sequence[ReportRecord], steps: int) -> Turn:
    """Rounds of Hugging Face's loop."""
    tokenizer = base.tokenizer
    rows = dict(tokenizer([record.text for record in records], truncation=True, max_length=512))
    targets = [list(example.targets) for example in examples(records, SCHEMA, base)]
    AcceleratorState._reset_state(reset_partial_state=True)
    trainer = OpenTrainer(
        model=build_model(load_checkpoint(base.folder), SCHEMA),
        args=TrainingArguments(
            output_dir=tempfile.mkdtemp(),
            report_to=[],
            use_cpu=not torch.cuda.is_available(),
            dataloader_pin_memory=False,
        ),
        train_dataset=Dataset.from_dict({**rows, "labels": targets}),
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    return trainer.rounds(steps, lambda batch: len(batch["input_ids"]))


def compare(size: str, threads: int, rounds: int, records: Sequence[ReportRecord], folder: Path) -> str:
    """One row of the table."""
    torch.set_num_threads(threads)
    base, steps = new_classifier(size, folder), SIZES[size][3]
    turns = {"ours": ours(base, records, steps), "theirs": theirs(base, records, steps)}
    found: dict[str, list[Round]] = {name: [] for name in turns}
    for number in range(rounds + 1):
        for name, turn in turns.items():
            measured = turn()
            if number:  # the first round warms up
                found[name].append(measured)
    pairs = list(zip(found["ours"], found["theirs"], strict=True))
    speeds = [statistics.median(turn.tokens / turn.wall_s for turn in found[name]) for name in turns]
    wall = statistics.median(a.tokens / a.wall_s * b.wall_s / b.tokens for a, b in pairs)
    cpu = statistics.median(a.tokens / a.cpu_s * b.cpu_s / b.tokens for a, b in pairs)
    return f"| {size} | {threads} | {speeds[0]:.1f} | {speeds[1]:.1f} | {wall:.1f} | {cpu:.1f} |"


def peak_mib(size: str, way: str) -> int:
    """Peak memory of ten steps of one way, in a process of its own."""
    command = [sys.executable, "-m", "tests.bench_finetune", "--sizes", size, "--peak-of", way]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()[-1])


def _peak_here(size: str, way: str, records: Sequence[ReportRecord]) -> int:
    base = new_classifier(size, Path(tempfile.mkdtemp()) / "model")
    {"ours": ours, "theirs": theirs}[way](base, records, 10)()
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--threads", nargs="+", type=int, default=[2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reports", type=int, default=400)
    parser.add_argument("--memory", action="store_true", help="also the peak memory of each")
    parser.add_argument("--peak-of", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    records = read_records(REPORTS, SCHEMA)[: args.reports]
    if args.peak_of:
        print(_peak_here(args.sizes[0], args.peak_of, records))
        return
    print(f"{platform.machine()}, torch {torch.__version__}, {args.rounds} rounds, reports/s")
    print("| size | threads | ours | Trainer | ratio | CPU |\n|---|---|---|---|---|---|")
    for size in args.sizes:
        for threads in args.threads:
            with tempfile.TemporaryDirectory() as place:
                print(compare(size, threads, args.rounds, records, Path(place) / "model"), flush=True)
    if args.memory:
        for size in args.sizes:
            print(f"peak memory, {size}: ours {peak_mib(size, 'ours')} MiB, Trainer {peak_mib(size, 'theirs')} MiB")


if __name__ == "__main__":
    main()
