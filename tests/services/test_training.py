"""The training loop through the service: start, progress, end, taking over, going back, and what may go wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from medbertde.inference.runtime import FILL_MASK_SLOT, Runtime
from medbertde.report_file import read_records, to_json
from medbertde.services import Services, open_services
from medbertde.services.access import Access, Caller
from medbertde.services.annotate import Annotate
from medbertde.services.run_files import INTERRUPTED
from medbertde.services.training import Training
from medbertde.settings import Settings
from medbertde.store import audit, labels, models, reports, runs, users
from medbertde.store.session import Database, open_database
from medbertde.types import (
    CheckpointRefused,
    Conflict,
    Forbidden,
    LabelChange,
    NotFound,
    ReportRecord,
    Role,
    Run,
    RunState,
    State,
    TrainingRefused,
    User,
)
from tests import tiny

XRAY, CT = "chest_xray", "chest_ct"
LONG = 100_000  # epochs of a run that nobody waits for
DEADLINE_S = 240.0


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, threads=1)


@pytest.fixture
def training(database: Database, runtime: Runtime, access: Access, settings: Settings, tmp_path: Path) -> Training:
    return Training(database, runtime, access, settings, replay=tmp_path / "no-replay")


@pytest.fixture
def labelled(annotate: Annotate, anna: User) -> None:
    bring(annotate, anna, 40)


def bring(annotate: Annotate, user: User, count: int, schema_id: str = XRAY) -> None:
    """Import labelled reports: effusion and none in turn."""
    label = "Erguss" if schema_id == XRAY else "Pleuraerguss"
    records = [
        ReportRecord(
            f"Aufnahme {number}: {'kleiner' if number % 2 else 'kein'} Erguss.",
            labels={label: State.PRESENT if number % 2 else State.ABSENT},
        )
        for number in range(count)
    ]
    annotate.import_reports(user, schema_id, "befunde.jsonl", "\n".join(map(to_json, records)).encode())


def user_with(database: Database, access: Access, role: Role) -> User:
    with database.write() as session:
        user = users.ensure_user(session, name=role.value, role=role)
    return access.accept_terms(user)


CURATOR = User(0, "kuration", Role.CURATOR)  # looking needs no row


def wait(training: Training, run_id: str) -> Run:
    """The run once it has ended."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        run = training.status(CURATOR, run_id).run
        if run.state not in runs.GOING:
            return run
        time.sleep(0.1)
    tail = training.status(CURATOR, run_id).log_tail
    raise AssertionError(f"the run has not ended within {DEADLINE_S:.0f} s:\n{tail}")


def processes_of(run: Run) -> list[int]:
    return [
        process.pid for process in psutil.process_iter(["cmdline"]) if run.folder in (process.info["cmdline"] or ())
    ]


@pytest.fixture
def finished(database: Database, settings: Settings, anna: User) -> Run:
    """A run that has ended well, without the time it takes to train."""
    return finish_run(database, settings, anna, "20260101-120000-000", seed=5)


def finish_run(database: Database, settings: Settings, user: User, run_id: str, seed: int) -> Run:
    folder = settings.runs / run_id
    checkpoint = tiny.classifier_folder(folder / "checkpoint", seed=seed)
    facts = json.loads((checkpoint / "medbertde.json").read_text(encoding="utf-8"))
    (checkpoint / "medbertde.json").write_text(json.dumps(facts | {"name": f"neu-{seed}"}), encoding="utf-8")
    (folder / "metrics.json").write_text("{}", encoding="utf-8")
    with database.write() as session:
        runs.add_run(session, run_id=run_id, schema_id=XRAY, base_model="alt", folder=str(folder), user_id=user.id)
        return runs.set_run_state(session, run_id=run_id, state=RunState.FINISHED)


def break_weights(run: Run) -> None:
    path = Path(run.folder) / "checkpoint" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


class TestLoop:
    @pytest.fixture
    def shipped(self, tiny_classifier_folder: Path, tiny_mlm_folder: Path) -> dict[str, str]:
        return {XRAY: str(tiny_classifier_folder), FILL_MASK_SLOT: str(tiny_mlm_folder)}

    def open(self, settings: Settings, shipped: dict[str, str]) -> Services:
        return open_services(settings, shipped=shipped, replay=settings.var / "no-replay")

    def test_labels_become_a_model_that_answers_now_and_after_a_restart(
        self, settings: Settings, shipped: dict[str, str]
    ) -> None:
        services = self.open(settings, shipped)
        user = services.access.accept_terms(services.access.identify(Caller("anna", None)))
        bring(services.annotate, user, 40)
        old = services.reading.classify(user, XRAY, "Kein Erguss.").model_version

        run = services.training.start(user, XRAY, epochs=2)
        ended = wait(services.training, run.id)
        status = services.training.status(user, run.id)
        assert (ended.state, ended.message) == (RunState.FINISHED, None), status.log_tail
        assert (status.share, status.epoch, status.epochs) == (1.0, 2, 2)
        assert status.losses
        assert len(status.validation) == 2
        assert status.new is not None
        assert status.old is not None
        assert status.old.n_reports == status.new.n_reports > 0
        assert "Aufnahme" not in status.log_tail
        self.expect_result(services, user, run)
        assert services.reading.classify(user, XRAY, "Kein Erguss.").model_version == old

        active = services.training.promote(user, run.id)
        assert active.version != old
        assert (active.active, active.promoted_by, active.run_id) == (True, "anna", run.id)
        assert services.reading.classify(user, XRAY, "Kein Erguss.").model_version == active.version
        services.database.close()

        restarted = self.open(settings, shipped)
        assert restarted.notices == ()
        assert restarted.reading.classify(user, XRAY, "Kein Erguss.").model_version == active.version
        restarted.database.close()

    def expect_result(self, services: Services, user: User, run: Run) -> None:
        """Everything that the page shows of a finished run is in its folder."""
        result = services.training.result(user, run.id)
        assert result is not None
        low, high = result.intervals["new"]["f1_macro"]
        assert low <= result.new.f1_macro <= high
        assert result.paired["f1_micro"].low <= result.paired["f1_micro"].high
        assert result.reliability["old"]
        assert result.reliability["new"]
        assert result.reports["test"] == result.new.n_reports
        first, *_ = (Path(run.folder) / "held_out.jsonl").read_text(encoding="utf-8").splitlines()
        assert services.training.report(user, run.id, json.loads(first)["report"]).text.startswith("Aufnahme ")
        assert all(services.training.report(user, run.id, doubt.report).text for doubt in result.doubts)
        (lineage,) = services.training.lineages(user, XRAY)
        card = json.loads((Path(run.folder) / "checkpoint" / "medbertde.json").read_text(encoding="utf-8"))
        assert (lineage.data_hash, lineage.reports, lineage.seed) == (card["lineage"]["data_hash"], 40, 42)
        assert lineage.git_commit == card["lineage"]["git_commit"]
        readme = (Path(run.folder) / "checkpoint" / "README.md").read_text(encoding="utf-8")
        assert "| f1_macro, 95 % interval from |" in readme
        assert f"| reports, test | {result.new.n_reports} |" in readme

    def test_a_version_whose_folder_vanished_is_replaced_by_the_embedded_model_visibly(
        self, database: Database, settings: Settings, shipped: dict[str, str], training: Training, anna: User,
        finished: Run,
    ) -> None:  # fmt: skip
        active = training.promote(anna, finished.id)
        shutil.rmtree(finished.folder)
        services = self.open(settings, shipped)
        (notice,) = services.notices
        assert notice.code == "fallback"
        assert notice.de == (
            f"Die Version {active.version} antwortet nicht mehr. Das Modell im Ordner checkpoint wird nicht geladen: "
            "den Ordner gibt es nicht. Bis zur Klärung antwortet das eingebaute Modell."
        )
        assert services.reading.model_version(XRAY).startswith("tiny-chest-xray@")
        services.database.close()

    def test_a_version_whose_folder_holds_another_model_is_said_at_the_start(
        self, settings: Settings, shipped: dict[str, str], training: Training, anna: User, finished: Run
    ) -> None:
        active = training.promote(anna, finished.id)
        tiny.classifier_folder(Path(finished.folder) / "checkpoint", seed=9)
        services = self.open(settings, shipped)
        (notice,) = services.notices
        answering = services.reading.model_version(XRAY)
        assert answering != active.version
        assert notice.de == (
            f"Der Ordner der Version {active.version} enthält inzwischen {answering}; diese Version antwortet."
        )
        services.database.close()

    def test_a_shipped_model_that_is_missing_is_said_and_the_rest_works(
        self, settings: Settings, shipped: dict[str, str]
    ) -> None:
        services = self.open(settings, shipped | {CT: "mini-chest-none"})
        assert [notice.code for notice in services.notices] == ["no_model"]
        assert services.reading.active_version(CT) is None
        assert services.reading.active_version(XRAY) is not None
        services.database.close()


@pytest.mark.usefixtures("labelled")
class TestStart:
    def test_the_run_folder_holds_the_frozen_labels_and_is_private(self, training: Training, anna: User) -> None:
        run = training.start(anna, XRAY, LONG)
        folder = Path(run.folder)
        frozen = read_records(folder / "labels.jsonl")
        training.cancel(anna, run.id)
        assert len(frozen) == 40
        assert {state for record in frozen for state in record.labels.values()} == {State.PRESENT, State.ABSENT}
        assert folder.stat().st_mode & 0o077 == 0

    def test_a_second_run_waits_a_third_is_refused_and_the_second_begins_when_the_first_has_ended(
        self, training: Training, anna: User
    ) -> None:
        first, second = training.start(anna, XRAY, LONG), training.start(anna, XRAY, LONG)
        assert (first.state, second.state, second.pid) == (RunState.RUNNING, RunState.QUEUED, None)
        with pytest.raises(Conflict) as refusal:
            training.start(anna, XRAY, 1)
        assert refusal.value.de.startswith(f"Es wartet schon ein Training ({second.id}, von anna)")
        assert [item.id for item in training.history(anna)] == [second.id, first.id]
        assert len(list(Path(first.folder).parent.iterdir())) == 2
        assert [run and run.id for run in training.going(anna)] == [first.id, second.id]
        os.kill(first.pid or 0, signal.SIGKILL)
        assert wait(training, first.id).state is RunState.FAILED
        assert training.status(anna, second.id).run.state is RunState.RUNNING
        training.cancel(anna, second.id)

    def test_a_run_that_waits_can_be_cancelled(self, training: Training, anna: User) -> None:
        first, second = training.start(anna, XRAY, LONG), training.start(anna, XRAY, LONG)
        assert training.cancel(anna, second.id).state is RunState.CANCELLED
        assert training.status(anna, first.id).run.state is RunState.RUNNING
        training.cancel(anna, first.id)
        assert training.going(anna) == (None, None)

    @pytest.mark.parametrize("role", [Role.VIEWER, Role.ANNOTATOR, Role.CURATOR])
    def test_only_an_admin_trains_resumes_and_takes_over(
        self, database: Database, access: Access, training: Training, finished: Run, role: Role
    ) -> None:
        user = user_with(database, access, role)
        for attempt in (
            lambda: training.start(user, XRAY, 1),
            lambda: training.cancel(user, finished.id),
            lambda: training.resume(user, finished.id),
            lambda: training.ask_for_review(user, finished.id, "r1"),
            lambda: training.promote(user, finished.id),
            lambda: training.roll_back(user, "neu-5@00000000"),
        ):
            with pytest.raises(Forbidden, match="This needs the role “admin”"):
                attempt()
        assert [run.state for run in training.history(CURATOR)] == [RunState.FINISHED]

    def test_the_terms_come_first(self, access: Access, training: Training, anna: User) -> None:
        with pytest.raises(Forbidden, match="accept the terms of use"):
            training.start(access.identify(Caller("neu", None)), XRAY, 1)
        assert training.history(anna) == []

    def test_a_runs_folder_that_cannot_be_written_gives_a_sentence_and_leaves_no_run(
        self, training: Training, anna: User, settings: Settings
    ) -> None:
        settings.runs.write_text("a file where the folder should be", encoding="utf-8")
        with pytest.raises(TrainingRefused) as refusal:
            training.start(anna, XRAY, 1)
        assert refusal.value.de.startswith("Der Trainingsordner ließ sich nicht anlegen (")
        assert refusal.value.de.endswith("Bitte freien Speicherplatz und Schreibrechte prüfen.")
        assert training.history(anna) == []
        settings.runs.unlink()
        training.cancel(anna, training.start(anna, XRAY, LONG).id)

    def test_pages_that_look_in_the_same_moment_start_the_waiting_run_once(
        self, training: Training, anna: User
    ) -> None:
        first, second = training.start(anna, XRAY, LONG), training.start(anna, XRAY, LONG)
        psutil.Process(first.pid).kill()
        with ThreadPoolExecutor(6) as pages:
            seen = [run for run in pages.map(lambda _: training.refresh(), range(12)) if run]
        begun = training.status(anna, second.id).run
        assert begun.state is RunState.RUNNING
        assert {run.pid for run in seen if run.id == second.id} <= {begun.pid}
        assert len(processes_of(begun)) == 1
        training.cancel(anna, second.id)

    def test_findings_that_the_schema_has_no_more_are_left_out(
        self, database: Database, training: Training, anna: User
    ) -> None:
        with database.write() as session:
            (report_id,) = reports.add_reports(session, records=[ReportRecord("Alt.")], imported_by=anna.id).added_ids
            changes = [LabelChange("Erguss", State.PRESENT), LabelChange("Abgeschafft", State.PRESENT)]
            labels.save(
                session, report_id=report_id, schema_id=XRAY, schema_version=0, user_id=anna.id, changes=changes,
                client_uuid="1",
            )  # fmt: skip
        preview = training.preview(anna, XRAY)
        run = training.start(anna, XRAY, LONG)
        frozen = read_records(Path(run.folder) / "labels.jsonl")
        training.cancel(anna, run.id)
        assert preview.reports == 41
        assert preview.counts["Erguss"] == {"present": 21, "absent": 20}
        assert {"Erguss": State.PRESENT} in [record.labels for record in frozen if record.text == "Alt."]


def test_too_few_reports_are_refused_before_anything_is_written(
    annotate: Annotate, training: Training, anna: User, settings: Settings
) -> None:
    bring(annotate, anna, 5)
    with pytest.raises(TrainingRefused) as refusal:
        training.start(anna, XRAY, 1)
    assert refusal.value.de == (
        "Bisher sind 5 Befunde annotiert, für ein Training sind mindestens 12 nötig. Bitte im Reiter „Annotation“ "
        "weitere Befunde bearbeiten oder annotierte Befunde importieren."
    )
    assert training.history(anna) == []
    assert not settings.runs.exists()


def test_a_schema_without_a_model_starts_from_the_language_model(
    annotate: Annotate, training: Training, anna: User, runtime: Runtime, tiny_mlm_folder: Path
) -> None:
    runtime.swap(FILL_MASK_SLOT, tiny_mlm_folder)
    bring(annotate, anna, 20, CT)
    run = training.start(anna, CT, LONG)
    config = json.loads((Path(run.folder) / "config.json").read_text(encoding="utf-8"))
    training.cancel(anna, run.id)
    assert config["base_model"] == str(tiny_mlm_folder)
    assert config["compare_with"] is None
    assert run.base_model == runtime.fill_mask_model().version


@pytest.mark.usefixtures("labelled")
class TestEnd:
    def test_cancel_stops_the_process_at_once(self, training: Training, anna: User) -> None:
        run = training.start(anna, XRAY, LONG)
        started = time.monotonic()
        cancelled = training.cancel(anna, run.id)
        assert time.monotonic() - started < 5
        assert processes_of(run) == []
        assert (cancelled.state, training.status(anna, run.id).run.state) == (RunState.CANCELLED, RunState.CANCELLED)
        with pytest.raises(Conflict, match="not going any more"):
            training.cancel(anna, run.id)

    def test_a_killed_process_is_noticed_as_failed_and_the_next_run_can_start(
        self, training: Training, anna: User
    ) -> None:
        run = training.start(anna, XRAY, LONG)
        assert run.pid is not None
        os.kill(run.pid, signal.SIGKILL)
        ended = wait(training, run.id)
        assert (ended.state, ended.message) == (RunState.FAILED, INTERRUPTED)
        training.cancel(anna, training.start(anna, XRAY, LONG).id)

    def test_a_refusal_of_the_job_is_the_message_of_the_run(self, training: Training, anna: User) -> None:
        ended = wait(training, training.start(anna, XRAY, epochs=0).id)
        assert ended.state is RunState.FAILED
        assert ended.message == "config.json enthält einen unmöglichen Wert: epochs = 0."

    def test_a_restarted_app_finds_the_run_again_and_can_cancel_it(
        self, training: Training, anna: User, settings: Settings, runtime: Runtime
    ) -> None:
        run = training.start(anna, XRAY, LONG)
        reopened = open_database(settings.database_url)
        restarted = Training(reopened, runtime, Access(reopened, settings), settings)
        found = restarted.refresh()
        assert found is not None
        assert (found.id, found.pid, found.state) == (run.id, run.pid, RunState.RUNNING)
        restarted.cancel(anna, run.id)
        reopened.close()
        assert training.status(anna, run.id).run.state is RunState.CANCELLED

    def test_another_program_with_the_same_process_id_is_not_taken_for_the_run(
        self, database: Database, training: Training, anna: User, settings: Settings
    ) -> None:
        with database.write() as session:
            folder = str(settings.runs / "r1")
            runs.add_run(session, run_id="r1", schema_id=XRAY, base_model="alt", folder=folder, user_id=anna.id)
            runs.set_run_state(session, run_id="r1", state=RunState.RUNNING, pid=os.getpid())
        assert training.status(anna, "r1").run.state is RunState.FAILED

    def test_pages_that_notice_the_end_in_the_same_moment_do_not_get_in_each_others_way(
        self, training: Training, anna: User
    ) -> None:
        for _ in range(3):
            run = training.start(anna, XRAY, LONG)
            psutil.Process(run.pid).kill()
            with ThreadPoolExecutor(8) as pages:
                seen = list(pages.map(lambda run_id: training.status(anna, run_id), [run.id] * 24))
            assert {status.run.state for status in seen} <= {RunState.RUNNING, RunState.FAILED}
            assert wait(training, run.id).state is RunState.FAILED

    def test_a_half_written_line_of_progress_is_read_when_it_is_complete(
        self, training: Training, finished: Run, anna: User
    ) -> None:
        whole = json.dumps({"step": 1, "total": 4, "elapsed_s": 2.0, "epoch": 1, "epochs": 2, "loss": 0.5})
        (Path(finished.folder) / "progress.jsonl").write_text(f"{whole}\n{whole[:20]}", encoding="utf-8")
        status = training.status(anna, finished.id)
        assert status.losses == ((1, 0.5),)
        assert status.remaining_s == 6.0


@pytest.mark.usefixtures("labelled")
class TestResume:
    def test_a_killed_run_goes_on_where_it_was(self, training: Training, anna: User) -> None:
        run = training.start(anna, XRAY, LONG)
        until(lambda: any((Path(run.folder) / "state").glob("[a-z]*.safetensors")) and steps_of(run) > 8)
        os.kill(run.pid or 0, signal.SIGKILL)
        assert wait(training, run.id).state is RunState.FAILED
        status = training.status(anna, run.id)
        assert status.resumable
        assert status.run.message == INTERRUPTED
        before = steps_of(run)
        resumed = training.resume(anna, run.id)
        assert (resumed.state, resumed.id, resumed.message) == (RunState.RUNNING, run.id, None)
        assert resumed.pid != run.pid
        until(lambda: steps_of(run) > before)
        lines = (Path(run.folder) / "progress.jsonl").read_text(encoding="utf-8").splitlines()
        training.cancel(anna, run.id)
        steps = [json.loads(line)["step"] for line in lines]
        assert steps == sorted(steps)
        assert steps[0] == 1

    def test_a_cancelled_run_can_go_on_one_that_the_job_refused_cannot(self, training: Training, anna: User) -> None:
        cancelled = training.start(anna, XRAY, LONG)
        training.cancel(anna, cancelled.id)
        assert training.status(anna, cancelled.id).resumable
        refused = wait(training, training.start(anna, XRAY, epochs=0).id)
        assert not training.status(anna, refused.id).resumable
        with pytest.raises(Conflict, match="This training cannot go on"):
            training.resume(anna, refused.id)

    def test_who_starts_cancels_and_resumes_a_run_stands_in_the_audit_trail(
        self, database: Database, training: Training, anna: User
    ) -> None:
        run = training.start(anna, XRAY, LONG)
        training.cancel(anna, run.id)
        training.resume(anna, run.id)
        training.cancel(anna, run.id)
        with database.read() as session:
            trail = [entry for entry in audit.entries(session) if entry.action.endswith("_training")]
        assert [(entry.user, entry.action) for entry in reversed(trail)] == [
            ("anna", "start_training"),
            ("anna", "cancel_training"),
            ("anna", "resume_training"),
            ("anna", "cancel_training"),
        ]
        assert {tuple(entry.facts.items()) for entry in trail} == {(("schema", XRAY), ("run", run.id))}


def steps_of(run: Run) -> int:
    """The last step that the job noted."""
    path = Path(run.folder) / "progress.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return int(json.loads(lines[-1])["step"]) if lines else 0


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(0.1)


class TestTakeOver:
    def test_only_a_finished_run_can_be_taken_over(
        self, database: Database, training: Training, anna: User, settings: Settings
    ) -> None:
        with database.write() as session:
            folder = str(settings.runs / "r1")
            runs.add_run(session, run_id="r1", schema_id=XRAY, base_model="alt", folder=folder, user_id=anna.id)
            runs.set_run_state(session, run_id="r1", state=RunState.FAILED)
        with pytest.raises(Conflict, match="Only a finished run can be used"):
            training.promote(anna, "r1")
        with pytest.raises(NotFound):
            training.promote(anna, "r2")

    def test_a_broken_checkpoint_is_refused_the_old_model_answers_on_and_nothing_is_recorded(
        self, database: Database, training: Training, anna: User, runtime: Runtime, finished: Run
    ) -> None:
        before = runtime.model_for(XRAY)
        break_weights(finished)
        with pytest.raises(CheckpointRefused, match="damaged or incomplete"):
            training.promote(anna, finished.id)
        assert runtime.model_for(XRAY) is before
        assert training.versions(anna, XRAY) == []
        with database.read() as session:
            assert [entry.action for entry in audit.entries(session)] == ["accept_terms"]

    def test_a_record_that_fails_brings_the_old_model_back(
        self, database: Database, training: Training, anna: User, runtime: Runtime, finished: Run
    ) -> None:
        before = runtime.model_for(XRAY).version
        version = Runtime("cpu").swap(XRAY, Path(finished.folder) / "checkpoint").version
        with database.write() as session:
            models.add_version(session, version=version, schema_id=XRAY, folder="elsewhere")
        with pytest.raises(Conflict, match="already exists with another folder"):
            training.promote(anna, finished.id)
        assert runtime.model_for(XRAY).version == before
        with database.read() as session:
            assert models.active_version(session, schema_id=XRAY) is None

    def test_going_back_lets_the_earlier_version_answer_again(
        self, database: Database, training: Training, anna: User, runtime: Runtime, finished: Run
    ) -> None:
        before = runtime.model_for(XRAY).version
        new = training.promote(anna, finished.id).version
        back = training.roll_back(anna, before)
        assert runtime.model_for(XRAY).version == back.version == before
        assert {item.version: item.active for item in training.versions(anna, XRAY)} == {before: True, new: False}
        with database.read() as session:
            trail = [(entry.user, entry.action, entry.facts["version"]) for entry in audit.entries(session, limit=2)]
        assert trail == [("anna", "roll_back", before), ("anna", "promote", new)]

    def test_going_back_to_an_unknown_version_is_refused(self, training: Training, anna: User) -> None:
        with pytest.raises(NotFound) as refusal:
            training.roll_back(anna, "gibt-es-nicht@00000000")
        assert refusal.value.de == "Die Version gibt-es-nicht@00000000 gibt es nicht."

    def test_going_back_to_a_folder_that_holds_something_else_is_refused(
        self, database: Database, training: Training, anna: User, runtime: Runtime, settings: Settings, finished: Run
    ) -> None:
        first = training.promote(anna, finished.id).version
        second = training.promote(anna, finish_run(database, settings, anna, "r2", seed=6).id).version
        tiny.classifier_folder(Path(finished.folder) / "checkpoint", seed=9)
        with pytest.raises(CheckpointRefused) as refusal:
            training.roll_back(anna, first)
        assert refusal.value.de.startswith(f"Der Ordner der Version {first} enthält inzwischen ")
        assert runtime.model_for(XRAY).version == second

    def test_taking_over_twice_changes_nothing(self, training: Training, anna: User, finished: Run) -> None:
        assert training.promote(anna, finished.id).version == training.promote(anna, finished.id).version
        assert sum(item.active for item in training.versions(anna, XRAY)) == 1

    def test_a_moved_installation_can_still_take_over(
        self, database: Database, training: Training, anna: User, runtime: Runtime, finished: Run
    ) -> None:
        with database.write() as session:
            version = runtime.model_for(XRAY).version
            models.add_version(session, version=version, schema_id=XRAY, folder="/where/it/was/before")
        assert training.promote(anna, finished.id).active
