"""The training loop as the app runs it: a snapshot of the labels, a subprocess, its progress, and taking the result over.

The run folder is the contract with `python -m train.finetune`; this module writes `config.json` and `labels.jsonl`,
reads `progress.jsonl` and `metrics.json`, and never imports training code. Whether a run goes on is decided by its
process, not by memory: a restarted app finds it again, a killed run is noticed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.runtime import Runtime
from medbertde.report_file import to_json
from medbertde.schema import load_schema, schema_ids
from medbertde.services.access import Access
from medbertde.settings import ROOT, Settings
from medbertde.store import audit, labels, models, runs
from medbertde.store.session import Database, Session
from medbertde.types import (
    Conflict,
    Metrics,
    ModelVersion,
    NotFound,
    ReportRecord,
    Role,
    Run,
    RunState,
    TrainingRefused,
    User,
)

FEWEST_REPORTS = 12
REPLAY = ROOT / "data" / "reports"  # the shipped fictional reports, so that a few new labels do not undo the rest
_STARTING = timedelta(seconds=30)  # how long a run may be queued without a process
LOG_TAIL_CHARS = 4_000


@dataclass(frozen=True)
class TrainingPreview:
    """What a run would learn from: labelled reports, and per finding how often it is present, uncertain, absent."""

    reports: int
    counts: Mapping[str, Mapping[str, int]]
    fewest: int = FEWEST_REPORTS


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


@dataclass(frozen=True)
class Training:
    """Runs and model versions. Only an admin starts, cancels and takes over."""

    database: Database
    runtime: Runtime
    access: Access
    settings: Settings

    def preview(self, schema_id: str) -> TrainingPreview:
        """How much there is to learn from."""
        records = self._labelled(schema_id)
        counts: dict[str, Counter[str]] = {label: Counter() for label in load_schema(schema_id).label_ids}
        for record in records:
            for label, state in record.labels.items():
                counts[label][state.value] += 1
        return TrainingPreview(len(records), counts)

    def start(self, user: User, schema_id: str, epochs: int) -> Run:
        """Freeze the labels and start a run; `Conflict` while one is going, `TrainingRefused` with too few reports."""
        self.access.require(user, Role.ADMIN)
        self.access.require_terms(user)
        self.refresh()
        records = self._labelled(schema_id)
        if len(records) < FEWEST_REPORTS:
            raise TrainingRefused(
                f"Bisher sind {len(records)} Befunde annotiert, für ein Training sind mindestens {FEWEST_REPORTS} nötig. "
                "Bitte im Reiter „Annotation“ weitere Befunde bearbeiten oder annotierte Befunde importieren.",
                f"{len(records)} reports are labelled so far, a training run needs at least {FEWEST_REPORTS}. Please "
                "label more reports in the tab “Annotation” or import labelled ones.",
            )
        run_id = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
        folder = self.settings.runs / run_id
        base = self.runtime.model_for(schema_id)
        with self.database.write() as session:
            run = runs.add_run(
                session,
                run_id=run_id,
                schema_id=schema_id,
                base_model=base.version,
                folder=str(folder),
                user_id=user.id,
            )
        try:
            _write_inputs(folder, records, _config(run, base.folder, epochs))
            process = _spawn(folder, self.settings.threads)
        except OSError as error:
            self._end(run, RunState.FAILED, f"{type(error).__name__}: {error.strerror}")
            raise TrainingRefused(
                "Der Trainingsordner ließ sich nicht anlegen. Bitte freien Speicherplatz und Schreibrechte prüfen.",
                "The run folder could not be made. Please check free disk space and write permission.",
            ) from error
        with self.database.write() as session:
            return runs.set_run_state(session, run_id=run_id, state=RunState.RUNNING, pid=process.pid)

    def cancel(self, user: User, run_id: str) -> Run:
        """Stop a run at once; nothing of it is kept but its log."""
        self.access.require(user, Role.ADMIN)
        run = self._run(run_id)
        if run.state not in (RunState.QUEUED, RunState.RUNNING):
            raise Conflict("Dieses Training läuft nicht mehr.", "This training is not going any more.")
        process = _process(run)
        if process:
            process.kill()
            process.wait(timeout=10)
        return self._end(run, RunState.CANCELLED, None)

    def refresh(self) -> Run | None:
        """The run that is going, after noticing what has ended meanwhile (also while the app was down)."""
        with self.database.read() as session:
            run = runs.running_run(session)
        if run is None or _process(run):
            return run
        if run.pid is None and datetime.now(UTC) - run.created_at < _STARTING:
            return run
        if (Path(run.folder) / "metrics.json").is_file() and (Path(run.folder) / "checkpoint").is_dir():
            self._end(run, RunState.FINISHED, None)
        else:
            self._end(run, RunState.FAILED, _reason(Path(run.folder)))
        return None

    def history(self, schema_id: str | None = None) -> list[Run]:
        """The latest runs, newest first."""
        self.refresh()
        with self.database.read() as session:
            return runs.list_runs(session, schema_id=schema_id)

    def status(self, run_id: str) -> RunStatus:
        """How a run stands; a file that is just being written is read as far as it is complete."""
        self.refresh()
        run = self._run(run_id)
        return _status(run, Path(run.folder))

    def promote(self, user: User, run_id: str) -> ModelVersion:
        """Let a finished run's model answer from now on, here and after a restart."""
        self.access.require(user, Role.ADMIN)
        self.refresh()
        run = self._run(run_id)
        if run.state is not RunState.FINISHED:
            raise Conflict(
                "Nur ein abgeschlossenes Training kann übernommen werden.", "Only a finished run can be used."
            )
        return self._activate(user, run.schema_id, Path(run.folder) / "checkpoint", run_id)

    def roll_back(self, user: User, version: str) -> ModelVersion:
        """Let an earlier version answer again."""
        self.access.require(user, Role.ADMIN)
        known = {item.version: item for schema_id in schema_ids() for item in self.versions(schema_id)}
        if version not in known:
            raise NotFound(f"Die Version {version} gibt es nicht.", f"There is no version {version}.")
        return self._activate(user, known[version].schema_id, Path(known[version].folder), known[version].run_id)

    def versions(self, schema_id: str) -> list[ModelVersion]:
        """The versions that were taken over, newest first."""
        with self.database.read() as session:
            return models.list_versions(session, schema_id=schema_id)

    def _activate(self, user: User, schema_id: str, folder: Path, run_id: str | None) -> ModelVersion:
        """Record and swap as one: a refused checkpoint rolls the record back, a failing record leaves the old model.

        The swap happens inside the transaction; saves of labels wait the moment that loading takes.
        """
        previous = self.runtime.model_for(schema_id)
        with self.database.write() as session:
            _remember(session, previous)
            loaded = self.runtime.swap(schema_id, folder)
            models.add_version(session, version=loaded.version, schema_id=schema_id, folder=str(folder), run_id=run_id)
            audit.record(session, user_id=user.id, action="promote", facts={"version": loaded.version})
            return models.activate(session, version=loaded.version, user_id=user.id)

    def _labelled(self, schema_id: str) -> list[ReportRecord]:
        with self.database.read() as session:
            return list(labels.labelled_records(session, schema_id=schema_id, include_flagged=False))

    def _run(self, run_id: str) -> Run:
        with self.database.read() as session:
            return runs.get_run(session, run_id=run_id)

    def _end(self, run: Run, state: RunState, message: str | None) -> Run:
        with self.database.write() as session:
            return runs.set_run_state(session, run_id=run.id, state=state, message=message)


def _remember(session: Session, previous: LoadedModel) -> None:
    """Register the model that answered so far, so that going back to it is one click."""
    assert previous.schema is not None, "a classifier has a schema"
    models.add_version(session, version=previous.version, schema_id=previous.schema.id, folder=str(previous.folder))


def _config(run: Run, base: Path, epochs: int) -> dict[str, Any]:
    """The run's configuration: go on from the active model, mix in the shipped reports, compare with what answers now."""
    replay = REPLAY / f"{run.schema_id}.jsonl"
    return {
        "schema_id": run.schema_id,
        "base_model": str(base),
        "compare_with": str(base),
        "name": f"{run.schema_id.replace('_', '-')}-{run.id}",
        "replay": [str(replay)] if replay.is_file() else [],
        "epochs": epochs,
        "learning_rate": 1e-4,
        "own_copies": 3,
        "run_id": run.id,
    }


def _write_inputs(folder: Path, records: list[ReportRecord], config: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    (folder / "labels.jsonl").write_text("".join(to_json(record) + "\n" for record in records), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")


def _spawn(folder: Path, threads: int) -> subprocess.Popen[bytes]:
    """The job in a session of its own: it outlives a restart of the app and logs to a file that nobody has to read."""
    command = [sys.executable, "-m", "train.finetune", str(folder), "--threads", str(threads)]
    with (folder / "train.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie behind
    return process


def _process(run: Run) -> psutil.Process | None:
    """The run's living process; a process id that now belongs to another program does not count."""
    try:
        process = psutil.Process(run.pid) if run.pid else None
        alive = process and process.status() != psutil.STATUS_ZOMBIE and run.folder in process.cmdline()
    except psutil.Error:
        return None
    return process if alive else None


def _reason(folder: Path) -> str:
    """Why a run ended early: its own refusal, else that it was interrupted."""
    try:
        return str(json.loads((folder / "refused.json").read_text(encoding="utf-8"))["de"])
    except (OSError, ValueError, KeyError):
        return "Das Training wurde unterbrochen, bevor es fertig war. Das aktive Modell ist unverändert."


def _status(run: Run, folder: Path) -> RunStatus:
    steps = _progress(folder / "progress.jsonl")
    last = steps[-1] if steps else {}
    share = last.get("step", 0) / max(1, last.get("total", 1))
    elapsed = last.get("elapsed_s", 0.0)
    metrics = _json(folder / "metrics.json")
    return RunStatus(
        run=run,
        share=1.0 if run.state is RunState.FINISHED else share,
        remaining_s=elapsed / share - elapsed if share > 0 else None,
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
    except (OSError, ValueError):
        return {}


def _tail(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARS:]
    except OSError:
        return ""
