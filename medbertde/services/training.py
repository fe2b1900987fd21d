"""The training loop as the app runs it: a snapshot of the labels, a subprocess, and taking its result over.

The run folder (`run_files`) is the contract with `python -m train.finetune`; training code is never imported. Whether a
run goes on is decided by its process, not by memory: a restarted app finds it again, a killed run is noticed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.runtime import Runtime
from medbertde.schema import load_schema, schema_ids
from medbertde.services import run_files
from medbertde.services.access import Access
from medbertde.services.run_files import RunStatus
from medbertde.settings import ROOT, Settings
from medbertde.store import audit, labels, models, runs
from medbertde.store.runs import GOING
from medbertde.store.session import Database, Session
from medbertde.types import (
    CheckpointRefused,
    Conflict,
    ModelVersion,
    NotFound,
    ReportRecord,
    Role,
    Run,
    RunState,
    Task,
    TrainingRefused,
    User,
    UserError,
)

__all__ = ["RunStatus", "Training", "TrainingPreview"]

FEWEST_REPORTS = 12
REPLAY = ROOT / "data" / "reports"  # the shipped fictional reports, so that a few new labels do not undo the rest
REPLAY_TEXTS = 1_500  # of those, drawn anew for each pass
_STARTING = timedelta(seconds=30)  # how long a run may be queued without a process


@dataclass(frozen=True)
class TrainingPreview:
    """What a run would learn from: labelled reports, and per finding how often it is present, uncertain, absent."""

    reports: int
    counts: Mapping[str, Mapping[str, int]]
    fewest: int = FEWEST_REPORTS


@dataclass(frozen=True)
class Training:
    """Runs and model versions. Only an admin starts, cancels and takes over."""

    database: Database
    runtime: Runtime
    access: Access
    settings: Settings
    replay: Path = REPLAY

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
        _require_enough(len(records))
        base = self._answering(schema_id) or self.runtime.fill_mask_model()
        run_id = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
        folder = self.settings.runs.resolve() / run_id
        with self.database.write() as session:
            run = runs.add_run(
                session,
                run_id=run_id,
                schema_id=schema_id,
                base_model=base.version,
                folder=str(folder),
                user_id=user.id,
            )
        process = self._launch(run, records, _config(run, base, epochs, self.replay))
        try:
            with self.database.write() as session:
                return runs.set_run_state(session, run_id=run_id, state=RunState.RUNNING, pid=process.pid)
        except UserError:  # cancelled meanwhile, or the database is full: a process that no row knows must not go on
            process.kill()
            raise

    def cancel(self, user: User, run_id: str) -> Run:
        """Stop a run at once; its folder keeps inputs and log, no model comes of it."""
        self.access.require(user, Role.ADMIN)
        self.refresh()
        if self._run(run_id).state not in GOING:
            raise Conflict("Dieses Training läuft nicht mehr.", "This training is not going any more.")
        with self.database.write() as session:
            run = runs.set_run_state(session, run_id=run_id, state=RunState.CANCELLED)
            _stop(run)  # before the commit, so that nobody takes the missing process for a crash
        return run

    def refresh(self) -> Run | None:
        """The run that is going, after noticing what has ended meanwhile (also while the app was down)."""
        with self.database.read() as session:
            run = runs.running_run(session)
        if run is None or _process(run):
            return run
        if run.pid is None and datetime.now(UTC) - run.created_at < _STARTING:
            return run
        folder = Path(run.folder)
        with suppress(Conflict):  # two pages may notice the end in the same moment
            if run_files.is_complete(folder):
                self._end(run, RunState.FINISHED, None)
            else:
                self._end(run, RunState.FAILED, run_files.reason(folder))
        return None

    def history(self, schema_id: str | None = None) -> list[Run]:
        """The latest runs, newest first."""
        self.refresh()
        with self.database.read() as session:
            return runs.list_runs(session, schema_id=schema_id)

    def status(self, run_id: str) -> RunStatus:
        """How a run stands."""
        self.refresh()
        return run_files.read_status(self._run(run_id))

    def promote(self, user: User, run_id: str) -> ModelVersion:
        """Let a finished run's model answer from now on, here and after a restart."""
        self.access.require(user, Role.ADMIN)
        self.refresh()
        run = self._run(run_id)
        if run.state is not RunState.FINISHED:
            raise Conflict(
                "Nur ein abgeschlossenes Training kann übernommen werden.", "Only a finished run can be used."
            )
        return self._activate(user, "promote", run.schema_id, run_files.checkpoint(Path(run.folder)), run_id=run_id)

    def roll_back(self, user: User, version: str) -> ModelVersion:
        """Let an earlier version answer again; `CheckpointRefused` when its folder holds something else by now."""
        self.access.require(user, Role.ADMIN)
        known = {item.version: item for schema_id in schema_ids() for item in self.versions(schema_id)}
        if version not in known:
            raise NotFound(f"Die Version {version} gibt es nicht.", f"There is no version {version}.")
        earlier = known[version]
        return self._activate(
            user, "roll_back", earlier.schema_id, Path(earlier.folder), run_id=earlier.run_id, version=version
        )

    def versions(self, schema_id: str) -> list[ModelVersion]:
        """The versions that were taken over, newest first."""
        with self.database.read() as session:
            return models.list_versions(session, schema_id=schema_id)

    def _activate(
        self,
        user: User,
        action: str,
        schema_id: str,
        folder: Path,
        *,
        run_id: str | None = None,
        version: str | None = None,
    ) -> ModelVersion:
        """Record and swap as one: a refused checkpoint rolls the record back, a failing record brings the old one back.

        The swap happens inside the transaction; saves of labels wait the moment that loading takes.
        """
        with ExitStack() as undo:
            with self.database.write() as session:
                previous = self._answering(schema_id)
                if previous:
                    _remember(session, schema_id, previous)
                    undo.callback(self._answer_again, schema_id, previous)
                loaded = self.runtime.swap(schema_id, folder)
                _require_version(loaded, version)
                models.add_version(
                    session, version=loaded.version, schema_id=schema_id, folder=str(folder), run_id=run_id
                )
                audit.record(session, user_id=user.id, action=action, facts={"version": loaded.version})
                active = models.activate(session, version=loaded.version, user_id=user.id)
            undo.pop_all()
        return active

    def _answer_again(self, schema_id: str, previous: LoadedModel) -> None:
        """Undo a swap whose record failed."""
        if self.runtime.model_for(schema_id) is not previous:
            self.runtime.swap(schema_id, previous.folder)

    def _answering(self, schema_id: str) -> LoadedModel | None:
        """The model that answers for a schema; None for a schema of one's own that has no model yet."""
        return self.runtime.model_for(schema_id) if schema_id in self.runtime.versions() else None

    def _launch(self, run: Run, records: list[ReportRecord], config: dict[str, Any]) -> subprocess.Popen[bytes]:
        """Write the run folder and start the job; a run that cannot start ends with the reason."""
        folder = Path(run.folder)
        try:
            run_files.write_inputs(folder, records, config)
            return _spawn(folder, self.settings.threads)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            refusal = TrainingRefused(
                f"Der Trainingsordner ließ sich nicht anlegen ({error.strerror}). Bitte freien Speicherplatz und "
                "Schreibrechte prüfen.",
                f"The run folder could not be made ({error.strerror}). Please check free disk space and write "
                "permission.",
            )
            self._end(run, RunState.FAILED, refusal.de)
            raise refusal from error

    def _labelled(self, schema_id: str) -> list[ReportRecord]:
        """The annotated reports that are not flagged; findings that the schema has no more are left out."""
        known = load_schema(schema_id).label_ids
        with self.database.read() as session:
            found = list(labels.labelled_records(session, schema_id=schema_id, include_flagged=False))
        return [
            replace(
                record,
                labels={label: state for label, state in record.labels.items() if label in known},
                rationales=tuple(span for span in record.rationales if span.label in known),
            )
            for record in found
        ]

    def _run(self, run_id: str) -> Run:
        with self.database.read() as session:
            return runs.get_run(session, run_id=run_id)

    def _end(self, run: Run, state: RunState, message: str | None) -> Run:
        with self.database.write() as session:
            return runs.set_run_state(session, run_id=run.id, state=state, message=message)


def _require_enough(reports: int) -> None:
    if reports < FEWEST_REPORTS:
        raise TrainingRefused(
            f"Bisher sind {reports} Befunde annotiert, für ein Training sind mindestens {FEWEST_REPORTS} nötig. Bitte "
            "im Reiter „Annotation“ weitere Befunde bearbeiten oder annotierte Befunde importieren.",
            f"{reports} reports are labelled so far, a training run needs at least {FEWEST_REPORTS}. Please label more "
            "reports in the tab “Annotation” or import labelled ones.",
        )


def _require_version(loaded: LoadedModel, version: str | None) -> None:
    """Refuse a folder whose content was replaced since its version was recorded."""
    if version not in (None, loaded.version):
        raise CheckpointRefused(
            f"Der Ordner der Version {version} enthält inzwischen {loaded.version}. Das Modell wird nicht verwendet.",
            f"The folder of the version {version} holds {loaded.version} by now. The model is not used.",
        )


def _remember(session: Session, schema_id: str, previous: LoadedModel) -> None:
    """Register the model that answered so far, so that going back to it is one click."""
    if all(item.version != previous.version for item in models.list_versions(session, schema_id=schema_id)):
        models.add_version(session, version=previous.version, schema_id=schema_id, folder=str(previous.folder))


def _config(run: Run, base: LoadedModel, epochs: int, replay_folder: Path) -> dict[str, Any]:
    """The run's configuration: go on from what answers now, mix in the shipped reports, compare old and new.

    A schema without a model starts from the language model; its untrained head has to learn faster.
    """
    shipped = {
        name: [str(path)] if (path := replay_folder.resolve() / f"{prefix}{run.schema_id}.jsonl").is_file() else []
        for name, prefix in {"replay": "", "statements": "statements_"}.items()
    }
    folder = str(base.folder.resolve())
    trained = base.task is Task.CLASSIFY
    return {
        "schema_id": run.schema_id,
        "base_model": folder,
        "compare_with": folder if trained else None,
        "name": f"{run.schema_id.replace('_', '-')}-{run.id}",
        **shipped,
        "replay_texts": REPLAY_TEXTS,
        "epochs": epochs,
        "learning_rate": 1e-4 if trained else 5e-4,
        "positive_weight": 1.0 if trained else 8.0,
        "own_copies": 3,
        "run_id": run.id,
    }


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


def _stop(run: Run) -> None:
    """Kill the run's process, if it still lives, and wait until it is gone."""
    process = _process(run)
    if process:
        with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            process.kill()
            process.wait(timeout=10)
