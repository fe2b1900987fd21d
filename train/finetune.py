"""Fine-tune a multi-label classifier with states from labelled reports.

    python -m train.finetune runs/20260101-120000

The run folder is the contract. In: `config.json` (`FinetuneConfig`) and `labels.jsonl` (a frozen export). Out:
`progress.jsonl` (a line per step and per epoch), `metrics.json` (old and new model on the same held-out reports) and
`checkpoint/`, which appears only when it is complete. The job opens no database and needs no network.

Against the published protocol (FACTS): thresholds, temperature and the kept epoch are chosen on validation reports
only, the best epoch is kept, reports without any label take part, and long reports are read in windows to their end.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from medbertde.inference.checkpoint import (
    CheckpointFacts,
    Lineage,
    LoadedModel,
    load_checkpoint,
    output_names,
    save_checkpoint,
)
from medbertde.report_file import read_records
from medbertde.schema import Schema, load_schema
from medbertde.types import Metrics, ReportRecord, State, Task, TrainingRefused, UserError
from train.augment import cue_sentence, load_lexicon, recombine, single_sentences, vary
from train.dataset import Batch, Example, batches, collate, examples, part_of
from train.evaluate import best_temperature, best_threshold, measure

FEWEST_TRAIN, FEWEST_TEST = 8, 2


@dataclass(frozen=True)
class FinetuneConfig:
    """What a run does. `replay` names report files that join the training and validation parts, never the test part.

    `test_file` replaces the share of `labels.jsonl` that would be held out. `recombined` and `cues` are numbers of
    augmented texts per epoch, `own_copies` how often each own training report counts. `positive_weight` weighs positive
    targets at the start and decays to 1 at half of the run: an untrained head learns many times faster with it.
    """

    schema_id: str
    base_model: str
    name: str
    compare_with: str | None = None
    replay: tuple[str, ...] = ()
    test_file: str | None = None
    test_share: float = 0.25
    validation_share: float = 0.15
    epochs: int = 8
    patience: int = 4
    learning_rate: float = 2e-4
    warmup_share: float = 0.1
    positive_weight: float = 1.0
    weight_decay: float = 0.01
    batch_tokens: int = 2048
    sentences: bool = True
    recombined: int = 0
    cues: int = 0
    own_copies: int = 1
    seed: int = 42
    precision: str = "no"
    half_weights: bool = False
    run_id: str | None = None


@dataclass(frozen=True)
class Parts:
    """The reports of a run by use."""

    train: list[ReportRecord]
    validation: list[ReportRecord]
    test: list[ReportRecord]


def read_config(folder: Path) -> FinetuneConfig:
    """The run's configuration; `TrainingRefused` for one that names what this version does not know."""
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    unknown = set(raw) - {item.name for item in fields(FinetuneConfig)}
    if unknown:
        names = ", ".join(sorted(unknown))
        raise TrainingRefused(
            f"config.json enthält Unbekanntes: {names}.", f"config.json has unknown entries: {names}."
        )
    return FinetuneConfig(**{**raw, "replay": tuple(raw.get("replay", ()))})


def split(folder: Path, config: FinetuneConfig, schema: Schema) -> Parts:
    """Divide the reports; `TrainingRefused` says why a run cannot work."""
    own = read_records(folder / "labels.jsonl", schema)
    test_share = 0.0 if config.test_file else config.test_share
    by_part: dict[str, list[ReportRecord]] = {"train": [], "validation": [], "test": []}
    for record in own:
        by_part[part_of(record, test_share, config.validation_share)].append(record)
    held_out = {record.text for record in by_part["test"]}
    for path in config.replay:
        for record in read_records(Path(path), schema):
            if record.text not in held_out:
                by_part[
                    "validation" if part_of(record, 0.0, config.validation_share) == "validation" else "train"
                ].append(record)
    test = read_records(Path(config.test_file), schema) if config.test_file else by_part["test"]
    parts = Parts(by_part["train"], by_part["validation"] or by_part["train"], test)
    _refuse_hopeless(parts, len(own))
    return parts


def _refuse_hopeless(parts: Parts, own: int) -> None:
    if len(parts.train) < FEWEST_TRAIN or len(parts.test) < FEWEST_TEST:
        raise TrainingRefused(
            f"Für ein Training sind zu wenige Befunde annotiert: {own}, davon {len(parts.test)} im Testteil. Nötig sind "
            f"mindestens {FEWEST_TRAIN} zum Lernen und {FEWEST_TEST} zum Prüfen. Bitte weiter annotieren.",
            f"Too few reports are labelled for a training run: {own}, of which {len(parts.test)} in the test part. At "
            f"least {FEWEST_TRAIN} to learn and {FEWEST_TEST} to test are needed. Please annotate more.",
        )
    if not any(State.PRESENT in record.labels.values() for record in parts.test):
        raise TrainingRefused(
            "Im Testteil ist kein einziger Befund „vorhanden“; daran lässt sich nichts messen. Bitte weiter annotieren.",
            "Not one finding is “present” in the test part; nothing can be measured on it. Please annotate more.",
        )


def build_model(base: LoadedModel, schema: Schema) -> PreTrainedModel:
    """A classifier on the base's encoder; a base that already answers this schema keeps its head."""
    outputs = output_names(schema, states=True)
    if base.task is Task.CLASSIFY and base.outputs == outputs:
        return base.model.requires_grad_(True)
    model = AutoModelForSequenceClassification.from_pretrained(
        base.folder,
        num_labels=len(outputs),
        id2label=dict(enumerate(outputs)),
        label2id={output: index for index, output in enumerate(outputs)},
        problem_type="multi_label_classification",
        ignore_mismatched_sizes=True,
        use_safetensors=True,
        local_files_only=True,
        dtype=torch.float32,
    )
    return model


def report_logits(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Logits `(reports, outputs)`: the largest over a report's windows."""
    logits = model(input_ids=batch.ids.to(model.device), attention_mask=batch.attention.to(model.device)).logits.float()
    reports = len(batch.targets)
    start = torch.full((reports, logits.shape[1]), -torch.inf, device=logits.device)
    index = batch.report.to(logits.device)[:, None].expand_as(logits)
    return start.scatter_reduce(0, index, logits, reduce="amax")


@torch.no_grad()
def predict_logits(model: PreTrainedModel, pool: Sequence[Example], pad_id: int) -> np.ndarray:
    """Logits `(reports, outputs)` in the order of `pool`."""
    model.eval()
    rows = [report_logits(model, collate(pool[start : start + 16], pad_id)) for start in range(0, len(pool), 16)]
    return torch.cat(rows).cpu().numpy().astype(np.float64)


class RunLog:
    """Appends what happens to `progress.jsonl`, one complete line at a time."""

    def __init__(self, folder: Path, total: int) -> None:
        self._path = folder / "progress.jsonl"
        self._path.write_text("", encoding="utf-8")
        self._total, self._started = total, time.monotonic()

    def write(self, step: int, **facts: Any) -> None:
        """One line: the step, the total, seconds since the start and `facts`."""
        line = {"step": step, "total": self._total, "elapsed_s": round(time.monotonic() - self._started, 2), **facts}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


class Epochs:
    """The training texts of each epoch: the reports as written, then varied, with the augmentation asked for."""

    def __init__(self, config: FinetuneConfig, records: Sequence[ReportRecord], schema: Schema) -> None:
        self._config, self._records = config, records
        self._sentences = [part for record in records for part in single_sentences(record)] if config.sentences else []
        self._lexicon = load_lexicon(schema.id) if config.cues else None

    def draw(self, epoch: int) -> list[ReportRecord]:
        """The records of one epoch; equal for equal seeds."""
        rng = random.Random(self._config.seed * 1_000 + epoch)
        drawn = [*self._records, *self._sentences]
        if len(self._sentences) >= 10:
            drawn += [recombine(self._sentences, rng) for _ in range(self._config.recombined)]
        if self._lexicon:
            drawn += [cue_sentence(self._lexicon, rng) for _ in range(self._config.cues)]
        return [replace(record, text=vary(record.text, rng) or record.text) for record in drawn] if epoch else drawn


def fit(
    model: PreTrainedModel, base: LoadedModel, parts: Parts, config: FinetuneConfig, schema: Schema, folder: Path
) -> PreTrainedModel:
    """Train and return the model as it was in the best epoch (validation F1 over all outputs, then loss)."""
    accelerator = Accelerator(mixed_precision=config.precision)
    pad_id = base.encoder.pad_id
    epochs = Epochs(config, parts.train, schema)
    validation = examples(parts.validation, schema, base)
    model = model.to(accelerator.device)
    optimizer = torch.optim.AdamW(_groups(model, config.weight_decay), lr=config.learning_rate, fused=True)
    model, optimizer = accelerator.prepare(model, optimizer)
    plain = accelerator.unwrap_model(model)
    first = examples(epochs.draw(0), schema, base)
    total = config.epochs * len(list(batches(first, config.batch_tokens, pad_id, random.Random(0))))
    log = RunLog(folder, total)
    best, best_weights, best_epoch, step = (-1.0, -math.inf), None, 0, 0
    for epoch in range(config.epochs):
        model.train()
        pool = first if epoch == 0 else examples(epochs.draw(epoch), schema, base)
        for batch in batches(pool, config.batch_tokens, pad_id, random.Random(config.seed + epoch)):
            _set_rate(optimizer, config, step, total)
            with accelerator.autocast():
                weight = torch.tensor(_positive_weight(config, step, total), device=plain.device)
                loss = binary_cross_entropy_with_logits(
                    report_logits(model, batch), batch.targets.to(plain.device), pos_weight=weight
                )
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            log.write(min(step, total), epoch=epoch + 1, epochs=config.epochs, loss=round(loss.item(), 5))
        quality = _quality(predict_logits(plain, validation, pad_id), validation)
        log.write(
            min(step, total),
            epoch=epoch + 1,
            epochs=config.epochs,
            validation_f1=quality[0],
            validation_loss=-quality[1],
        )
        if quality > best:
            best, best_epoch = quality, epoch
            best_weights = {name: weight.detach().cpu().clone() for name, weight in plain.state_dict().items()}
        elif epoch - best_epoch >= config.patience:
            break
    if best_weights:
        plain.load_state_dict(best_weights)
    return plain.eval()


def _groups(model: PreTrainedModel, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices, none for biases and LayerNorm."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def _set_rate(optimizer: torch.optim.Optimizer, config: FinetuneConfig, step: int, total: int) -> None:
    """Linear warm-up, then linear decay to a twentieth of the peak."""
    warmup = max(1, int(total * config.warmup_share))
    share = (step + 1) / warmup if step < warmup else max(0.05, 1 - (step - warmup) / max(1, total - warmup))
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * share


def _positive_weight(config: FinetuneConfig, step: int, total: int) -> float:
    """From `positive_weight` down to 1 at half of the run, so that the second half learns calibrated probabilities."""
    return max(1.0, config.positive_weight - (config.positive_weight - 1) * 2 * step / max(1, total))


def _quality(logits: np.ndarray, pool: Sequence[Example]) -> tuple[float, float]:
    """Micro F1 over all outputs at 0.5, and minus the mean cross-entropy."""
    gold = np.array([example.targets for example in pool])
    decided = logits > 0
    hits = float((decided & (gold == 1)).sum())
    f1 = 2 * hits / max(1.0, float(decided.sum() + gold.sum()))
    loss = binary_cross_entropy_with_logits(torch.from_numpy(logits), torch.from_numpy(gold))
    return round(f1, 4), -round(loss.item(), 5)


def calibrate(logits: np.ndarray, gold: np.ndarray, schema: Schema) -> tuple[dict[str, float], dict[str, float]]:
    """Thresholds per label and one temperature shared by all labels, from validation logits `(reports, outputs)`."""
    temperature = best_temperature(gold, logits, np.ones_like(gold))
    present = 1 / (1 + np.exp(-logits[:, : len(schema.labels)] / temperature))
    truth = gold.astype(np.int64)
    thresholds = {label: best_threshold(truth[:, i], present[:, i]) for i, label in enumerate(schema.label_ids)}
    return thresholds, dict.fromkeys(schema.label_ids, temperature)


def test_metrics(
    model: PreTrainedModel, pool: Sequence[Example], schema: Schema, facts: CheckpointFacts, pad_id: int
) -> Metrics:
    """The held-out figures of "present" under the checkpoint's own thresholds and temperatures."""
    count = len(schema.labels)
    temperatures = np.array([facts.temperatures.get(label, 1.0) for label in schema.label_ids])
    scores = 1 / (1 + np.exp(-predict_logits(model, pool, pad_id)[:, :count] / temperatures))
    truth = np.array([example.targets[:count] for example in pool]).astype(np.int64)
    return measure(truth, scores, [facts.thresholds[label] for label in schema.label_ids], schema.label_ids)


def old_metrics(config: FinetuneConfig, test: Sequence[ReportRecord], schema: Schema) -> Metrics | None:
    """The same figures of the model to compare with, None when there is none or it labels another schema."""
    if not config.compare_with:
        return None
    old = load_checkpoint(Path(config.compare_with))
    if old.facts.schema_id != schema.id or old.outputs[: len(schema.labels)] != schema.label_ids:
        return None
    return test_metrics(old.model, examples(test, schema, old), schema, old.facts, old.encoder.pad_id)


def train(folder: Path) -> Metrics:
    """Run the job in `folder`; returns the new model's held-out figures."""
    config = read_config(folder)
    schema = load_schema(config.schema_id)
    set_seed(config.seed)
    parts = split(folder, config, schema)
    base = load_checkpoint(Path(config.base_model))
    model = fit(build_model(base, schema), base, parts, config, schema, folder)
    pad_id = base.encoder.pad_id
    validation = examples(parts.validation, schema, base)
    gold = np.array([example.targets for example in validation])
    thresholds, temperatures = calibrate(predict_logits(model, validation, pad_id), gold, schema)
    facts = CheckpointFacts(
        name=config.name, task=Task.CLASSIFY, schema_id=schema.id, schema_version=schema.version,
        thresholds=thresholds, temperatures=temperatures, lineage=_lineage(folder, config, base),
    )  # fmt: skip
    new = test_metrics(model, examples(parts.test, schema, base), schema, facts, pad_id)
    old = old_metrics(config, parts.test, schema)
    if config.half_weights:
        model = model.half()
    save_checkpoint(model, base.tokenizer, replace(facts, metrics=new), folder / "checkpoint")
    _write_metrics(folder, {"new": asdict(new), "old": asdict(old) if old else None, "reports": _sizes(parts)})
    return new


def _lineage(folder: Path, config: FinetuneConfig, base: LoadedModel) -> Lineage:
    return Lineage(
        base_model=base.version,
        data_hash=sha256((folder / "labels.jsonl").read_bytes()).hexdigest(),
        git_commit=_git_commit(),
        seed=config.seed,
        run_id=config.run_id,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _git_commit() -> str | None:
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent)
    except OSError:
        return None
    return found.stdout.strip() or None


def _sizes(parts: Parts) -> dict[str, int]:
    return {name: len(getattr(parts, name)) for name in ("train", "validation", "test")}


def _write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    partial = folder / ".metrics.json.partial"
    partial.write_text(json.dumps(metrics, ensure_ascii=False, indent=2), encoding="utf-8")
    partial.replace(folder / "metrics.json")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="run folder with config.json and labels.jsonl")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: all")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        metrics = train(args.folder)
    except UserError as error:
        (args.folder / "refused.json").write_text(json.dumps({"de": error.de, "en": error.en}), encoding="utf-8")
        raise SystemExit(str(error)) from None
    print(f"macro F1 {metrics.f1_macro:.3f}, micro F1 {metrics.f1_micro:.3f} on {metrics.n_reports} held-out reports")


if __name__ == "__main__":
    main()
