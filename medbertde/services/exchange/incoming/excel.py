"""Excel workbooks (`.xlsx`): one sheet as a table, formula cells as the values that Excel last showed.

A workbook is a compressed archive: what it would unpack to is bounded before anything is parsed, and the sheet is read
row by row. The size that a sheet claims to have is not believed.
"""

from __future__ import annotations

import datetime
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from medbertde.report_file import without_apostrophe
from medbertde.services.exchange.incoming.table import (
    MAX_COLUMNS,
    Limits,
    NumberedRow,
    Table,
    checked_columns,
    header_only,
    too_large,
)
from medbertde.types import InvalidFile

_MAX_EMPTY = 10_000  # blank rows after which a sheet counts as ended


def is_workbook(names: list[str]) -> bool:
    """Whether an archive with these members is a workbook."""
    return "xl/workbook.xml" in names


def read_excel(name: str, data: bytes, limits: Limits, sheet: str = "") -> Table:
    """The table of one sheet (the first one with rows unless named); its first row names the columns."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(member.file_size for member in archive.infolist()) > limits.max_unpacked:
            raise too_large(name, limits.max_unpacked)
    with _opened(name, data) as book:
        sheets = tuple(book.sheetnames)
        chosen = sheet or next((one for one in sheets if next(_cells(book, one), None)), "")
        if sheet and sheet not in sheets:
            raise InvalidFile(
                f"In {name} gibt es kein Blatt mit diesem Namen. Vorhanden sind {len(sheets)} Blätter.",
                f"There is no sheet of this name in {name}. There are {len(sheets)} sheets.",
            )
        first = list(islice(_cells(book, chosen), 2)) if chosen else []
        total = book[chosen].max_row or 1 if chosen else 0
    if not first:
        raise InvalidFile(f"Die Datei {name} ist leer.", f"The file {name} is empty.")
    width = max(len(row) for row in first)
    columns = checked_columns(name, [*map(as_text, first[0]), *[""] * (width - len(first[0]))])
    if len(first) < 2:
        raise header_only(name)

    def rows() -> Iterator[NumberedRow]:
        with _opened(name, data) as book:
            for number, cells in enumerate(islice(_cells(book, chosen), 1, None), start=1):
                yield number, dict(zip(columns, map(as_text, cells), strict=False))

    return Table("xlsx", columns, rows, max(1, total - 1), sheets=sheets, sheet=chosen)


def as_text(value: Any) -> str:
    """A cell as text: dates as ISO 8601, whole numbers without a decimal part, an escaped formula as it was.

    >>> as_text(datetime.datetime(2024, 3, 1)), as_text(3.0), as_text(None), as_text(True)
    ('2024-03-01', '3', '', '1')
    """
    match value:
        case None:
            return ""
        case bool():
            return str(int(value))
        case datetime.datetime() if value.time() == datetime.time():
            return value.date().isoformat()
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return without_apostrophe(str(value))


@contextmanager
def _opened(name: str, data: bytes) -> Iterator[Any]:
    """The workbook; what is wrong inside it becomes one sentence, whatever openpyxl raises for it."""
    from openpyxl import load_workbook

    try:
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    except _BROKEN as error:
        raise _unreadable(name) from error
    try:
        yield book
    except _BROKEN as error:
        raise _unreadable(name) from error
    finally:
        book.close()


def _cells(book: Any, sheet: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a sheet that are not blank. A sheet that claims a million columns is cut and then refused."""
    page = book[sheet]
    if not hasattr(page, "reset_dimensions"):  # a sheet with nothing but a chart
        return
    page.reset_dimensions()
    empty = 0
    for row in page.iter_rows(values_only=True, max_col=MAX_COLUMNS + 1):
        filled = next((index for index in range(len(row) - 1, -1, -1) if row[index] not in (None, "")), -1)
        empty = 0 if filled >= 0 else empty + 1
        if filled >= 0:
            yield row[: filled + 1]
        elif empty > _MAX_EMPTY:
            return


_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError),  # RuntimeError: encrypted
    *(KeyError, ValueError, TypeError, AttributeError, IndexError, SyntaxError),
)


def _unreadable(name: str) -> InvalidFile:
    return InvalidFile(
        f"Die Excel-Datei {name} ist beschädigt oder unvollständig. Bitte sie in Excel öffnen und als „.xlsx“ neu "
        "speichern.",
        f"The Excel file {name} is damaged or incomplete. Please open it in Excel and save it again as “.xlsx”.",
    )
