"""Opening, migrating, transactions, and storage errors as sentences."""

from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, exc, inspect, select, text

from medbertde.store import Database, StorageError, open_database, reports, sqlite, users
from medbertde.store.migrations import alembic_config, check_foreign_keys
from medbertde.store.tables import Base, UserRow, utc_now
from medbertde.types import Conflict, InvalidText, NotFound, Role, User, UserError
from tests.store.conftest import transaction


def is_compared(_item: object, name: str, *_rest: object) -> bool:
    """Not the text index and what PostgreSQL computes for it, which no model describes."""
    return not name.startswith(("report_search", "report_words", "folded"))


def test_opening_creates_the_folder_and_a_file_only_its_owner_can_read(tmp_path: Path) -> None:
    path = tmp_path / "new 100%" / "folder" / "labels.sqlite"
    open_database(f"sqlite:///{path}").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_database_is_opened_again_with_its_rows(url: str) -> None:
    first = open_database(url)
    with first.write() as session:
        anna = users.ensure_user(session, name="anna", role=Role.CURATOR)
    first.close()
    second = open_database(url)
    with second.read() as session:
        assert users.find_user(session, name="anna") == anna
    second.close()


def test_the_migrations_make_exactly_the_tables_of_the_code(url: str) -> None:
    open_database(url).close()
    with transaction(url) as connection:
        context = MigrationContext.configure(connection, opts={"include_object": is_compared})
        differences = compare_metadata(context, Base.metadata)
    assert differences == []


def test_the_migrations_go_down_to_nothing_and_up_again(url: str) -> None:
    open_database(url).close()
    with transaction(url) as connection:
        command.downgrade(alembic_config(connection), "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
    again = open_database(url)
    with again.write() as session:
        users.ensure_user(session, name="anna", role=Role.VIEWER)
    again.close()


def test_a_database_of_a_newer_program_is_refused_and_left_alone(url: str) -> None:
    open_database(url).close()
    with transaction(url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UserError) as refusal:
        open_database(url)
    assert refusal.value.de == (
        "Die Datenbank stammt von einer neueren Programmversion (Stand 9999). Bitte das Programm aktualisieren oder "
        "eine ältere Sicherung verwenden."
    )
    with transaction(url) as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"


def test_a_migration_that_orphans_rows_is_refused(sqlite_url: str) -> None:
    open_database(sqlite_url).close()
    with transaction(sqlite_url) as connection:
        connection.execute(text("INSERT INTO project_imports VALUES (1, 1)"))
        with pytest.raises(UserError, match=r"rows in project_imports lack their parents \(2\)"):
            check_foreign_keys(connection)


@pytest.mark.parametrize(
    "url",
    [
        *("sqlite://", "sqlite:///:memory:", "mysql://host/labels", "not a url", ""),
        *("postgresql+nix://anna:geheim@host/labels", "postgresql+pg8000://anna:geheim@host/labels"),
    ],
)
def test_an_address_that_cannot_work_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(UserError) as refusal:
        open_database(url)
    assert "sqlite:////Pfad/zur/Datei.sqlite" in refusal.value.de
    assert "geheim" not in refusal.value.de


def test_a_number_beyond_what_a_column_holds_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound), database.read() as session:
        reports.get_report(session, report_id=10**30)
    with pytest.raises(OverflowError), database.read():
        raise OverflowError("date value out of range")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as refusal:
        open_database(f"sqlite:///{tmp_path / 'file' / 'labels.sqlite'}")
    assert str(tmp_path / "file") in refusal.value.de


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    path.write_text("Thorax: kein Erguss. " * 100)
    with pytest.raises(StorageError, match="not an SQLite database"):
        open_database(f"sqlite:///{path}")
    assert path.read_text().startswith("Thorax")


def test_nothing_of_a_failed_block_is_kept(database: Database) -> None:
    def write_and_fail() -> None:
        with database.write() as session:
            users.ensure_user(session, name="anna", role=Role.ADMIN)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    with database.read() as session:
        assert users.list_users(session) == []


def test_a_read_sees_one_state_while_others_write(sqlite_url: str) -> None:
    database = open_database(sqlite_url)
    with database.read() as reading:
        assert users.list_users(reading) == []
        with database.write() as writing:
            users.ensure_user(writing, name="anna", role=Role.ADMIN)
        assert users.list_users(reading) == []
    database.close()


def test_foreign_keys_are_enforced(database: Database) -> None:
    with pytest.raises(exc.IntegrityError), database.write() as session:
        session.execute(text("INSERT INTO project_imports VALUES (1, 1)"))


def test_two_at_the_same_moment_is_a_conflict(database: Database, anna: User) -> None:
    with pytest.raises(Conflict, match="at the same moment"), database.write() as session:
        session.execute(
            text(f"INSERT INTO users (name, role, created_at) VALUES ('{anna.name}', 'viewer', '2026-01-01')")
        )


def test_a_locked_database_says_so_and_works_again_later(sqlite_url: str, tmp_path: Path) -> None:
    database = open_database(sqlite_url, busy_timeout_s=0.05)
    other = sqlite.driver().connect(tmp_path / "labels.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError) as refusal, database.write() as session:
        users.ensure_user(session, name="anna", role=Role.ADMIN)
    assert refusal.value.de.startswith("Die Datenbank ist gerade durch einen anderen Vorgang gesperrt.")
    other.execute("ROLLBACK")
    other.close()
    with database.write() as session:
        users.ensure_user(session, name="anna", role=Role.ADMIN)
    database.close()


def test_a_second_writer_of_the_same_process_waits_and_then_gets_the_same_sentence(sqlite_url: str) -> None:
    database = open_database(sqlite_url, busy_timeout_s=0.05)
    with database.write(), pytest.raises(StorageError, match="locked"), database.write():
        pass
    database.close()


@pytest.mark.parametrize(
    ("pragma", "sentence"),
    [
        ("PRAGMA query_only=ON", "Die Datenbank ist schreibgeschützt. Es wurde nichts gespeichert."),
        ("PRAGMA max_page_count=1", "Der Speicherplatz für die Datenbank ist voll. Es wurde nichts gespeichert."),
    ],
)
def test_a_disk_that_takes_no_more_is_a_sentence(sqlite_url: str, pragma: str, sentence: str) -> None:
    database = open_database(sqlite_url)

    @event.listens_for(database.engine, "connect")
    def limit(connection: Any, _record: object) -> None:
        connection.execute(pragma)

    with pytest.raises(StorageError) as refusal, database.write() as session:
        users.ensure_user(session, name="a" * 100_000, role=Role.ADMIN)
    assert refusal.value.de.startswith(sentence)
    database.close()


def test_errors_never_repeat_what_was_to_be_stored(database: Database) -> None:
    statement = text("INSERT INTO audit (action, facts, created_at) VALUES (:secret, NULL, '2026-01-01')")
    with pytest.raises(exc.IntegrityError) as failure, database.write() as session:
        session.execute(statement, {"secret": "Frau Mustermann"})
    assert "Mustermann" not in str(failure.value).replace(str(failure.value.orig), "")


def test_sqlite_runs_with_the_settings_that_lose_nothing(sqlite_url: str) -> None:
    database = open_database(sqlite_url)
    with database.write() as session:
        found = [
            session.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert found == ["wal", 2, 1]
    database.close()


@pytest.mark.parametrize("name", ["a\x00b", "a\ud800b"])
def test_text_that_one_of_the_databases_could_not_hold_is_refused_by_both(database: Database, name: str) -> None:
    with pytest.raises(InvalidText, match="cannot be stored"), database.write() as session:
        users.ensure_user(session, name=name, role=Role.ADMIN)
    with database.write() as session:
        assert users.ensure_user(session, name="Ä\u202e🫁", role=Role.ADMIN).name == "Ä\u202e🫁"


def test_a_server_that_nobody_reaches_says_so_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as refusal:
        open_database(f"postgres://anna:geheim@/labels?host={tmp_path}")
    assert refusal.value.de.startswith("Die Datenbank antwortet nicht oder lehnt die Verbindung ab.")
    assert "geheim" not in refusal.value.de + refusal.value.en


def test_a_row_that_another_transaction_holds_on_postgresql_is_the_same_sentence(
    new_postgres: Callable[[], str],
) -> None:
    url = new_postgres()
    first, second = open_database(url), open_database(url, busy_timeout_s=0.05)
    with first.write() as holding:
        users.ensure_user(holding, name="anna", role=Role.ADMIN)
        with pytest.raises(StorageError, match="locked"), second.write() as session:
            users.ensure_user(session, name="anna", role=Role.VIEWER)
    first.close()
    second.close()


def test_times_come_back_in_utc_from_both(database: Database, anna: User) -> None:
    before = utc_now()
    with database.write() as session:
        users.accept_terms(session, user_id=anna.id, version="1")
    with database.read() as session:
        accepted = session.scalars(select(UserRow.terms_at)).one()
    assert accepted is not None
    assert accepted.tzinfo is UTC
    assert before <= accepted <= utc_now()
