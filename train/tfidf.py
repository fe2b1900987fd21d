"""TF-IDF and logistic regression: the classical baseline that any neural model of this project has to beat.

    python -m train.tfidf reports.jsonl --train data/reports/chest_xray.jsonl --schema chest_xray --out labels.jsonl

Words as 1- to 3-grams and letters within words as 3- to 5-grams, one regression per output (present, uncertain, absent
× labels), thresholds fitted on the validation part of the training reports (`medbertde.parts.part_of`). Shapes:
`(reports, states, labels)`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion

from medbertde.parts import part_of
from medbertde.report_file import read_records, to_json
from medbertde.schema import Schema, load_schema
from medbertde.types import InvalidFile, ReportRecord, State, TrainingRefused, UserError
from train.dataset import targets
from train.evaluate import Floats, Ints, best_threshold
from train.output import make_room

VALIDATION_SHARE = 0.12
FEWEST_REPORTS = 8


@dataclass(frozen=True)
class Output:
    """One output: its regression, or the share of positives where the training reports hold one class only."""

    regression: LogisticRegression | None
    share: float


@dataclass(frozen=True)
class Tfidf:
    """The fitted baseline. `thresholds` has one per state and label, `(states, labels)`."""

    labels: tuple[str, ...]
    features: FeatureUnion
    outputs: tuple[Output, ...]  # states × labels, in the order of `targets`
    thresholds: Floats

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """The probability of each state of each finding, `(reports, states, labels)`."""
        if not texts:
            return np.zeros((0, len(State), len(self.labels)))
        columns = _predict(self.outputs, self.features.transform(texts))
        return columns.reshape(len(texts), len(State), len(self.labels))

    def states(self, probabilities: Floats) -> list[dict[str, State]]:
        """The findings of each report: present above its threshold, else the clearer of the others above theirs."""
        margins = probabilities / self.thresholds
        rows = []
        for report in margins:
            chosen = np.where(report[0] >= 1, 0, 1 + np.argmax(report[1:], axis=0))
            passed = np.take_along_axis(report, chosen[None], axis=0)[0] >= 1
            picked = zip(self.labels, chosen, passed, strict=True)
            rows.append({name: list(State)[state] for name, state, is_passed in picked if is_passed})
        return rows


def fit(records: Sequence[ReportRecord], schema: Schema, *, validation_share: float = VALIDATION_SHARE) -> Tfidf:
    """Fit on the reports outside of their validation part, thresholds on it; deterministic.

    `TrainingRefused` when there are too few reports for either.
    """
    learnt = [record for record in records if part_of(record, 0.0, validation_share) == "train"]
    kept = [record for record in records if part_of(record, 0.0, validation_share) == "validation"]
    if len(learnt) < FEWEST_REPORTS or not kept:
        raise TrainingRefused(
            f"Für die TF-IDF-Basislinie sind es zu wenige Befunde: {len(learnt)} zum Lernen, {len(kept)} zum Prüfen. "
            f"Nötig sind mindestens {FEWEST_REPORTS} und 1.",
            f"Too few reports for the TF-IDF baseline: {len(learnt)} to learn from, {len(kept)} to validate. At least "
            f"{FEWEST_REPORTS} and 1 are needed.",
        )
    features = _features()
    matrix = features.fit_transform([record.text for record in learnt])
    outputs = tuple(_output(matrix, column) for column in _targets(learnt, schema).T)
    scores = _predict(outputs, features.transform([record.text for record in kept]))
    thresholds = [best_threshold(*pair) for pair in zip(_targets(kept, schema).T, scores.T, strict=True)]
    shape = (len(State), len(schema.label_ids))
    return Tfidf(schema.label_ids, features, outputs, np.array(thresholds).reshape(shape))


def _features() -> FeatureUnion:
    words = TfidfVectorizer(ngram_range=(1, 3), min_df=2, sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=3, sublinear_tf=True)
    return FeatureUnion([("words", words), ("letters", letters)])


def _targets(records: Sequence[ReportRecord], schema: Schema) -> Ints:
    """1 for each output that holds, `(reports, states × labels)`."""
    return np.array([targets(record, schema) for record in records]).astype(np.int64)


def _output(matrix: Any, truth: Ints) -> Output:
    share = float(truth.mean())
    if share in (0.0, 1.0):
        return Output(None, share)
    return Output(LogisticRegression(C=30.0, solver="liblinear", random_state=0).fit(matrix, truth), share)


def _predict(outputs: Sequence[Output], matrix: Any) -> Floats:
    """Probabilities `(reports, outputs)`."""
    rows = int(matrix.shape[0])
    return np.column_stack(
        [
            output.regression.predict_proba(matrix)[:, 1] if output.regression else np.full(rows, output.share)
            for output in outputs
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Fit on one report file and label another."""
    parser = argparse.ArgumentParser(description="Label reports with TF-IDF and logistic regression.")
    parser.add_argument("reports", type=Path, help="report file to label (.jsonl, .csv or .txt)")
    parser.add_argument("--train", type=Path, required=True, help="labelled report file to learn from")
    parser.add_argument("--schema", default="chest_xray", help="schema of the labels")
    parser.add_argument("--out", type=Path, required=True, help="report file to write (.jsonl)")
    args = parser.parse_args(argv)
    try:
        make_room(args.out)
        schema = load_schema(args.schema)
        records = existing_records(args.reports)
        model = fit(existing_records(args.train, schema), schema)
    except UserError as error:
        print(error.en, file=sys.stderr)
        return 2
    found = model.states(model.probabilities([record.text for record in records]))
    args.out.write_text("".join(map(_labelled, records, found)), encoding="utf-8")
    print(f"{len(records)} reports labelled by TF-IDF → {args.out}")
    return 0


def existing_records(path: Path, schema: Schema | None = None) -> list[ReportRecord]:
    """The reports of a file; `InvalidFile` also when it is not there."""
    if not path.is_file():
        raise InvalidFile(f"Die Datei {path} gibt es nicht.", f"There is no file {path}.")
    return read_records(path, schema)


def _labelled(record: ReportRecord, found: Mapping[str, State]) -> str:
    return to_json(replace(record, labels=found, rationales=(), meta={**record.meta, "labels": "tfidf"})) + "\n"


if __name__ == "__main__":
    sys.exit(main())
