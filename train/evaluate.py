"""Measure a multi-label classifier: the model card's figures, thresholds and calibration.

Arrays are `(reports, labels)`; `truth` holds 1 present, 0 not present and -1 left out (uncertain under the policy
"ignore"), `scores` probabilities of "present". Thresholds and temperatures are fitted on validation reports only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from medbertde.types import Metrics

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def measure(truth: Ints, scores: Floats, thresholds: Sequence[float], labels: Sequence[str]) -> Metrics:
    """AUROC, F1, precision and recall.

    Macro figures average over the labels that have at least one positive; AUROC over those that also have a negative
    and is None where no label has both. Micro F1 pools all decisions.
    """
    per_label: dict[str, dict[str, float | None]] = {}
    pooled = np.zeros(3)  # true positive, false positive, false negative
    for index, label in enumerate(labels):
        known = truth[:, index] >= 0
        gold, score = truth[known, index], scores[known, index]
        decided = score >= thresholds[index]
        pooled += (decided & (gold == 1)).sum(), (decided & (gold == 0)).sum(), (~decided & (gold == 1)).sum()
        per_label[label] = _one_label(gold, score, decided)
    with_positives = [row for row in per_label.values() if row["positives"]]
    aurocs = [row["auroc"] for row in with_positives if row["auroc"] is not None]
    return Metrics(
        auroc_macro=float(np.mean(aurocs)) if aurocs else None,
        f1_macro=_mean(with_positives, "f1"),
        f1_micro=float(2 * pooled[0] / max(1.0, 2 * pooled[0] + pooled[1] + pooled[2])),
        precision_macro=_mean(with_positives, "precision"),
        recall_macro=_mean(with_positives, "recall"),
        n_reports=len(truth),
        per_label=per_label,
    )


def _one_label(gold: Ints, score: Floats, decided: NDArray[np.bool_]) -> dict[str, float | None]:
    if not len(gold):  # every report is left out
        return {"positives": 0.0, "auroc": None, "f1": 0.0, "precision": 0.0, "recall": 0.0}
    precision, recall, f1, _ = precision_recall_fscore_support(gold, decided, average="binary", zero_division=0.0)
    both = 0 < gold.sum() < len(gold)
    return {
        "positives": float(gold.sum()),
        "auroc": float(roc_auc_score(gold, score)) if both else None,
        "f1": float(f1),
        "precision": float(precision),
        "recall": float(recall),
    }


def _mean(rows: Sequence[dict[str, float | None]], name: str) -> float:
    return float(np.mean([row[name] or 0.0 for row in rows])) if rows else 0.0


def best_threshold(truth: Ints, scores: Floats, fewest: int = 5) -> float:
    """The threshold in 0.05…0.95 nearest to 0.5 whose F1 is within one standard error of the best one.

    The best one alone follows the accidents of a few positives; the one-standard-error rule (Breiman et al. 1984,
    Classification and Regression Trees) moves away from 0.5 only for a gain that the validation reports can show. The
    standard error is that of 200 bootstrap resamples. 0.5 where there are fewer than `fewest` positives.
    """
    known = truth >= 0
    gold, score = truth[known], scores[known]
    if gold.sum() < fewest:
        return 0.5
    grid = np.round(np.arange(0.05, 0.96, 0.05), 2)
    decided = score >= grid[:, None]  # (thresholds, reports)
    f1 = _f1(decided, gold, np.ones(len(gold)))
    draws = np.random.default_rng(0).multinomial(len(gold), np.full(len(gold), 1 / len(gold)), size=200)
    best = int(np.argmax(f1))
    error = float(np.std([_f1(decided[best : best + 1], gold, weights)[0] for weights in draws]))
    good = grid[f1 >= f1[best] - error]
    return float(good[np.argmin(np.abs(good - 0.5))])


def _f1(decided: NDArray[np.bool_], gold: Ints, weights: NDArray[Any]) -> Floats:
    """F1 of each row of decisions `(thresholds, reports)`, reports counted `weights` times."""
    hits = (decided * (gold * weights)).sum(axis=1)
    return np.asarray(2 * hits / np.maximum(1e-9, (decided * weights).sum(axis=1) + (gold * weights).sum()))


def best_temperature(targets: Floats, logits: Floats, weights: Floats) -> float:
    """The divisor of the logits (0.5…4) with the lowest weighted binary cross-entropy."""
    grid = np.exp(np.linspace(math.log(0.5), math.log(4.0), 43))
    losses = [float((cross_entropy(targets, logits / at) * weights).sum()) for at in grid]
    return round(float(grid[int(np.argmin(losses))]), 3)


def cross_entropy(targets: Floats, logits: Floats) -> Floats:
    """Binary cross-entropy of each output.

    >>> cross_entropy(np.array([1.0, 0.0]), np.array([0.0, 0.0])).round(3).tolist()
    [0.693, 0.693]
    """
    return np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))
