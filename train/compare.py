"""Two models on the same held-out reports: figures with intervals, a paired test, reliability, where they differ.

Arrays are `(reports, labels)`; `truth` holds 1 present, 0 not present and -1 left out. A bootstrap draws reports, the
same ones for both models, so that the difference is free of how hard the drawn reports are (Efron & Tibshirani 1993,
An Introduction to the Bootstrap, ch. 16).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from train.evaluate import Floats, Ints
from train.intervals import BINS, auroc, count, interval, mean_defined, resamples

RESAMPLES, SEED = 1_000, 20_260_101


@dataclass(frozen=True)
class Judged:
    """What one model says about the held-out reports: probabilities of "present" and its thresholds."""

    scores: Floats
    thresholds: Sequence[float]

    @property
    def said(self) -> np.ndarray:
        """Which findings it calls present."""
        return np.asarray(self.scores >= np.asarray(self.thresholds))


def figures(truth: Ints, judged: Judged, weights: Floats) -> dict[str, Floats]:
    """Each figure of the model card for each row of weights; NaN where it is undefined."""
    known, gold = truth >= 0, truth == 1
    counts = count(weights, gold & known, judged.said & known)
    return {
        "auroc_macro": mean_defined(auroc(weights, gold, judged.scores, known)),
        "f1_macro": counts.macro(counts.f1()),
        "f1_micro": counts.micro_f1(),
        "precision_macro": counts.macro(counts.precision()),
        "recall_macro": counts.macro(counts.recall()),
    }


def intervals(truth: Ints, judged: Judged) -> dict[str, list[float] | None]:
    """The 95 % bootstrap interval of each figure, None where it is undefined."""
    weights = resamples(len(truth), RESAMPLES, SEED)
    found = {name: interval(samples) for name, samples in figures(truth, judged, weights).items()}
    return {name: [each.low, each.high] if each else None for name, each in found.items()}


def paired(truth: Ints, old: Judged, new: Judged) -> dict[str, dict[str, float] | None]:
    """New minus old for each figure with its 95 % interval and a two-sided bootstrap p-value."""
    weights = resamples(len(truth), RESAMPLES, SEED)
    before, after = figures(truth, old, weights), figures(truth, new, weights)
    return {name: difference(after[name] - before[name]) for name in after}


def difference(samples: Floats) -> dict[str, float] | None:
    """A figure's difference with its 95 % interval and p-value; the first sample is the test set itself."""
    found = interval(samples)
    if found is None:
        return None
    drawn = samples[1:][~np.isnan(samples[1:])]
    one_sided = (1 + min((drawn <= 0).sum(), (drawn >= 0).sum())) / (1 + len(drawn))
    return {"difference": found.value, "low": found.low, "high": found.high, "p": min(1.0, 2 * float(one_sided))}


def reliability(truth: Ints, judged: Judged) -> list[dict[str, float]]:
    """For each tenth of the probability that occurs: mean probability, share of "present" and number of decisions."""
    known = truth >= 0
    scores, gold = judged.scores[known], truth[known] == 1
    bins = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    return [
        {
            "score": round(float(scores[inside].mean()), 4),
            "share": round(float(gold[inside].mean()), 4),
            "decisions": float(inside.sum()),
        }
        for index in range(BINS)
        if (inside := bins == index).any()
    ]


def comparison(truth: Ints, new: Judged, old: Judged | None) -> dict[str, Any]:
    """Everything for `metrics.json`."""
    return {
        "intervals": {"new": intervals(truth, new), "old": intervals(truth, old) if old else None},
        "paired": paired(truth, old, new) if old else None,
        "reliability": {"new": reliability(truth, new), "old": reliability(truth, old) if old else None},
    }


def by_report(
    keys: Sequence[str], labels: Sequence[str], truth: Ints, new: Judged, old: Judged | None
) -> list[dict[str, Any]]:
    """One row per held-out report for `held_out.jsonl`: what is true, what the models score, where they differ."""
    rows = []
    for index, key in enumerate(keys):
        row: dict[str, Any] = {"report": key, "truth": dict(zip(labels, truth[index].tolist(), strict=True))}
        for name, judged in (("new", new), ("old", old)):
            if judged:
                row[name] = dict(zip(labels, judged.scores[index].round(4).tolist(), strict=True))
        differ = new.said[index] != old.said[index] if old else np.zeros(len(labels), dtype=bool)
        row["differ"] = [label for label, other in zip(labels, differ, strict=True) if other]
        rows.append(row)
    return rows
