"""Report files of any size for bulk prediction: `.csv`, `.jsonl`, `.parquet` and `.txt`, row by row.

Owns reading with constant memory; what a text and an id must look like stays with `report_file`. Of a row only these
two count: labels, rationales and other columns are passed over. Nothing here repeats text of a report in a message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from medbertde.report_file import Row, csv_cells, delimiter_of, read_reports, without_apostrophe
from medbertde.text import MAX_CHARS, shown
from medbertde.types import InvalidFile, Notice

ROWS_AT_ONCE = 256
_UNDECODED = re.compile("[\udc80-\udcff]")  # how Python marks bytes that are not UTF-8

RawRow = tuple[int, "Mapping[str, Any] | Notice"]


def count_rows(path: Path) -> int:
    """How many rows there are; `InvalidFile` when the file as a whole cannot be read to its end."""
    count = sum(1 for _ in _raw_rows(path))
    if not count:
        raise InvalidFile(f"Die Datei {path.name} enthält keine Befunde.", f"The file {path.name} holds no reports.")
    return count


def stream_rows(path: Path, max_chars: int = MAX_CHARS) -> Iterator[Row]:
    """The rows in their order, each with its record or what is wrong with it; numbers as in `read_reports`."""
    rows = _raw_rows(path)
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        yield from _checked(batch, max_chars)


def _raw_rows(path: Path) -> Iterator[RawRow]:
    readers: dict[str, Callable[[Path], Iterator[RawRow]]] = {
        ".csv": _csv_rows,
        ".jsonl": _jsonl_rows,
        ".parquet": _parquet_rows,
        ".txt": _txt_rows,
    }
    path.open("rb").close()  # a file that is not there, or a folder, is the operating system's to refuse
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise InvalidFile(
            f"Dateien der Art „{suffix or path.name}“ werden nicht gelesen. Möglich sind {', '.join(readers)}.",
            f"Files of the kind “{suffix or path.name}” are not read. Possible are {', '.join(readers)}.",
        )
    if not path.stat().st_size:
        raise InvalidFile(f"Die Datei {path.name} ist leer.", f"The file {path.name} is empty.")
    return readers[suffix](path)


def _checked(batch: Sequence[RawRow], max_chars: int) -> Iterator[Row]:
    """The rows with their records, checked by `read_reports`."""
    good = [raw for _, raw in batch if not isinstance(raw, Notice)]
    lines = "\n".join(json.dumps({name: raw.get(name) for name in ("text", "id")}, default=str) for raw in good)
    records = read_reports("rows.jsonl", lines.encode(), max_chars=max_chars) if good else iter(())
    for number, raw in batch:
        if isinstance(raw, Notice):
            yield Row(number, fault=raw)
        else:
            row = next(records)
            yield Row(number, row.record, row.fault)


# ------------------------------------------------------------------------------------------------ text files


def _lines(path: Path) -> Iterator[str]:
    """The lines with their ends; `InvalidFile` names the first one that is not UTF-8 or holds a null byte."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        for number, line in enumerate(file, start=1):
            if _UNDECODED.search(line) or "\x00" in line:
                raise InvalidFile(
                    f"Die Datei {path.name} ist keine Textdatei in UTF-8 (Zeile {number} ist nicht lesbar). Bitte sie "
                    "noch einmal speichern und als Kodierung UTF-8 wählen (in Excel: „CSV UTF-8“).",
                    f"The file {path.name} is no text file in UTF-8 (line {number} cannot be read). Please save it "
                    "again with the encoding UTF-8 (in Excel: “CSV UTF-8”).",
                )
            yield line


def _txt_rows(path: Path) -> Iterator[RawRow]:
    yield 1, {"text": "".join(_lines(path))}


def _jsonl_rows(path: Path) -> Iterator[RawRow]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
        except (ValueError, RecursionError):
            raw = None
        yield number, raw if isinstance(raw, dict) else _fault("kein JSON-Objekt", "not a JSON object")


def _csv_rows(path: Path) -> Iterator[RawRow]:
    header = next((line for line in _lines(path) if line.strip()), "")
    cells = csv_cells(_lines(path), delimiter_of(header))
    names = [name.strip() for name in next(cells, [])]
    _require_text(path, names)
    for number, row in enumerate(cells, start=1):
        if any(cell.strip() for cell in row[len(names) :]):
            found = f"{len(row)} / {len(names)}"
            yield (
                number,
                _fault(
                    f"länger als die Kopfzeile ({found} Zellen); ein Text mit Trennzeichen muss in Anführungszeichen "
                    "stehen",
                    f"longer than the header ({found} cells); a text with a separator must stand in quotes",
                ),
            )
        else:
            yield number, {name: without_apostrophe(cell) for name, cell in zip(names, row, strict=False)}


# ------------------------------------------------------------------------------------------------ parquet


def _parquet_rows(path: Path) -> Iterator[RawRow]:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _require_text(path, names)
            wanted = [name for name in ("text", "id") if name in names]
            batches = file.iter_batches(ROWS_AT_ONCE, columns=wanted)
            yield from enumerate((row for batch in batches for row in batch.to_pylist()), start=1)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidFile(
            f"Die Datei {path.name} ist keine lesbare Parquet-Datei. Bitte sie noch einmal erzeugen oder kopieren.",
            f"The file {path.name} is no readable Parquet file. Please make or copy it again.",
        ) from error


def _require_text(path: Path, names: Sequence[str]) -> None:
    if "text" in names:
        return
    kind = path.suffix.removeprefix(".").upper() if path.suffix.lower() == ".csv" else "Parquet"
    found = ", ".join(shown(name) for name in names[:12])
    raise InvalidFile(
        f"Der {kind}-Datei fehlt die Spalte „text“. Gefunden: {found}. Bitte die Spalte mit dem Befundtext „text“ "
        "nennen.",
        f"The {kind} file has no column “text”. Found: {found}. Please name the column with the report “text”.",
    )


def _fault(de: str, en: str) -> Notice:
    return Notice("InvalidFile", f"Die Zeile ist {de}.", f"The row is {en}.")
