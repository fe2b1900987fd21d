"""Describe the fictional reports: `python -m data.datasheet`, after `python -m data.build`.

Reads the report files of `data/reports` and writes `data/DATASHEET.md`: the prose of `data/datasheet.template.md` with
its `$names` replaced by tables computed here. The same files always give the same text.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from string import Template

from data.build import FOLDER
from medbertde.report_file import read_records
from medbertde.schema import Schema, load_schema, schema_ids
from medbertde.text import sentences, words
from medbertde.types import ReportRecord, State, UserError

TEMPLATE = Path(__file__).parent / "datasheet.template.md"
TARGET = Path(__file__).parent / "DATASHEET.md"
OTHER_TEXT = "clinical_text"
TOP_STYLES = 25
SIMILAR = 0.5  # a Jaccard above this is reported as a near-duplicate
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
SIGNS = {State.PRESENT: "+", State.UNCERTAIN: "?", State.ABSENT: "−"}

Parts = Mapping[str, Sequence[ReportRecord]]
Grams = frozenset[tuple[str, ...]]


@dataclass(frozen=True)
class Pair:
    """A test report, the training report most like it and their Jaccard index, 0…1."""

    test: str
    training: str
    jaccard: float


@dataclass(frozen=True)
class Likeness:
    """How near a test part comes to the training text: the closest pair of each test report, and the similar pairs."""

    closest: tuple[Pair, ...]
    similar: int
    copied: int  # sentences of the test part that also stand in the training text
    sentences: int


@dataclass(frozen=True)
class Learnt:
    """The training text as test parts are compared with it: its reports with their 3-grams, and all its sentences."""

    reports: Sequence[ReportRecord]
    known: Sequence[Grams]
    holders: Mapping[tuple[str, ...], list[int]]
    sentences: frozenset[str]


def read_parts(folder: Path = FOLDER) -> dict[str, list[ReportRecord]]:
    """The reports of every part in the order of the tables; a file that is not there is an empty part."""
    names = [prefix + schema for prefix in ("", "statements_", "test_", "queue_") for schema in schema_ids()]
    names.insert(len(schema_ids()), OTHER_TEXT)
    paths = {name: folder / f"{name}.jsonl" for name in names}
    return {name: read_records(path) if path.is_file() else [] for name, path in paths.items()}


def sheet(folder: Path = FOLDER) -> str:
    """The whole datasheet."""
    parts = read_parts(folder)
    schemas = [load_schema(schema_id) for schema_id in schema_ids()]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        schemas=", ".join(f"`{schema.id}` ({len(schema.label_ids)} findings)" for schema in schemas),
        sizes=sizes(parts),
        queue_labels=queue_labels(parts),
        second=second_readings(folder),
        labels="\n\n".join(findings(parts, schema) for schema in schemas),
        modalities=modalities(parts),
        sources=sources(parts),
        styles=styles(parts),
        top_styles=top_styles(_training(parts)),
        lengths=lengths(parts),
        evidence=evidence(parts),
        duplicates=duplicates(parts),
        shared_styles=shared_styles(parts),
        families=families(parts),
    )


# ---------------------------------------------------------------------------------------------- tables


def sizes(parts: Parts) -> str:
    """Documents, sentences, words and MB per part, as the model card of medBERT.de has them, and their sum."""
    counted = {name: _size(records) for name, records in parts.items()}
    total = tuple(map(sum, zip(*counted.values(), strict=True)))
    rows = [[f"`{name}`", *_size_cells(size)] for name, size in counted.items()]
    return _table(["part", "documents", "sentences", "words", "size (MB)"], [*rows, ["**all**", *_size_cells(total)]])


def _size(records: Sequence[ReportRecord]) -> tuple[int, ...]:
    texts = [record.text for record in records]
    return (
        len(texts),
        sum(len(sentences(text)) for text in texts),
        _word_count(records),
        sum(len(text.encode()) for text in texts),
    )


def _word_count(records: Sequence[ReportRecord]) -> int:
    return sum(len(record.text.split()) for record in records)


def _size_cells(size: Sequence[int]) -> list[str]:
    return [*(f"{number:,}" for number in size[:3]), f"{size[3] / 1e6:.2f}"]


def findings(parts: Parts, schema: Schema) -> str:
    """Documents per finding and state, in the training reports, the statements and the test reports of a schema."""
    kinds = {"reports": schema.id, "statements": f"statements_{schema.id}", "test": f"test_{schema.id}"}
    header = [f"`{schema.id}`", *(f"{kind} {sign}" for kind in kinds for sign in SIGNS.values())]
    counted = [
        Counter((label, state) for one in parts[name] for label, state in one.labels.items()) for name in kinds.values()
    ]
    rows = [
        [label, *(f"{counter[label, state]:,}" for counter in counted for state in SIGNS)] for label in schema.label_ids
    ]
    return _table(header, rows)


def modalities(parts: Parts) -> str:
    """Documents and words per modality."""
    grouped = _grouped(_all(parts), "modality")
    rows = [[name, f"{len(records):,}", f"{_word_count(records):,}"] for name, records in sorted(grouped.items())]
    return _table(["modality", "documents", "words"], rows)


def sources(parts: Parts) -> str:
    """Documents, words and styles per source file; each was written by one persona or a small group of them."""
    rows = []
    for name, records in parts.items():
        for source, own in sorted(_grouped(records, "source").items(), key=_numbered):
            chosen = {record.meta["style"] for record in own if "style" in record.meta}
            rows.append([f"`{source}`", f"`{name}`", f"{len(own):,}", f"{_word_count(own):,}", str(len(chosen) or "–")])
    return _table(["source", "part", "documents", "words", "styles"], rows)


def _numbered(group: tuple[str, object]) -> tuple[str, int, str]:
    """Sorts `statements_ct_10` behind `statements_ct_9`."""
    stem, _, last = group[0].rpartition("_")
    return stem, int(last) if last.isdecimal() else 0, last


def _grouped(records: Iterable[ReportRecord], by: str) -> dict[str, list[ReportRecord]]:
    """Records by their modality or a field of `meta`."""
    grouped: dict[str, list[ReportRecord]] = defaultdict(list)
    for record in records:
        grouped[(record.modality if by == "modality" else record.meta.get(by)) or "–"].append(record)
    return grouped


def styles(parts: Parts) -> str:
    """How many styles each part with styles has."""
    rows = []
    for name, records in parts.items():
        counted = _styles(records)
        if counted:
            once = sum(number == 1 for number in counted.values())
            rows.append([f"`{name}`", f"{len(records):,}", f"{len(counted):,}", f"{once:,}"])
    return _table(["part", "documents", "distinct styles", "of them used once"], rows)


def top_styles(records: Sequence[ReportRecord]) -> str:
    """The most frequent styles."""
    ranked = sorted(_styles(records).items(), key=lambda item: (-item[1], item[0]))
    return _table(["style", "documents"], [[style, str(number)] for style, number in ranked[:TOP_STYLES]])


def _styles(records: Iterable[ReportRecord]) -> Counter[str]:
    return Counter(record.meta["style"] for record in records if "style" in record.meta)


def lengths(parts: Parts) -> str:
    """Quantiles of the number of words."""
    header = ["part", *("shortest" if at == 0 else "longest" if at == 1 else f"{at:.0%}" for at in QUANTILES)]
    rows = []
    for name, records in parts.items():
        if records:
            counted = [len(record.text.split()) for record in records]
            rows.append([f"`{name}`", *(str(quantile(counted, at)) for at in QUANTILES)])
    return _table(header, rows)


def quantile(values: Sequence[int], at: float) -> int:
    """The value that stands at this share of the sorted values.

    >>> [quantile([5, 1, 3], at) for at in (0.0, 0.5, 1.0)]
    [1, 3, 5]
    """
    return sorted(values)[round(at * (len(values) - 1))]


def evidence(parts: Parts) -> str:
    """The share of documents and of labels that are backed by a span."""
    rows = []
    for name, records in parts.items():
        labels = sum(len(record.labels) for record in records)
        if labels:
            spanned = sum(bool(record.rationales) for record in records)
            backed = sum(len(set(record.labels) & {span.label for span in record.rationales}) for record in records)
            spans = sum(len(record.rationales) for record in records)
            rows.append([f"`{name}`", f"{spanned / len(records):.1%}", f"{backed / labels:.1%}", f"{spans:,}"])
    return _table(["part", "documents with a span", "labels with a span", "spans"], rows)


def duplicates(parts: Parts) -> str:
    """How near each test part comes to the training text."""
    training, banks = _training(parts), [one for name in parts if name.startswith("statements_") for one in parts[name]]
    known, rows = learnt(training, banks), []
    for schema_id in schema_ids():
        tested = parts[f"test_{schema_id}"]
        if tested and training:
            found = likeness(tested, known)
            nearest = max(found.closest, key=lambda pair: pair.jaccard)
            typical = median(pair.jaccard for pair in found.closest)
            rows.append(
                [
                    f"`test_{schema_id}`",
                    f"{nearest.jaccard:.2f} ({nearest.test}, {nearest.training})",
                    f"{typical:.2f}",
                    f"{found.similar} of {len(tested) * len(training):,}",
                    f"{found.copied} of {found.sentences:,} ({found.copied / found.sentences:.0%})",
                ]
            )
    header = ["part", "highest Jaccard", "median of the closest", f"pairs above {SIMILAR}", "sentences in both"]
    return _table(header, rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, columns of numbers to the right."""
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    rule = ["---:" if all(cell[:1].isdigit() or cell == "–" for cell in column) else "---" for column in columns]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in [header, rule, *rows])


# ---------------------------------------------------------------------------------------------- sentences


def queue_labels(parts: Parts) -> str:
    """Whether the queue reports are labelled."""
    queue = [record for name in parts if name.startswith("queue_") for record in parts[name]]
    return f"{sum(bool(record.labels) for record in queue)} of {len(queue)} have labels"


def second_readings(folder: Path) -> str:
    """How many reports the second reader labelled, per file."""
    found = []
    for path in sorted(folder.glob("second_*.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        found.append(f"`{path.stem}`: {len(rows)} reports, {sum(len(row['labels']) for row in rows):,} labels")
    return "; ".join(found) or "none yet"


def shared_styles(parts: Parts) -> str:
    """How many styles of the test reports also name training reports."""
    known = set(_styles(_training(parts)))
    tested = _styles(record for schema_id in schema_ids() for record in parts[f"test_{schema_id}"])
    shared = sorted(set(tested) & known)
    named = f" ({', '.join(shared)})" if shared else ""
    return f"Of the {len(tested)} style names of the test reports, {len(shared)} also occur in training{named}."


def families(parts: Parts) -> str:
    """How many reports belong to a family."""
    return f"Reports of this data set that name a family: {sum('family' in record.meta for record in _all(parts))}."


def _all(parts: Parts) -> list[ReportRecord]:
    return [record for records in parts.values() for record in records]


def _training(parts: Parts) -> list[ReportRecord]:
    """The reports and other texts that models learn from, without the statements."""
    return [record for name in (*schema_ids(), OTHER_TEXT) for record in parts[name]]


# ---------------------------------------------------------------------------------------------- likeness


def learnt(training: Sequence[ReportRecord], banks: Sequence[ReportRecord] = ()) -> Learnt:
    """The training reports ready to be compared with; `banks` add their sentences."""
    known = [grams(record.text) for record in training]
    every = frozenset(sentence for record in [*training, *banks] for sentence in _sentences(record.text))
    return Learnt(training, known, _holders(known), every)


def likeness(tested: Sequence[ReportRecord], training: Learnt) -> Likeness:
    """Compare every test report with every training report, and the test sentences with those of the banks too."""
    closest, similar = [], 0
    for record in tested:
        ranked = jaccards(grams(record.text), training.known, training.holders)
        best = max(ranked, key=ranked.__getitem__, default=0)  # shares no 3-gram with any: any is as near
        closest.append(Pair(record.id or "", training.reports[best].id or "", ranked.get(best, 0.0)))
        similar += sum(value > SIMILAR for value in ranked.values())
    asked = [sentence for record in tested for sentence in _sentences(record.text)]
    return Likeness(tuple(closest), similar, sum(sentence in training.sentences for sentence in asked), len(asked))


def grams(text: str, size: int = 3) -> Grams:
    """The token 3-grams of a text in lower case.

    >>> sorted(grams("Kein Erguss. Kein Pneu."))[:2]
    [('.', 'kein', 'pneu'), ('erguss', '.', 'kein')]
    """
    tokens = [text[start:end].lower() for start, end in words(text)]
    return frozenset(zip(*(tokens[shift:] for shift in range(size)), strict=False))


def _holders(known: Sequence[Grams]) -> dict[tuple[str, ...], list[int]]:
    """For each 3-gram the indices of the texts that hold it."""
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, held in enumerate(known):
        for gram in held:
            holders[gram].append(index)
    return holders


def jaccards(own: Grams, known: Sequence[Grams], holders: Mapping[tuple[str, ...], list[int]]) -> dict[int, float]:
    """The Jaccard index with every known text that shares a 3-gram, by its index."""
    shared = Counter(index for gram in own for index in holders.get(gram, ()))
    return {index: shared[index] / (len(own) + len(known[index]) - shared[index]) for index in sorted(shared)}


def _sentences(text: str) -> list[str]:
    return [" ".join(text[start:end].split()) for start, end in sentences(text)]


def main() -> None:
    """Command line."""
    try:
        TARGET.write_text(sheet(), encoding="utf-8")
    except UserError as error:
        sys.exit(error.en)
    print(f"→ {TARGET.relative_to(Path.cwd()) if TARGET.is_relative_to(Path.cwd()) else TARGET}")


if __name__ == "__main__":
    main()
