"""Entity-level figures of spans: strict, so a span counts only where both ends and its label are right.

A report's spans are a set, as in the evaluation of CoNLL-2003 (Tjong Kim Sang & De Meulder 2003): true positives are
what annotation and model have in common. O is no class. Counts are `(reports, labels)`, so that a bootstrap over
reports is a product with its weights. Knows no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from medbertde.types import FoundSpan, Metrics, Rationale
from train.compare import RESAMPLES, SEED, difference
from train.evaluate import Floats
from train.intervals import Counts, Interval, interval, resamples

Spans = frozenset[tuple[str, int, int]]  # label, start, end


def spans_of(found: Iterable[Rationale | FoundSpan]) -> Spans:
    """The spans as a set."""
    return frozenset((span.label, span.start, span.end) for span in found)


def compare_spans(truth: Sequence[Spans], said: Sequence[Spans], labels: Sequence[str]) -> Counts:
    """Hits, false alarms and misses of each report and label."""

    def counted(spans: Sequence[Spans]) -> Floats:
        return np.array([[sum(span[0] == label for span in each) for label in labels] for each in spans], dtype=float)

    pairs = list(zip(truth, said, strict=True))
    return Counts(
        counted([gold & found for gold, found in pairs]),
        counted([found - gold for gold, found in pairs]),
        counted([gold - found for gold, found in pairs]),
    )


def weighted(counts: Counts, weights: Floats) -> Counts:
    """Counts `(samples, labels)` of samples that weigh reports, `(samples, reports)`."""
    return Counts(weights @ counts.hits, weights @ counts.false_alarms, weights @ counts.misses)


def micro_f1(truth: Sequence[Spans], said: Sequence[Spans], labels: Sequence[str]) -> float:
    """Strict F1 of all spans together; 0 where there are none.

    >>> micro_f1([frozenset({("Dosis", 9, 13)})], [frozenset({("Dosis", 9, 13), ("Dosis", 0, 8)})], ["Dosis"])
    0.6666666666666666
    """
    counts = compare_spans(truth, said, labels)
    hits, wrong = counts.hits.sum(), (counts.false_alarms + counts.misses).sum()
    return float(2 * hits / max(1.0, 2 * hits + wrong))


def figures(counts: Counts) -> dict[str, Floats]:
    """Each figure per sample; macro figures over the labels that are annotated in the sample, NaN where undefined."""
    hits = counts.hits.sum(axis=1)
    said, there = hits + counts.false_alarms.sum(axis=1), hits + counts.misses.sum(axis=1)
    return {
        "f1_macro": counts.macro(counts.f1()),
        "f1_micro": counts.micro_f1(),
        "precision_macro": counts.macro(counts.precision()),
        "recall_macro": counts.macro(counts.recall()),
        "precision_micro": np.where(said > 0, hits / np.maximum(said, 1), np.nan),
        "recall_micro": np.where(there > 0, hits / np.maximum(there, 1), np.nan),
    }


def measure_spans(counts: Counts, labels: Sequence[str]) -> Metrics:
    """The figures of the model card. AUROC is None: nothing is ranked."""
    whole = weighted(counts, np.ones((1, len(counts.hits))))
    found = {name: float(np.nan_to_num(values[0])) for name, values in figures(whole).items()}
    by_label = {"f1": whole.f1()[0], "precision": whole.precision()[0], "recall": whole.recall()[0]}
    positives = (whole.hits + whole.misses)[0]
    return Metrics(
        auroc_macro=None,
        f1_macro=found["f1_macro"],
        f1_micro=found["f1_micro"],
        precision_macro=found["precision_macro"],
        recall_macro=found["recall_macro"],
        n_reports=len(counts.hits),
        per_label={
            label: {
                "positives": float(positives[at]),
                "auroc": None,
                **{name: float(values[at]) for name, values in by_label.items()},
            }
            for at, label in enumerate(labels)
        },
    )


def overall(counts: Counts) -> dict[str, Interval | None]:
    """Each figure with its 95 % bootstrap interval over reports, None where it is undefined."""
    samples = figures(weighted(counts, resamples(len(counts.hits), RESAMPLES, SEED)))
    return {name: interval(values) for name, values in samples.items()}


def by_label(counts: Counts, labels: Sequence[str]) -> dict[str, dict[str, Interval | None]]:
    """The same for F1, precision and recall of each label; None for a label that is not annotated."""
    drawn = weighted(counts, resamples(len(counts.hits), RESAMPLES, SEED))
    annotated = (drawn.hits + drawn.misses) > 0
    found = {"f1": drawn.f1(), "precision": drawn.precision(), "recall": drawn.recall()}
    return {
        label: {name: interval(np.where(annotated[:, at], all_[:, at], np.nan)) for name, all_ in found.items()}
        for at, label in enumerate(labels)
    }


def paired_spans(old: Counts, new: Counts) -> dict[str, dict[str, float] | None]:
    """New minus old for each figure on the same drawn reports, with its interval and p-value."""
    weights = resamples(len(new.hits), RESAMPLES, SEED)
    before, after = figures(weighted(old, weights)), figures(weighted(new, weights))
    return {name: difference(after[name] - before[name]) for name in after}


def ends(found: Mapping[str, Interval | None]) -> dict[str, list[float] | None]:
    """Intervals as `metrics.json` has them."""
    return {name: [each.low, each.high] if each else None for name, each in found.items()}


def table(metrics: Metrics, whole: Mapping[str, Interval | None], labels: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures of each label with their intervals, in Markdown."""
    names = ("f1", "precision", "recall")
    lines = ["| label | spans | F1 (95 % interval) | precision | recall |", "|---|---|---|---|---|"]
    lines += [
        _row(label, row["positives"] or 0, [labels[label][name] for name in names])
        for label, row in metrics.per_label.items()
    ]
    spans = sum(row["positives"] or 0 for row in metrics.per_label.values())
    lines += [_row(mean, spans, [whole[f"{name}_{mean}"] for name in names]) for mean in ("macro", "micro")]
    return "\n".join(lines) + "\n"


def _row(name: str, spans: float, found: Sequence[Interval | None]) -> str:
    return f"| {name} | {spans:.0f} | {' | '.join(str(each) if each else '–' for each in found)} |"
