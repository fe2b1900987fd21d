"""Fine-tune a multi-label classifier with states from labelled reports, or a tagger from reports with spans.

    python -m train.finetune runs/20260101-120000
    torchrun --nproc-per-node 8 -m -- train.finetune runs/20260101-120000

The run folder is the contract. In: `config.json` (`FinetuneConfig`) and `labels.jsonl` (a frozen export). Out:
`progress.jsonl` (a line per step and per epoch), `metrics.json` (old and new model on the same held-out reports, with
intervals and a paired test), `held_out.jsonl` (both models' scores for each of these reports), `doubted.jsonl` (labels
that the new model doubts) and `checkpoint/`, which appears only when it is complete. A run that was killed goes on
where it was when it is started again (`state/`). The job opens no database and needs no network.

Against the published protocol (docs/training.md): thresholds, temperature and the kept epoch are chosen on validation
reports only, the best epoch is kept, reports without any label take part, and long reports are read in windows to their
end.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import set_seed
from transformers import PreTrainedModel

from medbertde.inference.checkpoint import LoadedModel, save_checkpoint
from medbertde.inference.facts import CheckpointFacts
from medbertde.parts import Parts, divide, require_marked, require_workable
from medbertde.report_file import read_records
from medbertde.schema import Kind, Schema, load_schema
from medbertde.text import content_hash
from medbertde.types import Metrics, Reading, ReliabilityBin, ReportRecord, Task, TrainingRefused, UserError
from train.classifier import build_model, predict_logits
from train.compare import Judged, by_report, comparison, reliability
from train.dataset import Example, examples
from train.doubt import doubted
from train.evaluate import best_temperature, best_threshold, measure
from train.fit import Watch, fit, state_folder
from train.lineage import load_base, run_lineage
from train.run_folder import (
    LABELS_FILE,
    FinetuneConfig,
    read_config,
    report_keys,
    write_lines,
    write_metrics,
    write_refusal,
)
from train.span_run import finish
from train.spans import build_span_model, require_for_spans


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
    (require_marked if schema.kind is Kind.SPANS else require_workable)(parts, len(own))
    return parts


def _records(path: Path, schema: Schema) -> list[ReportRecord]:
    try:
        return read_records(path, schema)
    except OSError as error:
        raise TrainingRefused(
            f"Die Datei {path.name} mit den Befunden fehlt oder ist nicht lesbar.",
            f"The file {path.name} with the reports is missing or cannot be read.",
        ) from error


def calibrate(logits: np.ndarray, gold: np.ndarray, schema: Schema) -> tuple[dict[str, float], dict[str, float]]:
    """Thresholds per label and one temperature shared by all labels, from validation logits `(reports, outputs)`."""
    temperature = best_temperature(gold.clip(min=0), logits, (gold >= 0).astype(np.float64))
    present = 1 / (1 + np.exp(-logits[:, : len(schema.labels)] / temperature))
    truth = gold.astype(np.int64)
    thresholds = {label: best_threshold(truth[:, i], present[:, i]) for i, label in enumerate(schema.label_ids)}
    return thresholds, dict.fromkeys(schema.label_ids, temperature)


def judge(
    model: PreTrainedModel, pool: Sequence[Example], schema: Schema, facts: CheckpointFacts, pad_id: int
) -> Judged:
    """What a model says about "present", under the checkpoint's own thresholds and temperatures."""
    return judged(predict_logits(model, pool, pad_id), schema, facts)


def judged(logits: np.ndarray, schema: Schema, facts: CheckpointFacts) -> Judged:
    """What logits `(reports, outputs)` say about "present"."""
    temperatures = np.array([facts.temperatures.get(label, 1.0) for label in schema.label_ids])
    scores = 1 / (1 + np.exp(-logits[:, : len(schema.labels)] / temperatures))
    return Judged(scores, [facts.thresholds[label] for label in schema.label_ids])


def judge_old(config: FinetuneConfig, test: Sequence[ReportRecord], schema: Schema) -> Judged | None:
    """The same of the model to compare with, None when there is none or it labels another schema."""
    if not config.compare_with:
        return None
    old = load_base(config.compare_with)
    if old.facts.schema_id != schema.id or old.outputs[: len(schema.labels)] != schema.label_ids:
        return None
    return judge(old.model, examples(test, schema, old), schema, old.facts, old.encoder.pad_id)


def train(folder: Path, watch: Watch = lambda _epoch, _loss: None) -> Metrics:
    """Run the job in `folder`; returns the new model's held-out figures. `watch` hears of each epoch's loss."""
    config = read_config(folder)
    schema = load_schema(config.schema_id)
    set_seed(config.seed)
    parts = split(folder, config, schema)
    if schema.kind is Kind.SPANS:
        return _train_on_spans(folder, config, schema, parts, watch)
    base = reading(load_base(config.base_model), config.reads)
    model = fit(build_model(base, schema), base, parts, config, schema, folder, watch)
    metrics = conclude(folder, config, schema, parts, base, model)
    if PartialState().is_main_process:
        shutil.rmtree(state_folder(folder))
    return metrics


def conclude(
    folder: Path, config: FinetuneConfig, schema: Schema, parts: Parts, base: LoadedModel, model: PreTrainedModel
) -> Metrics:
    """Calibrate a trained model on the validation reports, measure it on the test reports, write what a run gives."""
    pad_id = base.encoder.pad_id
    validation = examples(parts.validation, schema, base, config.uncertain)
    gold = np.array([example.targets for example in validation])
    logits = predict_logits(model, validation, pad_id)
    thresholds, temperatures = calibrate(logits, gold, schema)
    facts = CheckpointFacts(
        name=config.name,
        task=Task.CLASSIFY,
        schema_id=schema.id,
        schema_version=schema.version,
        reads=base.facts.reads,
        thresholds=thresholds,
        temperatures=temperatures,
        lineage=run_lineage(folder, config, base),
    )
    held_out = examples(parts.test, schema, base, config.uncertain)
    truth = np.array([example.targets[: len(schema.labels)] for example in held_out]).astype(np.int64)
    new, old = judge(model, held_out, schema, facts, pad_id), judge_old(config, parts.test, schema)
    metrics = measure(truth, new.scores, new.thresholds, schema.label_ids)
    if not PartialState().is_main_process:
        return metrics
    if config.half_weights:
        model = model.half()
    compared = comparison(truth, new, old)
    kept = judged(logits, schema, facts)
    told = replace(
        facts,
        metrics=metrics,
        figures=_card_figures(parts, compared["intervals"]["new"]),
        reliability=_validation_reliability(gold, kept),
    )
    save_checkpoint(model, base.tokenizer, told, folder / "checkpoint")
    write_lines(folder / "held_out.jsonl", by_report(report_keys(parts.test), schema.label_ids, truth, new, old))
    doubts = _doubts(folder, schema, parts, {"validation": (gold, kept), "test": (truth, new)})
    write_lines(folder / "doubted.jsonl", doubts)
    before = asdict(measure(truth, old.scores, old.thresholds, schema.label_ids)) if old else None
    figures = {"new": asdict(metrics), "old": before, "reports": parts.sizes, "thresholds": thresholds}
    write_metrics(folder, figures | compared)
    return metrics


def _train_on_spans(folder: Path, config: FinetuneConfig, schema: Schema, parts: Parts, watch: Watch) -> Metrics:
    """The job for a schema of spans: the same loop, other figures. Reports are read in windows, whatever the base."""
    require_for_spans(config)
    base = reading(load_base(config.base_model), Reading.WINDOWS)
    model = fit(build_span_model(base, schema), base, parts, config, schema, folder, watch)
    return finish(folder, config, schema, base, parts, model)


def _doubts(
    folder: Path, schema: Schema, parts: Parts, by_part: Mapping[str, tuple[np.ndarray, Judged]]
) -> list[dict[str, Any]]:
    """The labels of its own reports that the new model doubts, of those parts that it has not learnt from."""
    own = {content_hash(record.text) for record in _records(folder / LABELS_FILE, schema)}
    learnt = {content_hash(record.text) for record in parts.train}
    found = []
    for part, (truth, said) in by_part.items():
        records = getattr(parts, part)
        mine = [at for at, record in enumerate(records) if content_hash(record.text) in own - learnt]
        chosen = [records[at] for at in mine]
        given = [record.labels for record in chosen]
        found += [
            {**row, "part": part}
            for row in doubted(report_keys(chosen), schema.label_ids, given, truth[mine], said.scores[mine])
        ]
    return sorted(found, key=lambda row: float(row["support"]))


def _card_figures(parts: Parts, intervals: Mapping[str, Sequence[float] | None]) -> dict[str, float]:
    """What the model card tells beside the figures: numbers of reports, and intervals."""
    counts = {f"reports, {name}": float(count) for name, count in parts.sizes.items()}
    ends = {
        f"{name}, 95 % interval {end}": value
        for name, found in intervals.items()
        for end, value in zip(("from", "to"), found or (), strict=False)
    }
    return counts | ends


def _validation_reliability(gold: np.ndarray, said: Judged) -> tuple[ReliabilityBin, ...]:
    """How often what got a certain probability was there, in the validation reports; the test reports stay unseen.

    All findings together, since one alone has too few reports; `gold` is `(reports, outputs)`, "present" first.
    """
    rows = reliability(gold[:, : said.scores.shape[1]].astype(np.int64), said)
    return tuple(ReliabilityBin(row["score"], row["share"], int(row["decisions"])) for row in rows)


def reading(base: LoadedModel, reads: Reading | None) -> LoadedModel:
    """The base reading reports as asked for, else as it does already."""
    return base if reads is None else replace(base, facts=replace(base.facts, reads=reads))


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
        if args.folder.is_dir():
            write_refusal(args.folder, error)
        raise SystemExit(str(error)) from None
    print(f"macro F1 {metrics.f1_macro:.3f}, micro F1 {metrics.f1_micro:.3f} on {metrics.n_reports} held-out reports")


if __name__ == "__main__":
    main()
