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
import math
import os
import random
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

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
from medbertde.types import Metrics, Reading, ReportRecord, State, Task, TrainingRefused, UserError
from train.augment import cue_sentence, load_lexicon, run_together, single_sentences, vary
from train.dataset import Batch, Example, Parts, batches, collate, divide, examples
from train.evaluate import best_temperature, best_threshold, measure
from train.run_folder import LABELS_FILE, FinetuneConfig, RunLog, read_config, write_metrics, write_refusal
from train.steps import adamw, require_finite, take_step

FEWEST_TRAIN, FEWEST_TEST = 8, 2


def split(folder: Path, config: FinetuneConfig, schema: Schema) -> Parts:
    """Read and divide the reports; `TrainingRefused` says why a run cannot work."""
    own = _records(folder / LABELS_FILE, schema)
    parts = divide(
        own,
        replay=[record for path in config.replay for record in _records(Path(path), schema)],
        statements=[record for path in config.statements for record in _records(Path(path), schema)],
        test=_records(Path(config.test_file), schema) if config.test_file else None,
        test_share=config.test_share,
        validation_share=config.validation_share,
    )
    _refuse_hopeless(parts, len(own))
    return parts


def _records(path: Path, schema: Schema) -> list[ReportRecord]:
    try:
        return read_records(path, schema)
    except OSError as error:
        raise TrainingRefused(
            f"Die Datei {path.name} mit den Befunden fehlt oder ist nicht lesbar.",
            f"The file {path.name} with the reports is missing or cannot be read.",
        ) from error


def _refuse_hopeless(parts: Parts, own: int) -> None:
    if len(parts.train) < FEWEST_TRAIN or len(parts.test) < FEWEST_TEST:
        raise TrainingRefused(
            f"Für ein Training sind zu wenige Befunde annotiert: {own}, davon {len(parts.test)} im Testteil. Nötig "
            f"sind mindestens {FEWEST_TRAIN} zum Lernen und {FEWEST_TEST} zum Prüfen. Bitte weiter annotieren.",
            f"Too few reports are labelled for a training run: {own}, of which {len(parts.test)} in the test part. At "
            f"least {FEWEST_TRAIN} to learn and {FEWEST_TEST} to test are needed. Please annotate more.",
        )
    if not any(State.PRESENT in record.labels.values() for record in parts.test):
        raise TrainingRefused(
            "Im Testteil ist kein einziger Befund „vorhanden“; daran lässt sich nichts messen. Bitte weiter "
            "annotieren.",
            "Not one finding is “present” in the test part; nothing can be measured on it. Please annotate more.",
        )


def build_model(base: LoadedModel, schema: Schema) -> PreTrainedModel:
    """A classifier on the base's encoder; a base that already answers this schema keeps its head.

    Any other head starts untrained: one that names its outputs otherwise would begin with another finding's weights.
    """
    outputs = output_names(schema, states=True)
    if base.task is Task.CLASSIFY and base.outputs == outputs:
        return base.model.requires_grad_(True)
    config = AutoConfig.from_pretrained(
        base.folder,
        num_labels=len(outputs),
        id2label=dict(enumerate(outputs)),
        label2id={output: index for index, output in enumerate(outputs)},
        problem_type="multi_label_classification",
        local_files_only=True,
    )
    model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    model.base_model.load_state_dict(base.model.base_model.state_dict(), strict=False)  # a language model has no pooler
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


class Epochs:
    """The training texts of each epoch: the reports as written, then varied, with the augmentation asked for."""

    def __init__(self, config: FinetuneConfig, parts: Parts, schema: Schema) -> None:
        self._config = config
        self._own = self._texts(parts.own) * config.own_copies
        self._replay = self._texts(parts.replay)
        self._sentences = [part for record in parts.train for part in single_sentences(record)]
        self._lexicon = load_lexicon(schema.id) if config.cues else None

    def _texts(self, records: Sequence[ReportRecord]) -> list[ReportRecord]:
        """Whole reports and single sentences, as configured."""
        sentences = [part for record in records for part in single_sentences(record)] if self._config.sentences else []
        return [*(records if self._config.whole_reports else ()), *sentences]

    def draw(self, epoch: int) -> list[ReportRecord]:
        """The records of one epoch; equal for equal seeds."""
        rng = random.Random(self._config.seed * 1_000 + epoch)
        most = self._config.replay_texts
        replay = self._replay if most is None else rng.sample(self._replay, k=min(most, len(self._replay)))
        drawn = [*self._own, *replay]
        if len(self._sentences) >= 10:
            drawn += [run_together(self._sentences, rng) for _ in range(self._config.run_together)]
        if self._lexicon:
            drawn += [cue_sentence(self._lexicon, rng) for _ in range(self._config.cues)]
        return [replace(record, text=vary(record.text, rng) or record.text) for record in drawn] if epoch else drawn


@dataclass
class Best:
    """The weights of the epoch with the lowest validation loss so far, the higher F1 among equals."""

    keep_last: bool = False
    quality: tuple[float, float] = (-math.inf, -1.0)
    epoch: int = -1
    weights: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, model: PreTrainedModel, quality: tuple[float, float], epoch: int) -> None:
        """Keep a copy of the weights if they are better."""
        if quality > self.quality or self.keep_last:
            self.quality, self.epoch = quality, epoch
            self.weights = {name: weight.detach().cpu().clone() for name, weight in model.state_dict().items()}


def fit(
    model: PreTrainedModel, base: LoadedModel, parts: Parts, config: FinetuneConfig, schema: Schema, folder: Path
) -> PreTrainedModel:
    """Train and return the model as it was in the best epoch; stops after `patience` epochs that are no better."""
    accelerator = Accelerator(mixed_precision=config.precision)
    pad_id = base.encoder.pad_id
    epochs = Epochs(config, parts, schema)
    validation = examples(parts.validation, schema, base)
    model = model.to(accelerator.device)
    model, optimizer = accelerator.prepare(model, adamw(model, config.weight_decay))
    plain = accelerator.unwrap_model(model)
    first = examples(epochs.draw(0), schema, base)
    total = config.epochs * sum(1 for _ in batches(first, config.batch_tokens, pad_id, random.Random(0)))
    log, best, step = RunLog(folder, total), Best(config.keep_last), 0
    for epoch in range(config.epochs):
        now = {"epoch": epoch + 1, "epochs": config.epochs}
        model.train()
        pool = first if epoch == 0 else examples(epochs.draw(epoch), schema, base)
        for batch in batches(pool, config.batch_tokens, pad_id, random.Random(config.seed + epoch)):
            with accelerator.autocast():
                loss = batch_loss(model, batch, _positive_weight(config, step, total))
            value = take_step(accelerator, model, optimizer, loss, _learning_rate(config, step, total))
            step += 1
            log.write(step, **now, loss=round(value, 5))
        quality = _quality(predict_logits(plain, validation, pad_id), validation)
        require_finite(quality[0])
        log.write(step, **now, validation_f1=quality[1], validation_loss=-quality[0])
        best.offer(plain, quality, epoch)
        if epoch - best.epoch >= config.patience:
            break
    plain.load_state_dict(best.weights)
    return accelerator.unwrap_model(model, keep_fp32_wrapper=False).eval()  # measured in the precision it is served in


def batch_loss(model: PreTrainedModel, batch: Batch, positive_weight: float) -> Tensor:
    """Mean binary cross-entropy over reports and outputs; positive targets weigh `positive_weight` times."""
    logits = report_logits(model, batch)
    weight = torch.tensor(positive_weight, device=logits.device)
    return binary_cross_entropy_with_logits(logits, batch.targets.to(logits.device), pos_weight=weight)


def _learning_rate(config: FinetuneConfig, step: int, total: int) -> float:
    """Linear warm-up, then linear decay to a twentieth of the peak."""
    warmup = max(1, int(total * config.warmup_share))
    share = (step + 1) / warmup if step < warmup else max(0.05, 1 - (step - warmup) / max(1, total - warmup))
    return config.learning_rate * share


def _positive_weight(config: FinetuneConfig, step: int, total: int) -> float:
    """`positive_weight` for half of the run, then down to 1 at three quarters: the rest learns calibrated scores."""
    left = min(1.0, max(0.0, 3 - 4 * step / max(1, total)))
    return 1 + (config.positive_weight - 1) * left


def _quality(logits: np.ndarray, pool: Sequence[Example]) -> tuple[float, float]:
    """Minus the mean cross-entropy, and micro F1 over all outputs at 0.5."""
    gold = np.array([example.targets for example in pool])
    decided = logits > 0
    hits = float((decided & (gold == 1)).sum())
    f1 = 2 * hits / max(1.0, float(decided.sum() + gold.sum()))
    loss = binary_cross_entropy_with_logits(torch.from_numpy(logits), torch.from_numpy(gold))
    return -round(loss.item(), 5), round(f1, 4)


def calibrate(logits: np.ndarray, gold: np.ndarray, schema: Schema) -> tuple[dict[str, float], dict[str, float]]:
    """Thresholds per label and one temperature shared by all labels, from validation logits `(reports, outputs)`."""
    temperature = best_temperature(gold, logits, np.ones_like(gold))
    present = 1 / (1 + np.exp(-logits[:, : len(schema.labels)] / temperature))
    truth = gold.astype(np.int64)
    thresholds = {label: best_threshold(truth[:, i], present[:, i]) for i, label in enumerate(schema.label_ids)}
    return thresholds, dict.fromkeys(schema.label_ids, temperature)


def held_out_metrics(
    model: PreTrainedModel, pool: Sequence[Example], schema: Schema, facts: CheckpointFacts, pad_id: int
) -> Metrics:
    """The held-out figures of "present" under the checkpoint's own thresholds and temperatures."""
    count = len(schema.labels)
    temperatures = np.array([facts.temperatures.get(label, 1.0) for label in schema.label_ids])
    scores = 1 / (1 + np.exp(-predict_logits(model, pool, pad_id)[:, :count] / temperatures))
    truth = np.array([example.targets[:count] for example in pool]).astype(np.int64)
    return measure(truth, scores, [facts.thresholds[label] for label in schema.label_ids], schema.label_ids)


def metrics_to_compare(config: FinetuneConfig, test: Sequence[ReportRecord], schema: Schema) -> Metrics | None:
    """The same figures of the model to compare with, None when there is none or it labels another schema."""
    if not config.compare_with:
        return None
    old = load_checkpoint(Path(config.compare_with))
    if old.facts.schema_id != schema.id or old.outputs[: len(schema.labels)] != schema.label_ids:
        return None
    return held_out_metrics(old.model, examples(test, schema, old), schema, old.facts, old.encoder.pad_id)


def train(folder: Path) -> Metrics:
    """Run the job in `folder`; returns the new model's held-out figures."""
    config = read_config(folder)
    schema = load_schema(config.schema_id)
    set_seed(config.seed)
    parts = split(folder, config, schema)
    base = reading(load_checkpoint(Path(config.base_model)), config.reads)
    model = fit(build_model(base, schema), base, parts, config, schema, folder)
    pad_id = base.encoder.pad_id
    validation = examples(parts.validation, schema, base)
    gold = np.array([example.targets for example in validation])
    thresholds, temperatures = calibrate(predict_logits(model, validation, pad_id), gold, schema)
    facts = CheckpointFacts(
        name=config.name,
        task=Task.CLASSIFY,
        schema_id=schema.id,
        schema_version=schema.version,
        reads=base.facts.reads,
        thresholds=thresholds,
        temperatures=temperatures,
        lineage=_lineage(folder, config, base),
    )
    new = held_out_metrics(model, examples(parts.test, schema, base), schema, facts, pad_id)
    old = metrics_to_compare(config, parts.test, schema)
    if config.half_weights:
        model = model.half()
    save_checkpoint(model, base.tokenizer, replace(facts, metrics=new), folder / "checkpoint")
    write_metrics(folder, {"new": asdict(new), "old": asdict(old) if old else None, "reports": _sizes(parts)})
    return new


def reading(base: LoadedModel, reads: Reading | None) -> LoadedModel:
    """The base reading reports as asked for, else as it does already."""
    return base if reads is None else replace(base, facts=replace(base.facts, reads=reads))


def _lineage(folder: Path, config: FinetuneConfig, base: LoadedModel) -> Lineage:
    return Lineage(
        base_model=base.version,
        data_hash=sha256((folder / LABELS_FILE).read_bytes()).hexdigest(),
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
        write_refusal(args.folder, error)
        raise SystemExit(str(error)) from None
    print(f"macro F1 {metrics.f1_macro:.3f}, micro F1 {metrics.f1_micro:.3f} on {metrics.n_reports} held-out reports")


if __name__ == "__main__":
    main()
