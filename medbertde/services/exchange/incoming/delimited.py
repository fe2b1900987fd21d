"""Tables in text files (`.csv`, `.tsv`), whatever separates their columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain, islice

from medbertde.report_file import csv_cells, text_lines, without_apostrophe
from medbertde.services.exchange.incoming.table import NumberedRow, Table, checked_columns, fault, header_only
from medbertde.types import Notice

_SEPARATORS = ",;\t|^~"
_ONE_COLUMN = "\x1f"  # of a single column: nothing that occurs in a text
_SAMPLE_ROWS = 20


def read_delimited(name: str, text: str) -> Table:
    """The table; the first row names the columns. Row numbers count the reports, without the header."""
    separator = find_separator(text)
    cells = csv_cells(text_lines(text), separator)
    columns = checked_columns(name, [without_apostrophe(cell) for cell in next(cells)])
    if next(cells, None) is None:
        raise header_only(name)

    def rows() -> Iterator[NumberedRow]:
        again = csv_cells(text_lines(text), separator)
        next(again)
        return ((number, _row(columns, row)) for number, row in enumerate(again, start=1))

    return Table("csv", columns, rows, max(1, text.count("\n")), _told(separator))


def find_separator(text: str) -> str:
    r"""What separates the columns: the sign that splits most of the first rows into as many cells as the header.

    >>> find_separator("id;text\nr1;Kein Erguss, kein Pneu"), find_separator("text\nKein Erguss, kein Pneu")
    (';', '\x1f')
    """
    header = next(text_lines(text.lstrip()))
    found = [(*_fit(text, sign), -position, sign) for position, sign in enumerate(_SEPARATORS) if sign in header]
    return max(found)[-1] if found else _ONE_COLUMN


def _fit(text: str, separator: str) -> tuple[float, int]:
    """The share of the first rows that are as wide as the header, and the header's width."""
    reader = csv.reader(text_lines(text), delimiter=separator)
    try:
        rows = list(islice(filter(None, reader), _SAMPLE_ROWS))
    except csv.Error:  # a cell that is too long: seen again, with its line, when the rows are read
        return 0.0, 0
    width = len(rows[0])
    return sum(len(row) == width for row in rows) / len(rows), width


def _row(columns: tuple[str, ...], cells: list[str]) -> dict[str, str] | Notice:
    if any(cell.strip() for cell in chain(cells[len(columns) :])):
        return fault(
            f"Die Zeile ist länger als die Kopfzeile ({len(cells)} statt {len(columns)} Zellen); ein Text mit "
            "Trennzeichen muss in Anführungszeichen stehen.",
            f"The row is longer than the header ({len(cells)} instead of {len(columns)} cells); a text with a "
            "separator must stand in quotes.",
        )
    return {column: without_apostrophe(cell) for column, cell in zip(columns, cells, strict=False)}


def _told(separator: str) -> tuple[Notice, ...]:
    """The separator, where there is one to be right or wrong about."""
    if separator == _ONE_COLUMN:
        return ()
    de, en = ("Tabulator", "tab") if separator == "\t" else (f"„{separator}“", f"“{separator}”")
    return (Notice("separator", f"Trennzeichen: {de}.", f"Separator: {en}."),)
