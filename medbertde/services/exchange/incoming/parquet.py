"""Parquet files, batch by batch."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pyarrow
import pyarrow.parquet

from medbertde.services.exchange.incoming.table import Limits, NumberedRow, Table, checked_columns, too_large
from medbertde.types import InvalidFile

MAGIC = b"PAR1"
_ROWS_AT_ONCE = 256


def read_parquet(name: str, data: bytes, limits: Limits) -> Table:
    """The table; `InvalidFile` when it is damaged, empty or unpacks to more than is allowed."""
    try:
        with pyarrow.parquet.ParquetFile(io.BytesIO(data)) as file:
            total = file.metadata.num_rows
            groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
            columns = checked_columns(name, list(file.schema_arrow.names))
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(name) from error
    if sum(group.total_byte_size for group in groups) > limits.max_unpacked:
        raise too_large(name, limits.max_unpacked)
    if not total:
        raise InvalidFile(f"Die Datei {name} enthält keine Befunde.", f"The file {name} holds no reports.")

    def rows() -> Iterator[NumberedRow]:
        try:
            with pyarrow.parquet.ParquetFile(io.BytesIO(data)) as file:
                yield from enumerate(_rows(file), start=1)
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _unreadable(name) from error

    return Table("parquet", columns, rows, total)


def _rows(file: pyarrow.parquet.ParquetFile) -> Iterator[dict[str, Any]]:
    for batch in file.iter_batches(_ROWS_AT_ONCE):
        yield from batch.to_pylist()


def _unreadable(name: str) -> InvalidFile:
    return InvalidFile(
        f"Die Datei {name} ist keine lesbare Parquet-Datei. Bitte sie noch einmal erzeugen oder kopieren.",
        f"The file {name} is no readable Parquet file. Please make or copy it again.",
    )
