"""Opening the database: engine, settings of a connection, migrations, transactions and storage errors as sentences.

Owns how a transaction begins and ends. Knows no table and no query.

On SQLite every write transaction starts with BEGIN IMMEDIATE (a deferred BEGIN loses updates or fails with "database is
locked" under load), one writer at a time within this process, and is on disk (WAL, synchronous=FULL) before `write`
returns. On PostgreSQL the server does all that; a wait for another transaction's lock ends after `busy_timeout_s` too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, Table, create_engine, event, exc, make_url
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.orm import Session

from medbertde.search_text import fold
from medbertde.store import migrations, sqlite
from medbertde.store.tables import Base
from medbertde.types import Conflict, NotFound, StorageError, UserError

__all__ = ["Database", "Session", "StorageError", "insert", "open_database"]

_PG_UNIQUE_VIOLATION = "23505"
_PG_OUT_OF_RANGE = "22003"
_CONNECT_TIMEOUT_S = 10
BEGIN_WRITING = "BEGIN IMMEDIATE"


@dataclass(frozen=True)
class Database:
    """An open, migrated database. Safe to share between threads; every `with` block is one transaction.

    `address`: what its address is called where sentences ask to check it.
    """

    engine: Engine
    busy_timeout_s: float
    address: str = sqlite.ADDRESS
    _writer: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that is committed at the end of the block and rolled back when the block raises."""
        with (
            _as_sentences(self.address),
            self._one_writer(),
            Session(self.engine) as session,
            session.begin(),
        ):
            if not self.is_postgresql:
                session.connection().exec_driver_sql(BEGIN_WRITING)
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view of the database for the length of the block; nothing done in it is kept."""
        with _as_sentences(self.address), Session(self.engine) as session:
            if self.is_postgresql:
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            else:
                session.connection().exec_driver_sql("BEGIN")
            yield session

    @property
    def is_postgresql(self) -> bool:
        """Whether a PostgreSQL server holds the database; else it is a SQLite file."""
        return self.engine.dialect.name == "postgresql"

    def refresh_statistics(self) -> None:
        """After an import: PostgreSQL looks at the tables by itself within a minute, and plans badly until then."""
        if self.is_postgresql:
            with _as_sentences(self.address), self.engine.begin() as connection:
                connection.exec_driver_sql("ANALYZE")

    def close(self) -> None:
        """Close the connections; the last one to close a SQLite file folds its write-ahead log into it."""
        self.engine.dispose()

    @contextmanager
    def _one_writer(self) -> Iterator[None]:
        """Let the threads of this process wait for each other here instead of polling SQLite's file lock."""
        if self.is_postgresql:
            yield
            return
        if not self._writer.acquire(timeout=self.busy_timeout_s):
            raise _busy()
        try:
            yield
        finally:
            self._writer.release()


def open_database(url: str, *, busy_timeout_s: float = 30.0, address: str = sqlite.ADDRESS) -> Database:
    """Open the database at `url`, creating a SQLite file and its folder, and bring its tables up to date.

    `address`: what `url` is called where sentences ask to check it.

    Raises `StorageError` when it cannot be opened and `UserError` when it was written by a newer version of the code.
    """
    target = _parse(url, address)
    if target.get_backend_name() == "sqlite":
        sqlite.create_file(Path(target.database or ""))
    with _as_sentences(address):
        migrating = _engine(target, busy_timeout_s, foreign_keys=False)
        try:
            with migrating.begin() as connection:
                if target.get_backend_name() == "sqlite":
                    connection.exec_driver_sql(BEGIN_WRITING)
                migrations.upgrade(connection)
        finally:
            migrating.dispose()
    return Database(_engine(target, busy_timeout_s, foreign_keys=True), busy_timeout_s, address)


def insert(session: Session, table: type[Base]) -> Any:
    """The INSERT of the session's database that knows ON CONFLICT (both spell it alike, SQLAlchemy keeps two)."""
    return insert_of(session.get_bind().dialect.name, table)


def insert_of(dialect: str, table: type[Base] | Table) -> Any:
    """The same for a kind of database by its name, for statements that are built once."""
    return (postgresql if dialect == "postgresql" else sqlite_dialect).insert(table)


def _parse(url: str, address: str) -> URL:
    """The URL, if it names a SQLite file or a PostgreSQL database. The URL may hold a password: it is not repeated."""
    try:
        short = url.startswith("postgres://")  # hosting platforms write it so
        target = make_url(f"postgresql{url.removeprefix('postgres')}" if short else url)
        target.get_dialect().import_dbapi()  # the driver that it names is there
    except (exc.ArgumentError, exc.NoSuchModuleError, ImportError, ValueError):
        target = None
    backend = target.get_backend_name() if target is not None else ""
    memory = backend == "sqlite" and target is not None and target.database in (None, "", ":memory:")
    if target is None or backend not in ("sqlite", "postgresql") or memory:
        raise UserError(
            f"Die Datenbankadresse ({address}) ist nicht verwendbar. Erwartet wird "
            "sqlite:////Pfad/zur/Datei.sqlite oder postgresql+psycopg://Nutzer@Server/Datenbank.",
            f"The database URL ({address}) cannot be used. Expected is sqlite:////path/to/file.sqlite or "
            "postgresql+psycopg://user@server/database.",
        )
    return target


def _engine(target: URL, busy_timeout_s: float, *, foreign_keys: bool) -> Engine:
    """An engine whose errors never repeat parameters (they hold report text)."""
    if target.get_backend_name() == "sqlite":
        return _sqlite_engine(target, busy_timeout_s, foreign_keys)
    settings = (
        f"{target.query.get('options', '')} -c TimeZone=UTC -c lock_timeout={max(1, round(busy_timeout_s * 1000))}"
    )
    return create_engine(
        target,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=30,
        connect_args={"connect_timeout": _CONNECT_TIMEOUT_S, "options": settings.strip()},
    )


def _sqlite_engine(target: URL, busy_timeout_s: float, foreign_keys: bool) -> Engine:
    engine = create_engine(
        target,
        module=sqlite.driver(),
        hide_parameters=True,
        max_overflow=-1,
        connect_args={"timeout": busy_timeout_s},
    )

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: object) -> None:
        connection.create_function("medbertde_fold", 1, fold, deterministic=True)
        connection.isolation_level = None  # the driver starts no transactions of its own, `Database` does
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")

    return engine


@contextmanager
def _as_sentences(address: str) -> Iterator[None]:
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
    except OverflowError as error:  # of SQLite's driver, for a number of more than 64 bits
        if "SQLite" in str(error):
            raise _unknown_number() from error
        raise
    except exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _PG_OUT_OF_RANGE:
            raise _unknown_number() from error
        sentence = _sentence(error, address)
        if sentence is None:
            raise
        raise sentence from error
    except exc.StatementError as error:  # a column that refuses a value says so itself
        if isinstance(error.orig, UserError):
            raise error.orig from None
        raise


def _is_unique_violation(error: BaseException | None) -> bool:
    """Both SQLite drivers give the words of SQLite; the extended error code only one of them."""
    return getattr(error, "sqlstate", None) == _PG_UNIQUE_VIOLATION or "UNIQUE constraint failed" in str(error)


def _sentence(error: exc.DBAPIError, address: str) -> StorageError | None:
    """The sentence for an error of the storage, None for an error of the code (wrong SQL, wrong types)."""
    if isinstance(error.orig, sqlite.driver().Error):
        return sqlite.sentence(error.orig, address)
    state = getattr(error.orig, "sqlstate", None) or ""
    known = _PG_SENTENCES.get(state) or _PG_SENTENCES.get(state[:2])
    if known is not None:
        return StorageError(*known)
    if not isinstance(error, exc.OperationalError):
        return None
    in_commit = error.connection_invalidated and error.statement is None
    return StorageError(*(_BROKEN_OFF if in_commit else (words.format(address=address) for words in _UNREACHABLE)))


def _unknown_number() -> NotFound:
    return NotFound("Eine so große Nummer gibt es hier nicht.", "There is no number as large as this here.")


def _busy() -> StorageError:
    return StorageError(*sqlite.LOCKED)


_UNREACHABLE = (
    "Die Datenbank antwortet nicht oder lehnt die Verbindung ab. Es wurde nichts gespeichert. Bitte die Adresse "
    "({address}) und den Datenbankserver prüfen.",
    "The database does not answer or refuses the connection. Nothing was saved. Please check the URL "
    "({address}) and the database server.",
)
_BROKEN_OFF = (
    "Die Verbindung zur Datenbank ist beim Speichern abgebrochen. Es ist nicht sicher, ob das Letzte gespeichert ist. "
    "Bitte neu laden, nachsehen und nötigenfalls noch einmal speichern.",
    "The connection to the database broke off while saving. It is not certain that the last change was saved. Please "
    "reload, check, and save again if necessary.",
)
_FAILING = (
    "Der Datenbankserver kann seine Dateien nicht lesen oder schreiben. Es wurde nichts gespeichert. Bitte den freien "
    "Platz und die Datenträger des Servers prüfen; Näheres steht in seinem Protokoll.",
    "The database server cannot read or write its files. Nothing was saved. Please check the free space and the disks "
    "of the server; its log tells more.",
)
_PG_SENTENCES = {  # by SQLSTATE or its class
    "40001": sqlite.LOCKED,  # serialization failure
    "40P01": sqlite.LOCKED,  # deadlock
    "55P03": sqlite.LOCKED,  # lock_timeout
    "53100": sqlite.FULL,
    "25006": sqlite.READ_ONLY,
    "58": _FAILING,  # system error
    "XX": _FAILING,  # internal error, damaged data
}
