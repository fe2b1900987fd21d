"""Opening the database: engine, SQLite's settings, migrations, transactions and storage errors as sentences.

Owns how a transaction begins and ends. Knows no table and no query.

On SQLite every write transaction starts with BEGIN IMMEDIATE (a deferred BEGIN loses updates or fails with "database is
locked" under load), one writer at a time within this process, and is on disk (WAL, synchronous=FULL) before `write`
returns. On PostgreSQL the server does all that.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from medbertde.store import migrations
from medbertde.store.tables import Base
from medbertde.types import Conflict, UserError

__all__ = ["Database", "Session", "StorageError", "insert", "open_database"]

_PG_UNIQUE_VIOLATION = "23505"


class StorageError(UserError):
    """The database cannot be read or written; what was to be saved is not saved."""


@dataclass(frozen=True)
class Database:
    """An open, migrated database. Safe to share between threads; every `with` block is one transaction."""

    engine: Engine
    busy_timeout_s: float
    _writer: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that is committed at the end of the block and rolled back when the block raises."""
        with (
            _as_sentences(),
            self._one_writer(),
            Session(self._beginning("BEGIN IMMEDIATE")) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view of the database for the length of the block; nothing done in it is kept."""
        with _as_sentences(), Session(self._beginning("BEGIN")) as session:
            yield session

    def close(self) -> None:
        """Close the connections; the last one to close a SQLite file folds its write-ahead log into it."""
        self.engine.dispose()

    def _beginning(self, statement: str) -> Engine:
        return self.engine.execution_options(begin_statement=statement)

    @contextmanager
    def _one_writer(self) -> Iterator[None]:
        """Let the threads of this process wait for each other here instead of polling SQLite's file lock."""
        if self.engine.dialect.name != "sqlite":
            yield
            return
        if not self._writer.acquire(timeout=self.busy_timeout_s):
            raise _busy()
        try:
            yield
        finally:
            self._writer.release()


def open_database(url: str, *, busy_timeout_s: float = 30.0) -> Database:
    """Open the database at `url`, creating a SQLite file and its folder, and bring its tables up to date.

    Raises `StorageError` when it cannot be opened and `UserError` when it was written by a newer version of the code.
    """
    target = _parse(url)
    if target.get_backend_name() == "sqlite":
        _create_file(Path(target.database or ""))
    with _as_sentences():
        migrating = _engine(target, busy_timeout_s, foreign_keys=False)
        try:
            with migrating.execution_options(begin_statement="BEGIN IMMEDIATE").begin() as connection:
                migrations.upgrade(connection)
        finally:
            migrating.dispose()
    return Database(_engine(target, busy_timeout_s, foreign_keys=True), busy_timeout_s)


def insert(session: Session, table: type[Base]) -> Any:
    """The INSERT of the session's database that knows ON CONFLICT (both spell it alike, SQLAlchemy keeps two)."""
    return (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(table)


def _parse(url: str) -> URL:
    """The URL, if it names a SQLite file or a PostgreSQL database. The URL may hold a password: it is not repeated."""
    try:
        target = make_url(url)
    except (exc.ArgumentError, ValueError):
        target = None
    backend = target.get_backend_name() if target is not None else ""
    memory = backend == "sqlite" and target is not None and target.database in (None, "", ":memory:")
    if target is None or backend not in ("sqlite", "postgresql") or memory:
        raise UserError(
            "Die Datenbankadresse (MEDBERTDE_DATABASE_URL) ist nicht verwendbar. Erwartet wird "
            "sqlite:////Pfad/zur/Datei.sqlite oder postgresql+psycopg://Nutzer@Server/Datenbank.",
            "The database URL (MEDBERTDE_DATABASE_URL) cannot be used. Expected is sqlite:////path/to/file.sqlite or "
            "postgresql+psycopg://user@server/database.",
        )
    return target


def _create_file(path: Path) -> None:
    """The file and its folder; a new file is readable by its owner only (SQLite gives its log the same rights)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDONLY, 0o600))
    except OSError as error:
        raise StorageError(
            f"Die Datenbankdatei {path} lässt sich nicht anlegen oder öffnen ({error.strerror}). Bitte den Ordner und "
            "die Zugriffsrechte prüfen.",
            f"The database file {path} cannot be created or opened ({error.strerror}). Please check the folder and the "
            "access rights.",
        ) from error


def _engine(target: URL, busy_timeout_s: float, *, foreign_keys: bool) -> Engine:
    """An engine whose errors never repeat parameters (they hold report text)."""
    try:
        if target.get_backend_name() != "sqlite":
            return create_engine(target, hide_parameters=True, pool_pre_ping=True)
        engine = create_engine(target, hide_parameters=True, max_overflow=-1, connect_args={"timeout": busy_timeout_s})
    except ModuleNotFoundError as error:
        raise StorageError(
            f"Für diese Datenbank fehlt das Python-Paket „{error.name}“. Bitte installieren: pip install {error.name}.",
            f"This database needs the Python package “{error.name}”. Please install it: pip install {error.name}.",
        ) from error

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver starts no transactions of its own
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin_statement", "BEGIN"))

    return engine


@contextmanager
def _as_sentences() -> Iterator[None]:
    """Errors of the storage itself become sentences; programming errors stay what they are."""
    try:
        yield
    except exc.IntegrityError as error:
        if _is_unique_violation(error.orig):
            raise Conflict(
                "Jemand anders hat im selben Augenblick dasselbe gespeichert. Bitte neu laden und noch einmal "
                "versuchen.",
                "Someone else saved the same at the same moment. Please reload and try again.",
            ) from error
        raise
    except exc.DBAPIError as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        raise sentence from error


def _is_unique_violation(error: BaseException | None) -> bool:
    if isinstance(error, sqlite3.Error):
        return error.sqlite_errorname in ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY")
    return getattr(error, "sqlstate", None) == _PG_UNIQUE_VIOLATION


def _sentence(error: exc.DBAPIError) -> StorageError | None:
    """The sentence for an error of the storage, None for an error of the code (wrong SQL, wrong types)."""
    if not isinstance(error.orig, sqlite3.Error):
        return _unreachable() if isinstance(error, exc.OperationalError) else None
    name = getattr(error.orig, "sqlite_errorname", "")
    for prefix, sentence in _SQLITE_SENTENCES.items():
        if name.startswith(prefix):
            return StorageError(*sentence)
    return None


def _busy() -> StorageError:
    return StorageError(*_SQLITE_SENTENCES["SQLITE_BUSY"])


def _unreachable() -> StorageError:
    return StorageError(
        "Die Datenbank antwortet nicht oder lehnt die Verbindung ab. Es wurde nichts gespeichert. Bitte die Adresse "
        "(MEDBERTDE_DATABASE_URL) und den Datenbankserver prüfen.",
        "The database does not answer or refuses the connection. Nothing was saved. Please check the URL "
        "(MEDBERTDE_DATABASE_URL) and the database server.",
    )


_LOCKED = (
    "Die Datenbank ist gerade durch einen anderen Vorgang gesperrt. Es wurde nichts gespeichert. Bitte gleich noch "
    "einmal versuchen.",
    "The database is locked by another process at the moment. Nothing was saved. Please try again shortly.",
)
_SQLITE_SENTENCES = {
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_FULL": (
        "Der Speicherplatz für die Datenbank ist voll. Es wurde nichts gespeichert. Bitte Platz schaffen und noch "
        "einmal versuchen.",
        "The disk of the database is full. Nothing was saved. Please free some space and try again.",
    ),
    "SQLITE_READONLY": (
        "Die Datenbank ist schreibgeschützt. Es wurde nichts gespeichert. Bitte die Zugriffsrechte der Datei und ihres "
        "Ordners prüfen.",
        "The database is read-only. Nothing was saved. Please check the access rights of the file and its folder.",
    ),
    "SQLITE_CANTOPEN": (
        "Die Datenbankdatei lässt sich nicht öffnen. Bitte den Ordner und die Zugriffsrechte prüfen.",
        "The database file cannot be opened. Please check the folder and the access rights.",
    ),
    "SQLITE_NOTADB": (
        "Die Datei ist keine SQLite-Datenbank. Bitte MEDBERTDE_DATABASE_URL prüfen oder eine Sicherung einspielen.",
        "The file is not an SQLite database. Please check MEDBERTDE_DATABASE_URL or restore a backup.",
    ),
    "SQLITE_CORRUPT": (
        "Die Datenbankdatei ist beschädigt. Bitte die App beenden und eine Sicherung einspielen.",
        "The database file is damaged. Please stop the app and restore a backup.",
    ),
    "SQLITE_IOERR": (
        "Beim Zugriff auf die Datenbankdatei ist ein Gerätefehler aufgetreten. Es wurde nichts gespeichert. Bitte den "
        "Datenträger prüfen.",
        "Reading or writing the database file failed. Nothing was saved. Please check the disk.",
    ),
}
