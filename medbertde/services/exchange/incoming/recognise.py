"""What a file is: by its content first, and by its ending where the content leaves that open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import PurePath

from medbertde.report_file import json_object
from medbertde.services.exchange.incoming.archive import members_of, read_archive
from medbertde.services.exchange.incoming.characters import decode_any
from medbertde.services.exchange.incoming.delimited import find_separator, read_delimited
from medbertde.services.exchange.incoming.excel import is_workbook, read_excel
from medbertde.services.exchange.incoming.json_rows import read_json_lines, read_json_list
from medbertde.services.exchange.incoming.parquet import MAGIC as PARQUET
from medbertde.services.exchange.incoming.parquet import read_parquet
from medbertde.services.exchange.incoming.table import Limits, Table
from medbertde.types import InvalidFile, Notice

ENDINGS = (".jsonl", ".csv", ".xlsx", ".parquet", ".txt", ".zip", ".json", ".tsv")
_OLE = b"\xd0\xcf\x11\xe0"  # encrypted .xlsx, and everything of Office before 2007
_FOREIGN = {b"%PDF": "PDF", b"\x1f\x8b": "gzip", b"7z\xbc\xaf": "7-Zip", b"Rar!": "RAR", b"{\\rtf": "RTF"}
_OWN_ENDINGS = {
    "csv": (".csv", ".tsv"),
    "jsonl": (".jsonl", ".ndjson"),
    "doccano": (".jsonl", ".ndjson", ".json"),
    "json": (".json",),
    "label_studio": (".json",),
    "label_studio_min": (".json",),
    "txt": (".txt",),
}


def open_table(name: str, data: bytes, limits: Limits, sheet: str = "") -> Table:
    """The file's table; `InvalidFile` with a sentence when it is none of the formats, damaged, empty or too large."""
    if len(data) > limits.max_mb * 1024 * 1024:
        size_mb = len(data) / 1024 / 1024
        raise InvalidFile(
            f"Die Datei {name} hat {size_mb:.0f} MB, erlaubt sind {limits.max_mb} MB. Bitte die Datei aufteilen.",
            f"The file {name} has {size_mb:.0f} MB, {limits.max_mb} MB are allowed. Please split the file.",
        )
    if not data:
        raise _empty(name)
    if data.startswith(b"PK") or PurePath(name).suffix.lower() in (".zip", ".xlsx"):
        return _zipped(name, data, limits, sheet)
    return open_plain(name, data, limits)


def open_plain(name: str, data: bytes, limits: Limits) -> Table:
    """The table of a file that is no archive."""
    suffix = PurePath(name).suffix.lower()
    if data.startswith(_OLE):
        raise _encrypted_or_old(name)
    for magic, kind in _FOREIGN.items():
        if data.startswith(magic):
            raise _not_read(name, kind)
    if data.startswith(PARQUET) or suffix == ".parquet":
        return read_parquet(name, data, limits)
    text, note = decode_any(data, name)
    if not text.strip():
        raise _empty(name)
    table = _reader(name, suffix, text)()
    notes = [note, _mismatch(suffix, table.format)]
    return replace(table, notices=(*(one for one in notes if one), *table.notices))


def _zipped(name: str, data: bytes, limits: Limits, sheet: str) -> Table:
    if data.startswith(_OLE):
        raise _encrypted_or_old(name)
    if not data.startswith(b"PK"):  # by its ending an archive, by its content not
        return open_plain(name, data, limits)
    names = [member.filename for member in members_of(name, data)]
    if is_workbook(names):
        return read_excel(name, data, limits, sheet)
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise _not_read(name, "Word, PowerPoint oder LibreOffice")
    return read_archive(name, data, limits, _open_member)


def _open_member(name: str, data: bytes, limits: Limits) -> Table:
    """A file in an archive; archives in archives are not opened."""
    if not data:
        raise _empty(name)
    if data.startswith(b"PK"):
        if not is_workbook([member.filename for member in members_of(name, data)]):
            raise _not_read(name, "ZIP")
        return read_excel(name, data, limits)
    return open_plain(name, data, limits)


def _reader(name: str, suffix: str, text: str) -> Callable[[], Table]:
    start = text.lstrip("\ufeff \t\r\n")
    first_line = start.split("\n", 1)[0]
    if suffix == ".txt":
        return partial(_one_report, text)
    if suffix not in (*ENDINGS, ".ndjson"):
        raise _not_read(name, suffix or name)
    if start.startswith("{") and json_object(first_line) is not None and suffix != ".json":
        return partial(read_json_lines, text)
    if start.startswith("[") or suffix == ".json":
        return partial(_json, name, text, start)
    if suffix in (".csv", ".tsv") or (not start.startswith("{") and find_separator(text) in first_line):
        return partial(read_delimited, name, text)
    return partial(read_json_lines, text)


def _json(name: str, text: str, start: str) -> Table:
    """A `.json` file: a list, an object, or in spite of its name one object per line, as doccano writes it."""
    lines = [line for line in start.split("\n", 2) if line.strip()]
    if start.startswith("{") and len(lines) > 1 and json_object(lines[0]) is not None:
        return read_json_lines(text)
    return read_json_list(name, start)


def _one_report(text: str) -> Table:
    return Table("txt", ("text",), lambda: iter([(1, {"text": text})]), 1)


def _mismatch(suffix: str, found: str) -> Notice | None:
    if suffix in _OWN_ENDINGS[found]:
        return None
    ending = _OWN_ENDINGS[found][0]
    return Notice(
        "ending",
        f"Die Datei heißt „{suffix}“, ihr Inhalt ist aber eine {ending}-Datei. Sie wird nach ihrem Inhalt gelesen.",
        f"The file is named “{suffix}”, but its content is a {ending} file. It is read by its content.",
    )


def _empty(name: str) -> InvalidFile:
    return InvalidFile(f"Die Datei {name} ist leer.", f"The file {name} is empty.")


def _not_read(name: str, kind: str) -> InvalidFile:
    possible = ", ".join(ENDINGS)
    return InvalidFile(
        f"Die Datei {name} ist von der Art „{kind}“ und wird nicht gelesen. Möglich sind {possible}.",
        f"The file {name} is of the kind “{kind}” and is not read. Possible are {possible}.",
    )


def _encrypted_or_old(name: str) -> InvalidFile:
    return InvalidFile(
        f"Die Datei {name} ist mit einem Kennwort geschützt oder im alten Format „.xls“ gespeichert. Bitte sie in "
        "Excel ohne Kennwort als „.xlsx“ speichern.",
        f"The file {name} is protected by a password or saved in the old format “.xls”. Please save it in Excel as "
        "“.xlsx” without a password.",
    )
