"""A run's folder as the app sees it: what it writes into it before the start, and what it reads from it afterwards.

The other side is `train/run_folder.py`. Knows neither processes nor the database; a file that is just being written is
read as far as it is complete.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from medbertde.report_file import to_json
from medbertde.store.runs import ENDED_EARLY
from medbertde.types import Metrics, ReportRecord, Run, RunState

LOG_TAIL_CHARS = 4_000
RATE_LINES = 40
INTERRUPTED = "Das Training wurde unterbrochen, bevor es fertig war. Das aktive Modell ist unverändert."


@dataclass(frozen=True)
class RunStatus:
    """A run with what its folder tells: progress in 0…1, steps per second, seconds left, figures when done.

    Curves are (step, loss): `losses` on the training reports, `validation` after each epoch; `validation_f1` is the
    latest of those. `resumable`: it ended early and can go on where it was.
    """

    run: Run
    share: float = 0.0
    step: int = 0
    steps: int = 0
    rate: float | None = None
    remaining_s: float | None = None
    losses: tuple[tuple[int, float], ...] = ()
    validation: tuple[tuple[int, float], ...] = ()
    validation_f1: float | None = None
    epoch: int = 0
    epochs: int = 0
    log_tail: str = ""
    new: Metrics | None = None
    old: Metrics | None = None
    resumable: bool = False


def write_inputs(
    folder: Path, records: Sequence[ReportRecord], config: Mapping[str, Any], chosen: Mapping[str, Any]
) -> None:
    """Make the folder, readable by its owner only (it holds report texts), with the labels and the configuration.

    `snapshot.json` says of the labels: their hash, how many reports they are, and how these were `chosen`.
    """
    folder.mkdir(parents=True, mode=0o700)
    lines = "".join(to_json(record) + "\n" for record in records).encode()
    (folder / "labels.jsonl").write_bytes(lines)
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    snapshot = {"data_hash": sha256(lines).hexdigest(), "reports": len(records), **chosen}
    (folder / "snapshot.json").write_text(json.dumps(snapshot, indent=2), encoding="utf-8")


def can_resume(run: Run) -> bool:
    """Whether a run that ended early can go on: its inputs are there and the job did not refuse them."""
    folder = Path(run.folder)
    return (
        run.state in ENDED_EARLY
        and all((folder / name).is_file() for name in ("labels.jsonl", "config.json"))
        and not (folder / "refused.json").exists()
        and not is_complete(folder)
    )


def is_complete(folder: Path) -> bool:
    """Whether the job came to its end; the figures are written last."""
    return (folder / "metrics.json").is_file() and checkpoint(folder).is_dir()


def checkpoint(folder: Path) -> Path:
    """Where the new model lies."""
    return folder / "checkpoint"


def reason(folder: Path) -> str:
    """Why a run ended early: its own refusal, else that it was interrupted."""
    return str(read_json(folder / "refused.json").get("de", INTERRUPTED))


def read_status(run: Run) -> RunStatus:
    """How far a run has come, as its files tell."""
    folder = Path(run.folder)
    lines = _progress(folder / "progress.jsonl")
    last = lines[-1] if lines else {}
    step, steps = last.get("step", 0), last.get("total", 0)
    rate = _rate(lines)
    metrics = read_json(folder / "metrics.json")
    measured = [line for line in lines if "validation_loss" in line]
    return RunStatus(
        run=run,
        share=1.0 if run.state is RunState.FINISHED else step / max(1, steps),
        step=step,
        steps=steps,
        rate=rate,
        remaining_s=(steps - step) / rate if rate else None,
        losses=tuple((line["step"], line["loss"]) for line in lines if "loss" in line),
        validation=tuple((line["step"], line["validation_loss"]) for line in measured),
        validation_f1=measured[-1]["validation_f1"] if measured else None,
        epoch=last.get("epoch", 0),
        epochs=last.get("epochs", 0),
        log_tail=_tail(folder / "train.log"),
        new=metrics_of(metrics, "new"),
        old=metrics_of(metrics, "old"),
        resumable=can_resume(run),
    )


def metrics_of(metrics: Mapping[str, Any], name: str) -> Metrics | None:
    """The figures of the `new` or `old` model in `metrics.json`."""
    return Metrics(**metrics[name]) if metrics.get(name) else None


def _rate(lines: Sequence[Mapping[str, Any]]) -> float | None:
    """Steps per second over the latest lines: a machine that others share changes its pace."""
    if not lines:
        return None
    before = lines[-RATE_LINES] if len(lines) > RATE_LINES else {"step": 0, "elapsed_s": 0.0}
    elapsed_s = lines[-1]["elapsed_s"] - before["elapsed_s"]
    return (lines[-1]["step"] - before["step"]) / elapsed_s if elapsed_s > 0 else None


def _progress(path: Path) -> list[dict[str, Any]]:
    """The complete lines so far; the last one may be half written."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    except OSError:
        return []
    return [json.loads(line) for line in lines]


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of the job, empty where there is none yet."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _tail(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARS:]
    except OSError:
        return ""
