"""Archives (`.zip`) of report files: bounded in members, unpacked size and compression, never written to disk.

Member names are only ever shown, so that “../” in one leads nowhere. A member that cannot be read is one fault among
the rows; the others are read on.
"""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from medbertde.services.exchange.incoming.table import SCANNED_ROWS, Limits, NumberedRow, Table, fault, too_large
from medbertde.text import unify
from medbertde.types import InvalidFile, InvalidText, Notice

MAX_MEMBERS = 50_000
MAX_RATIO = 200  # unpacked to packed; text and tables stay far below
_SMALL = 1024 * 1024  # members up to this size may have any ratio
_ENCRYPTED = 0x1

Open = Callable[[str, bytes, Limits], Table]


def members_of(name: str, data: bytes) -> list[zipfile.ZipInfo]:
    """The files in an archive, without folders and what systems add; `InvalidFile` when it is damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise InvalidFile(
            f"Die Datei {name} ist beschädigt oder nicht vollständig übertragen. Bitte sie noch einmal packen oder "
            "kopieren.",
            f"The file {name} is damaged or was not copied completely. Please pack or copy it again.",
        ) from error
    return [one for one in found if not one.is_dir() and not _is_no_report(one.filename)]


def read_archive(name: str, data: bytes, limits: Limits, open_member: Open) -> Table:
    """The rows of all members in the archive's order, numbered through."""
    members = members_of(name, data)
    _require_bounded(name, members, limits)

    def rows() -> Iterator[NumberedRow]:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found = (row for member in members for row in _member_rows(archive, member, limits, open_member))
            yield from enumerate(found, start=1)

    first = [raw for _, raw in islice(rows(), SCANNED_ROWS)]
    columns = dict.fromkeys(column for raw in first if isinstance(raw, dict) for column in raw)
    if not columns:
        told = next((raw for raw in first if isinstance(raw, Notice)), None)
        raise InvalidFile(
            f"In {name} ist keine lesbare Befunddatei." + (f" {told.de}" if told else ""),
            f"There is no readable report file in {name}." + (f" {told.en}" if told else ""),
        )
    counted = Notice("members", f"Dateien im Archiv: {len(members)}.", f"Files in the archive: {len(members)}.")
    return Table("zip", tuple(columns), rows, max(len(members), len(first)), (counted,))


def _require_bounded(name: str, members: list[zipfile.ZipInfo], limits: Limits) -> None:
    """Python reads no more of a member than it declares, so the declared sizes are bounds."""
    if any(member.flag_bits & _ENCRYPTED for member in members):
        raise InvalidFile(
            f"Das Archiv {name} ist mit einem Kennwort geschützt. Bitte es ohne Kennwort packen.",
            f"The archive {name} is protected by a password. Please pack it without one.",
        )
    if len(members) > MAX_MEMBERS:
        raise InvalidFile(
            f"Das Archiv {name} enthält {len(members)} Dateien, erlaubt sind {MAX_MEMBERS}. Bitte es aufteilen.",
            f"The archive {name} holds {len(members)} files, {MAX_MEMBERS} are allowed. Please split it.",
        )
    too_dense = any(one.file_size > max(_SMALL, MAX_RATIO * one.compress_size) for one in members)
    if too_dense or sum(member.file_size for member in members) > limits.max_unpacked:
        raise too_large(name, limits.max_unpacked)


def _member_rows(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits, open_member: Open
) -> Iterator[dict[str, Any] | Notice]:
    path = _readable(member.filename)
    try:
        table = open_member(PurePosixPath(path).name, archive.read(member), limits)
        for number, raw in table.rows():
            if isinstance(raw, Notice):
                yield fault(f"{path}, Zeile {number}: {raw.de}", f"{path}, row {number}: {raw.en}")
            else:
                yield {**raw, "file": path} if table.format == "txt" else dict(raw)
    except InvalidFile as error:
        yield fault(f"{path}: {error.de}", f"{path}: {error.en}")
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, EOFError, OSError):  # OSError: bzip2
        yield fault(f"{path}: Die Datei im Archiv ist beschädigt.", f"{path}: The file in the archive is damaged.")


def _readable(path: str) -> str:
    r"""A member's path as it may be shown: one line, at most 200 characters.

    >>> _readable("befunde\nneu/a.txt")
    'befunde neu/a.txt'
    """
    try:
        return " ".join(unify(path).split())[-200:]
    except InvalidText:
        return "…"


def _is_no_report(path: str) -> bool:
    """What systems and packers add: macOS's copies, hidden files, and the card of a data set."""
    parts = PurePosixPath(path).parts
    return "__MACOSX" in parts or parts[-1].startswith(".") or parts[-1] in ("Thumbs.db", "README.md", "LICENSE")
