"""What a finished run brought, read from its folder: the comparison of old and new, and where a run comes from.

The other side is `train/run_folder.py` and `train/compare.py`. Knows neither processes nor the database; holds no texts
except that of the one report that is asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medbertde.inference.facts import FACTS_FILE
from medbertde.report_file import read_records
from medbertde.schema import Kind, load_schema
from medbertde.services.mark_doubts import MarkDoubt, mark_doubts
from medbertde.services.run_files import checkpoint, metrics_of, read_json
from medbertde.text import content_hash
from medbertde.types import Metrics, NotFound, ReportRecord, Run, State

CARD_FILE = "README.md"
Interval = tuple[float, float]
Place = tuple[int, int]  # code points of the text, the end excluded
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


@dataclass(frozen=True)
class Difference:
    """New minus old with its 95 % interval and the p-value of the paired test."""

    difference: float
    low: float
    high: float
    p: float

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Bin:
    """A tenth of the probabilities: their mean, the share of findings that are present, and how many decisions."""

    score: float
    share: float
    decisions: int


@dataclass(frozen=True)
class Dispute:
    """A finding of a held-out report on which the models differ: `truth` is None where it is left out."""

    report: str
    label: str
    truth: bool | None
    old: float
    new: float
    new_says: bool


@dataclass(frozen=True)
class SpanDispute:
    """A label of a held-out report that the models mark differently: the places (start, end) that each one says."""

    report: str
    label: str
    truth: tuple[Place, ...]
    old: tuple[Place, ...]
    new: tuple[Place, ...]


@dataclass(frozen=True)
class Doubt:
    """A finding whose label the model doubts: the state it was given, and the model's probability of "present"."""

    report: str
    label: str
    given: State | None
    probability: float
    part: str


@dataclass(frozen=True)
class RunResult:
    """Old and new on the same held-out reports. Intervals and differences are by figure, missing where undefined.

    A schema of spans has `span_disputes`, `mark_doubts` and `label_intervals` (by model and label), one of findings the
    other lists.
    `card` is the new model's card.
    """

    run: Run
    new: Metrics
    old: Metrics | None
    intervals: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)  # by model: new, old
    paired: Mapping[str, Difference] = field(default_factory=dict)
    reliability: Mapping[str, tuple[Bin, ...]] = field(default_factory=dict)  # by model
    reports: Mapping[str, int] = field(default_factory=dict)  # by part
    disputes: tuple[Dispute, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    span_disputes: tuple[SpanDispute, ...] = ()
    mark_doubts: tuple[MarkDoubt, ...] = ()
    label_intervals: Mapping[str, Mapping[str, Mapping[str, Interval]]] = field(default_factory=dict)
    card: str = ""


@dataclass(frozen=True)
class Lineage:
    """Where a run comes from, as far as it is known; `model` is the folder's name for what came of it."""

    run: Run
    data_hash: str | None
    reports: int | None
    seed: int | None
    git_commit: str | None
    f1_macro: float | None
    resumable: bool


def read_result(run: Run) -> RunResult | None:
    """What a run brought, None where it has not come to its end."""
    folder = Path(run.folder)
    metrics = read_json(folder / "metrics.json")
    new = metrics_of(metrics, "new")
    if new is None:
        return None
    spans = load_schema(run.schema_id).kind is Kind.SPANS
    return RunResult(
        run=run,
        new=new,
        old=metrics_of(metrics, "old"),
        intervals={name: _intervals(found) for name, found in _defined(metrics.get("intervals"))},
        paired={name: Difference(**found) for name, found in _defined(metrics.get("paired"))},
        reliability={
            name: tuple(Bin(each["score"], each["share"], int(each["decisions"])) for each in found)
            for name, found in _defined(metrics.get("reliability"))
        },
        reports=dict(metrics.get("reports") or {}),
        disputes=() if spans else tuple(_disputes(folder, metrics.get("thresholds") or {})),
        doubts=tuple(_doubt(row) for row in _lines(folder / "doubted.jsonl")),
        span_disputes=tuple(_span_disputes(folder)) if spans else (),
        mark_doubts=mark_doubts(_lines(folder / "held_out.jsonl")) if spans else (),
        label_intervals={
            name: {label: _intervals(row) for label, row in _defined(found)}
            for name, found in _defined(metrics.get("label_intervals"))
        },
        card=_card(folder),
    )


def read_lineage(run: Run, *, resumable: bool) -> Lineage:
    """Where a run comes from."""
    folder = Path(run.folder)
    snapshot, config = read_json(folder / "snapshot.json"), read_json(folder / "config.json")
    made = read_json(checkpoint(folder) / FACTS_FILE).get("lineage") or {}
    new = metrics_of(read_json(folder / "metrics.json"), "new")
    return Lineage(
        run=run,
        data_hash=snapshot.get("data_hash") or made.get("data_hash"),
        reports=snapshot.get("reports"),
        seed=config.get("seed", made.get("seed")),
        git_commit=made.get("git_commit"),
        f1_macro=new.f1_macro if new else None,
        resumable=resumable,
    )


def read_report(run: Run, key: str) -> ReportRecord:
    """The report of a run's frozen labels that the lists name `key`."""
    path = Path(run.folder) / "labels.jsonl"
    found = read_records(path) if path.is_file() else []
    for record in found:
        if key in (record.id, content_hash(record.text)):
            return record
    raise NotFound("Diesen Befund gibt es in diesem Training nicht.", "There is no such report in this training run.")


def _disputes(folder: Path, thresholds: Mapping[str, float]) -> Iterator[Dispute]:
    """One per report and finding on which the models differ."""
    for row in _lines(folder / "held_out.jsonl"):
        for label in row["differ"]:
            truth, new = row["truth"][label], row["new"][label]
            known = None if truth < 0 else truth == 1
            yield Dispute(row["report"], label, known, row["old"][label], new, new >= thresholds.get(label, 0.5))


def _span_disputes(folder: Path) -> Iterator[SpanDispute]:
    """One per report and label whose spans the models mark differently."""
    for row in _lines(folder / "held_out.jsonl"):
        for label in row["differ"]:
            truth, old, new = (_places(row[said], label) for said in ("truth", "old", "new"))
            yield SpanDispute(row["report"], label, truth, old, new)


def _places(spans: Sequence[Mapping[str, Any]], label: str) -> tuple[Place, ...]:
    return tuple(sorted({(span["start"], span["end"]) for span in spans if span["label"] == label}))


def _card(folder: Path) -> str:
    """The model card without the lines that only the Hub reads."""
    try:
        text = (checkpoint(folder) / CARD_FILE).read_text(encoding="utf-8")
    except OSError:
        return ""
    return _FRONT_MATTER.sub("", text, count=1).strip()


def _doubt(row: Mapping[str, Any]) -> Doubt:
    given = State(row["given"]) if row["given"] else None
    return Doubt(row["report"], row["label"], given, row["probability"], row["part"])


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _intervals(found: Mapping[str, Any]) -> dict[str, Interval]:
    return {figure: (low, high) for figure, (low, high) in _defined(found)}


def _defined(found: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    """The entries that are not null."""
    return [(name, value) for name, value in (found or {}).items() if value is not None]
