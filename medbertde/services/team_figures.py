"""The figures of a team's work: progress, time, what suggestions do, agreement. Pure: rows in, frozen dataclasses out.

Agreement counts four values per finding (present, uncertain, absent, not mentioned). Intervals are 95 % bootstrap
intervals over reports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

import numpy as np

from medbertde import agreement
from medbertde.agreement import MISSING, Ints
from medbertde.bootstrap import Floats, Interval, interval, median_difference, resamples
from medbertde.store.consensus import Values
from medbertde.store.work_statistics import DoneReading, Proposal
from medbertde.types import State

VALUES: tuple[State | None, ...] = (*State, None)
FASTEST_CHARS_PER_S = 75  # about 600 words a minute: nobody reads a report faster
RESAMPLES, SEED = 1_000, 20_260_101
HIGH_RAW, LOW_KAPPA = 0.9, 0.4


def is_too_fast(active_ms: int, chars: int) -> bool:
    """Whether a report was saved in less time than it takes to read it once.

    >>> is_too_fast(2_000, 600), is_too_fast(20_000, 600)
    (True, False)
    """
    return active_ms * FASTEST_CHARS_PER_S < chars * 1000


# ---------------------------------------------------------------------------------------------- progress


@dataclass(frozen=True)
class PersonProgress:
    """What one person has done in a project; times in seconds over their latest readings."""

    name: str
    done: int
    median_s: float | None
    too_fast: float | None


@dataclass(frozen=True)
class FindingProgress:
    """How often a finding was labelled in a project, and the median time of the reports that mention it."""

    label: str
    counts: Mapping[State, int]
    median_s: float | None


def person_progress(name: str, done: int, readings: Sequence[DoneReading]) -> PersonProgress:
    """One person's line."""
    fast = [is_too_fast(one.active_ms, one.chars) for one in readings]
    return PersonProgress(name, done, median_s(readings), sum(fast) / len(fast) if fast else None)


def finding_progress(
    label: str, readings: Sequence[DoneReading], values: Mapping[tuple[int, int], Values]
) -> FindingProgress:
    """One finding's line."""
    said = [(one, values.get((one.report_id, one.user_id), {}).get(label)) for one in readings]
    counts = {state: sum(value is state for _, value in said) for state in State}
    return FindingProgress(label, counts, median_s([one for one, value in said if value is not None]))


def median_s(readings: Sequence[DoneReading]) -> float | None:
    """The median time of a report in seconds; None without any."""
    return median(one.active_ms for one in readings) / 1000 if readings else None


# ---------------------------------------------------------------------------------------------- suggestions


@dataclass(frozen=True)
class SuggestedMarks:
    """What became of the suggested spans, and what people marked; shares are None without any suggestion.

    `changed`: another mark covers a part of it, or the same words have another kind. `by_hand`: marks that touch no
    suggestion. `per_report_*`: marks of a reading, in the mean.
    """

    suggested: int
    kept: float | None
    changed: float | None
    removed: float | None
    by_hand: int
    per_report_shown: float | None = None
    per_report_bare: float | None = None


@dataclass(frozen=True)
class SuggestionEffect:
    """Reports with a suggestion shown against those drawn to come without; times in seconds.

    `saved_s` is how much longer the median takes without. `agrees_shown` and `agrees_bare` are how often the annotator
    says the same as the model about findings that one of the two mentions: their difference is what showing it does.
    `accepted` is the share of what was proposed that was kept. `marks` says more of a schema of spans.
    """

    n_shown: int
    n_bare: int
    median_shown_s: float | None
    median_bare_s: float | None
    saved_s: Interval | None
    agrees_shown: Interval | None
    agrees_bare: Interval | None
    accepted: float | None
    too_fast_shown: float | None
    marks: SuggestedMarks | None = None


def suggestion_effect(
    readings: Sequence[DoneReading],
    values: Mapping[tuple[int, int], Values],
    proposed: Mapping[int, Proposal],
    accepted: tuple[int, int],
) -> SuggestionEffect:
    """What suggestions do in a project."""
    shown = [one for one in readings if one.model_version is not None]
    bare = [one for one in readings if one.bare and one.model_version is None]
    kept, total = accepted
    return time_effect(
        shown,
        bare,
        agrees_shown=_agreeing(shown, values, proposed),
        agrees_bare=_agreeing(bare, values, proposed),
        accepted=kept / total if total else None,
    )


def time_effect(
    shown: Sequence[DoneReading],
    bare: Sequence[DoneReading],
    *,
    agrees_shown: Interval | None,
    agrees_bare: Interval | None,
    accepted: float | None,
    marks: SuggestedMarks | None = None,
) -> SuggestionEffect:
    """What can be said of the time, beside what was found of the values or marks."""
    fast = [is_too_fast(one.active_ms, one.chars) for one in shown]
    return SuggestionEffect(
        n_shown=len(shown),
        n_bare=len(bare),
        median_shown_s=median_s(shown),
        median_bare_s=median_s(bare),
        saved_s=median_difference(_seconds(bare), _seconds(shown)),
        agrees_shown=agrees_shown,
        agrees_bare=agrees_bare,
        accepted=accepted,
        too_fast_shown=sum(fast) / len(fast) if fast else None,
        marks=marks,
    )


def _seconds(readings: Sequence[DoneReading]) -> Floats:
    return np.array([one.active_ms / 1000 for one in readings])


def _agreeing(
    readings: Sequence[DoneReading], values: Mapping[tuple[int, int], Values], proposed: Mapping[int, Proposal]
) -> Interval | None:
    """The share of findings, mentioned by annotator or model, about which both say the same."""
    known = [one for one in readings if one.report_id in proposed]
    if not known:
        return None
    same, mentioned = np.zeros(len(known)), np.zeros(len(known))
    for row, one in enumerate(known):
        said = values.get((one.report_id, one.user_id), {})
        for label, state in proposed[one.report_id].states.items():
            mine = said.get(label)
            mentioned[row] += mine is not None or state is not None
            same[row] += mine is not None and mine is state
    weights = resamples(len(known), RESAMPLES, SEED)
    return interval(agreement.ratio(weights @ same, weights @ mentioned))


# ---------------------------------------------------------------------------------------------- agreement


@dataclass(frozen=True)
class FindingAgreement:
    """How far readers agree on one finding over `n` reports; figures that are undefined are None, `why` says why."""

    label: str
    n: int
    mentioned: int
    raw: Interval | None
    kappa: Interval | None
    alpha: Interval | None
    ac1: Interval | None
    why: str


Readings = Mapping[str, Mapping[int, Values]]  # by reader and report; a reading lacks the findings not mentioned


def compare_readers(readings: Readings, labels: Sequence[str]) -> list[FindingAgreement]:
    """The figures of each finding between all readers given, over the reports that at least two of them have read."""
    reports = sorted({report for read in readings.values() for report in read})
    shared = [report for report in reports if sum(report in read for read in readings.values()) > 1]
    weights = resamples(len(shared), RESAMPLES, SEED) if shared else np.ones((1, 0))
    return [_compare(label, _matrix(readings, shared, label), weights) for label in labels]


def _matrix(readings: Readings, reports: Sequence[int], label: str) -> Ints:
    """The values of a finding as indices into `VALUES`, `(reports, readers)`."""
    rows = [
        [VALUES.index(read[report].get(label)) if report in read else MISSING for read in readings.values()]
        for report in reports
    ]
    return np.array(rows, dtype=np.int64).reshape(len(reports), len(readings))


def _compare(label: str, matrix: Ints, weights: Floats) -> FindingAgreement:
    cells = agreement.together(matrix, len(VALUES))
    counts, alike = (agreement.weighted(each, weights) for each in (cells, agreement.alike(cells)))
    said = matrix[matrix != MISSING]
    found = {
        "raw": interval(np.atleast_1d(agreement.raw(alike))),
        "alpha": interval(np.atleast_1d(agreement.alpha(counts))),
        "ac1": interval(np.atleast_1d(agreement.ac1(alike))),
    }
    kappa = interval(_mean_kappa(matrix, weights))
    mentioned = int((said != VALUES.index(None)).sum())
    why = _why(len(matrix), len(np.unique(said)), found["raw"], kappa)
    return FindingAgreement(label, len(matrix), mentioned, found["raw"], kappa, found["alpha"], found["ac1"], why)


def _mean_kappa(matrix: Ints, weights: Floats) -> Floats:
    """Cohen's kappa; of more than two readers the mean over all pairs (Light 1971) for which it is defined."""
    pairs = [
        agreement.kappa(agreement.weighted(agreement.pair_cells(matrix[:, [a]], matrix[:, [b]], len(VALUES)), weights))
        for a, b in combinations(range(matrix.shape[1]), 2)
    ]
    stacked = np.stack(pairs) if pairs else np.full((1, len(weights)), np.nan)
    defined = ~np.isnan(stacked)
    return agreement.ratio(np.where(defined, stacked, 0.0).sum(axis=0), defined.sum(axis=0).astype(np.float64))


def _why(n: int, different: int, raw: Interval | None, kappa: Interval | None) -> str:
    """A word for what has to be said about the figures, or nothing."""
    if n == 0:
        return "nothing_shared"
    if different == 1:
        return "one_value"
    if raw and kappa and raw.value >= HIGH_RAW and kappa.value < LOW_KAPPA:
        return "rare"
    return "few" if n < 30 else ""
