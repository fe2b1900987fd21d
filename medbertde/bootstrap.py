"""Bootstrap intervals without a loop over the resamples.

Core: plain numbers (numpy), used by training and by the statistics of a team's work. A resample is a row of weights:
how often each report was drawn. Row 0 is the sample itself; undefined figures are NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A figure on the sample with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """As tables show it.

        >>> str(Interval(0.8333, 0.7, 0.91))
        '0.83 (0.70–0.91)'
        """
        return f"{self.value:.2f} ({self.low:.2f}–{self.high:.2f})"


def resamples(reports: int, count: int, seed: int) -> Floats:
    """Weights `(1 + count, reports)`: the sample as it is, then `count` draws with replacement.

    >>> resamples(3, 2, seed=0).sum(axis=1).tolist()
    [3.0, 3.0, 3.0]
    """
    drawn = np.random.default_rng(seed).multinomial(reports, np.full(reports, 1 / reports), size=count)
    return np.vstack([np.ones((1, reports)), drawn])


def interval(samples: Floats) -> Interval | None:
    """The figure of row 0 with the percentiles of the others; None where it is undefined on the sample."""
    drawn = samples[1:][~np.isnan(samples[1:])]
    if np.isnan(samples[0]):
        return None
    low, high = np.percentile(drawn, [2.5, 97.5]) if len(drawn) else (samples[0], samples[0])
    return Interval(float(samples[0]), float(low), float(high))


def median_difference(first: Floats, second: Floats, *, count: int = 1_000, seed: int = 0) -> Interval | None:
    """How much the median of `first` lies above that of `second`, both resampled; None where one is empty.

    >>> median_difference(np.array([5.0, 6.0, 7.0]), np.array([2.0, 2.0])).value
    4.0
    """
    if not len(first) or not len(second):
        return None
    rng = np.random.default_rng(seed)

    def medians(values: Floats) -> Floats:
        drawn = rng.choice(values, size=(count, len(values)))
        return np.concatenate([[np.median(values)], np.median(drawn, axis=1)])

    return interval(medians(first) - medians(second))
