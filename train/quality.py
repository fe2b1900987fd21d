"""The quality table of a schema: the embedded model beside the rule and TF-IDF baselines, on reports never trained on.

    python -m train.quality --schema chest_xray --test data/reports/test_chest_xray.jsonl \
        --train data/reports/chest_xray.jsonl --out docs/quality-chest_xray.md

Every figure carries a 95 % bootstrap interval over reports. "Present" counts uncertain and absent as not present. Macro
figures average over the findings that have at least one positive; negation and uncertainty F1 pool all findings. The
model's states come from its own thresholds, TF-IDF learns from `--train` without any report of the test file.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import medbertde
from medbertde.schema import Schema, load_schema
from medbertde.text import content_hash
from medbertde.types import InvalidFile, InvalidSchema, ReportRecord, State, UserError
from train import rules, tfidf
from train.evaluate import Floats, Ints
from train.intervals import (
    Interval,
    auroc,
    calibration_error,
    count,
    interval,
    mean_defined,
    resamples,
)
from train.markdown import table
from train.output import make_room

RESAMPLES, SEED = 1_000, 20_260_101
FEWEST_OF_A_KIND = 3
CODES = {None: 0, State.PRESENT: 1, State.UNCERTAIN: 2, State.ABSENT: 3}
COLUMNS = {
    "auroc_macro": "macro AUROC",
    "f1_macro": "macro F1",
    "f1_micro": "micro F1",
    "precision_macro": "precision",
    "recall_macro": "recall",
    "f1_negation": "negation F1",
    "f1_uncertainty": "uncertainty F1",
    "ece": "ECE",
}
GROUP_COLUMNS = ("f1_macro", "f1_micro", "f1_negation", "f1_uncertainty")

Figures = dict[str, Interval | None]


@dataclass(frozen=True)
class Answers:
    """What a method says: states as codes and, where it scores, probabilities of "present"; `(reports, labels)`."""

    method: str
    states: Ints
    present: Floats | None = None


@dataclass(frozen=True)
class FindingRow:
    """How well one finding is told: reports that have it, AUROC (None without both kinds or without scores), F1."""

    label: str
    positives: int
    auroc: float | None
    f1: float


@dataclass(frozen=True)
class GroupRow:
    """How well a kind of reports is read; None where it has no such finding and none was told."""

    kind: str
    name: str
    reports: int
    f1_macro: float | None
    f1_micro: float | None
    f1_negation: float | None
    f1_uncertainty: float | None


@dataclass(frozen=True)
class Quality:
    """All tables of a measurement. The tables by finding and by kind of report are about the first method."""

    schema_id: str
    reports: int
    methods: Mapping[str, Figures]
    findings: tuple[FindingRow, ...]
    groups: tuple[GroupRow, ...]


# ---------------------------------------------------------------------------------------------- answers


def codes(states: Iterable[Mapping[str, State]], labels: Sequence[str]) -> Ints:
    """States as codes `(reports, labels)`: 0 not mentioned, 1 present, 2 uncertain, 3 absent."""
    rows = [[CODES[report.get(label)] for label in labels] for report in states]
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(labels))


def ask_model(name: str, texts: Sequence[str], schema: Schema) -> Answers:
    """The answers of a classifier (catalogue id or folder); `InvalidSchema` when it reads for another schema."""
    model = medbertde.load(name, device="cpu")
    predictions = model.classify(texts)
    if missing := [label for label in schema.label_ids if label not in model.thresholds]:
        raise InvalidSchema(
            f"Das Modell {name} kennt {len(missing)} Befunde des Schemas {schema.id} nicht ({missing[0]} …). Bitte "
            "Modell und Schema passend wählen.",
            f"The model {name} does not know {len(missing)} findings of the schema {schema.id} ({missing[0]} …). "
            "Please choose a model and a schema that fit together.",
        )
    found = [
        {
            label: state
            for label, score in prediction.scores.items()
            if (state := score.state(model.thresholds[label])) is not None
        }
        for prediction in predictions
    ]
    present = [[prediction.scores[label].present for label in schema.label_ids] for prediction in predictions]
    return Answers(model.version, codes(found, schema.label_ids), np.array(present))


def ask_rules(texts: Sequence[str], schema: Schema) -> Answers:
    """The answers of `train.rules`, which gives no scores."""
    return Answers("rules", codes((rules.label(text, schema.id) for text in texts), schema.label_ids))


def ask_tfidf(learnt: Sequence[ReportRecord], texts: Sequence[str], schema: Schema) -> Answers:
    """The answers of TF-IDF with logistic regression, fitted on `learnt`."""
    model = tfidf.fit(learnt, schema)
    probabilities = model.probabilities(texts)
    return Answers(
        "TF-IDF + logistic regression", codes(model.states(probabilities), schema.label_ids), probabilities[:, 0]
    )


def without_test(learnt: Sequence[ReportRecord], test: Sequence[ReportRecord]) -> list[ReportRecord]:
    """The training reports that are neither a test report nor of the family of one."""
    texts = {content_hash(record.text) for record in test}
    families = {record.meta["family"] for record in test if "family" in record.meta}
    return [
        record
        for record in learnt
        if content_hash(record.text) not in texts and record.meta.get("family") not in families
    ]


# ---------------------------------------------------------------------------------------------- figures


def measure_all(test: Sequence[ReportRecord], answers: Sequence[Answers], schema: Schema) -> Quality:
    """All figures of all methods; the first one also by finding and by kind of report."""
    gold = codes((record.labels for record in test), schema.label_ids)
    weights = resamples(len(test), RESAMPLES, SEED)
    first = answers[0]
    return Quality(
        schema_id=schema.id,
        reports=len(test),
        methods={answer.method: figures(gold, answer, weights) for answer in answers},
        findings=by_finding(gold, first, schema.label_ids),
        groups=tuple(row for kind in KINDS for row in by_group(test, gold, first, kind)),
    )


def figures(gold: Ints, answer: Answers, weights: Floats) -> Figures:
    """The figures of one method with their intervals, None where a figure does not apply."""
    present = count(weights, gold == 1, answer.states == 1)
    found: Figures = {
        "auroc_macro": None,
        "f1_macro": interval(present.macro(present.f1())),
        "f1_micro": interval(present.micro_f1()),
        "precision_macro": interval(present.macro(present.precision())),
        "recall_macro": interval(present.macro(present.recall())),
        "f1_negation": interval(count(weights, gold == 3, answer.states == 3).micro_f1()),
        "f1_uncertainty": interval(count(weights, gold == 2, answer.states == 2).micro_f1()),
        "ece": None,
    }
    if answer.present is not None:
        found["auroc_macro"] = interval(mean_defined(auroc(weights, gold == 1, answer.present)))
        found["ece"] = interval(calibration_error(weights, gold == 1, answer.present))
    return found


def by_finding(gold: Ints, answer: Answers, labels: Sequence[str]) -> tuple[FindingRow, ...]:
    """One row per finding, on the test set as it is."""
    once = np.ones((1, len(gold)))
    f1 = count(once, gold == 1, answer.states == 1).f1()[0]
    ranked = np.full(len(labels), np.nan)
    if answer.present is not None:
        ranked = auroc(once, gold == 1, answer.present)[0]
    positives = (gold == 1).sum(axis=0)
    return tuple(
        FindingRow(label, int(n), None if np.isnan(area) else float(area), float(value))
        for label, n, area, value in zip(labels, positives, ranked, f1, strict=True)
    )


def _style(record: ReportRecord) -> str:
    """The first word of a style: whole ones are hardly ever shared ("Telegramm, Nachtdienst")."""
    return re.split(r"[\s,/]", record.meta.get("style", "–"))[0].lower()


def _length(record: ReportRecord) -> str:
    size = len(record.text)
    return next(name for limit, name in LENGTHS.items() if size < limit)


LENGTHS = {300: "below 300 characters", 900: "300 to 899 characters", math.inf: "900 characters and more"}
KINDS: dict[str, Callable[[ReportRecord], str]] = {
    "style": _style,
    "length": _length,
    "source": lambda record: record.meta.get("source", "–"),
}


def by_group(test: Sequence[ReportRecord], gold: Ints, answer: Answers, kind: str) -> tuple[GroupRow, ...]:
    """F1 per style, length or source, the largest group first; rare ones stand together."""
    names = np.array([KINDS[kind](record) for record in test])
    sizes = {name: int((names == name).sum()) for name in sorted(set(names.tolist()))}
    rare = [name for name, size in sizes.items() if size < FEWEST_OF_A_KIND]
    groups = {name: names == name for name in sizes if name not in rare}
    if rare:
        groups[f"others ({len(rare)})"] = np.isin(names, rare)
    rows = [GroupRow(kind, name, int(members.sum()), **_f1s(gold, answer, members)) for name, members in groups.items()]
    return tuple(sorted(rows, key=lambda row: (-row.reports, row.name)))


def _f1s(gold: Ints, answer: Answers, members: np.ndarray) -> dict[str, float | None]:
    weights = members.astype(np.float64)[None]
    present, uncertain, absent = (count(weights, gold == code, answer.states == code) for code in (1, 2, 3))
    found = {
        "f1_macro": present.macro(present.f1()),
        "f1_micro": present.micro_f1(),
        "f1_negation": absent.micro_f1(),
        "f1_uncertainty": uncertain.micro_f1(),
    }
    return {name: None if np.isnan(value[0]) else float(value[0]) for name, value in found.items()}


# ---------------------------------------------------------------------------------------------- tables


def markdown(quality: Quality, *, command: str, machine: str, day: str) -> str:
    """The tables as a document."""
    methods = [[method, *(_cell(found[column]) for column in COLUMNS)] for method, found in quality.methods.items()]
    first = next(iter(quality.methods))
    findings = [[row.label, str(row.positives), _cell(row.auroc), _cell(row.f1)] for row in quality.findings]
    groups = [
        [row.kind, row.name, str(row.reports), *(_cell(getattr(row, name)) for name in GROUP_COLUMNS)]
        for row in quality.groups
    ]
    return (
        "\n\n".join(
            [
                f"# Quality on {quality.schema_id}",
                f"{quality.reports} test reports. Made on {day} ({machine}) by:",
                f"```bash\n{command}\n```",
                "Precision, recall and F1 are those of “present” (macro: over findings with a positive); negation and "
                f"uncertainty F1 pool all findings. In brackets: 95 % bootstrap intervals over reports ({RESAMPLES:,} "
                "resamples).",
                table(["method", *COLUMNS.values()], methods),
                f"## {first} by finding",
                table(["finding", "positives", "AUROC", "F1"], findings),
                f"## {first} by kind of report",
                table(["by", "kind", "reports", *(COLUMNS[name] for name in GROUP_COLUMNS)], groups),
            ]
        )
        + "\n"
    )


def _cell(value: Interval | float | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, Interval) else f"{value:.2f}"


def as_json(quality: Quality) -> dict[str, Any]:
    """All figures as plain values."""
    return asdict(quality)


def this_machine() -> str:
    """The machine in words: system, processor type, cores, Python."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


# ---------------------------------------------------------------------------------------------- the job


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table and write what was asked for."""
    given = list(sys.argv[1:] if argv is None else argv)
    args = _parser().parse_args(given)
    try:
        make_room(args.out, args.json)
        quality = run(args)
    except UserError as error:
        print(error.en, file=sys.stderr)
        return 2
    command = shlex.join(["python", "-m", "train.quality", *given])
    day = datetime.now(UTC).date().isoformat()
    document = markdown(quality, command=command, machine=args.machine, day=day)
    print(document)
    if args.out:
        args.out.write_text(document, encoding="utf-8")
    if args.json:
        about = {"command": command, "machine": args.machine, "date": day}
        args.json.write_text(json.dumps(about | as_json(quality), ensure_ascii=False, indent=2), encoding="utf-8")
    return 0


def run(args: argparse.Namespace) -> Quality:
    """Ask every method about the test reports and measure the answers."""
    schema = load_schema(args.schema)
    test = tfidf.existing_records(args.test, schema)
    if not any(State.PRESENT in record.labels.values() for record in test):
        raise InvalidFile(
            f"In {args.test.name} ist kein einziger Befund „vorhanden“; daran lässt sich nichts messen.",
            f"Not one finding is “present” in {args.test.name}; nothing can be measured on it.",
        )
    texts = [record.text for record in test]
    answers = [ask_model(name, texts, schema) for name in args.model or [f"mini-{schema.id.replace('_', '-')}"]]
    answers.append(ask_rules(texts, schema))
    if args.train:
        answers.append(ask_tfidf(without_test(tfidf.existing_records(args.train, schema), test), texts, schema))
    return measure_all(test, answers, schema)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train.quality", description="Measure the quality on test reports.")
    parser.add_argument("--schema", default="chest_xray", help="schema of the labels")
    parser.add_argument("--test", type=Path, required=True, help="labelled report file that no method learnt from")
    parser.add_argument(
        "--train", type=Path, help="labelled report file for the TF-IDF baseline; without it: no such row"
    )
    parser.add_argument(
        "--model", action="append", help="catalogue id or folder (again for more); default: the embedded"
    )
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--json", type=Path, help="JSON file to write")
    parser.add_argument("--machine", default=this_machine(), help="the machine in words")
    return parser


if __name__ == "__main__":
    sys.exit(main())
