"""What every reader of a format gives: a file's columns and its rows, whatever the file looked like.

A row is a mapping from column to value; columns of JSON-like formats may hold objects and lists. Rows are read anew on
each call, so that a preview costs no more than what it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from medbertde.types import InvalidFile, Notice

MAX_COLUMNS = 500
SCANNED_ROWS = 2_000  # how many rows a preview looks at
UNPACKED_FACTOR = 4  # how much larger than an upload its unpacked content may be

NumberedRow = tuple[int, "Mapping[str, Any] | Notice"]


@dataclass(frozen=True)
class Limits:
    """What an upload may hold."""

    max_mb: int
    max_rows: int
    max_chars: int

    @property
    def max_unpacked(self) -> int:
        """Bytes that the content of a compressed file may have."""
        return self.max_mb * UNPACKED_FACTOR * 1024 * 1024


@dataclass(frozen=True)
class Table:
    """A file that was recognised. `total` is the number of rows, an estimate where the format does not tell it."""

    format: str
    columns: tuple[str, ...]
    rows: Callable[[], Iterator[NumberedRow]]
    total: int
    notices: tuple[Notice, ...] = ()
    sheets: tuple[str, ...] = ()
    sheet: str = ""


def fault(de: str, en: str) -> Notice:
    """What is wrong with one row, as a sentence."""
    return Notice("InvalidFile", de, en)


def header_only(name: str) -> InvalidFile:
    """The refusal of a table without rows."""
    return InvalidFile(
        f"Die Datei {name} enthält nur die Kopfzeile und keine Befunde. Bitte eine Datei mit mindestens einer Zeile "
        "unter der Kopfzeile wählen.",
        f"The file {name} holds the header only and no reports. Please choose a file with at least one row below it.",
    )


def too_large(name: str, max_bytes: int) -> InvalidFile:
    """The refusal of a file that unpacks to more than is allowed."""
    mb = max_bytes // 1024 // 1024
    return InvalidFile(
        f"Der entpackte Inhalt von {name} ist größer als {mb} MB und wird nicht gelesen. Bitte die Datei aufteilen.",
        f"The unpacked content of {name} is larger than {mb} MB and is not read. Please split the file.",
    )


def checked_columns(name: str, names: list[str]) -> tuple[str, ...]:
    """The names of the columns, each once: a second “text” becomes “text (2)”, an empty one “(3)” for the third.

    >>> checked_columns("a.csv", ["text", " text", ""]), checked_columns("a.csv", ["a (3)", "a", "a"])
    (('text', 'text (2)', '(3)'), ('a (3)', 'a', 'a (4)'))
    """
    if len(names) > MAX_COLUMNS:
        raise InvalidFile(
            f"Die Tabelle in {name} hat {len(names)} Spalten, erlaubt sind {MAX_COLUMNS}. Bitte überflüssige Spalten "
            "löschen.",
            f"The table in {name} has {len(names)} columns, {MAX_COLUMNS} are allowed. Please delete columns.",
        )
    found: list[str] = []
    for position, raw in enumerate(names, start=1):
        plain = " ".join(raw.split()) or f"({position})"
        numbered = (f"{plain} ({number})" for number in count(position))
        found.append(next(column for column in chain([plain], numbered) if column not in found))
    return tuple(found)
