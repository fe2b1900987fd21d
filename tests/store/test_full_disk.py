"""A PostgreSQL server whose disk is full or that takes no changes: nothing is lost, a sentence says so, work goes on.

What a full disk does is brought about by a limit on the size of files: the server's own writes fail, in its tables at
one size and in its write-ahead log at a smaller one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import func, select, text

from medbertde.store import Database, StorageError, open_database, reports, users
from medbertde.store.tables import ReportRow
from medbertde.types import ReportRecord, Role, User
from tests import postgres
from tests.store.annotators import REFUSED, annotators, fill, kill, read_until, saved_reports, saves

MB = 2**20  # the size of a file of the log, so that a table ends where the log still goes on
REMARK = 9_000  # bytes that fill a page of the database by themselves
SAVES = 100  # of the annotators before the disk is full and after it: 900 kB
REFUSALS = 8


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    with postgres.running(durable=True, log_mb=1) as started:
        yield started


@pytest.fixture
def database(server: postgres.Server, request: pytest.FixtureRequest) -> Iterator[Database]:
    name = f"full_{abs(hash(request.node.name))}"
    opened = open_database(server.create(name))
    yield opened
    server.limit_files(None)
    opened.close()
    server.drop(name)


@pytest.fixture
def anna(database: Database) -> User:
    with database.write() as session:
        return users.ensure_user(session, name="anna", role=Role.ADMIN)


def url_of(database: Database) -> str:
    return database.engine.url.render_as_string(hide_password=False)


def through_a_full_disk(server: postgres.Server, url: str, size: int, again: Callable[[], None]) -> None:
    """Eight annotators while files end at `size`, and after `again`; every acknowledged save must be there once."""
    with annotators(url, remark=REMARK) as started:
        started.stdin.close()
        acknowledged = read_until(started, lambda lines: len(saves(lines)) >= SAVES)
        server.limit_files(size)
        acknowledged += read_until(started, lambda lines: lines.count(REFUSED) >= REFUSALS)
        again()
        acknowledged += read_until(started, lambda lines: len(saves(lines)) >= SAVES)
        kill(started)
        acknowledged += started.stdout.read().split()
    saved = saved_reports(url)
    assert set(saves(acknowledged)) <= set(saved)
    assert set(saved.values()) == {1}


def test_a_full_disk_costs_no_acknowledged_save_and_the_same_annotators_go_on_when_there_is_room(
    server: postgres.Server, database: Database, anna: User
) -> None:
    fill(database, anna, 2_000)
    through_a_full_disk(server, url_of(database), MB, lambda: server.limit_files(None))


def test_a_full_log_stops_the_server_and_after_its_new_start_every_acknowledged_save_is_there(
    server: postgres.Server, database: Database, anna: User
) -> None:
    fill(database, anna, 2_000)
    through_a_full_disk(server, url_of(database), 0, server.restart)


def test_an_import_that_does_not_fit_is_refused_whole_and_goes_in_when_there_is_room(
    server: postgres.Server, database: Database, anna: User
) -> None:
    records = [ReportRecord(f"{number}: {'kein Erguss. ' * 100}", f"r{number}") for number in range(2_000)]
    server.limit_files(MB)
    with pytest.raises(StorageError) as refusal, database.write() as session:
        reports.add_reports(session, records=records, imported_by=anna.id)
    assert refusal.value.de == (
        "Der Datenbankserver kann seine Dateien nicht lesen oder schreiben. Es wurde nichts gespeichert. Bitte den "
        "freien Platz und die Datenträger des Servers prüfen; Näheres steht in seinem Protokoll."
    )
    assert refusal.value.en.startswith("The database server cannot read or write its files. Nothing was saved.")
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(ReportRow)) == 0
    server.limit_files(None)
    with database.write() as session:
        assert len(reports.add_reports(session, records=records, imported_by=anna.id).added_ids) == len(records)


def test_the_server_s_own_word_for_a_full_disk_is_the_sentence_for_a_full_disk(database: Database) -> None:
    raising = text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full'; END $$")
    with pytest.raises(StorageError) as refusal, database.write() as session:
        session.execute(raising)
    assert refusal.value.de.startswith("Der Speicherplatz für die Datenbank ist voll. Es wurde nichts gespeichert.")


def test_a_server_that_takes_no_changes_is_read_and_says_so_until_it_takes_them_again(
    server: postgres.Server, database: Database, anna: User
) -> None:
    fill(database, anna, 1)
    server.set_read_only(True)
    with pytest.raises(StorageError) as refusal, database.write() as session:
        users.ensure_user(session, name="ben", role=Role.VIEWER)
    assert refusal.value.de.startswith("Die Datenbank ist schreibgeschützt. Es wurde nichts gespeichert.")
    with database.read() as session:
        assert users.find_user(session, name="anna") == anna
    server.set_read_only(False)
    with database.write() as session:
        assert users.ensure_user(session, name="ben", role=Role.VIEWER).name == "ben"
