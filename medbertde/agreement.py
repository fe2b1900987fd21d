"""Agreement between readers of the same reports: raw, Cohen's kappa, Krippendorff's alpha, Gwet's AC1.

Core: the one place of these formulas. Everything works on tables of counts `(…, q, q)` of q values, so that a bootstrap
is a single call. Between two readers the first stands in rows. For more readers `together` gives symmetric tables from
which the same functions take the figures for many readers. Undefined figures are NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medbertde.bootstrap import Floats

Ints = NDArray[np.int64]
MISSING = -1  # this reader has not read this report


def pair_cells(first: Ints, second: Ints, q: int) -> Floats:
    """One table `(q, q)` per report from the values of two readers, `(reports, findings)` each."""
    cells = np.zeros((len(first), q, q))
    report = np.broadcast_to(np.arange(len(first))[:, None], first.shape)
    read = (first != MISSING) & (second != MISSING)
    np.add.at(cells, (report[read], first[read], second[read]), 1.0)
    return cells


def together(readings: Ints, q: int) -> Floats:
    """One symmetric table per report from all readers' values of a finding, `(reports, readers)`.

    Every pair of readers counts with the weight 1 / (2 (m − 1)), m readers in all: a report adds m / 2, as in
    Krippendorff's table of coincidences halved. Reports with fewer than two readings add nothing.
    """
    counts = np.stack([(readings == value).sum(axis=1) for value in range(q)], axis=1).astype(np.float64)
    m = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs[:, np.arange(q), np.arange(q)] -= counts
    return np.where(m[:, None, None] > 1, pairs / np.maximum(2 * (m - 1), 1)[:, None, None], 0.0)


def alike(cells: Floats) -> Floats:
    """The tables of `together` with the weight 1 for every report that at least two have read, however many have.

    Then a cell holds the share of the report's pairs of readings, and a row's sum the share of its readings with that
    value, as Gwet's AC1 needs them. Of two readers every report counts 1 already.
    """
    total = cells.sum(axis=(-2, -1), keepdims=True)
    return cells / np.where(total > 0, total, 1.0)


def weighted(cells: Floats, weights: Floats) -> Floats:
    """The table of each resample, `(samples, q, q)`, from weights `(samples, reports)`."""
    return np.tensordot(weights, cells, axes=1)


def raw(counts: Floats) -> Floats:
    """The share of readings that are equal, per table of `(…, q, q)`; NaN for an empty table."""
    return ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1)))


def raw_where_mentioned(counts: Floats) -> Floats:
    """The share of equal readings without those where nobody mentions it (the last value); NaN where none are left."""
    mentioned = counts.copy()
    mentioned[..., -1, -1] = 0.0
    return raw(mentioned)


def kappa(counts: Floats) -> Floats:
    """Cohen's kappa, as scikit-learn gives it but for all tables at once; NaN where all readings have one value.

    >>> kappa(np.array([[20.0, 5.0], [10.0, 15.0]])).round(3)
    np.float64(0.4)
    """
    rows, columns = _shares(counts)
    return _beyond_chance(raw(counts), (rows * columns).sum(axis=-1))


def alpha(counts: Floats) -> Floats:
    """Krippendorff's alpha for nominal values; NaN where all readings have one value.

    1 − observed / expected disagreement, both from the coincidences o = counts + countsᵀ: (n − 1) Σ o_ck / Σ n_c n_k
    over c ≠ k, with n values in all. Holds for the tables of two readers and for those of `together`.
    K. Krippendorff, Computing Krippendorff's alpha-reliability (2011).

    >>> alpha(np.array([[20.0, 5.0], [10.0, 15.0]])).round(3)
    np.float64(0.4)
    """
    coincidences = counts + np.swapaxes(counts, -1, -2)
    total = coincidences.sum(axis=(-2, -1))
    of_value = coincidences.sum(axis=-1)
    differing = total - np.trace(coincidences, axis1=-2, axis2=-1)
    expected = total**2 - (of_value**2).sum(axis=-1)
    return 1 - ratio((total - 1) * differing, expected)


def ac1(counts: Floats) -> Floats:
    """Gwet's AC1; NaN for an empty table.

    (a − e) / (1 − e) with the agreement a and e = Σ πₖ (1 − πₖ) / (q − 1), where πₖ is the mean share of value k over
    the readers and q the number of values. Unlike kappa it stays high where nearly all readings have one value.
    For more than two readers the tables of `together` have to be made `alike` first. Reports with a single reading are
    left out of both a and πₖ; Gwet counts them in πₖ.
    K. L. Gwet, Computing inter-rater reliability and its variance in the presence of high agreement, British Journal of
    Mathematical and Statistical Psychology 61 (2008) 29–48.

    >>> ac1(np.array([[118.0, 5.0], [2.0, 0.0]])).round(3)
    np.float64(0.941)
    """
    rows, columns = _shares(counts)
    mean = (rows + columns) / 2
    return _beyond_chance(raw(counts), (mean * (1 - mean)).sum(axis=-1) / (counts.shape[-1] - 1))


def _shares(counts: Floats) -> tuple[Floats, Floats]:
    """How often each reader uses each value, `(…, q)` each."""
    total = counts.sum(axis=(-2, -1))[..., None]
    return ratio(counts.sum(axis=-1), total), ratio(counts.sum(axis=-2), total)


def _beyond_chance(found: Floats, expected: Floats) -> Floats:
    return ratio(found - expected, 1 - expected)


def ratio(part: Floats, whole: Floats) -> Floats:
    """The quotient, NaN where nothing is divided by nothing (1 − 1 of rounded shares may miss 0 by an epsilon)."""
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=~(np.abs(whole) < 1e-12))[()]
