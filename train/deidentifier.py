"""The token classifier of the de-identification: its training texts, and the threshold it is used with.

    python -m train.deidentifier texts build/deidentifier  # labels, letters to measure on, tokenizer
    python -m train.finetune build/deidentifier
    python -m train.deidentifier model build/deidentifier --out data/models/deidentifier

`make deidentifier` runs all of it. The texts are the marked letters `train_*` of `data/letters`, each many times about
other people (`train.recombine`, `train.scuffed`), and reports in which the rules find nothing but dates. The threshold
is chosen on the letters `tune_*`, never on `heldout_*`: the lowest one at which the classifier beside the rules is
wrong rarely enough, in those letters and in radiology.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from medbertde.identifying import LINE_END, shown_as
from medbertde.inference.checkpoint import load_checkpoint, save_checkpoint
from medbertde.inference.identify import Identifier
from medbertde.privacy.deidentify import find
from medbertde.privacy.kinds import Kind
from medbertde.privacy.reading import Budget, read
from medbertde.report_file import read_records, to_json
from medbertde.types import Rationale, ReportRecord, TrainingRefused, UserError
from train.deidentify_quality import both, clean_reports, outcome, precision, recall
from train.letters import Letter, Mark, read_letters
from train.recombine import recombined
from train.scuffed import mixed, scuffed
from train.tokenizer import train_tokenizer

REPORTS = Path(__file__).parent.parent / "data" / "reports"
NEGATIVES = {"clinical_text": 130, "chest_xray": 170, "chest_ct": 120}  # reports without anybody in them
COPIES, MIXED = 7, 1300  # of each letter, about other people; texts of lines of letters among sentences of reports
VOCABULARY, MAX_TOKENS = 3_500, 192
SECONDS = 60.0  # of the rules for one report
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
FEWEST_RIGHT, MOST_WRONG = 0.97, 0.1  # of spans in letters; spans per 200 words of reports
UNSEEN = 80  # reports of each kind that the threshold is tried on
_DATES = (Kind.DATE, Kind.BIRTH)
# What the rules miss (docs/deidentification.md). Dates and numbers they find all but completely; there the model, which
# learns them too, would only be wrong beside them.
ADDED = tuple(kind.value for kind in (Kind.PATIENT, Kind.DOCTOR, Kind.PERSON, Kind.STREET, Kind.CITY, Kind.HOSPITAL))
_SENTENCE = re.compile(rf"(?<=[.!?])\s+|{LINE_END}+")


def as_record(letter: Letter, name: str) -> ReportRecord:
    """A letter as a report with spans, as the model is shown it."""
    text = shown_as(read(letter.text, Budget(SECONDS))[1].text)
    assert len(text) == len(letter.text), "a training letter has no invisible characters and is in NFC"
    cut = len(text) - len(text.lstrip())  # a report file has no space around its texts
    spans = tuple(Rationale(mark.kind.value, mark.start - cut, mark.end - cut) for mark in letter.marks)
    return ReportRecord(text.strip(), id=name, rationales=spans, meta={"family": letter.name})


def letters(copies: int, rng: random.Random) -> Iterator[ReportRecord]:
    """Each training letter as it was written, and its copies about other people."""
    for letter in read_letters("train"):
        yield as_record(letter, letter.name)
        for number in range(copies):
            copy = scuffed(recombined(letter, rng), rng)
            if copy.text.strip():
                yield as_record(copy, f"{letter.name}.{number}")


def mixtures(count: int, reports: Sequence[ReportRecord], rng: random.Random) -> Iterator[ReportRecord]:
    """Lines of letters about other people among sentences of reports without a date."""
    sources = read_letters("train")
    sentences = [part for one in reports if not one.rationales for part in _SENTENCE.split(one.text) if part.strip()]
    for number in range(count):
        chosen = [recombined(letter, rng) for letter in rng.sample(sources, k=rng.randint(1, 4))]
        text = scuffed(mixed(chosen, sentences, rng), rng)
        if text.text.strip():
            yield as_record(replace(text, name=f"mixed.{number}"), f"mixed.{number}")


def negatives(numbers: Mapping[str, int], rng: random.Random) -> Iterator[ReportRecord]:
    """Reports in which the rules find nothing but dates, which are marked as such."""
    for name, count in numbers.items():
        records = read_records(REPORTS / f"{name}.jsonl")
        rng.shuffle(records)
        usable = (one for record in records if (one := _without_anybody(record)))
        yield from islice(usable, count)


def _without_anybody(record: ReportRecord) -> ReportRecord | None:
    found = find(read(record.text, Budget(SECONDS))[1])
    if any(one.kind not in _DATES for one in found):
        return None
    marks = tuple(Mark(one.start, one.end, one.kind) for one in found)
    return as_record(Letter(record.id or "", record.text, marks), record.id or "")


def write_texts(
    folder: Path, seed: int, *, copies: int = COPIES, lines: int = MIXED, numbers: Mapping[str, int] = NEGATIVES
) -> None:
    """What the fine-tuning reads: texts with spans, the letters it is measured on, and a tokenizer."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    reports = list(negatives(numbers, rng))
    records = [*letters(copies, rng), *mixtures(lines, reports, rng), *reports]
    rng.shuffle(records)
    _write(folder / "labels.jsonl", records)
    _write(folder / "test.jsonl", [as_record(letter, letter.name) for letter in read_letters("tune")])
    plain = [replace(record, rationales=()) for record in records]
    _write(folder / "texts.jsonl", plain)
    tokenizer = train_tokenizer([record.text for record in plain], VOCABULARY, MAX_TOKENS)
    tokenizer.save_pretrained(folder / "tokenizer")


def _write(path: Path, records: Sequence[ReportRecord]) -> None:
    path.write_text("".join(to_json(record) + "\n" for record in records), encoding="utf-8")


# ---------------------------------------------------------------------------------------------- threshold


@dataclass(frozen=True)
class Choice:
    """What the classifier beside the rules does with one threshold for all kinds."""

    threshold: float
    recall: float  # of letters and digits of the letters `tune_*`
    precision: float  # of spans there
    wrong: float  # wrong spans per 200 words of reports without anybody in them

    @property
    def allowed(self) -> bool:
        """Whether it is wrong rarely enough."""
        return self.precision >= FEWEST_RIGHT and self.wrong <= MOST_WRONG


def choices(folder: Path, texts: Sequence[str]) -> Iterator[Choice]:
    """Each threshold, tried on the letters `tune_*` and on `texts`."""
    tune = read_letters("tune")
    for threshold in THRESHOLDS:
        find = both(Identifier(folder, dict.fromkeys(ADDED, threshold)))
        outcomes = [outcome(letter, find) for letter in tune]
        (covered, _), (_, right) = recall(outcomes), precision(outcomes)
        yield Choice(threshold, covered.ratio or 0.0, right.ratio or 0.0, clean_reports("", texts, find).rate)


def choose(folder: Path, unseen: Sequence[str]) -> float:
    """The lowest threshold that is allowed; `TrainingRefused` where none is."""
    tried = list(choices(folder, unseen))
    for one in tried:
        print(f"{one.threshold:.2f}: recall {one.recall:.4f} precision {one.precision:.4f} wrong {one.wrong:.4f}")
    allowed = [one.threshold for one in tried if one.allowed]
    if not allowed:
        raise TrainingRefused(
            "Bei keiner Schwelle sind die Funde des Modells richtig genug. Bitte länger oder mit mehr Briefen "
            "trainieren.",
            "At no threshold is the model right often enough. Please train longer or on more letters.",
        )
    return min(allowed)


def unseen_reports(folder: Path) -> list[str]:
    """Reports without anybody in them that the model of this run has not learnt from."""
    learnt = {record.id for record in read_records(folder / "labels.jsonl")}
    found: list[str] = []
    for name in ("chest_xray", "chest_ct"):
        records = read_records(REPORTS / f"{name}.jsonl")
        usable = (record.text for record in records if record.id not in learnt and _without_anybody(record))
        found += islice(usable, UNSEEN)
    return found


def write_model(run: Path, out: Path) -> None:
    """The trained checkpoint of a run with its threshold, as the de-identification uses it."""
    threshold = choose(run / "checkpoint", unseen_reports(run))
    kept = load_checkpoint(run / "checkpoint")
    facts = replace(kept.facts, thresholds=dict.fromkeys(ADDED, threshold))
    save_checkpoint(kept.model.half(), kept.tokenizer, facts, out)
    print(f"threshold {threshold:.2f}: {out}")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    args = _parser().parse_args(argv)
    try:
        if args.step == "texts":
            write_texts(args.run, args.seed)
        else:
            write_model(args.run, args.out)
    except UserError as error:
        print(error.en, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    texts = steps.add_parser("texts", help="write what the fine-tuning reads")
    texts.add_argument("--seed", type=int, default=42, help="of names, numbers and typing errors")
    model = steps.add_parser("model", help="choose the threshold and write the model")
    model.add_argument("--out", type=Path, required=True, help="folder for the model")
    for step in (texts, model):
        step.add_argument("run", type=Path, help="run folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
