"""The training loop as the app runs it: a snapshot of the labels, a subprocess, and taking its result over.

The run folder (`run_files`) is the contract with `python -m train.finetune`; training code is never imported. Whether a
run goes on is decided by its process, not by memory: a restarted app finds it again, a killed run is noticed. One run
computes at a time, one more may wait; whoever looks (`refresh`) lets it begin once the other has ended.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medbertde.inference.runtime import Runtime
from medbertde.schema import ALL_KINDS, Schema, load_schema, schema_ids
from medbertde.services import run_files, run_results
from medbertde.services.access import Access
from medbertde.services.activation import Wanted, activate
from medbertde.services.run_files import RunStatus
from medbertde.services.run_process import process_of, spawn, stop
from medbertde.services.run_results import Lineage, RunResult
from medbertde.services.training_bases import Base, bases, find_base, version_of
from medbertde.services.training_config import Choices, configuration
from medbertde.services.training_data import Selection, TrainingPreview, annotated, look
from medbertde.settings import ROOT, Settings
from medbertde.store import audit, models, reports, reviews, runs
from medbertde.store.runs import GOING
from medbertde.store.session import Database, Session
from medbertde.types import (
    Conflict,
    ModelVersion,
    NotFound,
    ReportRecord,
    Role,
    Run,
    RunState,
    TrainingRefused,
    User,
    UserError,
)

__all__ = ["Base", "Choices", "Lineage", "RunResult", "RunStatus", "Selection", "Training", "TrainingPreview"]

REPLAY = ROOT / "data" / "reports"  # the shipped fictional reports, so that a few new labels do not undo the rest
AS_IT_IS = Choices()


@dataclass(frozen=True)
class Training:
    """Runs and model versions. A curator may look, only an admin starts, cancels and takes over."""

    database: Database
    runtime: Runtime
    access: Access
    settings: Settings
    replay: Path = REPLAY

    def may_train(self, user: User) -> bool:
        """Whether `user` may start, cancel and take over."""
        return user.role.includes(Role.ADMIN)

    def schemas(self) -> tuple[Schema, ...]:
        """What can be trained: findings and spans."""
        return tuple(load_schema(schema_id) for schema_id in schema_ids(kinds=ALL_KINDS))

    def bases(self, user: User, schema_id: str) -> list[Base]:
        """The models on this machine that a run can go on from, the active one first."""
        self.access.require(user, Role.CURATOR)
        return bases(self.runtime, self.database, schema_id)

    def preview(self, user: User, schema_id: str, selection: Selection = AS_IT_IS.selection) -> TrainingPreview:
        """How much there is to learn from and to measure on, and why a run cannot work."""
        self.access.require(user, Role.CURATOR)
        schema = load_schema(schema_id)
        return look(annotated(self.database, schema), schema, selection)

    def start(self, user: User, schema_id: str, epochs: int, choices: Choices = AS_IT_IS) -> Run:
        """Freeze the labels and start a run, or let it wait for the one that is running.

        `TrainingRefused` says why it cannot work, `Conflict` that another one waits already.
        """
        self._allow(user)
        self.refresh()
        schema = load_schema(schema_id)
        everything = annotated(self.database, schema)
        refusal = look(everything, schema, choices.selection).refusal
        if refusal:
            raise refusal
        base = find_base(self.runtime, self.database, schema_id, choices.base)
        run_id = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
        folder = self.settings.runs.resolve() / run_id
        active = self.runtime.models().get(schema_id)
        config = configuration(
            run_id=run_id,
            schema=schema,
            base=base,
            compare_with=active.folder if active else None,
            epochs=epochs,
            uncertain=choices.uncertain,
            replay=self.replay,
        )
        records = [record for record in everything if choices.selection.takes(record)]
        _write(folder, records, config, choices.selection)
        try:
            with self.database.write() as session:
                runs.add_run(
                    session,
                    run_id=run_id,
                    schema_id=schema_id,
                    base_model=version_of(base),
                    folder=str(folder),
                    user_id=user.id,
                )
                _note_run(session, user, "start_training", run_id, schema_id)
        except UserError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self.refresh()
        return self._run(run_id)

    def resume(self, user: User, run_id: str) -> Run:
        """Let a run that was interrupted or cancelled go on where it was; at most one checkpoint interval is lost."""
        self._allow(user)
        self.refresh()
        run = self._run(run_id)
        if not run_files.can_resume(run):
            raise Conflict(
                "Dieses Training lässt sich nicht fortsetzen. Bitte ein neues starten.",
                "This training cannot go on. Please start a new one.",
            )
        with self.database.write() as session:
            runs.queue_again(session, run_id=run_id)
            _note_run(session, user, "resume_training", run_id, run.schema_id)
        self.refresh()
        return self._run(run_id)

    def cancel(self, user: User, run_id: str) -> Run:
        """Stop a run at once; its folder keeps inputs, log and state, no model comes of it unless it is resumed."""
        self.access.require(user, Role.ADMIN)
        self.refresh()
        if self._run(run_id).state not in GOING:
            raise Conflict("Dieses Training läuft nicht mehr.", "This training is not going any more.")
        with self.database.write() as session:
            run = runs.set_run_state(session, run_id=run_id, state=RunState.CANCELLED)
            _note_run(session, user, "cancel_training", run_id, run.schema_id)
            stop(run)  # before the commit, so that nobody takes the missing process for a crash
        self.refresh()
        return run

    def refresh(self) -> Run | None:
        """The run that is computing, after noticing what has ended meanwhile (also while the app was down).

        The run that waits begins once there is none.
        """
        with self.database.read() as session:
            running, waiting = runs.running_run(session), runs.waiting_run(session)
        if running and process_of(running):
            return running
        if running:
            folder = Path(running.folder)
            with suppress(Conflict):  # two pages may notice the end in the same moment
                if run_files.is_complete(folder):
                    self._end(running, RunState.FINISHED, None)
                else:
                    self._end(running, RunState.FAILED, run_files.reason(folder))
        return self._begin() if waiting else None

    def going(self, user: User) -> tuple[Run | None, Run | None]:
        """The run that is computing and the one that waits, of any schema."""
        self.access.require(user, Role.CURATOR)
        self.refresh()
        with self.database.read() as session:
            return runs.running_run(session), runs.waiting_run(session)

    def history(self, user: User, schema_id: str | None = None) -> list[Run]:
        """The latest runs, newest first."""
        self.access.require(user, Role.CURATOR)
        self.refresh()
        with self.database.read() as session:
            return runs.list_runs(session, schema_id=schema_id)

    def lineages(self, user: User, schema_id: str) -> list[Lineage]:
        """The latest runs of a schema with where each comes from, newest first."""
        return [
            run_results.read_lineage(run, resumable=run_files.can_resume(run)) for run in self.history(user, schema_id)
        ]

    def status(self, user: User, run_id: str) -> RunStatus:
        """How a run stands."""
        self.access.require(user, Role.CURATOR)
        self.refresh()
        return run_files.read_status(self._run(run_id))

    def result(self, user: User, run_id: str) -> RunResult | None:
        """Old and new model on the same held-out reports; None where the run has not come to its end."""
        self.access.require(user, Role.CURATOR)
        return run_results.read_result(self._run(run_id))

    def report(self, user: User, run_id: str, key: str) -> ReportRecord:
        """A report of the run as it was when its labels were frozen."""
        self.access.require(user, Role.CURATOR)
        self.access.require_terms(user)
        return run_results.read_report(self._run(run_id), key)

    def ask_for_review(self, user: User, run_id: str, key: str) -> None:
        """Put a report whose label the model doubts on the curators' list."""
        self._allow(user)
        run = self._run(run_id)
        with self.database.write() as session:
            report = reports.find_report(session, key=key)
            if report is None:
                raise NotFound(
                    "Diesen Befund gibt es in der Datenbank nicht mehr.",
                    "This report is not in the database any more.",
                )
            reviews.ask(session, report_id=report.id, schema_id=run.schema_id)
            facts: dict[str, audit.Fact] = {"report": report.id, "schema": run.schema_id, "run": run.id}
            audit.record(session, user_id=user.id, action="ask_for_review", facts=facts)

    def promote(self, user: User, run_id: str) -> ModelVersion:
        """Let a finished run's model answer from now on, here and after a restart."""
        self.access.require(user, Role.ADMIN)
        self.refresh()
        run = self._run(run_id)
        if run.state is not RunState.FINISHED:
            raise Conflict(
                "Nur ein abgeschlossenes Training kann übernommen werden.", "Only a finished run can be used."
            )
        wanted = Wanted(run.schema_id, run_files.checkpoint(Path(run.folder)), run_id=run_id)
        return activate(self.database, self.runtime, user, "promote", wanted)

    def roll_back(self, user: User, version: str) -> ModelVersion:
        """Let an earlier version answer again; `CheckpointRefused` when its folder holds something else by now."""
        self.access.require(user, Role.ADMIN)
        slots = schema_ids(kinds=ALL_KINDS)
        known = {item.version: item for schema_id in slots for item in self.versions(user, schema_id)}
        if version not in known:
            raise NotFound(f"Die Version {version} gibt es nicht.", f"There is no version {version}.")
        earlier = known[version]
        wanted = Wanted(earlier.schema_id, Path(earlier.folder), version=version, run_id=earlier.run_id)
        return activate(self.database, self.runtime, user, "roll_back", wanted)

    def versions(self, user: User, schema_id: str) -> list[ModelVersion]:
        """The versions that were taken over, newest first."""
        self.access.require(user, Role.CURATOR)
        with self.database.read() as session:
            return models.list_versions(session, schema_id=schema_id)

    def previous_version(self, user: User, schema_id: str) -> ModelVersion | None:
        """The version that answered before the one that answers now, as far as the versions tell."""
        known = self.versions(user, schema_id)
        return next((item for item in known if not item.active), None) if any(item.active for item in known) else None

    def _allow(self, user: User) -> None:
        self.access.require(user, Role.ADMIN)
        self.access.require_terms(user)

    def _begin(self) -> Run | None:
        """Start the process of the run that waits; a run that cannot start ends with the reason.

        All in one transaction: nobody sees a run without its process, and two pages do not start it twice.
        """
        process = None
        try:
            with self.database.write() as session:
                run = runs.claim(session)
                if run is None:
                    return None
                (Path(run.folder) / "refused.json").unlink(missing_ok=True)
                process = spawn(Path(run.folder), self.settings.threads)
                return runs.set_run_state(session, run_id=run.id, state=RunState.RUNNING, pid=process.pid)
        except UserError:  # the database is full: a process that no row knows must not go on
            if process:
                process.kill()
            raise
        except OSError as error:
            waiting = self._waiting()
            return self._end(waiting, RunState.FAILED, _not_made(error).de) if waiting else None

    def _waiting(self) -> Run | None:
        with self.database.read() as session:
            return runs.waiting_run(session)

    def _run(self, run_id: str) -> Run:
        with self.database.read() as session:
            return runs.get_run(session, run_id=run_id)

    def _end(self, run: Run, state: RunState, message: str | None) -> Run:
        with self.database.write() as session:
            return runs.set_run_state(session, run_id=run.id, state=state, message=message)


def _note_run(session: Session, user: User, action: str, run_id: str, schema_id: str) -> None:
    audit.record(session, user_id=user.id, action=action, facts={"schema": schema_id, "run": run_id})


def _write(folder: Path, records: list[ReportRecord], config: Mapping[str, Any], selection: Selection) -> None:
    """The run folder as a whole, or a refusal and nothing."""
    chosen = {
        "annotators": list(selection.annotators),
        "since": selection.since.isoformat() if selection.since else None,
        "agreed": selection.agreed,
        "modality": selection.modality,
    }
    try:
        run_files.write_inputs(folder, records, config, chosen)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise _not_made(error) from error


def _not_made(error: OSError) -> TrainingRefused:
    return TrainingRefused(
        f"Der Trainingsordner ließ sich nicht anlegen ({error.strerror}). Bitte freien Speicherplatz und "
        "Schreibrechte prüfen.",
        f"The run folder could not be made ({error.strerror}). Please check free disk space and write permission.",
    )
