"""What a model says about many reports, as lines and tables: JSON lines, CSV and Parquet.

Owns the columns. Probabilities have six decimals; an empty state: not mentioned; an empty probability: the model does
not tell this state. Spans stand in one column, in tables as JSON. Report texts are not repeated; every answer carries
the research note.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import count, islice
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from medbertde.report_file import Row, csv_line
from medbertde.services.exchange import RESEARCH_ONLY
from medbertde.types import InvalidFile, Marking, Prediction

SCORES = ("state", "present", "uncertain", "absent")
SUFFIXES = (".csv", ".jsonl", ".parquet")
_ROWS_PER_GROUP = 4096

Answer = Mapping[str, Any]  # one line of the JSON form
Labels = tuple[str, ...] | None  # the findings that have columns; None: there are spans


def answer(row: Row, prediction: Prediction, thresholds: Mapping[str, float]) -> Answer:
    """What the model says about one row."""
    findings = {
        label: {
            "state": score.state(thresholds[label]),
            **{name: _rounded(getattr(score, name)) for name in SCORES[1:]},
        }
        for label, score in prediction.scores.items()
    }
    return _line(row, prediction, findings=findings)


def marked(row: Row, marking: Marking) -> Answer:
    """What a model marks in one row; places are code points of the NFC text."""
    spans = [
        {"label": span.label, "start": span.start, "end": span.end, "confidence": round(span.confidence, 6)}
        for span in marking.spans
    ]
    return _line(row, marking, spans=spans)


def _line(row: Row, said: Prediction | Marking, **content: Any) -> Answer:
    return {
        "row": row.number,
        "id": row.record.id if row.record else None,
        **content,
        "model_version": said.model_version,
        "warnings": [notice.code for notice in said.warnings],
        "use": RESEARCH_ONLY,
    }


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, 6)


def require_suffix(path: Path) -> None:
    """Refuse an output of a kind that is not written."""
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidFile(
            f"Die Ausgabe muss auf {', '.join(SUFFIXES)} enden, gefunden: {path.name}.",
            f"The output must end in {', '.join(SUFFIXES)}, found: {path.name}.",
        )


def write_answers(path: Path, answers: Iterable[Answer], labels: Labels, *, suffix: str) -> int:
    """Write a file of the kind `suffix`, reading `answers` on the way; how many there were."""
    tally = count()
    counted = (each for each, _ in zip(answers, tally, strict=False))
    if suffix == ".parquet":
        _write_parquet(path, counted, labels)
    else:
        _write_lines(path, csv_lines(counted, labels) if suffix == ".csv" else map(json_line, counted), suffix)
    return next(tally)


def _write_lines(path: Path, lines: Iterable[str], suffix: str) -> None:
    # Without a byte-order mark Excel misreads the umlauts of a table.
    with path.open("w", encoding="utf-8-sig" if suffix == ".csv" else "utf-8", newline="") as file:
        file.writelines(lines)


def json_line(answer: Answer) -> str:
    """One answer as a line."""
    return json.dumps(answer, ensure_ascii=False) + "\n"


def csv_lines(answers: Iterable[Answer], labels: Labels) -> Iterator[str]:
    """A table with the columns `<label>:state`, `<label>:present`, … per finding; no cell runs as a formula."""
    yield csv_line(_columns(labels))
    for each in answers:
        yield csv_line("" if cell is None else str(cell) for cell in _cells(each))


def _columns(labels: Labels) -> list[str]:
    said = ["spans"] if labels is None else [f"{label}:{score}" for label in labels for score in SCORES]
    return ["row", "id", *said, "model_version", "warnings", "use"]


def _cells(answer: Answer) -> list[Any]:
    if "spans" in answer:
        said = [json.dumps(answer["spans"], ensure_ascii=False)]
    else:
        said = [finding[score] for finding in answer["findings"].values() for score in SCORES]
    return [answer["row"], answer["id"], *said, answer["model_version"], " ".join(answer["warnings"]), answer["use"]]


def _write_parquet(path: Path, answers: Iterable[Answer], labels: Labels) -> None:
    kinds = {"row": pyarrow.int64()} | dict.fromkeys(
        (f"{label}:{score}" for label in labels or () for score in SCORES[1:]), pyarrow.float64()
    )
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in _columns(labels)])
    rest = iter(answers)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while group := [_cells(each) for each in islice(rest, _ROWS_PER_GROUP)]:
            columns = zip(*group, strict=True)
            arrays = [pyarrow.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
