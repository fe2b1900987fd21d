"""The formats of corpus files: `.txt`, `.zip` of `.txt`, `.jsonl`, `.csv`, `.parquet`, and Hub data sets (`datasets`).

Each reader streams the raw rows of one file and raises `InvalidFile` when the file as a whole cannot be read; whether a
row is a text is not its concern. Adding a format is adding a reader to `READERS`.
"""

from __future__ import annotations

import csv
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from medbertde.text import shown
from medbertde.types import InvalidFile, NotFound

MAX_ROW_MB = 64
ENCODING = {"encoding": "utf-8-sig", "errors": "surrogateescape"}  # broken bytes become what `normalise` refuses
_MAX_ROW = MAX_ROW_MB * 1_000_000


class Division(StrEnum):
    """What one document is in a `.txt` file."""

    FILE = "file"
    PARAGRAPH = "paragraph"
    LINE = "line"


@dataclass(frozen=True)
class Reading:
    """How rows become texts: the column or field, how `.txt` is divided, the longest text in characters."""

    column: str = "text"
    division: Division = Division.FILE
    max_chars: int = 2_000_000


RawRow = tuple[str, "bytes | str | None"]  # ("json" | "text" | "other", content)


def _txt_rows(path: Path, reading: Reading) -> Iterator[RawRow]:
    with path.open("rb") as file:
        if reading.division is Division.FILE:
            yield "text", _whole(file, path, path.stat().st_size)
            return
        lines = _lines(file, path)
        pieces = lines if reading.division is Division.LINE else _paragraphs(lines)
        yield from (("text", piece) for piece in pieces if piece.strip())


def _zip_rows(path: Path, reading: Reading) -> Iterator[RawRow]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise InvalidFile(f"{path} ist kein ZIP-Archiv.", f"{path} is not a ZIP archive.") from None
    except NotImplementedError:
        raise _foreign_packing(path) from None
    with archive:
        for member in archive.infolist():
            if member.is_dir() or member.filename.startswith("__MACOSX/"):
                continue
            if not member.filename.lower().endswith(".txt"):
                yield "other", None
            else:
                yield "text", _member(archive, member, path)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bytes:
    if member.flag_bits & 1:
        raise InvalidFile(
            f"Das Archiv {path} ist mit einem Kennwort geschützt. Bitte es vorher entpacken.",
            f"The archive {path} is protected by a password. Please unpack it first.",
        )
    try:
        with archive.open(member) as file:
            return _whole(file, path, member.file_size)
    except NotImplementedError:
        raise _foreign_packing(path) from None
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError):
        raise InvalidFile(f"Das Archiv {path} ist beschädigt.", f"The archive {path} is damaged.") from None


def _foreign_packing(path: Path) -> InvalidFile:
    return InvalidFile(
        f"Das Archiv {path} ist mit einem Verfahren gepackt, das nicht gelesen wird (etwa Deflate64). Bitte es vorher "
        "entpacken.",
        f"The archive {path} is packed by a method that is not read (such as Deflate64). Please unpack it first.",
    )


def _whole(file: IO[bytes], path: Path, size: int) -> bytes:
    """A file that is one document."""
    if size > _MAX_ROW:
        raise _too_large(path)
    return file.read()


def _lines(file: IO[bytes], path: Path) -> Iterator[bytes]:
    while line := file.readline(_MAX_ROW + 1):
        if len(line) > _MAX_ROW:
            raise _too_large(path)
        yield line


def _too_large(path: Path) -> InvalidFile:
    return InvalidFile(
        f"Ein Dokument in {path} ist größer als {MAX_ROW_MB} MB. Bitte prüfen, ob die Datei die Art hat, die ihre "
        "Endung sagt; eine .txt-Datei mit vielen Dokumenten lässt sich mit --txt paragraph oder --txt line teilen.",
        f"A document in {path} is larger than {MAX_ROW_MB} MB. Please check that the file is of the kind that its "
        "ending says; a .txt file with many documents can be divided with --txt paragraph or --txt line.",
    )


def _paragraphs(lines: Iterable[bytes]) -> Iterator[bytes]:
    """What stands between blank lines."""
    paragraph: list[bytes] = []
    for line in lines:
        if line.strip():
            paragraph.append(line)
        elif paragraph:
            yield b"".join(paragraph)
            paragraph = []
    yield b"".join(paragraph)


def _jsonl_rows(path: Path, reading: Reading) -> Iterator[RawRow]:
    with path.open("rb") as file:
        yield from (("json", line) for line in _lines(file, path) if line.strip())


def _csv_rows(path: Path, reading: Reading) -> Iterator[RawRow]:
    csv.field_size_limit(_MAX_ROW)
    with path.open(newline="", **ENCODING) as file:  # type: ignore[call-overload]
        header = file.readline()
        separator = max(",;\t", key=header.count)
        names = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
        place = _column(path, reading.column, names)
        rows = csv.reader(file, delimiter=separator, strict=True)
        while True:
            try:
                cells = next(rows, None)
            except csv.Error:
                raise InvalidFile(
                    f"{path} ist ab Zeile {rows.line_num + 1} nicht lesbar: Ein Nullbyte steht darin, oder ein "
                    "Anführungszeichen ist nicht geschlossen oder innerhalb eines Textes nicht verdoppelt.",
                    f"{path} cannot be read from line {rows.line_num + 1} on: there is a null byte, or a quote is not "
                    "closed, or not doubled in a text.",
                ) from None
            if cells is None:
                return
            if cells:
                yield "text", cells[place] if place < len(cells) else None


def _parquet_rows(path: Path, reading: Reading) -> Iterator[RawRow]:
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            kind = schema.field(_column(path, reading.column, schema.names)).type
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                raise InvalidFile(
                    f"Die Spalte „{reading.column}“ in {path} enthält keinen Text, sondern {kind}.",
                    f"The column “{reading.column}” in {path} holds {kind} and no text.",
                )
            for batch in file.iter_batches(batch_size=1000, columns=[reading.column], use_threads=False):
                yield from (("text", text) for text in batch.column(0).to_pylist())
    except (pa.ArrowInvalid, UnicodeDecodeError):
        raise InvalidFile(
            f"{path} ist keine lesbare Parquet-Datei.", f"{path} is not a readable Parquet file."
        ) from None


def hub_rows(hub_id: str, split: str, reading: Reading) -> Iterator[RawRow]:
    """The rows of a data set on the Hub (or already in its cache), memory-mapped from Arrow files on disk."""
    from datasets import load_dataset  # here, not above: takes a second that other sources need not wait for

    try:
        data = load_dataset(hub_id, split=split)
    except (OSError, ValueError) as error:
        raise NotFound(
            f"Der Datensatz {hub_id} (Teil {split}) ist weder als Datei noch auf dem Hub erreichbar "
            f"({type(error).__name__}). Bitte Namen, Teil, Zugriffsrechte (HF_TOKEN) und Verbindung prüfen.",
            f"The data set {hub_id} (split {split}) can be reached neither as a file nor on the Hub "
            f"({type(error).__name__}). Please check its name, split, access rights (HF_TOKEN) and the connection.",
        ) from error
    _column(Path(hub_id), reading.column, data.column_names)
    for batch in data.select_columns([reading.column]).iter(batch_size=1000):
        yield from (("text", text) for text in batch[reading.column])


def _column(path: Path, wanted: str, names: list[str]) -> int:
    if wanted in names:
        return names.index(wanted)
    found = ", ".join(shown(name) for name in names[:12])
    raise InvalidFile(
        f"In {path} gibt es keine Spalte „{wanted}“. Gefunden: {found}. Bitte die richtige mit --text-column nennen.",
        f"There is no column “{wanted}” in {path}. Found: {found}. Please name the right one with --text-column.",
    )


READERS: dict[str, Callable[[Path, Reading], Iterator[RawRow]]] = {
    ".txt": _txt_rows,
    ".zip": _zip_rows,
    ".jsonl": _jsonl_rows,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
}
