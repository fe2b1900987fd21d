"""All rows of a database as one stream: counted, hashed, copied into another database, written to a file and read back.

Owns the form of a row that is the same on SQLite and PostgreSQL, so two databases with equal rows have equal hashes.
Knows no meaning of any table; it goes through them in the order of their foreign keys.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select, text
from sqlalchemy.exc import DataError, IntegrityError

from medbertde.store import text_index, work_tables
from medbertde.store.session import Session
from medbertde.store.tables import Base, ReportRow, UtcDateTime
from medbertde.types import InvalidFile, Progress, StorageError

__all__ = ["Contents", "contents", "copy", "count", "dump", "is_dump", "load", "work_tables"]  # the last fills metadata

FORMAT = "medbertde rows 1"
_CHUNK = 1000
_DAMAGED = (  # what reading a file raises that is cut, scribbled in or no dump at all
    *(OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError),
    *(IntegrityError, DataError),
)
Rows = Sequence[Sequence[Any]]
Watch = Callable[[Progress], None]


@dataclass(frozen=True)
class Contents:
    """What a database holds: how many rows in each table, and a hash of all of them."""

    counts: Mapping[str, int]
    sha256: str

    @property
    def total(self) -> int:
        """All rows together."""
        return sum(self.counts.values())


def contents(session: Session) -> Contents:
    """Count and hash everything."""
    digest, counts = hashlib.sha256(), {}
    for table in _tables():
        counts[table.name] = 0
        for rows in _read(session.connection(), table):
            counts[table.name] += len(rows)
            digest.update(_line(table.name, rows))
    return Contents(counts, digest.hexdigest())


def count(session: Session) -> dict[str, int]:
    """The rows of each table."""
    return {table.name: session.scalar(select(func.count()).select_from(table)) or 0 for table in _tables()}


def copy(source: Session, target: Session, watch: Watch) -> Contents:
    """Copy all rows into an empty database and compare; nothing is kept when they are not equal at the end."""
    total = sum(count(source).values())
    stream = ((table, rows) for table in _tables() for rows in _read(source.connection(), table))
    _write(target, stream, total, watch)
    expected = contents(source)
    _require_equal(expected.sha256, contents(target))
    return expected


def dump(session: Session, path: Path, watch: Watch) -> Contents:
    """Write all rows to a compressed file: a line that says what it is, one line per chunk, the hash."""
    counts, digest, done = count(session), hashlib.sha256(), 0
    total = sum(counts.values())
    with gzip.open(path, "wb", compresslevel=5) as file:
        file.write(json.dumps({"format": FORMAT, "revision": _revision(session), "counts": counts}).encode() + b"\n")
        for table in _tables():
            for rows in _read(session.connection(), table):
                line = _line(table.name, rows)
                digest.update(line)
                file.write(line)
                done += len(rows)
                watch(Progress(done, total))
        file.write(json.dumps({"sha256": digest.hexdigest()}).encode() + b"\n")
    return Contents(counts, digest.hexdigest())


def is_dump(path: Path) -> bool:
    """Whether a file begins like one that `dump` compressed."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def load(session: Session, path: Path, watch: Watch) -> Contents:
    """Read the rows of a file into an empty database; `InvalidFile` when it is not whole. Nothing is kept then."""
    tables = {table.name: table for table in _tables()}
    try:
        with gzip.open(path, "rb") as file:
            head = json.loads(file.readline())
            _require_revision(head, _revision(session))
            expected: list[str] = []
            _write(session, _parsed(file, tables, expected), sum(head["counts"].values()), watch)
    except _DAMAGED as error:
        raise _broken(path) from error
    if not expected:
        raise _broken(path)
    found = contents(session)
    _require_equal(expected[0], found)
    return found


def _parsed(file: Any, tables: Mapping[str, Table], sha256: list[str]) -> Iterator[tuple[Table, Rows]]:
    """The chunks of a dump; the hash at its end goes to `sha256`."""
    for line in file:
        ((name, rows),) = json.loads(line).items()
        if name == "sha256":
            sha256.append(rows)
            return
        table = tables[name]
        times = [isinstance(column.type, UtcDateTime) for column in table.columns]
        yield table, [[_time(value) if time else value for value, time in zip(row, times, strict=True)] for row in rows]


def _tables() -> list[Table]:
    return Base.metadata.sorted_tables


def _read(connection: Connection, table: Table) -> Iterator[Rows]:
    """The rows of a table in the order of its key, in chunks."""
    query = select(table).order_by(*table.primary_key.columns)
    yield from connection.execute(query, execution_options={"yield_per": _CHUNK}).partitions()


def _write(target: Session, stream: Iterator[tuple[Table, Rows]], total: int, watch: Watch) -> None:
    if any(count(target).values()):
        raise StorageError(
            "Die Zieldatenbank ist nicht leer. Bitte eine leere Datenbank angeben.",
            "The target database is not empty. Please name an empty one.",
        )
    done = 0
    for table, rows in stream:
        names = table.columns.keys()
        target.connection().execute(insert(table), [dict(zip(names, row, strict=True)) for row in rows])
        if table is ReportRow.__table__:
            key, content = names.index("id"), names.index("text")
            text_index.add(target, texts={row[key]: row[content] for row in rows})
        done += len(rows)
        watch(Progress(done, total))
    _continue_numbers(target)


def _continue_numbers(target: Session) -> None:
    """Let PostgreSQL number new rows behind the copied ones; SQLite does so by itself."""
    if target.get_bind().dialect.name != "postgresql":
        return
    for table in _tables():
        column = table.autoincrement_column
        if column is not None:
            setting = f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column.name}'), max({column.name})) "
            target.execute(text(f"{setting} FROM {table.name} HAVING max({column.name}) IS NOT NULL"))


def _line(name: str, rows: Rows) -> bytes:
    """A chunk of rows in the form that both databases share."""
    plain = [[_plain(value) for value in row] for row in rows]
    return json.dumps({name: plain}, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, StrEnum) else value


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


def _revision(session: Session) -> str:
    return str(session.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def _require_revision(head: Mapping[str, Any], revision: str) -> None:
    if head["format"] != FORMAT or head["revision"] != revision:
        raise InvalidFile(
            f"Die Sicherung stammt von einer anderen Programmversion (Stand {head['revision']}, hier {revision}). "
            "Bitte sie mit der Version einspielen, die sie geschrieben hat, und dann aktualisieren.",
            f"The backup was written by another version of the program (revision {head['revision']}, here {revision}). "
            "Please restore it with the version that wrote it and update then.",
        )


def _require_equal(sha256: str, found: Contents) -> None:
    if found.sha256 != sha256:
        raise StorageError(
            "Die Kopie stimmt nicht mit dem Original überein. Es wurde nichts übernommen. Bitte noch einmal versuchen.",
            "The copy differs from the original. Nothing was kept. Please try again.",
        )


def _broken(path: Path) -> InvalidFile:
    return InvalidFile(
        f"Die Datei {path} ist keine vollständige Sicherung. Es wurde nichts eingespielt. Bitte eine andere verwenden.",
        f"The file {path} is not a complete backup. Nothing was restored. Please use another one.",
    )
