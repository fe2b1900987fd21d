"""Backups hold every acknowledged save, also under writes; a restore or move loses nothing and replaces nothing new."""

from __future__ import annotations

import gzip
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from medbertde.store import Database, audit, backup, labels, open_database, reports, rows, search, sqlite, users
from medbertde.store.search import Filters
from medbertde.types import (
    Conflict,
    InvalidFile,
    LabelChange,
    Progress,
    ReportRecord,
    Role,
    State,
    StorageError,
    User,
    UserError,
)
from tests.store.conftest import Save

NewPostgres = Callable[[], str]


def silent(_progress: Progress) -> None: ...


@pytest.fixture
def filled(database: Database, anna: User, report_ids: tuple[int, ...], save: Save) -> Database:
    """Reports, labels in two revisions, a line of the audit."""
    for report_id in report_ids:
        save(report_id, anna, Erguss=State.PRESENT, ZVK=State.ABSENT)
    save(report_ids[0], anna, flagged=True, Erguss=State.UNCERTAIN, ZVK=None)
    with database.write() as session:
        audit.record(session, user_id=anna.id, action="export", facts={"schema": "chest_xray", "ok": True})
    return database


def contents(url: str) -> rows.Contents:
    with closing(open_database(url)) as opened, opened.read() as session:
        return rows.contents(session)


def keep_saving(database: Database, user: User, until: threading.Event, acknowledged: list[str]) -> None:
    """An annotator who saves new reports all the time."""
    while not until.is_set():
        client_uuid = str(uuid.uuid4())
        record = ReportRecord(f"Thorax {client_uuid}: kein Erguss.")
        with database.write() as session:
            (report_id,) = reports.add_reports(session, records=[record], imported_by=user.id).added_ids
            change = LabelChange("Erguss", State.ABSENT)
            of = {"report_id": report_id, "schema_id": "chest_xray", "schema_version": 1, "user_id": user.id}
            labels.save(session, **of, changes=[change], client_uuid=client_uuid)
        acknowledged.append(client_uuid)


@pytest.fixture
def busy(database: Database, anna: User) -> Iterator[list[str]]:
    """What two annotators have saved so far; they go on until the test ends."""
    until, acknowledged = threading.Event(), list[str]()
    working = [
        threading.Thread(target=keep_saving, args=(database, anna, until, acknowledged), daemon=True) for _ in range(2)
    ]
    for thread in working:
        thread.start()
    yield acknowledged
    until.set()
    for thread in working:
        thread.join()


def test_a_backup_under_writes_holds_all_that_was_acknowledged_before_and_nothing_by_halves(
    database: Database, url: str, anna: User, busy: list[str], tmp_path: Path, new_postgres: NewPostgres
) -> None:
    while len(busy) < 20:
        threading.Event().wait(0.01)
    before = set(busy)
    backup.backup(database, tmp_path / "backup", silent, force=False)
    returned = f"sqlite:///{tmp_path / 'returned.sqlite'}"
    backup.restore(returned, tmp_path / "backup", silent, force=False)
    with closing(open_database(returned)) as copy, copy.read() as session:
        saved = set(session.scalars(text("SELECT client_uuid FROM submissions")))
        events = session.scalar(text("SELECT count(*) FROM label_events"))
        found = search.count(session, wanted=("erguss",), filters=Filters("chest_xray"))
    assert before <= saved
    assert events == len(saved) == found
    assert len(busy) > 0


def test_a_backup_brought_back_holds_the_same_rows(
    filled: Database, url: str, tmp_path: Path, new_postgres: NewPostgres
) -> None:
    backup.backup(filled, tmp_path / "backup", silent, force=False)
    returned = new_postgres() if filled.is_postgresql else f"sqlite:///{tmp_path / 'new' / 'returned.sqlite'}"
    assert backup.restore(returned, tmp_path / "backup", silent, force=False) is None
    assert contents(returned) == contents(url)
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o600
    with closing(open_database(returned)) as opened, opened.write() as session:  # and work goes on
        ben = users.ensure_user(session, name="ben", role=Role.ANNOTATOR)
        added = reports.add_reports(session, records=[ReportRecord("Neu.")], imported_by=ben.id)
        labels.save(session, report_id=added.added_ids[0], schema_id="chest_xray", schema_version=1, user_id=ben.id,
                    changes=[LabelChange("Erguss", State.PRESENT)], client_uuid="new")  # fmt: skip


def test_a_backup_replaces_no_file_unless_told_to(filled: Database, tmp_path: Path) -> None:
    (tmp_path / "backup").write_text("mine")
    with pytest.raises(Conflict, match="is there already"):
        backup.backup(filled, tmp_path / "backup", silent, force=False)
    assert (tmp_path / "backup").read_text() == "mine"
    backup.backup(filled, tmp_path / "backup", silent, force=True)
    assert (tmp_path / "backup").read_bytes()[:2] in (b"SQ", b"\x1f\x8b")
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


@pytest.fixture
def backed_up(sqlite_url: str, tmp_path: Path) -> Path:
    """A backup of a SQLite database with one user and one line in the audit."""
    with closing(open_database(sqlite_url)) as database:
        with database.write() as session:
            anna = users.ensure_user(session, name="anna", role=Role.ANNOTATOR)
            audit.record(session, user_id=anna.id, action="before", facts={})
        backup.backup(database, tmp_path / "backup", silent, force=False)
    return tmp_path / "backup"


def actions(url: str) -> list[str]:
    with closing(open_database(url)) as database, database.read() as session:
        return [entry.action for entry in audit.entries(session)]


def note(url: str, action: str) -> None:
    with closing(open_database(url)) as database, database.write() as session:
        audit.record(session, user_id=None, action=action, facts={})


def test_newer_work_is_not_replaced_unless_told_to_and_then_kept_beside(backed_up: Path, sqlite_url: str) -> None:
    note(sqlite_url, "after")
    with closing(open_database(sqlite_url)) as database, database.write() as session:
        session.execute(text("INSERT INTO audit (action, facts, created_at) VALUES ('later', '{}', '2099-01-01')"))
    with pytest.raises(Conflict) as refusal:
        backup.restore(sqlite_url, backed_up, silent, force=False)
    assert refusal.value.de.startswith("Die Datenbank enthält neuere Einträge (bis 2099-01-01")
    assert "later" in actions(sqlite_url)
    kept = backup.restore(sqlite_url, backed_up, silent, force=True)
    assert actions(sqlite_url) == ["before"]
    assert actions(f"sqlite:///{kept}") == ["later", "after", "before"]


def test_a_database_in_use_is_not_replaced(backed_up: Path, sqlite_url: str) -> None:
    with closing(open_database(sqlite_url)) as running:
        with running.read() as session:
            users.list_users(session)  # its connection stays in the pool
        with pytest.raises(Conflict, match="The database is in use"):
            backup.restore(sqlite_url, backed_up, silent, force=False)
        backup.restore(sqlite_url, backed_up, silent, force=True)
        with running.read() as session:
            assert [entry.action for entry in audit.entries(session)] == ["before"]
    assert backup.restore(sqlite_url, backed_up, silent, force=False) is not None


@pytest.mark.parametrize("damage", ["cut", "scribbled", "other", "newer"])
def test_a_backup_that_is_not_whole_is_refused_and_changes_nothing(
    backed_up: Path, sqlite_url: str, damage: str
) -> None:
    data = bytearray(backed_up.read_bytes())
    if damage == "cut":
        backed_up.write_bytes(data[: len(data) // 2])
    elif damage == "scribbled":
        data[8192:12288] = b"\x55" * 4096
        backed_up.write_bytes(data)
    elif damage == "other":
        backed_up.write_text("no database at all")
    else:
        with closing(sqlite.driver().connect(backed_up)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
            connection.commit()
    with pytest.raises(UserError, match=r"not an undamaged database|newer version of the program"):
        backup.restore(sqlite_url, backed_up, silent, force=True)
    assert actions(sqlite_url) == ["before"]


def test_a_file_of_rows_that_is_cut_or_changed_brings_nothing(
    database: Database, anna: User, new_postgres: NewPostgres, tmp_path: Path
) -> None:
    with database.read() as session:
        rows.dump(session, tmp_path / "rows", silent)
    lines = gzip.decompress((tmp_path / "rows").read_bytes()).splitlines(keepends=True)
    changed = [line.replace(b'"anna"', b'"otto"') for line in lines]
    target = new_postgres()
    twice = [*lines[:2], *lines[1:]]  # a key that is there already
    of_lists = [lines[0], b"[1]\n", *lines[1:]]
    for broken, reason in (
        (lines[:-1], "not a complete backup"),
        (changed, "differs from the original"),
        (twice, "not a complete backup"),
        (of_lists, "not a complete backup"),
    ):
        (tmp_path / "broken").write_bytes(gzip.compress(b"".join(broken)))
        with pytest.raises((InvalidFile, StorageError), match=reason):
            backup.restore(target, tmp_path / "broken", silent, force=False)
    assert contents(target).total == 0


@pytest.mark.parametrize("at", [0.3, 0.6])
def test_a_file_of_rows_with_damage_in_the_middle_is_a_sentence(
    filled: Database, new_postgres: NewPostgres, tmp_path: Path, at: float
) -> None:
    with filled.read() as session:
        rows.dump(session, tmp_path / "rows", silent)
    data = bytearray((tmp_path / "rows").read_bytes())
    start = int(len(data) * at)
    data[start : start + 50] = b"\xff" * 50
    (tmp_path / "broken").write_bytes(data)
    target = new_postgres()
    with pytest.raises(InvalidFile, match="not a complete backup"):
        backup.restore(target, tmp_path / "broken", silent, force=False)
    assert contents(target).total == 0


def test_a_database_moves_to_another_kind_with_equal_rows_and_goes_on_there(
    filled: Database, url: str, new_postgres: NewPostgres, tmp_path: Path
) -> None:
    filled.close()
    target = f"sqlite:///{tmp_path / 'moved.sqlite'}" if filled.is_postgresql else new_postgres()
    seen: list[Progress] = []
    moved = backup.move(url, target, seen.append, force=False)
    assert moved == contents(url) == contents(target)
    assert moved.counts["label_events"] == 10
    assert seen[-1].done == seen[-1].total == moved.total
    with closing(open_database(target)) as there, there.write() as session:
        ben = users.ensure_user(session, name="ben", role=Role.ANNOTATOR)
        added = reports.add_reports(session, records=[ReportRecord("Neu.")], imported_by=ben.id)
        assert added.added_ids[0] not in (None, 1)
        assert search.count(session, wanted=("stauung",), filters=Filters("chest_xray")) == 4


def test_nothing_moves_into_a_database_that_holds_something(
    filled: Database, url: str, new_postgres: NewPostgres
) -> None:
    filled.close()
    target = new_postgres()
    note(target, "mine")
    with pytest.raises(StorageError, match="not empty"):
        backup.move(url, target, silent, force=False)
    assert actions(target) == ["mine"]


def test_thousands_of_labels_move_with_equal_hash(sqlite_url: str, new_postgres: NewPostgres) -> None:
    with closing(open_database(sqlite_url)) as database, database.write() as session:
        anna = users.ensure_user(session, name="anna", role=Role.ANNOTATOR)
        records = [
            ReportRecord(f"Befund {number}: „Größe“ <b>&", labels={"Erguss": State.PRESENT, "ZVK": State.ABSENT})
            for number in range(1500)
        ]
        added = reports.add_reports(session, records=records, imported_by=anna.id)
        labelled = dict(zip(added.added_ids, records, strict=True))
        labels.save_imported(session, schema_id="chest_xray", schema_version=1, user_id=anna.id, labelled=labelled)
    target = new_postgres()
    moved = backup.move(sqlite_url, target, silent, force=False)
    assert moved.counts["label_events"] == 3000
    assert moved == contents(target)
