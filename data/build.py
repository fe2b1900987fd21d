"""Turn the annotated report sources into report files: `python -m data.build`.

Reads `data/reports/source/*.txt` (format: `data/reports/README.md`), checks every mark against the schemas and writes
`data/reports/<name>.jsonl`: `chest_xray`, `chest_ct` and `clinical_text` for training, `test_…` for measuring and
`queue_…` for trying the annotation tab, each from the sources named so. `statements_…` come from banks of single marked
sentences. With `--check FILE` it only checks one source and prints its counts.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from medbertde.report_file import to_json
from medbertde.schema import Schema, load_schema
from medbertde.text import clean, content_hash, sentences
from medbertde.types import STRENGTH, Rationale, ReportRecord, State, UserError

FOLDER = Path(__file__).parent / "reports"
SCHEMA_OF = {"xray": "chest_xray", "ct": "chest_ct", "text": None}
_MARKS = re.compile(r"\{([^{}]*)\}")
_MARK = re.compile(r"(!?)([A-Za-z][A-Za-z0-9_]*)([-+?])")
_STATE = {"+": State.PRESENT, "?": State.UNCERTAIN, "-": State.ABSENT}


class SourceError(ValueError):
    """A fault in a source file, with the file and its line."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(f"{path.name}, line {line}: {reason}")


def parse_report(modality: str, marked: str) -> tuple[str, dict[str, State], tuple[Rationale, ...]]:
    """Text, label states and evidence spans of one marked report.

    >>> text, labels, spans = parse_report("xray", "Tubus regelrecht.{Tubus+} Kein Pneu.{Pneumothorax-}")
    >>> text, {name: state.value for name, state in labels.items()}
    ('Tubus regelrecht. Kein Pneu.', {'Pneumothorax': 'absent', 'Tubus': 'present'})
    >>> [(span.label, text[span.start : span.end]) for span in spans]
    [('Tubus', 'Tubus regelrecht.'), ('Pneumothorax', 'Kein Pneu.')]
    """
    schema = load_schema(SCHEMA_OF[modality] or "") if SCHEMA_OF[modality] else None
    text, marks, after = "", [], 0
    for match in _MARKS.finditer(marked):
        text += marked[after : match.start()]
        marks.append((len(text), match.group(1)))
        after = match.end()
    text += marked[after:]
    if clean(text) != text:
        raise ValueError("the text is not clean NFC without outer or invisible characters")
    if "{" in text or "}" in text:
        raise ValueError("a curly brace without its partner")
    return text, *_read_marks(text, marks, schema)


def _read_marks(
    text: str, marks: list[tuple[int, str]], schema: Schema | None
) -> tuple[dict[str, State], tuple[Rationale, ...]]:
    starts = [start for start, _ in sentences(text)]
    strongest: dict[str, State] = {}
    forced: dict[str, State] = {}
    spans, previous = [], 0
    for end, body in marks:
        start = max([previous, *(start for start in starts if start < end)])
        start += len(text[start:end]) - len(text[start:end].lstrip(" ,;–-\n"))
        if start >= end:
            raise ValueError(f"the mark {{{body}}} has no text before it")
        for label, state, force in _marks(body, schema):
            spans.append(Rationale(label, start, end, state))
            if force:
                forced[label] = state
            strongest[label] = max(strongest.get(label, state), state, key=STRENGTH.__getitem__)
        previous = end
    order = schema.label_ids if schema else ()
    labels = strongest | forced
    return {label: labels[label] for label in order if label in labels}, tuple(spans)


def _marks(body: str, schema: Schema | None) -> Iterator[tuple[str, State, bool]]:
    for token in body.replace(",", " ").split():
        match = _MARK.fullmatch(token)
        if not match or schema is None:
            raise ValueError(f"the mark {token!r} is not LABEL+, LABEL? or LABEL-, or this text takes no labels")
        if match.group(2) not in schema.label_ids:
            raise ValueError(f"{match.group(2)!r} is no label of {schema.id}")
        yield match.group(2), _STATE[match.group(3)], bool(match.group(1))


def read_source(path: Path) -> Iterator[ReportRecord]:
    """The reports or statements of one source file; `SourceError` names the line where the wrong one begins."""
    return _read_statements(path) if path.stem.startswith("statements_") else _read_reports(path)


def _read_statements(path: Path) -> Iterator[ReportRecord]:
    """One marked sentence per line; the modality stands in the file's name (`statements_ct_1.txt`)."""
    modality = path.stem.split("_")[1]
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            text, labels, spans = parse_report(modality, line.strip())
        except (ValueError, UserError) as error:
            raise SourceError(path, number, str(error)) from error
        yield ReportRecord(text, f"{path.stem}-{number:04d}", modality, labels, spans, {"source": path.stem})


def _read_reports(path: Path) -> Iterator[ReportRecord]:
    lines = path.read_text(encoding="utf-8").split("\n")
    heads = [number for number, line in enumerate(lines) if line.startswith("###")]
    if not heads:
        raise SourceError(path, 1, "no line '### modality | style | setting'")
    for index, (head, following) in enumerate(zip(heads, [*heads[1:], len(lines)], strict=True), start=1):
        parts = [part.strip() for part in lines[head].removeprefix("###").split("|")]
        if len(parts) != 3 or parts[0] not in SCHEMA_OF:
            raise SourceError(path, head + 1, "expected '### xray|ct|text | style | setting'")
        body = "\n".join(line.rstrip() for line in lines[head + 1 : following]).strip()
        try:
            text, labels, spans = parse_report(parts[0], body)
        except (ValueError, UserError) as error:
            raise SourceError(path, head + 1, str(error)) from error
        meta = {"style": parts[1], "setting": parts[2], "source": path.stem}
        yield ReportRecord(text, f"{path.stem}-{index:03d}", parts[0], labels, spans, meta)


def counts(reports: list[ReportRecord]) -> str:
    """A table of label × state."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for report in reports:
        for label, state in report.labels.items():
            table[label][state.value] += 1
    rows = [f"{label:24}" + "".join(f"{table[label][state.value]:6}" for state in State) for label in sorted(table)]
    return "\n".join([f"{'label':24}{'+':>6}{'?':>6}{'-':>6}", *rows])


def build(folder: Path = FOLDER) -> dict[str, list[ReportRecord]]:
    """All reports by the file they go to; `ValueError` for a fault in a source or a text that stands twice."""
    files: dict[str, list[ReportRecord]] = defaultdict(list)
    seen: dict[tuple[str, str], str | None] = {}
    for path in sorted((folder / "source").glob("*.txt")):
        for report in read_source(path):
            name = SCHEMA_OF[report.modality or ""] or "clinical_text"
            key = (name, content_hash(report.text))
            if key in seen:
                raise ValueError(f"{report.id} is a copy of {seen[key]}")
            seen[key] = report.id
            files[_prefix(path) + name].append(report)
    return dict(files)


def _prefix(path: Path) -> str:
    """What a source is for: "test_", "queue_", "statements_" or nothing (training reports)."""
    return next((prefix for prefix in ("test_", "queue_", "statements_") if path.stem.startswith(prefix)), "")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", type=Path, help="check this source only and print its counts")
    args = parser.parse_args()
    try:
        if args.check:
            reports = list(read_source(args.check))
            print(f"{_size(reports)}\n{counts(reports)}")
            return
        files = build()
    except ValueError as error:
        sys.exit(str(error))
    for name, reports in files.items():
        path = FOLDER / f"{name}.jsonl"
        path.write_text(file_text(reports), encoding="utf-8")
        print(f"{path.name}: {_size(reports)}")


def file_text(reports: list[ReportRecord]) -> str:
    """A report file's content."""
    return "".join(f"{to_json(report)}\n" for report in reports)


def _size(reports: list[ReportRecord]) -> str:
    return f"{len(reports)} reports, {sum(len(report.text.split()) for report in reports)} words"


if __name__ == "__main__":
    main()
