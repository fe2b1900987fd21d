"""One training at a time and one that waits, each with a state that ends once."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from medbertde.store import Database, runs
from medbertde.types import Conflict, NotFound, Run, RunState, User


def queue_run(database: Database, user: User, run_id: str) -> Run:
    with database.write() as session:
        return runs.add_run(
            session,
            run_id=run_id,
            schema_id="chest_xray",
            base_model="mini-mlm",
            folder=f"runs/{run_id}",
            user_id=user.id,
        )


def move(database: Database, run_id: str, state: RunState, **facts: Any) -> Run:
    with database.write() as session:
        return runs.set_run_state(session, run_id=run_id, state=state, **facts)


def test_a_run_goes_from_queued_to_finished(database: Database, anna: User) -> None:
    queued = queue_run(database, anna, "r1")
    running = move(database, "r1", RunState.RUNNING, pid=4711)
    finished = move(database, "r1", RunState.FINISHED, message="AUROC 0.93")
    assert (queued.state, queued.started_by, queued.finished_at) == (RunState.QUEUED, "anna", None)
    assert (running.state, running.pid, running.finished_at) == (RunState.RUNNING, 4711, None)
    assert (finished.state, finished.pid, finished.message) == (RunState.FINISHED, 4711, "AUROC 0.93")
    assert finished.finished_at is not None
    assert finished.finished_at >= finished.created_at


def test_one_run_computes_one_waits_and_a_third_is_refused(database: Database, anna: User) -> None:
    queue_run(database, anna, "r1")
    move(database, "r1", RunState.RUNNING, pid=1)
    waiting = queue_run(database, anna, "r2")
    with pytest.raises(Conflict) as refusal:
        queue_run(database, anna, "r3")
    assert refusal.value.de == (
        "Es wartet schon ein Training (r2, von anna), mehr als eines kann nicht warten. Bitte später starten oder das "
        "wartende abbrechen."
    )
    with database.write() as session:
        assert runs.claim(session) is None
        assert runs.waiting_run(session) == waiting
    move(database, "r1", RunState.FINISHED)
    with database.write() as session:
        begun = runs.claim(session)
    assert begun is not None
    assert (begun.id, begun.state) == ("r2", RunState.RUNNING)


@pytest.mark.parametrize("state", ["running", "queued"])
def test_the_database_itself_refuses_a_second_one_in_the_same_state(database: Database, anna: User, state: str) -> None:
    queue_run(database, anna, "r1")
    move(database, "r1", RunState(state))
    copy = (
        "INSERT INTO runs (id, schema_id, base_model, state, folder, user_id, created_at) "
        "SELECT 'r2', schema_id, base_model, state, folder, user_id, created_at FROM runs"
    )
    with pytest.raises(Conflict), database.write() as session:
        session.execute(text(copy))


@pytest.mark.parametrize("end", [RunState.FAILED, RunState.CANCELLED])
def test_a_run_that_ended_early_can_wait_again_a_finished_one_cannot(
    database: Database, anna: User, end: RunState
) -> None:
    queue_run(database, anna, "r1")
    move(database, "r1", end, pid=7, message="abgebrochen")
    with database.write() as session:
        again = runs.queue_again(session, run_id="r1")
    assert (again.state, again.pid, again.message, again.finished_at) == (RunState.QUEUED, None, None, None)
    move(database, "r1", RunState.FINISHED)
    with pytest.raises(Conflict, match="cannot go on"), database.write() as session:
        runs.queue_again(session, run_id="r1")


def test_after_the_end_the_next_can_start_and_the_newest_is_listed_first(database: Database, anna: User) -> None:
    for run_id, end in (("r1", RunState.FAILED), ("r2", RunState.CANCELLED)):
        queue_run(database, anna, run_id)
        move(database, run_id, end)
    third = queue_run(database, anna, "r3")
    with database.read() as session:
        assert [run.id for run in runs.list_runs(session)] == ["r3", "r2", "r1"]
        assert [run.id for run in runs.list_runs(session, limit=1)] == ["r3"]
        assert runs.list_runs(session, schema_id="chest_ct") == []
        assert runs.waiting_run(session) == third


def test_a_run_ends_once(database: Database, anna: User) -> None:
    queue_run(database, anna, "r1")
    move(database, "r1", RunState.CANCELLED)
    with pytest.raises(Conflict, match=r"has already ended \(cancelled\)"):
        move(database, "r1", RunState.FINISHED)
    with database.read() as session:
        assert runs.running_run(session) is None


def test_an_unknown_run_is_not_found(database: Database) -> None:
    with database.read() as session, pytest.raises(NotFound):
        runs.get_run(session, run_id="r9")
    with pytest.raises(NotFound):
        move(database, "r9", RunState.RUNNING)
