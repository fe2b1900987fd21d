"""JSON: an object per line (`.jsonl`) or a list of objects (`.json`), also as Label Studio and doccano write them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from medbertde.report_file import json_object, text_lines
from medbertde.services.exchange.incoming.doccano import from_doccano, is_doccano
from medbertde.services.exchange.incoming.label_studio import read_label_studio
from medbertde.services.exchange.incoming.table import SCANNED_ROWS, NumberedRow, Table, fault
from medbertde.types import InvalidFile, Notice

NOT_AN_OBJECT = fault("Die Zeile ist kein JSON-Objekt.", "The row is not a JSON object.")


def read_json_lines(text: str) -> Table:
    """One report per line; row numbers are lines of the file, blank ones are passed over."""
    first = [raw for _, raw in islice(_lines(text), SCANNED_ROWS) if isinstance(raw, dict)]
    doccano = any(map(is_doccano, first))

    def rows() -> Iterator[NumberedRow]:
        for number, raw in _lines(text):
            yield number, from_doccano(raw) if doccano and isinstance(raw, dict) else raw

    columns = columns_of(map(from_doccano, first) if doccano else first)
    return Table("doccano" if doccano else "jsonl", columns, rows, text.count("\n") + 1)


def read_json_list(name: str, text: str) -> Table:
    """A list of objects, or a single object; row numbers count its items."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise InvalidFile(
            f"Die Datei {name} ist kein vollständiges JSON (Zeile {line}). Bitte sie noch einmal exportieren oder "
            "kopieren.",
            f"The file {name} is no complete JSON (line {line}). Please export or copy it again.",
        ) from None
    items = found if isinstance(found, list) else [found]
    if not items:
        raise InvalidFile(f"Die Datei {name} enthält keine Befunde.", f"The file {name} holds no reports.")
    return read_label_studio(items) or _plain(items)


def _plain(items: list[Any]) -> Table:
    objects = [item for item in items[:SCANNED_ROWS] if isinstance(item, dict)]
    doccano = any(map(is_doccano, objects))

    def rows() -> Iterator[NumberedRow]:
        for number, item in enumerate(items, start=1):
            if not isinstance(item, dict):
                yield number, NOT_AN_OBJECT
            else:
                yield number, from_doccano(item) if doccano else item

    columns = columns_of(map(from_doccano, objects) if doccano else objects)
    return Table("doccano" if doccano else "json", columns, rows, len(items))


def columns_of(rows: Iterable[Mapping[str, Any] | Notice]) -> tuple[str, ...]:
    """The names that occur in the rows, in the order of their first occurrence."""
    return tuple(dict.fromkeys(name for row in rows if not isinstance(row, Notice) for name in row))


def _lines(text: str) -> Iterator[NumberedRow]:
    for number, line in enumerate(text_lines(text), start=1):
        if line.strip():
            raw = json_object(line)
            yield number, NOT_AN_OBJECT if raw is None else raw
