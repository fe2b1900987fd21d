"""Parquet: one row per report, spans as lists, written group by group."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import BinaryIO

import pyarrow
import pyarrow.parquet

from medbertde.schema import Schema
from medbertde.services.exchange.outgoing.rows import cells_of, columns_of
from medbertde.store.exports import ExportedReport
from medbertde.terms import RESEARCH_ONLY

_ROWS_PER_GROUP = 2_000
_WORD, _PLACE = pyarrow.string(), pyarrow.int32()
_SPANS = pyarrow.list_(pyarrow.struct([("label", _WORD), ("start", _PLACE), ("end", _PLACE), ("source", _WORD)]))


def write_parquet(reports: Iterable[ExportedReport], schema: Schema, out: BinaryIO) -> None:
    """Write all reports; the file's metadata repeats that it is for research only."""
    fields = [(name, _SPANS if name == "rationales" else pyarrow.string()) for name in columns_of(schema)]
    shape = pyarrow.schema(fields, metadata={"use": RESEARCH_ONLY, "schema": schema.id})
    with pyarrow.parquet.ParquetWriter(out, shape, compression="zstd") as writer:
        rest = iter(reports)
        while group := list(islice(rest, _ROWS_PER_GROUP)):
            writer.write_table(pyarrow.Table.from_pylist([cells_of(report, schema) for report in group], shape))
