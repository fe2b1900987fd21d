"""Which method of explanation says what the embedded classifiers do, and at what price: a table and a plot.

    python -m train.faithfulness --out docs/explanations.md

For `--findings` findings per schema that the model states as the report does (one per report, drawn with a fixed seed),
each method explains the report and is measured: comprehensiveness, sufficiency, infidelity and sensitivity as
`types.Faithfulness` defines them, and agreement of its words with the evidence that was marked in the report (token F1
and IoU of as many top words as are marked, AUPRC). Intervals are 95 % bootstrap intervals over findings. The tables
replace what stands between the two marks in `--out`; the rest of that file is written by hand. The plot lies beside it.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import matplotlib
import numpy as np
import torch
from sklearn.metrics import average_precision_score

import medbertde
from medbertde.report_file import read_records
from medbertde.types import Attribution, Rationale, ReportRecord, State
from train import markdown
from train.intervals import Interval, interval, resamples
from train.quality import this_machine

matplotlib.use("svg")  # no display is needed; before pyplot is imported
from matplotlib import pyplot

METHODS = (
    ("layer_integrated_gradients", "pad"),
    ("layer_integrated_gradients", "mask"),
    ("gradient_shap", "mask"),
    ("input_x_gradient", "pad"),
    ("saliency", "pad"),
    ("occlusion", "mask"),
    ("occlusion_sentence", "mask"),
    ("kernel_shap", "mask"),
    ("lime", "mask"),
)
COLUMNS = {
    "comprehensiveness": "comprehensiveness ↑",
    "sufficiency": "sufficiency ↓",
    "infidelity": "infidelity ↓",
    "sensitivity": "sensitivity ↓",
    "f1": "evidence F1 ↑",
    "iou": "evidence IoU ↑",
    "auprc": "evidence AUPRC ↑",
    "milliseconds": "processor ms",
}
EMBEDDED = ("mini-chest-xray", "mini-chest-ct")
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
RESAMPLES, SEED = 1_000, 20_260_101


@dataclass(frozen=True)
class Finding:
    """A finding of a report that the model states as the report does, and the spans marked for it."""

    text: str
    label: str
    state: State
    evidence: tuple[Rationale, ...]


@dataclass(frozen=True)
class Row:
    """The figures of one method from one baseline."""

    method: str
    baseline: str
    figures: Mapping[str, Interval | None]


@dataclass(frozen=True)
class Result:
    """How many findings were explained, and a row per method."""

    findings: int
    rows: tuple[Row, ...]


def findings(model: object, records: Sequence[ReportRecord], count: int) -> list[Finding]:
    """At most `count` findings with evidence, one per report."""
    found = []
    order = random.Random(SEED)
    predictions = model.classify([record.text for record in records])  # type: ignore[attr-defined]
    for record, prediction in zip(records, predictions, strict=True):
        own = []
        for label, state in record.labels.items():
            spans = tuple(each for each in record.rationales if each.label == label and each.state in (state, None))
            limit = model.thresholds[label]  # type: ignore[attr-defined]
            if spans and prediction.scores[label].state(limit) is state:
                own.append(Finding(record.text, label, state, spans))
        found += [order.choice(own)] if own else []
    order.shuffle(found)
    return found[:count]


def measured(model: object, finding: Finding, method: str, baseline: str) -> dict[str, float]:
    """All figures of one method on one finding."""
    start = time.process_time()  # does not count what else the machine does
    attribution: Attribution = model.explain(  # type: ignore[attr-defined]
        finding.text, finding.label, method, target=finding.state, baseline=baseline
    )
    milliseconds = 1000 * (time.process_time() - start)
    faithful = asdict(model.faithfulness(attribution))  # type: ignore[attr-defined]
    return {**faithful, **agreement(attribution, finding.evidence), "milliseconds": milliseconds}


def agreement(attribution: Attribution, evidence: Sequence[Rationale]) -> dict[str, float]:
    """How the ranking of words agrees with the marked spans: F1 and IoU of as many words as are marked, AUPRC."""
    marked = np.array(
        [any(word.start < each.end and each.start < word.end for each in evidence) for word in attribution.words]
    )
    scores = np.array([word.score for word in attribution.words])
    top = np.zeros(len(scores), dtype=bool)
    top[np.argsort(-scores, kind="stable")[: marked.sum()]] = True
    hits = (top & marked).sum()
    return {
        "f1": float(hits / marked.sum()),
        "iou": float(hits / (top | marked).sum()),
        "auprc": float(average_precision_score(marked, scores)),
    }


@dataclass(frozen=True)
class Task:
    """One method on the findings of one model, for a process of its own."""

    model: str
    method: str
    baseline: str
    findings: tuple[Finding, ...]

    def run(self) -> Row:
        """Explain and measure, on one core."""
        torch.set_num_threads(1)
        model = medbertde.load(self.model, device="cpu")
        first = self.findings[0]
        model.explain(first.text, first.label, self.method, baseline=self.baseline)  # pays for what is only once
        figures = [measured(model, finding, self.method, self.baseline) for finding in self.findings]
        weights = resamples(len(figures), RESAMPLES, SEED)
        shares = weights / weights.sum(axis=1, keepdims=True)
        by_column = {column: interval(shares @ np.array([each[column] for each in figures])) for column in COLUMNS}
        return Row(self.method, self.baseline, by_column)


def measure(names: Sequence[str], reports: Path, count: int, workers: int) -> dict[str, Result]:
    """The results by model version."""
    chosen, versions = {}, {}
    for name in names:
        model = medbertde.load(name, device="cpu")
        schema_id = name.removeprefix("mini-").replace("-", "_")
        records = list(read_records(reports / f"test_{schema_id}.jsonl"))
        chosen[name], versions[name] = tuple(findings(model, records, count)), model.version
    rows: dict[str, list[Row]] = {name: [] for name in names}
    tasks = [Task(name, *way, chosen[name]) for way in METHODS for name in names]
    for task, row in zip(tasks, _rows(tasks, workers), strict=True):
        print(task.model, task.method, task.baseline, row.figures["milliseconds"], file=sys.stderr)
        rows[task.model].append(row)
    return {versions[name]: Result(len(chosen[name]), tuple(rows[name])) for name in names}


def _rows(tasks: Sequence[Task], workers: int) -> Iterator[Row]:
    """The rows in the order of the tasks; one worker is this process."""
    if workers == 1:
        yield from map(Task.run, tasks)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(Task.run, tasks)


# ---------------------------------------------------------------------------------------------- document


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table; the best value of each column is bold."""
    best = {column: _best(rows, column) for column in COLUMNS}
    lines = [
        [f"`{row.method}`", row.baseline, *(_cell(row.figures[name], name, row is best[name]) for name in COLUMNS)]
        for row in rows
    ]
    return markdown.table(["method", "baseline", *COLUMNS.values()], lines)


def _best(rows: Sequence[Row], column: str) -> Row:
    sign = -1 if COLUMNS[column].endswith("↑") else 1
    return min(rows, key=lambda row: sign * (row.figures[column] or Interval(0, 0, 0)).value)


def _cell(value: Interval | None, column: str, best: bool) -> str:
    if value is None:
        return "–"
    shown = f"{value.value:.0f}" if column == "milliseconds" else str(value)
    return f"**{shown}**" if best else shown


def draw(results: Mapping[str, Result], path: Path) -> None:
    """Faithfulness against cost: comprehensiveness − sufficiency per method, one panel per model."""
    pyplot.rcParams.update({"svg.hashsalt": "medbertde", "font.size": 9})
    figure, panels = pyplot.subplots(1, len(results), figsize=(5 * len(results), 4), sharey=True, squeeze=False)
    for panel, (version, result) in zip(panels[0], results.items(), strict=True):
        for x, y, name in _points(result.rows):
            panel.scatter(x, y, s=24, color="#1f5f8b")
            panel.annotate(name, (x, y), textcoords="offset points", xytext=(5, 3), fontsize=7)
        panel.set(xscale="log", title=version, xlabel="processor ms per finding (log)")
        panel.grid(color="#dddddd", linewidth=0.6)
    panels[0][0].set_ylabel("comprehensiveness − sufficiency")
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def _points(rows: Sequence[Row]) -> Iterator[tuple[float, float, str]]:
    for row in rows:
        cost, more, less = (row.figures[name] for name in ("milliseconds", "comprehensiveness", "sufficiency"))
        if cost and more and less:
            yield cost.value, more.value - less.value, f"{row.method} ({row.baseline})"


def document(results: Mapping[str, Result], plot: str, args: argparse.Namespace) -> str:
    """The generated part: a table per model and the plot."""
    day = datetime.now(UTC).date().isoformat()
    command = f"python -m train.faithfulness --findings {args.findings} --out {args.out}"
    parts = [f"Made on {day} ({args.machine}) by `{command}`."]
    for version, result in results.items():
        parts += [f"### {version}, {result.findings} findings", table(result.rows)]
    return "\n\n".join([*parts, f"![Faithfulness against cost]({plot})"])


def around_marks(path: Path) -> tuple[str, str]:
    """What stands before and after the measured part, marks included."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} needs the lines {BEGIN} and {END} around the measured part.")
    return before + begin, end + after


def main(argv: Sequence[str] | None = None) -> None:
    """Measure all embedded classifiers and write what was found."""
    args = _parser().parse_args(argv)
    around_marks(args.out)  # fails before anything is measured
    results = measure(args.model or EMBEDDED, args.reports, args.findings, args.workers)
    plot = args.out.with_suffix(".svg")
    draw(results, plot)
    before, after = around_marks(args.out)
    args.out.write_text(f"{before}\n\n{document(results, plot.name, args)}\n\n{after}", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train.faithfulness", description="Measure explanations.")
    parser.add_argument("--model", action="append", help="catalogue id (again for more); default: the embedded ones")
    parser.add_argument("--reports", type=Path, default=Path("data/reports"), help="folder with test_<schema>.jsonl")
    parser.add_argument("--findings", type=int, default=20, help="per model; 20 take about five minutes on two cores")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes, one core each")
    parser.add_argument("--out", type=Path, required=True, help="Markdown file with the marks; the plot lies beside it")
    parser.add_argument("--machine", default=this_machine(), help="the machine in words")
    return parser


if __name__ == "__main__":
    main()
