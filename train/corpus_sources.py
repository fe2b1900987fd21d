"""Sources of a corpus: from a path or Hub id to batches of raw rows, and from a raw row to a text or what is wrong.

Rows are read in one process and in order; `read_row` runs in the workers. Knows no file format from inside, no cleaning
and no duplicates. No message repeats text of a document.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from medbertde.text import normalise
from medbertde.types import InvalidFile, InvalidText, NotFound
from train.corpus_formats import ENCODING, READERS, RawRow, Reading, hub_rows

BATCH_BYTES = 4_000_000  # the same for any number of processes, so that the result is, too
BATCH_ROWS = 5_000
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(:[\w.\[\]%:-]+)?")


class Fault(StrEnum):
    """Why a row is skipped."""

    UNREADABLE = "not UTF-8, or with a null byte"
    NOT_JSON = "not a JSON object"
    NO_TEXT = "no text in the column"
    EMPTY = "empty"
    TOO_LONG = "too long"
    OTHER_FILE = "not a .txt file"


HARMLESS = {Fault.EMPTY}  # says nothing about whether the source is read rightly


@dataclass(frozen=True)
class Source:
    """One source: its name in the corpus, and files or a Hub data set with its split."""

    name: str
    files: tuple[Path, ...] = ()
    hub_id: str = ""
    split: str = "train"


def parse_sources(arguments: Iterable[str]) -> list[Source]:
    """The sources as named on the command line, in their order; `InvalidFile` for two of one name."""
    sources = [parse_source(argument) for argument in arguments]
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise InvalidFile(
                f"Zwei Quellen heißen „{name}“. Bitte ihnen Namen geben: NAME=QUELLE.",
                f"Two sources are called “{name}”. Please name them: NAME=SOURCE.",
            )
    return sources


def parse_source(argument: str) -> Source:
    """A file, a folder or a Hub id (`owner/name` or `owner/name:split`), each also as `NAME=…`."""
    name, equals, place = argument.partition("=")
    if not equals or Path(argument).exists():
        name, place = "", argument
    path = Path(place)
    if path.is_dir():
        return Source(name or path.resolve().name, _files_of(path))
    if path.suffix.lower() in READERS:
        if not path.is_file():
            raise NotFound(f"Die Datei {place} gibt es nicht.", f"There is no file {place}.")
        return Source(name or path.stem, (path,))
    if path.exists():
        raise _unknown_kind(path)
    if not _HUB_ID.fullmatch(place):
        raise NotFound(
            f"{place} ist weder eine Datei noch ein Ordner noch die Kennung eines Hub-Datensatzes (Besitzer/Name).",
            f"{place} is neither a file nor a folder nor the id of a Hub data set (owner/name).",
        )
    hub_id, _, split = place.partition(":")
    return Source(name or hub_id, hub_id=hub_id, split=split or "train")


def _files_of(folder: Path) -> tuple[Path, ...]:
    """The readable files below a folder in the order of their paths, hidden ones left out."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() in READERS)
    found = tuple(path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    if not found:
        raise InvalidFile(
            f"Im Ordner {folder} liegt keine Datei der Arten {_kinds()}.",
            f"The folder {folder} holds no file of the kinds {_kinds()}.",
        )
    return found


def _unknown_kind(path: Path) -> InvalidFile:
    return InvalidFile(
        f"Dateien wie {path.name} werden nicht gelesen. Möglich sind {_kinds()}.",
        f"Files such as {path.name} are not read. Possible are {_kinds()}.",
    )


def _kinds() -> str:
    return ", ".join(READERS)


# ------------------------------------------------------------------------------------------- rows and batches


def batches(source: Source, reading: Reading) -> Iterator[list[RawRow]]:
    """The rows of a source in batches of bounded size; `InvalidFile` when a file as a whole cannot be read."""
    batch: list[RawRow] = []
    size = 0
    for row in _rows(source, reading):
        batch.append(row)
        size += len(row[1] or "")
        if size >= BATCH_BYTES or len(batch) >= BATCH_ROWS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def read_row(row: RawRow, reading: Reading) -> str | Fault:
    r"""The NFC text of a row, or why there is none.

    >>> read_row(("json", b'{"text": "Lungeno\\u0308dem."}'), Reading()), read_row(("text", "a\0"), Reading()).name
    ('Lungenödem.', 'UNREADABLE')
    """
    kind, content = row
    if kind == "other":
        return Fault.OTHER_FILE
    if isinstance(content, bytes):
        content = content.decode(**ENCODING)
    if kind == "json" and content is not None:
        try:
            raw = json.loads(content)
        except (ValueError, RecursionError):
            return Fault.UNREADABLE if _is_broken(content) else Fault.NOT_JSON
        if not isinstance(raw, dict):
            return Fault.NOT_JSON
        content = raw.get(reading.column)
    if not isinstance(content, str):
        return Fault.NO_TEXT
    if len(content) > reading.max_chars:
        return Fault.TOO_LONG
    try:
        return normalise(content) or Fault.EMPTY
    except InvalidText:
        return Fault.UNREADABLE


def _is_broken(content: str) -> bool:
    try:
        normalise(content)
    except InvalidText:
        return True
    return False


def _rows(source: Source, reading: Reading) -> Iterator[RawRow]:
    if source.hub_id:
        yield from hub_rows(source.hub_id, source.split, reading)
    for path in source.files:
        try:
            yield from READERS[path.suffix.lower()](path, reading)
        except (OSError, zlib.error) as error:
            raise InvalidFile(
                f"{path} lässt sich nicht lesen ({type(error).__name__}). Bitte prüfen, ob die Datei vollständig ist "
                "und gelesen werden darf.",
                f"{path} cannot be read ({type(error).__name__}). Please check that the file is complete and may be "
                "read.",
            ) from error
