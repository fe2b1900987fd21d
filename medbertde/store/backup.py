"""Backups and their return, and the move of a database to another server.

A SQLite database is copied page by page while others write (SQLite's backup API; a plain copy of the file misses what
is still in its log), then checked. A PostgreSQL database is written as rows (`rows`); for large ones its own pg_dump is
faster. Nothing here knows what the rows mean, except which of two databases holds the newer work.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url

from medbertde.store import migrations, rows, sqlite
from medbertde.store.rows import Contents, Watch
from medbertde.store.session import Database, open_database
from medbertde.types import Conflict, InvalidFile

_DATED = ("reports", "submissions", "audit")


def backup(database: Database, path: Path, watch: Watch, *, force: bool) -> None:
    """Write a checked copy of the database to `path`: there as a whole or not at all."""
    if path.exists() and not force:
        raise Conflict(
            f"Die Datei {path} gibt es schon. Bitte einen anderen Namen wählen oder sie mit --force ersetzen.",
            f"The file {path} is there already. Please choose another name or replace it with --force.",
        )
    if not database.is_postgresql and path.exists() and path.samefile(_file(database.engine.url)):
        raise Conflict(
            f"{path} ist die Datenbank selbst und wird nicht ersetzt. Bitte für die Sicherung einen anderen Namen "
            "wählen.",
            f"{path} is the database itself and is not replaced. Please choose another name for the backup.",
        )
    partial = path.with_name(f".{path.name}.partial-{uuid.uuid4().hex[:8]}")
    try:
        if database.is_postgresql:
            _make_private(partial)
            with database.read() as session:
                rows.dump(session, partial, watch)
        else:
            _copy_to_file(_file(database.engine.url), partial)
            require_whole(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def restore(url: str, path: Path, watch: Watch, *, force: bool) -> Path | None:
    """Put a backup in the place of the database; returns where the one that was there is kept, if there was one.

    Without `force` a database that someone is using, or that holds newer work than the backup, is refused.
    """
    if rows.is_dump(path):
        with closing(open_database(url)) as database, database.write() as session:
            rows.load(session, path, watch)
        return None
    target = make_url(url)
    if target.get_backend_name() != "sqlite":
        raise InvalidFile(
            f"Die Datei {path} ist eine SQLite-Datenbank. Mit „python -m medbertde move --to …“ kommt ihr Inhalt in "
            "eine PostgreSQL-Datenbank.",
            f"The file {path} is an SQLite database. “python -m medbertde move --to …” brings its contents into a "
            "PostgreSQL database.",
        )
    require_whole(path)
    file = _file(target)
    kept = _keep_present(file, path, force=force) if file.exists() and file.stat().st_size else None
    sqlite.create_file(file)
    _copy_pages(path, file)
    require_whole(file)
    open_database(url).close()  # brings its tables up to date
    return kept


def move(source_url: str, target_url: str, watch: Watch, *, force: bool, address: str = sqlite.ADDRESS) -> Contents:
    """Copy everything into an empty database; both hold the same rows then, proven by their hashes.

    `address`: what `target_url` is called where sentences ask to check it.
    """
    source = make_url(source_url)
    if source.get_backend_name() == "sqlite" and not force:
        require_idle(_file(source))
    with (
        closing(open_database(source_url)) as origin,
        closing(open_database(target_url, address=address)) as target,
        origin.read() as reading,
        target.write() as writing,
    ):
        return rows.copy(reading, writing, watch)


def require_whole(path: Path) -> None:
    """`InvalidFile` when the file is no SQLite database of ours or is damaged, `UserError` when it is too new."""
    driver = sqlite.driver()
    try:
        with _read_only(path) as connection:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check").fetchall()]
            orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
            revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except driver.Error as error:
        raise _damaged(path) from error
    if found != ["ok"] or orphans or revision is None:
        raise _damaged(path)
    migrations.require_known(revision[0])


def require_idle(file: Path) -> None:
    """`Conflict` when another connection has the database open: leaving WAL mode needs it for oneself."""
    driver = sqlite.driver()
    with closing(driver.connect(file, timeout=0, isolation_level=None)) as connection:
        try:
            idle = connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0] == "delete"
        except driver.OperationalError:
            idle = False
    if not idle:
        raise Conflict(
            "Die Datenbank ist gerade in Gebrauch. Bitte die App beenden und den Befehl noch einmal geben (mit --force "
            "geht es trotzdem).",
            "The database is in use. Please stop the app and give the command again (--force does it anyway).",
        )


def _keep_present(file: Path, path: Path, *, force: bool) -> Path:
    """Refuse to replace what should stay, and put a copy of what is replaced beside it."""
    if not force:
        require_idle(file)
        _require_older(file, path)
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    kept = file.with_name(f"{file.stem}.before-restore-{stamp}-{uuid.uuid4().hex[:4]}{file.suffix}")
    _copy_to_file(file, kept)
    return kept


def _require_older(file: Path, path: Path) -> None:
    """`Conflict` when the database holds newer work than the backup. A damaged one may be replaced."""
    try:
        ours, theirs = _newest(file), _newest(path)
    except sqlite.driver().DatabaseError:
        return
    if ours > theirs:
        raise Conflict(
            f"Die Datenbank enthält neuere Einträge (bis {ours} UTC) als die Sicherung (bis {theirs or '–'}). Mit "
            "--force wird sie ersetzt; eine Kopie bleibt erhalten.",
            f"The database holds newer entries (up to {ours} UTC) than the backup (up to {theirs or '–'}). --force "
            "replaces it; a copy is kept.",
        )


def _newest(file: Path) -> str:
    """The time of the newest entry, in UTC; empty when there is none."""
    with _read_only(file) as connection:
        times = [connection.execute(f"SELECT max(created_at) FROM {table}").fetchone()[0] for table in _DATED]
    return max((str(time)[:19] for time in times if time), default="")


def _copy_to_file(source: Path, target: Path) -> None:
    """A copy that is one file, without a log beside it."""
    _make_private(target)
    _copy_pages(source, target)
    with sqlite.as_sentences(), closing(sqlite.driver().connect(target)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")


def _copy_pages(source: Path, target: Path) -> None:
    """One consistent copy in one step, in one transaction of the target; between two steps writers would interfere."""
    connect = sqlite.driver().connect
    with sqlite.as_sentences(), closing(connect(source)) as reading, closing(connect(target)) as writing:
        reading.backup(writing)


@contextmanager
def _read_only(path: Path) -> Iterator[Any]:
    address = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite.driver().connect(address, uri=True)) as connection:
        yield connection


def _make_private(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _file(url: URL) -> Path:
    return Path(url.database or "")


def _damaged(path: Path) -> InvalidFile:
    return InvalidFile(
        f"Die Datei {path} ist keine unversehrte Datenbank von medbertde. Bitte eine andere Sicherung verwenden.",
        f"The file {path} is not an undamaged database of medbertde. Please use another backup.",
    )
