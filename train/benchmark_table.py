"""The tables, the plot and the JSON of a comparison, from the run folders that are complete.

A figure is the mean over the seeds; its 95 % interval resamples the test reports, the same ones for every seed, and the
spread over the seeds stands beside it. The figures that the model card published are of other reports and stand in a
table of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import yaml

from medbertde.settings import ROOT
from train.compare import RESAMPLES, SEED, Judged, figures
from train.intervals import interval, resamples
from train.markdown import table

CHOSEN_FILE = "chosen.json"  # beside the runs of a model on a task: the settings found, and what stood in for it
PUBLISHED = ROOT / "data" / "published_results.yaml"
COLUMNS = {
    "auroc_macro": "AUROC",
    "f1_macro": "macro F1",
    "f1_micro": "micro F1",
    "precision_macro": "precision",
    "recall_macro": "recall",
}


@dataclass(frozen=True)
class Row:
    """A model on a task: for each figure (percent) mean, interval and standard deviation over the seeds."""

    task: str
    model: str
    stand_in: str | None
    seeds: int
    reports: int
    figures: Mapping[str, Mapping[str, float] | None]


def write_tables(out: Path, folders: Mapping[tuple[str, str], Path], seeds: Sequence[int]) -> dict[str, Any]:
    """`benchmark.json`, `benchmark.md` and `benchmark.svg` in `out`; returns the content of the first.

    `folders` holds the runs of each task and model.
    """
    tasks, models = (list(dict.fromkeys(names)) for names in zip(*folders, strict=True))
    rows = [row for (task, model), folder in folders.items() if (row := _row(folder, task, model, seeds))]
    published = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    found = {"rows": [vars(row) for row in rows], "published": published, "seeds": list(seeds)}
    (out / "benchmark.json").write_text(json.dumps(found, ensure_ascii=False, indent=2), encoding="utf-8")
    text = "\n".join(line for task in tasks for line in _section(task, rows, published, len(models)))
    (out / "benchmark.md").write_text(text + "\n", encoding="utf-8")
    _plot(out / "benchmark.svg", tasks, rows, published)
    return found


def _row(folder: Path, task: str, model: str, seeds: Sequence[int]) -> Row | None:
    """The figures of the seeds whose runs are complete, None where there is none."""
    folders = [folder / f"seed-{seed}" for seed in seeds]
    runs = [_read(run) for run in folders if (run / "metrics.json").exists()]
    if not runs:
        return None
    stand_in = json.loads((folder / CHOSEN_FILE).read_text(encoding="utf-8"))["stand_in"]
    weights = resamples(len(runs[0][0]), RESAMPLES, SEED)
    samples = [figures(truth, judged, weights) for truth, judged in runs]
    summary = {name: _summary(np.array([each[name] for each in samples])) for name in COLUMNS}
    return Row(task, model, stand_in, len(runs), len(runs[0][0]), summary)


def _read(folder: Path) -> tuple[np.ndarray, Judged]:
    """Truth and scores of a run's held-out reports."""
    rows = [json.loads(line) for line in (folder / "held_out.jsonl").read_text(encoding="utf-8").splitlines()]
    labels = list(rows[0]["truth"])
    thresholds = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["thresholds"]
    truth = np.array([[row["truth"][label] for label in labels] for row in rows])
    scores = np.array([[row["new"][label] for label in labels] for row in rows])
    return truth, Judged(scores, [thresholds[label] for label in labels])


def _summary(samples: np.ndarray) -> dict[str, float] | None:
    """`(seeds, samples)` of a figure in percent: row 0 of each seed is the test set itself."""
    found = interval(100 * samples.mean(axis=0))
    if found is None:
        return None
    return {
        "mean": found.value,
        "low": found.low,
        "high": found.high,
        "sd": float(100 * samples[:, 0].std(ddof=1)) if len(samples) > 1 else 0.0,
    }


def _section(task: str, rows: Sequence[Row], published: Mapping[str, Any], models: int) -> list[str]:
    """One task: our table, then the card's."""
    own = [row for row in rows if row.task == task]
    reports = own[0].reports if own else 0
    lines = [f"## {task}", "", f"{len(own)} of {models} models, {reports} test reports. Percent: mean over seeds "]
    lines[-1] += "(95 % bootstrap interval; ± standard deviation over seeds)."
    found = [[_name(row), *(_cell(row.figures[name]) for name in COLUMNS), str(row.seeds)] for row in own]
    lines += ["", table(["model", *COLUMNS.values(), "seeds"], found)]
    if task in published:
        lines += ["", "Published on the model card, on other reports:", ""]
        known = [[model, *(f"{value:.2f}" for value in values)] for model, values in published[task].items()]
        lines.append(table(["model", *COLUMNS.values()], known))
    return [*lines, ""]


def _name(row: Row) -> str:
    return f"{row.model} (stand-in: {Path(row.stand_in).name})" if row.stand_in else row.model


def _cell(figure: Mapping[str, float] | None) -> str:
    if figure is None:
        return "–"
    return f"{figure['mean']:.2f} ({figure['low']:.1f}–{figure['high']:.1f}; ± {figure['sd']:.2f})"


def _plot(path: Path, tasks: Sequence[str], rows: Sequence[Row], published: Mapping[str, Any]) -> None:
    """Macro F1 with its interval for each model, and what the card published, one panel for each task."""
    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(
        1, len(tasks), figsize=(5 * len(tasks), 0.6 * max(4, len(rows))), squeeze=False, layout="constrained"
    )
    for panel, task in zip(panels[0], tasks, strict=True):
        own = [row for row in rows if row.task == task]
        for place, row in enumerate(reversed(own)):
            _bar(panel, place, row.figures["f1_macro"])
            if row.model in published.get(task, {}):
                panel.plot(published[task][row.model][1], place, "|", color="0.3", markersize=14)
        panel.set_yticks(range(len(own)), [_name(row) for row in reversed(own)])
        panel.set(title=f"{task}: macro F1, %", xlim=(0, 100))
        panel.grid(axis="x", color="0.9")
    figure.supxlabel("dot: here, with 95 % interval; bar: published on the model card, other reports", fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _bar(panel: Any, place: int, value: Mapping[str, float] | None) -> None:
    if value:
        reach = [[max(0.0, value["mean"] - value["low"])], [max(0.0, value["high"] - value["mean"])]]
        panel.errorbar(value["mean"], place, xerr=reach, fmt="o", color="#0f766e", capsize=3)
