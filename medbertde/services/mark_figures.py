"""The figures of a team's work on a schema of spans: agreement on marks, and what suggested spans do.

Pure: marks in, frozen dataclasses out, beside `team_figures`, which has those of findings. Intervals are 95 % bootstrap
intervals over reports.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean

import numpy as np

from medbertde.agreement import ratio
from medbertde.bootstrap import Floats, Interval, interval, resamples
from medbertde.mark_agreement import Mark, Shared, shared, touches
from medbertde.services.mark_sources import source_of
from medbertde.services.team_figures import RESAMPLES, SEED, SuggestedMarks, SuggestionEffect, median_s, time_effect
from medbertde.store.work_statistics import DoneReading
from medbertde.types import Rationale, Source

ALL_KINDS = ""  # stands for all labels of a schema together
FEW = 30  # reports from which on an interval says something
Said = frozenset[Mark]
Readings = Mapping[str, Mapping[int, Said]]  # by reader and report
Suggested = Mapping[tuple[int, str], Said]  # by report and model version, the newest version last


def marks_as_set(marks: Collection[Rationale]) -> Said:
    """The marks without how they came about."""
    return frozenset((mark.label, mark.start, mark.end) for mark in marks)


# ---------------------------------------------------------------------------------------------- progress


@dataclass(frozen=True)
class KindProgress:
    """How often a kind is marked in a project, in how many readings, and the median time of these."""

    label: str
    marks: int
    readings: int
    median_s: float | None


def kind_progress(label: str, readings: Sequence[DoneReading], marks: Mapping[int, Said]) -> KindProgress:
    """One kind's line; `marks` by save."""
    counts = {one.submission_id: sum(mark[0] == label for mark in marks.get(one.submission_id, ())) for one in readings}
    marked = [one for one in readings if counts[one.submission_id]]
    return KindProgress(label, sum(counts.values()), len(marked), median_s(marked))


# ---------------------------------------------------------------------------------------------- agreement


@dataclass(frozen=True)
class MarkAgreement:
    """Entity-level F1 of one kind (or `ALL_KINDS`) over `n` reports that several have read, `marks` of all of them.

    Of more than two readers the marks of all pairs are counted together. None where nobody has marked, `why` says why.
    """

    label: str
    n: int
    marks: int
    strict: Interval | None
    overlap: Interval | None
    why: str


def compare_marks(readings: Readings, labels: Sequence[str]) -> list[MarkAgreement]:
    """All kinds together, then each, over the reports that at least two of the readers have read."""
    reports = sorted({report for read in readings.values() for report in read})
    several = [report for report in reports if sum(report in read for read in readings.values()) > 1]
    weights = resamples(len(several), RESAMPLES, SEED) if several else np.ones((1, 0))
    return [_compare(label, [_of(readings, report, label) for report in several], weights) for label in ("", *labels)]


def _of(readings: Readings, report: int, label: str) -> list[Said]:
    """What each reader of the report marks of a kind."""
    said = [read[report] for read in readings.values() if report in read]
    return [of_kind(marks, label) for marks in said]


def of_kind(marks: Said, label: str) -> Said:
    """The marks of one kind, or of all."""
    return marks if label == ALL_KINDS else frozenset(mark for mark in marks if mark[0] == label)


def alike(said: Sequence[Said]) -> Shared:
    """What the readers of one report have in common, all pairs together."""
    pairs = [shared(one, other) for one, other in combinations(said, 2)]
    return Shared(*(sum(getattr(pair, part) for pair in pairs) for part in ("equal", "touching", "total")))


def _compare(label: str, said: Sequence[Sequence[Said]], weights: Floats) -> MarkAgreement:
    found = [alike(each) for each in said]
    equal, touching, total = (
        np.array([getattr(one, part) for one in found], dtype=np.float64) for part in ("equal", "touching", "total")
    )
    strict, overlap = (interval(np.atleast_1d(ratio(weights @ part, weights @ total))) for part in (equal, touching))
    marks = sum(len(one) for each in said for one in each)
    why = "nothing_shared" if not said else "no_marks" if not marks else "few" if len(said) < FEW else ""
    return MarkAgreement(label, len(said), marks, strict, overlap, why)


# ---------------------------------------------------------------------------------------------- suggestions


def mark_effect(readings: Sequence[DoneReading], marks: Mapping[int, Said], suggested: Suggested) -> SuggestionEffect:
    """What suggested spans do in a project; `marks` are those of the first save of each reading, by save."""
    shown = [one for one in readings if one.model_version is not None]
    bare = [one for one in readings if one.bare and one.model_version is None]
    newest = {report: said for (report, _), said in suggested.items()}
    offered = {one.submission_id: suggested.get((one.report_id, one.model_version or ""), frozenset()) for one in shown}
    for_bare = {one.submission_id: newest[one.report_id] for one in bare if one.report_id in newest}
    became = replace(_became(offered, marks), per_report_shown=_mean(shown, marks), per_report_bare=_mean(bare, marks))
    return time_effect(
        shown,
        bare,
        agrees_shown=_agreeing(offered, marks),
        agrees_bare=_agreeing(for_bare, marks),
        accepted=became.kept,
        marks=became,
    )


def _became(offered: Mapping[int, Said], marks: Mapping[int, Said]) -> SuggestedMarks:
    kept = changed = removed = by_hand = 0
    for number, proposed in offered.items():
        said = marks.get(number, frozenset())
        gone = proposed - said
        kept += len(proposed & said)
        touched = sum(any(touches(span, mark) for mark in said) for span in gone)
        changed, removed = changed + touched, removed + len(gone) - touched
        by_hand += sum(source_of(Rationale(*mark), proposed) is Source.HUMAN for mark in said)
    total = kept + changed + removed
    kept_share, changed_share, removed_share = (count / total if total else None for count in (kept, changed, removed))
    return SuggestedMarks(total, kept_share, changed_share, removed_share, by_hand)


def _agreeing(proposed: Mapping[int, Said], marks: Mapping[int, Said]) -> Interval | None:
    """Of the marks of reader and model together, the share that both have exactly alike."""
    if not proposed:
        return None
    pairs = [(said, marks.get(number, frozenset())) for number, said in proposed.items()]
    same = np.array([len(one & other) for one, other in pairs], dtype=np.float64)
    either = np.array([len(one | other) for one, other in pairs], dtype=np.float64)
    weights = resamples(len(pairs), RESAMPLES, SEED)
    return interval(ratio(weights @ same, weights @ either))


def _mean(readings: Sequence[DoneReading], marks: Mapping[int, Said]) -> float | None:
    return fmean(len(marks.get(one.submission_id, ())) for one in readings) if readings else None
