"""Figures of a classifier over weighted reports, so that a bootstrap needs no loop over its resamples.

A resample is a row of weights (`medbertde.bootstrap`). All functions take weights `(samples, reports)` and return one
figure per sample; row 0 is the test set itself. Undefined figures are NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medbertde.bootstrap import Interval as Interval
from medbertde.bootstrap import interval as interval
from medbertde.bootstrap import resamples as resamples
from train.evaluate import Floats

Bools = NDArray[np.bool_]
BINS = 10


@dataclass(frozen=True)
class Counts:
    """Weighted hits, false alarms and misses, each `(samples, labels)`."""

    hits: Floats
    false_alarms: Floats
    misses: Floats

    def f1(self) -> Floats:
        """F1 per label, 0 where there is nothing to find and nothing is said."""
        return _ratio(2 * self.hits, 2 * self.hits + self.false_alarms + self.misses)

    def precision(self) -> Floats:
        """Precision per label, 0 where nothing is said."""
        return _ratio(self.hits, self.hits + self.false_alarms)

    def recall(self) -> Floats:
        """Recall per label, 0 where there is nothing to find."""
        return _ratio(self.hits, self.hits + self.misses)

    def micro_f1(self) -> Floats:
        """F1 of all decisions pooled, per sample; NaN without any positive, said or true."""
        hits, wrong = self.hits.sum(axis=1), (self.false_alarms + self.misses).sum(axis=1)
        return np.where(hits + wrong > 0, _ratio(2 * hits, 2 * hits + wrong), np.nan)

    def macro(self, figure: Floats) -> Floats:
        """The mean of a figure over the labels that have a positive in the sample."""
        positive = self.hits + self.misses > 0
        total = positive.sum(axis=1)
        return np.where(total > 0, _ratio((figure * positive).sum(axis=1), total), np.nan)


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part, dtype=np.float64), where=whole > 0)


def count(weights: Floats, gold: Bools, said: Bools) -> Counts:
    """Compare what is true with what is said, both `(reports, labels)`."""
    return Counts(weights @ (gold & said), weights @ (~gold & said), weights @ (gold & ~said))


def auroc(weights: Floats, gold: Bools, scores: Floats, known: Bools | None = None) -> Floats:
    """AUROC `(samples, labels)`: how often a positive outranks a negative, ties half; NaN unless both are drawn.

    Where `known` is given, a label is judged on the reports for which it is true.
    """
    drawn = [weights if known is None else weights * known[:, index] for index in range(gold.shape[1])]
    return np.column_stack([_auroc(each, gold[:, i], scores[:, i]) for i, each in enumerate(drawn)])


def _auroc(weights: Floats, gold: Bools, scores: Floats) -> Floats:
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])  # reports with equal scores form a group
    positives = np.add.reduceat(weights[:, order] * gold[order], starts, axis=1)  # (samples, groups)
    negatives = np.add.reduceat(weights[:, order] * ~gold[order], starts, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    return np.where(pairs > 0, _ratio((positives * below).sum(axis=1), pairs), np.nan)


def mean_defined(figure: Floats) -> Floats:
    """The mean over the labels where a figure is defined, per sample.

    >>> mean_defined(np.array([[0.5, np.nan], [np.nan, np.nan]])).tolist()
    [0.5, nan]
    """
    defined = ~np.isnan(figure)
    total = defined.sum(axis=1)
    return np.where(total > 0, _ratio(np.where(defined, figure, 0.0).sum(axis=1), total), np.nan)


def calibration_error(weights: Floats, gold: Bools, scores: Floats) -> Floats:
    """Expected calibration error per sample: all decisions pooled, ten bins of equal width."""
    bins = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    gaps = np.zeros(len(weights))
    for index in range(BINS):
        inside = bins == index
        gaps += np.abs(weights @ np.where(inside, scores - gold, 0.0).sum(axis=1))
    return _ratio(gaps, weights.sum(axis=1) * gold.shape[1])
