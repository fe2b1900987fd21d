"""What holds when several processes work on one database, also when all of them are killed in the middle."""

from __future__ import annotations

import pytest

from medbertde.store import Database, labelled, open_database, users
from medbertde.types import Role, StorageError, User
from tests import postgres
from tests.store.annotators import annotators, fill, kill, killed_after, saved_reports


def test_processes_share_the_work_without_doing_a_report_twice(database: Database, url: str, anna: User) -> None:
    fill(database, anna, 200)
    with annotators(url) as started:
        printed = started.communicate()[0].split()
    assert started.returncode == 0
    assert len(printed) == len(set(printed)) == 200
    with database.read() as session:
        assert sum(1 for _ in labelled.records(session, schema_id="chest_xray")) == 200


def test_a_killed_process_loses_no_acknowledged_save_and_leaves_none_half_written(
    database: Database, url: str, anna: User
) -> None:
    fill(database, anna, 3000)  # more than they save between the fifteenth acknowledgement and the kill
    database.close()
    acknowledged = killed_after(url, 15)
    assert 15 <= len(acknowledged) < 3000
    saved = saved_reports(url)
    assert set(acknowledged) <= set(saved)
    assert set(saved.values()) == {1}


def test_a_server_that_was_stopped_in_the_middle_has_every_acknowledged_save_and_is_used_again() -> None:
    with postgres.running(durable=True) as server:
        database = open_database(server.create("stopped"))
        with database.write() as session:
            user = users.ensure_user(session, name="anna", role=Role.ADMIN)
        fill(database, user, 1000)
        with annotators(server.url("stopped")) as started:
            started.stdin.close()
            acknowledged = [started.stdout.readline().strip() for _ in range(15)]
            server.crash()
            kill(started)
            acknowledged += started.stdout.read().split()
        with pytest.raises(StorageError, match="does not answer"), database.write() as session:
            users.ensure_user(session, name="ben", role=Role.ADMIN)
        server.restart()
        with database.write() as session:  # the same connections as before
            users.ensure_user(session, name="ben", role=Role.ADMIN)
        database.close()
        saved = saved_reports(server.url("stopped"))
        assert set(acknowledged) <= set(saved)
        assert set(saved.values()) == {1}
