"""The end of a fine-tuning on spans: confidence on validation, figures on held-out reports, checkpoint and lists.

What comes out is named as for findings (`docs/training.md`); lists name reports and places, never words of a text.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState
from transformers import PreTrainedModel

from medbertde.inference.checkpoint import LoadedModel, save_checkpoint
from medbertde.inference.facts import CheckpointFacts
from medbertde.parts import Parts
from medbertde.schema import Schema
from medbertde.span_tags import found_spans
from medbertde.types import FoundSpan, Metrics, ReportRecord, Task
from train.compare import Judged, reliability
from train.fit import state_folder
from train.intervals import Counts
from train.lineage import load_base, run_lineage
from train.run_folder import FinetuneConfig, report_keys, write_lines, write_metrics
from train.span_figures import by_label, compare_spans, ends, measure_spans, overall, paired_spans, spans_of, table
from train.spans import SpanObjective, best_temperature

TABLE_FILE = "figures.md"
Found = Sequence[FoundSpan]


@dataclass(frozen=True)
class MarkedReports:
    """What one model marks in the held-out reports, and how that counts."""

    spans: Sequence[Found]
    counts: Counts


def finish(
    folder: Path, config: FinetuneConfig, schema: Schema, base: LoadedModel, parts: Parts, model: PreTrainedModel
) -> Metrics:
    """Measure the trained model, write everything that comes out of the run, and return the held-out figures."""
    objective = SpanObjective(schema, base)
    validation = objective.examples(parts.validation)
    temperature = best_temperature(objective.predict(model, validation), validation)
    new = _marked(objective, model, parts.test, temperature)
    old = _marked_by_old(config, parts.test, schema)
    metrics = measure_spans(new.counts, schema.label_ids)
    if not PartialState().is_main_process:
        return metrics
    facts = CheckpointFacts(
        name=config.name,
        task=Task.NER,
        schema_id=schema.id,
        schema_version=schema.version,
        reads=base.facts.reads,
        temperatures=dict.fromkeys(schema.label_ids, temperature),
        metrics=metrics,
        figures=_card_figures(parts, new.counts, schema),
        lineage=run_lineage(folder, config, base),
    )
    save_checkpoint(model.half() if config.half_weights else model, base.tokenizer, facts, folder / "checkpoint")
    write_results(folder, parts, schema, new, old)
    shutil.rmtree(state_folder(folder))
    return metrics


def _marked(
    objective: SpanObjective, model: PreTrainedModel, records: Sequence[ReportRecord], temperature: float
) -> MarkedReports:
    """The spans that a model finds, strictly compared with the annotated ones."""
    pool, labels = objective.examples(records), objective.schema.label_ids
    predicted = objective.predict(model, pool)
    said = [found_spans(each.words, scores, labels, temperature) for each, scores in zip(pool, predicted, strict=True)]
    return MarkedReports(said, compare_spans([each.spans for each in pool], [spans_of(one) for one in said], labels))


def _marked_by_old(config: FinetuneConfig, records: Sequence[ReportRecord], schema: Schema) -> MarkedReports | None:
    """The same of the model to compare with, None when there is none or it marks the spans of another schema."""
    if not config.compare_with:
        return None
    old = load_base(config.compare_with)
    if old.task is not Task.NER or old.facts.schema_id != schema.id:
        return None
    return _marked(SpanObjective(schema, old), old.model, records, old.span_temperature)


def _card_figures(parts: Parts, counts: Counts, schema: Schema) -> dict[str, float]:
    """What the model card tells beside the figures: numbers of reports, intervals, and F1 of each label."""
    told = {f"reports, {name}": float(count) for name, count in parts.sizes.items()}
    found = {name: each for name, each in overall(counts).items() if each}
    told |= {name: each.value for name, each in found.items() if name in ("precision_micro", "recall_micro")}
    found |= {f"F1 {label}": each for label, row in by_label(counts, schema.label_ids).items() if (each := row["f1"])}
    told |= {name: each.value for name, each in found.items() if name.startswith("F1 ")}
    for name, each in found.items():
        told |= {f"{name}, 95 % interval from": each.low, f"{name}, 95 % interval to": each.high}
    return told


def write_results(folder: Path, parts: Parts, schema: Schema, new: MarkedReports, old: MarkedReports | None) -> None:
    """The held-out reports, `figures.md` for people, and last `metrics.json`, which says that the run has finished."""
    write_lines(folder / "held_out.jsonl", _rows(parts.test, new, old))
    metrics = measure_spans(new.counts, schema.label_ids)
    whole, labels = overall(new.counts), by_label(new.counts, schema.label_ids)
    (folder / TABLE_FILE).write_text(table(metrics, whole, labels), encoding="utf-8")
    truth = [spans_of(record.rationales) for record in parts.test]
    write_metrics(
        folder,
        {
            "new": asdict(metrics),
            "old": asdict(measure_spans(old.counts, schema.label_ids)) if old else None,
            "reports": parts.sizes,
            "intervals": {"new": ends(whole), "old": ends(overall(old.counts)) if old else None},
            "label_intervals": {
                "new": _label_ends(new.counts, schema),
                "old": _label_ends(old.counts, schema) if old else None,
            },
            "paired": paired_spans(old.counts, new.counts) if old else None,
            "reliability": {
                "new": _reliability(truth, new.spans),
                "old": _reliability(truth, old.spans) if old else None,
            },
        },
    )


def _label_ends(counts: Counts, schema: Schema) -> dict[str, dict[str, list[float] | None]]:
    return {label: ends(row) for label, row in by_label(counts, schema.label_ids).items()}


def _reliability(truth: Sequence[frozenset[Any]], said: Sequence[Found]) -> list[dict[str, float]]:
    """For each tenth of the confidence that occurs: its mean, how many spans are strictly right, and of how many."""
    pairs = [
        (span.confidence, int((span.label, span.start, span.end) in gold))
        for gold, spans in zip(truth, said, strict=True)
        for span in spans
    ]
    scores = np.array([score for score, _ in pairs]).reshape(-1, 1)
    return reliability(np.array([right for _, right in pairs]).reshape(-1, 1), Judged(scores, [0.5]))


def _rows(records: Sequence[ReportRecord], new: MarkedReports, old: MarkedReports | None) -> list[dict[str, Any]]:
    """One row per held-out report: the annotated spans, both models' spans, and the labels on which they differ."""
    rows = []
    for at, (record, key) in enumerate(zip(records, report_keys(records), strict=True)):
        row: dict[str, Any] = {"report": key, "truth": [_place(span) for span in record.rationales]}
        row["new"] = [_place(span) for span in new.spans[at]]
        differ: frozenset[Any] = frozenset()
        if old:
            row["old"] = [_place(span) for span in old.spans[at]]
            differ = spans_of(new.spans[at]) ^ spans_of(old.spans[at])
        rows.append({**row, "differ": sorted({label for label, _, _ in differ})})
    return rows


def _place(span: Any) -> Mapping[str, Any]:
    place = {"label": span.label, "start": span.start, "end": span.end}
    return place | ({"confidence": round(span.confidence, 4)} if isinstance(span, FoundSpan) else {})
