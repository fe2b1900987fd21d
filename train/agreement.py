"""How far two readers of the same reports agree, finding by finding.

    python -m train.agreement --language-models --out docs/agreement.md \
        --first data/reports/test_chest_xray.jsonl --second data/reports/second_chest_xray.jsonl --schema chest_xray \
        --first data/reports/test_chest_ct.jsonl --second data/reports/second_chest_ct.jsonl --schema chest_ct

`--first` is a report file, `--second` has `{"id", "labels"}` per line for the same ids. A reading has one of four
values per finding: present, uncertain, absent or not mentioned. Tables are counts `(4, 4)`, the first reader in rows;
the pooled figures carry 95 % bootstrap intervals over reports.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from medbertde.agreement import ac1, kappa, pair_cells, raw, raw_where_mentioned, weighted
from medbertde.bootstrap import Interval, interval, resamples
from medbertde.report_file import read_records
from medbertde.schema import Schema, load_schema, parse_state
from medbertde.text import decode
from medbertde.types import InvalidFile, ReportRecord, State, UserError
from train.evaluate import Floats, Ints
from train.markdown import table
from train.output import make_room

VALUES: tuple[State | None, ...] = (*State, None)
NAMES = ("present", "uncertain", "absent", "not mentioned")
RESAMPLES, SEED = 1_000, 20_260_101
WHO = (
    "Both readers were language models that labelled by the same written guide, the second from the bare text without "
    "seeing the labels of the first. **This is a check for slips, not agreement between radiologists:** no radiologist "
    "has read these reports, and two models with one guide tend to share their errors."
)

Labels = Mapping[str, State]


@dataclass(frozen=True)
class FindingRow:
    """One finding: reports in which each reader mentions it, and how far they agree; None where undefined."""

    label: str
    first: int
    second: int
    agreement: float | None
    kappa: float | None
    ac1: float | None


@dataclass(frozen=True)
class Disagreement:
    """One finding of one report that the readers see differently."""

    report: str
    label: str
    first: State | None
    second: State | None


@dataclass(frozen=True)
class Agreement:
    """All figures of one schema. `confusion` pools the findings, `(4, 4)`, the first reader in rows."""

    schema_id: str
    reports: int
    findings: tuple[FindingRow, ...]
    pooled: Mapping[str, Interval | None]
    confusion: Ints
    disagreements: tuple[Disagreement, ...]


# ---------------------------------------------------------------------------------------------- readings


def read_second(path: Path, schema: Schema) -> dict[str, dict[str, State]]:
    """The labels of a second reader by report id; `InvalidFile` names the first line that is wrong."""
    readings: dict[str, dict[str, State]] = {}
    for number, line in enumerate(decode(path.read_bytes(), path.name).splitlines(), start=1):
        if line.strip():
            report, labels = _reading(path, number, line)
            for label in labels:
                schema.label(label)
            if report in readings:
                raise _wrong(path, number, "die id steht zweimal in der Datei", "the id stands twice in the file")
            readings[report] = {label: parse_state(value) for label, value in labels.items()}
    return readings


def _reading(path: Path, number: int, line: str) -> tuple[str, dict[str, Any]]:
    try:
        raw = json.loads(line)
    except ValueError:
        raw = None
    match raw:
        case {"id": str(report), "labels": dict(labels)}:
            return report, labels
    raise _wrong(path, number, "erwartet wird {„id“, „labels“}", "expected is {“id”, “labels”}")


def _wrong(path: Path, number: int, de: str, en: str) -> InvalidFile:
    return InvalidFile(f"{path.name}, Zeile {number}: {de}.", f"{path.name}, line {number}: {en}.")


def paired(first: Sequence[ReportRecord], second: Mapping[str, Labels], schema: Schema) -> tuple[Ints, Ints]:
    """Both readings as indices into `VALUES`, `(reports, labels)`; `InvalidFile` unless both have the same ids."""
    ids = [record.id or "" for record in first]
    if differing := sorted(set(ids) ^ second.keys()):
        raise InvalidFile(
            f"Die beiden Lesungen haben nicht dieselben Befunde: {len(differing)} stehen nur in einer von ihnen. Bitte "
            "zwei Dateien mit denselben ids angeben.",
            f"The two readings do not have the same reports: {len(differing)} stand in one of them only. Please give "
            "two files with the same ids.",
        )
    return _values([record.labels for record in first], schema), _values([second[key] for key in ids], schema)


def _values(readings: Sequence[Labels], schema: Schema) -> Ints:
    rows = [[VALUES.index(labels.get(label)) for label in schema.label_ids] for labels in readings]
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(schema.label_ids))


# ---------------------------------------------------------------------------------------------- figures


def tables(first: Ints, second: Ints, weights: Floats) -> Floats:
    """The confusion table of all findings per resample, `(samples, 4, 4)`, from weights `(samples, reports)`."""
    return weighted(pair_cells(first, second, len(VALUES)), weights)


FIGURES: dict[str, Callable[[Floats], Floats]] = {
    "agreement": raw,
    "agreement where mentioned": raw_where_mentioned,
    "Cohen κ": kappa,
    "Gwet AC1": ac1,
}


def compare(first: Sequence[ReportRecord], second: Mapping[str, Labels], schema: Schema) -> Agreement:
    """All figures for two readings of the same reports."""
    one, two = paired(first, second, schema)
    resampled = tables(one, two, resamples(len(first), RESAMPLES, SEED))
    pooled = {name: interval(figure(resampled)) for name, figure in FIGURES.items()}
    disagreements = tuple(
        Disagreement(first[row].id or "", schema.label_ids[column], VALUES[one[row, column]], VALUES[two[row, column]])
        for row, column in np.argwhere(one != two)
    )
    rows = tuple(_finding(label, one[:, [column]], two[:, [column]]) for column, label in enumerate(schema.label_ids))
    return Agreement(schema.id, len(first), rows, pooled, resampled[0].astype(np.int64), disagreements)


def _finding(label: str, first: Ints, second: Ints) -> FindingRow:
    """The figures of one finding from its columns `(reports, 1)`."""
    counts = tables(first, second, np.ones((1, len(first))))[0]
    mentions = [int((reading != VALUES.index(None)).sum()) for reading in (first, second)]
    return FindingRow(label, *mentions, *(_defined(figure(counts)) for figure in (raw, kappa, ac1)))


def _defined(value: Floats) -> float | None:
    return None if np.isnan(value) else float(value)


# ---------------------------------------------------------------------------------------------- tables


def markdown(found: Sequence[Agreement], *, command: str, day: str, who: str = "") -> str:
    """The figures of all schemas as a document; `who` says who the readers were."""
    head = [
        "# Agreement of two readers",
        *([who] if who else []),
        f"Made on {day} by:",
        f"```bash\n{command}\n```",
        _legend(),
    ]
    return "\n\n".join([*head, *(section for one in found for section in _sections(one))]) + "\n"


def _legend() -> str:
    return (
        f"Four values per finding: {', '.join(NAMES)}. “Where mentioned” leaves out the readings that neither reader "
        f"mentions. In brackets: 95 % bootstrap intervals over reports ({RESAMPLES:,} resamples, seed {SEED}). “–”: "
        "undefined, all readings have one value."
    )


def _sections(one: Agreement) -> list[str]:
    readings = one.reports * len(one.findings)
    confusion = [[f"**{name}**", *map(str, row)] for name, row in zip(NAMES, one.confusion.tolist(), strict=True)]
    rows = [
        [row.label, str(row.first), str(row.second), _cell(row.agreement), _cell(row.kappa), _cell(row.ac1)]
        for row in one.findings
    ]
    listed = [[row.report, row.label, _name(row.first), _name(row.second)] for row in one.disagreements]
    header = ["finding", "mentioned by the first", "by the second", "agreement", "Cohen κ", "Gwet AC1"]
    return [
        f"## {one.schema_id}",
        f"{one.reports} reports × {len(one.findings)} findings = {readings:,} readings, all findings pooled:",
        table(list(one.pooled), [[_cell(value) for value in one.pooled.values()]]),
        table(header, rows),
        "First reader in rows, second in columns:",
        table(["", *NAMES], confusion),
        f"Disagreements: {len(one.disagreements)}.",
        *([table(["report", "finding", "first", "second"], listed)] if listed else []),
    ]


def _name(state: State | None) -> str:
    return NAMES[VALUES.index(state)]


def _cell(value: Interval | float | None) -> str:
    """Three digits: agreement lies so near to 1 that two would hide the difference.

    >>> _cell(Interval(0.98765, 0.97, 1.0)), _cell(0.5), _cell(None)
    ('0.988 (0.970–1.000)', '0.500', '–')
    """
    if isinstance(value, Interval):
        return f"{value.value:.3f} ({value.low:.3f}–{value.high:.3f})"
    return "–" if value is None else f"{value:.3f}"


# ---------------------------------------------------------------------------------------------- the job


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the readings and write the document, or print it without `--out`."""
    given = list(sys.argv[1:] if argv is None else argv)
    args = _parser().parse_args(given)
    try:
        make_room(args.out)
        found = run(args.first, args.second, args.schema)
    except UserError as error:
        print(error.en, file=sys.stderr)
        return 2
    command = shlex.join(["python", "-m", "train.agreement", *given])
    document = markdown(
        found, command=command, day=datetime.now(UTC).date().isoformat(), who=WHO if args.language_models else ""
    )
    if args.out:
        args.out.write_text(document, encoding="utf-8")
        counted = sum(len(one.disagreements) for one in found)
        print(f"{counted} disagreements in {sum(one.reports for one in found)} reports → {args.out}")
    else:
        print(document)
    return 0


def run(first: Sequence[Path], second: Sequence[Path], schema_ids: Sequence[str]) -> list[Agreement]:
    """Compare each pair of files under its schema."""
    if not len(first) == len(second) == len(schema_ids):
        raise UserError(
            f"Zu jedem Schema gehören eine erste und eine zweite Lesung, angegeben sind {len(schema_ids)} Schemata mit "
            f"{len(first)} und {len(second)}.",
            f"Each schema needs a first and a second reading, given are {len(schema_ids)} schemas with {len(first)} "
            f"and {len(second)}.",
        )
    for path in (*first, *second):
        if not path.is_file():
            raise InvalidFile(f"Die Datei {path} gibt es nicht.", f"There is no file {path}.")
    schemas = [load_schema(schema_id) for schema_id in schema_ids]
    return [
        compare(read_records(one, schema), read_second(two, schema), schema)
        for one, two, schema in zip(first, second, schemas, strict=True)
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train.agreement", description="Compare two readings of reports.")
    several = "; again for a further schema"
    parser.add_argument("--first", type=Path, action="append", required=True, help=f"report file{several}")
    parser.add_argument("--second", type=Path, action="append", required=True, help=f"id and labels{several}")
    parser.add_argument("--schema", action="append", required=True, help=f"schema of the labels{several}")
    parser.add_argument(
        "--language-models", action="store_true", help="say in the document that both readers were language models"
    )
    parser.add_argument("--out", type=Path, help="Markdown file to write; without it the document is printed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
