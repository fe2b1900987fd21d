"""What a file would bring, before anything is stored: columns, names and values with their meaning, the first rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from textwrap import shorten
from typing import Any

from medbertde.report_file import LABEL_COLUMN, Row
from medbertde.schema import Schema
from medbertde.services.exchange.incoming.plan import (
    FINDINGS,
    RATIONALES,
    TEXT,
    Choices,
    Plan,
    make_plan,
    read_findings,
)
from medbertde.services.exchange.incoming.reports import read_row
from medbertde.services.exchange.incoming.table import SCANNED_ROWS, Limits, Table
from medbertde.services.exchange.incoming.value_words import word_of
from medbertde.types import Notice

SHOWN_ROWS = 8
SHOWN_NAMES = 200
_SAMPLES = 3
_SAMPLE_CHARS = 60
_MARKUP = re.compile(r"<(?:/?[a-zA-Z][^<>]*|!--)>")


@dataclass(frozen=True)
class Column:
    """A column, a few of its values, and its role in the import."""

    name: str
    samples: tuple[str, ...]
    role: str


@dataclass(frozen=True)
class Found:
    """A finding's name or a value as it stands in the file, how often, and what it is read as."""

    name: str
    count: int
    meaning: str


@dataclass(frozen=True)
class Preview:
    """The answer to “what would this file bring?”. Counts and names come from the first rows only."""

    table: Table
    columns: tuple[Column, ...]
    names: tuple[Found, ...]
    values: tuple[Found, ...]
    rows: tuple[Row, ...]
    scanned: int
    faulty: int
    first_fault: Notice | None
    notices: tuple[Notice, ...]


def preview(table: Table, schema: Schema, choices: Choices, limits: Limits) -> Preview:
    """Look at the first rows of a table by the guess and the user's choices."""
    first = list(islice(table.rows(), SCANNED_ROWS))
    good = [raw for _, raw in first if not isinstance(raw, Notice)]
    plan = make_plan(table.columns, good, schema, choices)
    rows = [read_row(numbered, plan, schema, limits) for numbered in first]
    faults = [row.fault for row in rows if row.fault is not None]
    return Preview(
        table,
        tuple(Column(name, _samples(good, name), plan.columns[name]) for name in table.columns),
        _names(good, plan),
        _values(good, plan),
        tuple(rows[:SHOWN_ROWS]),
        len(first),
        len(faults),
        faults[0] if faults else None,
        (*table.notices, *_markup_notice(good, plan)),
    )


def _samples(rows: Sequence[Mapping[str, Any]], column: str) -> tuple[str, ...]:
    given = (str(row[column]) for row in rows[:200] if row.get(column) not in (None, "", [], {}))
    short = dict.fromkeys(shorten(text[:1000], _SAMPLE_CHARS, placeholder=" …") for text in given)
    return tuple(islice(short, _SAMPLES))


def _names(rows: Sequence[Mapping[str, Any]], plan: Plan) -> tuple[Found, ...]:
    """The names that columns of findings and spans bring, each with the finding it is read as."""
    counted: Counter[str] = Counter()
    for column, role in plan.columns.items():
        if role in (FINDINGS, RATIONALES):
            counted.update(name for row in rows for name in _names_in(row.get(column)))
    return tuple(Found(name, count, plan.finding(name)) for name, count in counted.most_common(SHOWN_NAMES))


def _names_in(value: Any) -> list[str]:
    if isinstance(value, str):
        value = read_findings(value)
    if isinstance(value, list):
        names = [item.get("label", "") if isinstance(item, dict) else item for item in value]
        return [str(name) for name in names if str(name)]
    return list(map(str, value)) if isinstance(value, dict) else []


def _values(rows: Sequence[Mapping[str, Any]], plan: Plan) -> tuple[Found, ...]:
    """The values in the columns of findings, each with the state it is read as."""
    counted: Counter[str] = Counter()
    for column, role in plan.columns.items():
        if role.startswith(LABEL_COLUMN):
            counted.update(word_of(row.get(column)) for row in rows)
        elif role == FINDINGS:
            nested = (read_findings(value) if isinstance(value := row.get(column), str) else value for row in rows)
            counted.update(word_of(state) for one in nested if isinstance(one, dict) for state in one.values())
    return tuple(Found(word, count, plan.state(word)) for word, count in counted.most_common(SHOWN_NAMES))


def _markup_notice(rows: Sequence[Mapping[str, Any]], plan: Plan) -> tuple[Notice, ...]:
    columns = [column for column, role in plan.columns.items() if role == TEXT]
    count = sum(any(_MARKUP.search(str(row.get(column, ""))) for column in columns) for row in rows)
    if not count:
        return ()
    return (
        Notice(
            "markup",
            f"{count} Texte enthalten HTML-Auszeichnungen. Sie werden unverändert als Text übernommen.",
            f"{count} texts contain HTML markup. They are stored unchanged, as text.",
        ),
    )
