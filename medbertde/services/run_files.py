"""A run's folder as the app sees it: what it writes into it before the start, and what it reads from it afterwards.

The other side is `train/run_folder.py`. Knows neither processes nor the database; a file that is just being written is
read as far as it is complete.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medbertde.report_file import to_json
from medbertde.types import Metrics, ReportRecord, Run, RunState

LOG_TAIL_CHARS = 4_000
INTERRUPTED = "Das Training wurde unterbrochen, bevor es fertig war. Das aktive Modell ist unverändert."


@dataclass(frozen=True)
class RunStatus:
    """A run with what its folder tells: progress in 0…1, seconds left, curves as (step, value), figures when done."""

    run: Run
    share: float = 0.0
    remaining_s: float | None = None
    losses: tuple[tuple[int, float], ...] = ()
    validation: tuple[tuple[int, float], ...] = ()
    epoch: int = 0
    epochs: int = 0
    log_tail: str = ""
    new: Metrics | None = None
    old: Metrics | None = None


def write_inputs(folder: Path, records: Sequence[ReportRecord], config: dict[str, Any]) -> None:
    """Make the folder, readable by its owner only (it holds report texts), with the labels and the configuration."""
    folder.mkdir(parents=True, mode=0o700)
    (folder / "labels.jsonl").write_text("".join(to_json(record) + "\n" for record in records), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")


def is_complete(folder: Path) -> bool:
    """Whether the job came to its end; the figures are written last."""
    return (folder / "metrics.json").is_file() and checkpoint(folder).is_dir()


def checkpoint(folder: Path) -> Path:
    """Where the new model lies."""
    return folder / "checkpoint"


def reason(folder: Path) -> str:
    """Why a run ended early: its own refusal, else that it was interrupted."""
    return str(_json(folder / "refused.json").get("de", INTERRUPTED))


def read_status(run: Run) -> RunStatus:
    """How far a run has come, as its files tell."""
    folder = Path(run.folder)
    steps = _progress(folder / "progress.jsonl")
    last = steps[-1] if steps else {}
    share = last.get("step", 0) / max(1, last.get("total", 1))
    elapsed_s = last.get("elapsed_s", 0.0)
    metrics = _json(folder / "metrics.json")
    return RunStatus(
        run=run,
        share=1.0 if run.state is RunState.FINISHED else share,
        remaining_s=elapsed_s / share - elapsed_s if share > 0 else None,
        losses=tuple((line["step"], line["loss"]) for line in steps if "loss" in line),
        validation=tuple((line["epoch"], line["validation_f1"]) for line in steps if "validation_f1" in line),
        epoch=last.get("epoch", 0),
        epochs=last.get("epochs", 0),
        log_tail=_tail(folder / "train.log"),
        new=Metrics(**metrics["new"]) if metrics.get("new") else None,
        old=Metrics(**metrics["old"]) if metrics.get("old") else None,
    )


def _progress(path: Path) -> list[dict[str, Any]]:
    """The complete lines so far; the last one may be half written."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    except OSError:
        return []
    return [json.loads(line) for line in lines]


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _tail(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARS:]
    except OSError:
        return ""
