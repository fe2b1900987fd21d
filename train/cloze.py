"""How often a language model fills a gap as a physician would: top-1 and top-5 accuracy and mean reciprocal rank.

    python -m train.cloze --model data/models/medbertde-mini --out docs/cloze.md

Asks a model (catalogue id, folder or Hub id) for its words for the one `[MASK]` of each sentence of `data/cloze.yaml`.
A word that is one of the sentence's answers is a hit. An answer of several pieces of the model's vocabulary counts as
asked and is missed where the model cannot give it. The sentences are held out: they may not serve to choose a model or
its training text.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import medbertde
from medbertde.inference.tokens import TextEncoder
from medbertde.text import MASK, clean
from medbertde.types import Candidate, InvalidFile, UserError
from train.evaluate import Floats
from train.intervals import Interval, interval, resamples
from train.markdown import table
from train.output import make_room

SENTENCES = Path(__file__).parent.parent / "data" / "cloze.yaml"
DEPTH = 100  # candidates asked for; a rank beyond counts as none
SHOWN = 3
RESAMPLES, SEED = 1_000, 20_260_101

Fill = Callable[[str, int], Sequence[Candidate]]


@dataclass(frozen=True)
class Gap:
    """A sentence with one `[MASK]` and the words that fit."""

    text: str
    answers: tuple[str, ...]
    area: str


@dataclass(frozen=True)
class Outcome:
    """What a model said: its first words, the rank (from 1) of the first accepted one, None beyond `DEPTH`.

    `rank_any_case` ignores upper and lower case; `single` are the answers that are one piece of the
    model's vocabulary.
    """

    gap: Gap
    words: tuple[str, ...]
    rank: int | None
    rank_any_case: int | None
    single: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """The figures of an area. `short` counts the sentences with an answer of one piece, the easier ones for a model."""

    area: str
    sentences: int
    short: int
    top_1: Interval | None
    top_5: Interval | None
    mrr: Interval | None


# ---------------------------------------------------------------------------------------------- the sentences


def read_gaps(path: Path = SENTENCES) -> list[Gap]:
    """The sentences of a set; `InvalidFile` names the first one that is wrong."""
    if not path.is_file():
        raise InvalidFile(f"Die Datei {path} gibt es nicht.", f"There is no file {path}.")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        raw = None
    if not isinstance(raw, list) or not raw:
        raise InvalidFile(
            f"Die Datei {path.name} muss eine YAML-Liste von Sätzen sein.",
            f"The file {path.name} must be a YAML list of sentences.",
        )
    return [_gap(path, number, item) for number, item in enumerate(raw, start=1)]


def _gap(path: Path, number: int, item: Any) -> Gap:
    match item:
        case {"text": str(text), "answers": [str(), *_] as answers, "area": str(area)} if text.count(MASK) == 1:
            if all(isinstance(answer, str) and answer for answer in answers):
                return Gap(clean(text), tuple(answers), area)
    raise InvalidFile(
        f"{path.name}, Satz {number}: Erwartet werden „text“ mit genau einem {MASK}, „answers“ (Liste von Wörtern) und "
        "„area“.",
        f"{path.name}, sentence {number}: expected are “text” with exactly one {MASK}, “answers” (a list of words) and "
        "“area”.",
    )


# ---------------------------------------------------------------------------------------------- answers and figures


def ask(gap: Gap, fill: Fill, encoder: TextEncoder) -> Outcome:
    """The answer of a model to one sentence."""
    words = [candidate.word for candidate in fill(gap.text, DEPTH)]
    folded = [word.casefold() for word in words]
    return Outcome(
        gap=gap,
        words=tuple(words[:SHOWN]),
        rank=rank(words, gap.answers),
        rank_any_case=rank(folded, [answer.casefold() for answer in gap.answers]),
        single=tuple(answer for answer in gap.answers if is_single_piece(gap.text, answer, encoder)),
    )


def rank(words: Sequence[str], answers: Sequence[str]) -> int | None:
    """The place of the first accepted word, from 1.

    >>> rank(["Luft", "Erguss"], ["Erguss", "Flüssigkeit"]), rank(["Luft"], ["Erguss"])
    (2, None)
    """
    return next((place for place, word in enumerate(words, start=1) if word in answers), None)


def is_single_piece(text: str, answer: str, encoder: TextEncoder) -> bool:
    """Whether the answer in its place is one piece of the vocabulary, and not the piece for unknown words."""
    start = text.index(MASK)
    end = start + len(answer)
    (pieces,) = encoder.pieces([text.replace(MASK, answer)])
    own = [
        piece
        for piece, (begin, stop) in zip(pieces.ids, pieces.offsets, strict=True)
        if max(begin, start) < min(stop, end)
    ]
    return len(own) == 1 and own[0] != encoder.unknown_id


def figures(area: str, outcomes: Sequence[Outcome], ranks: Sequence[int | None]) -> Row:
    """The figures of some sentences with bootstrap intervals over them."""
    weights = resamples(len(ranks), RESAMPLES, SEED)
    inverse = np.array([1 / place if place else 0.0 for place in ranks])
    return Row(
        area=area,
        sentences=len(ranks),
        short=sum(bool(outcome.single) for outcome in outcomes),
        top_1=_mean(weights, (inverse == 1).astype(np.float64)),
        top_5=_mean(weights, (inverse >= 1 / 5).astype(np.float64)),
        mrr=_mean(weights, inverse),
    )


def _mean(weights: Floats, values: Floats) -> Interval | None:
    return interval(weights @ values / weights.sum(axis=1))


def rows(outcomes: Sequence[Outcome], *, any_case: bool) -> list[Row]:
    """The figures of all sentences, then of each area in the order of the set."""
    groups = {"all": list(outcomes)}
    for outcome in outcomes:
        groups.setdefault(outcome.gap.area, []).append(outcome)
    return [
        figures(area, group, [outcome.rank_any_case if any_case else outcome.rank for outcome in group])
        for area, group in groups.items()
    ]


# ---------------------------------------------------------------------------------------------- tables


def markdown(outcomes: Sequence[Outcome], *, model: str, command: str, day: str) -> str:
    """The figures and the misses as a document."""
    missed = [outcome for outcome in outcomes if outcome.rank != 1]
    return (
        "\n\n".join(
            [
                "# Gaps filled by a language model",
                f"`{model}` on {len(outcomes)} held-out sentences with one gap each. Made on {day} by:",
                f"```bash\n{command}\n```",
                _legend(outcomes),
                "## Accuracy",
                _figures_table(rows(outcomes, any_case=False)),
                "Upper and lower case ignored:",
                _figures_table(rows(outcomes, any_case=True)),
                f"## Misses: {len(missed)} sentences whose first word is not accepted",
                _misses_table(missed),
            ]
        )
        + "\n"
    )


def _legend(outcomes: Sequence[Outcome]) -> str:
    asked = sum(len(outcome.gap.answers) for outcome in outcomes)
    single = sum(len(outcome.single) for outcome in outcomes)
    return (
        f"The sentences are fictional and were written for this project. MRR: mean of 1/rank, 0 beyond rank {DEPTH}. "
        f"In brackets: 95 % bootstrap intervals over sentences ({RESAMPLES:,} resamples); where no sentence is hit the "
        f"bootstrap cannot show any spread. {single} of {asked} accepted answers are one piece of the model's "
        "vocabulary, the others several. The first word is accepted in "
        f"{_hits([outcome for outcome in outcomes if outcome.single])} sentences with a one-piece answer and in "
        f"{_hits([outcome for outcome in outcomes if not outcome.single])} of the others."
    )


def _hits(outcomes: Sequence[Outcome]) -> str:
    return f"{sum(outcome.rank == 1 for outcome in outcomes)} of {len(outcomes)}"


def _figures_table(figures: Sequence[Row]) -> str:
    cells = [
        [row.area, str(row.sentences), str(row.short), *(str(value) for value in (row.top_1, row.top_5, row.mrr))]
        for row in figures
    ]
    return table(["area", "sentences", "with a one-piece answer", "top 1", "top 5", "MRR"], cells)


def _misses_table(missed: Sequence[Outcome]) -> str:
    cells = [
        [
            outcome.gap.text,
            ", ".join(word if word in outcome.single else f"*{word}*" for word in outcome.gap.answers),
            ", ".join(f"`{word}`" for word in outcome.words),
            str(outcome.rank or "–"),
        ]
        for outcome in missed
    ]
    return table(["sentence", "accepted (*italic*: several pieces)", "first words", "rank"], cells)


# ---------------------------------------------------------------------------------------------- the job


def main(argv: Sequence[str] | None = None) -> int:
    """Ask the model and write the document, or print it without `--out`."""
    given = list(sys.argv[1:] if argv is None else argv)
    args = _parser().parse_args(given)
    try:
        make_room(args.out)
        version, outcomes = run(args.model, args.set)
    except UserError as error:
        print(error.en, file=sys.stderr)
        return 2
    command = shlex.join(["python", "-m", "train.cloze", *given])
    document = markdown(outcomes, model=version, command=command, day=datetime.now(UTC).date().isoformat())
    if args.out:
        args.out.write_text(document, encoding="utf-8")
        print(f"{sum(outcome.rank == 1 for outcome in outcomes)} of {len(outcomes)} first words accepted → {args.out}")
    else:
        print(document)
    return 0


def run(name: str, path: Path) -> tuple[str, list[Outcome]]:
    """The version of the model and its answers to all sentences of a set."""
    gaps = read_gaps(path)
    model = medbertde.load(name, device="cpu")
    return model.version, [ask(gap, model.fill_mask, model.loaded.encoder) for gap in gaps]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train.cloze", description="Measure how a model fills gaps.")
    parser.add_argument("--model", default="medbertde-mini", help="catalogue id, folder or Hub id of a language model")
    parser.add_argument("--set", type=Path, default=SENTENCES, help="YAML file of sentences with one [MASK] each")
    parser.add_argument("--out", type=Path, help="Markdown file to write; without it the document is printed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
