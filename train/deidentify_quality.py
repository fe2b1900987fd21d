"""How much of the identifying text in marked letters the de-identification finds, and how much else it takes.

    python -m train.deidentify_quality --out docs/deidentification.md

Reads the letters of `data/letters` (marks: ``{kind:text}``) in three parts: `heldout` (styles that no rule was made
for), `tune` (rules were made on them) and `pure` (radiology without any identifying text), and the report files of
`data/reports`, which hold nothing to find but dates. Counts letters and digits, not spaces and stops.
"""

from __future__ import annotations

import argparse
import platform
import re
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from string import Template

from medbertde.privacy.deidentify import deidentify
from medbertde.privacy.kinds import Kind, Span
from medbertde.report_file import read_records
from medbertde.types import InvalidFile, UserError

DATA = Path(__file__).parent.parent / "data"
TEMPLATE = DATA / "letters" / "deidentification.template.md"
PARTS = ("heldout", "tune", "pure")
REPORTS = ("chest_xray", "chest_ct")
DATES = (Kind.DATE, Kind.BIRTH)
PER_WORDS = 200
AIMS = (
    ("all kinds, letters and digits covered", "≥ .95"),
    ("patients", "≥ .97"),
    ("dates and dates of birth", "≥ .99"),
    ("hospitals", "≥ .80"),
    ("precision", "≥ .90"),
)

_MARK = re.compile(r"\{(\w+):([^{}]*)\}")


@dataclass(frozen=True)
class Mark:
    """An identifying span ``text[start:end]`` as the writer of a letter marked it."""

    start: int
    end: int
    kind: Kind


@dataclass(frozen=True)
class Letter:
    """A fictional letter without its marks, and the marks."""

    name: str
    text: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Share:
    """How many of a number, and the ratio; None without any."""

    part: int
    whole: int

    @property
    def ratio(self) -> float | None:
        """The ratio, 0…1."""
        return self.part / self.whole if self.whole else None

    def __str__(self) -> str:
        return "–" if self.ratio is None else f"{self.ratio:.3f} ({self.part}/{self.whole})"


@dataclass(frozen=True)
class Outcome:
    """One letter and what was found in it. `covered` are the places of its text that a found span takes."""

    letter: Letter
    found: tuple[Span, ...]
    covered: frozenset[int]


@dataclass(frozen=True)
class Clean:
    """What was found in reports with nothing to find but dates."""

    name: str
    reports: int
    words: int
    wrong: tuple[str, ...]

    @property
    def rate(self) -> float:
        """Wrong spans per 200 words."""
        return len(self.wrong) * PER_WORDS / max(self.words, 1)


# ---------------------------------------------------------------------------------------------- letters


def parse(name: str, marked: str) -> Letter:
    """The letter of a marked text; `InvalidFile` for a mark of no known kind.

    >>> letter = parse("a", "Frau {patient:Kasulke} hustet.")
    >>> letter.text, letter.marks[0].start
    ('Frau Kasulke hustet.', 5)
    """
    pieces: list[str] = []
    marks: list[Mark] = []
    length = place = 0
    for match in _MARK.finditer(marked):
        if match.group(1) not in list(Kind):
            raise InvalidFile(
                f"{name}: unbekannte Art {match.group(1)!r}, erwartet wird eine von {', '.join(Kind)}.",
                f"{name}: unknown kind {match.group(1)!r}, expected is one of {', '.join(Kind)}.",
            )
        before = marked[place : match.start()]
        pieces += [before, match.group(2)]
        start = length + len(before)
        length = start + len(match.group(2))
        marks.append(Mark(start, length, Kind(match.group(1))))
        place = match.end()
    return Letter(name, "".join([*pieces, marked[place:]]), tuple(marks))


def read_letters(part: str, folder: Path = DATA / "letters") -> list[Letter]:
    """The letters of a part in the order of their names."""
    paths = sorted(folder.glob(f"{part}_*.txt"))
    if not paths:
        raise InvalidFile(f"In {folder} liegen keine Briefe {part}_*.txt.", f"{folder} has no letters {part}_*.txt.")
    return [parse(path.stem, path.read_text(encoding="utf-8")) for path in paths]


def outcome(letter: Letter) -> Outcome:
    """What is found in one letter."""
    found = deidentify(letter.text).spans
    return Outcome(letter, found, frozenset(place for span in found for place in range(span.start, span.end)))


# ---------------------------------------------------------------------------------------------- figures


def _counted(text: str, start: int, end: int) -> list[int]:
    return [place for place in range(start, end) if text[place].isalnum()]


def recall(outcomes: Iterable[Outcome], kinds: Iterable[Kind] = tuple(Kind)) -> tuple[Share, Share]:
    """Of the marks of these kinds: the letters and digits that are covered, and the marks covered as a whole."""
    kinds = set(kinds)
    chars = covered = marks = whole = 0
    for one in outcomes:
        for mark in one.letter.marks:
            if mark.kind in kinds:
                places = _counted(one.letter.text, mark.start, mark.end)
                hits = sum(place in one.covered for place in places)
                chars, covered, marks, whole = (
                    chars + len(places),
                    covered + hits,
                    marks + 1,
                    whole + (hits == len(places)),
                )
    return Share(covered, chars), Share(whole, marks)


def precision(outcomes: Iterable[Outcome]) -> tuple[Share, Share]:
    """Of what was found: letters and digits within marks, and spans of which at least half is marked."""
    chars = right = spans = good = 0
    for one in outcomes:
        marked = {place for mark in one.letter.marks for place in range(mark.start, mark.end)}
        for span in one.found:
            places = _counted(one.letter.text, span.start, span.end)
            hits = sum(place in marked for place in places)
            chars, right, spans, good = chars + len(places), right + hits, spans + 1, good + (2 * hits >= len(places))
    return Share(right, chars), Share(good, spans)


def misses(one: Outcome) -> list[str]:
    """The marks of a letter that are not covered as a whole, as „kind: text“."""
    text = one.letter.text
    return [
        f"{mark.kind}: {text[mark.start : mark.end]}"
        for mark in one.letter.marks
        if any(place not in one.covered for place in _counted(text, mark.start, mark.end))
    ]


def extras(one: Outcome) -> list[str]:
    """The spans of a letter of which less than half is marked, as „kind: text“."""
    marked = {place for mark in one.letter.marks for place in range(mark.start, mark.end)}
    text = one.letter.text
    found = ((span, _counted(text, span.start, span.end)) for span in one.found)
    return [
        f"{span.kind}: {text[span.start : span.end]}"
        for span, places in found
        if 2 * sum(place in marked for place in places) < len(places)
    ]


def clean_reports(name: str, texts: Sequence[str]) -> Clean:
    """The spans found in texts without identifying text; dates are right."""
    wrong: list[str] = []
    for text in texts:
        wrong += [
            f"{span.kind}: {text[span.start : span.end]}" for span in deidentify(text).spans if span.kind not in DATES
        ]
    return Clean(name, len(texts), sum(len(text.split()) for text in texts), tuple(wrong))


# ---------------------------------------------------------------------------------------------- the document


def part_table(outcomes: Sequence[Outcome]) -> str:
    """Recall per kind, overall, and precision."""
    groups = [(kind.value, (kind,)) for kind in Kind]
    rows = [[name, *map(str, recall(outcomes, kinds))] for name, kinds in groups if recall(outcomes, kinds)[1].whole]
    rows += [
        ["**dates together**", *map(str, recall(outcomes, DATES))],
        ["**all**", *map(str, recall(outcomes))],
        ["**precision**", *map(str, precision(outcomes))],
    ]
    spotless = Share(sum(not misses(one) for one in outcomes), len(outcomes))
    return f"{_table(['kind', 'letters and digits', 'spans'], rows)}\n\nLetters with nothing missed: {spotless}."


def aims_table(outcomes: Sequence[Outcome]) -> str:
    """What was aimed at and what is reached."""
    reached = (
        recall(outcomes)[0],
        recall(outcomes, [Kind.PATIENT])[0],
        recall(outcomes, DATES)[0],
        recall(outcomes, [Kind.HOSPITAL])[0],
        precision(outcomes)[1],
    )
    rows = [[what, aim, str(share)] for (what, aim), share in zip(AIMS, reached, strict=True)]
    return _table(["what", "aim", "reached"], rows)


def clean_table(parts: Sequence[Clean]) -> str:
    """Wrong spans per 200 words, with the kinds and the most frequent texts."""
    rows = [
        [
            part.name,
            str(part.reports),
            str(part.words),
            str(len(part.wrong)),
            f"{part.rate:.3f}",
            ", ".join(f"{text} ({count})" for text, count in Counter(part.wrong).most_common(5)),
        ]
        for part in parts
    ]
    return _table(["text", "reports", "words", "wrong spans", "per 200 words", "most frequent"], rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def document(command: str) -> str:
    """The document of `docs/`: the prose of the template with the figures of this moment."""
    started = time.perf_counter()
    outcomes = {part: [outcome(letter) for letter in read_letters(part)] for part in PARTS}
    clean = [clean_reports("radiology letters", [one.letter.text for one in outcomes["pure"]])]
    for name in REPORTS:
        clean.append(clean_reports(name, [record.text for record in read_records(DATA / "reports" / f"{name}.jsonl")]))
    names = {
        "command": command,
        "day": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, Python {platform.python_version()}, one thread",
        "seconds": f"{time.perf_counter() - started:.0f}",
        "aims": aims_table(outcomes["heldout"]),
        "heldout": part_table(outcomes["heldout"]),
        "tune": part_table(outcomes["tune"]),
        "clean": clean_table(clean),
        "n_heldout": str(len(outcomes["heldout"])),
        "n_tune": str(len(outcomes["tune"])),
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(names)


def faults(part: str) -> str:
    """Letter by letter what was missed (−) and what was taken wrongly (+)."""
    lines = []
    for one in map(outcome, read_letters(part)):
        lines += [f"{one.letter.name} − {text!r}" for text in misses(one)]
        lines += [f"{one.letter.name} + {text!r}" for text in extras(one)]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the document, or print it without `--out`."""
    given = list(sys.argv[1:] if argv is None else argv)
    args = _parser().parse_args(given)
    try:
        if args.faults:
            print(faults(args.faults))
            return 0
        text = document(shlex.join(["python", "-m", "train.deidentify_quality", *given]))
    except UserError as error:
        print(error.en, file=sys.stderr)
        return 2
    if args.out:
        args.out.write_text(text, encoding="utf-8")
        print(args.out)
    else:
        print(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m train.deidentify_quality", description="Measure the de-identification on marked letters."
    )
    parser.add_argument("--out", type=Path, help="Markdown file to write; without it the document is printed")
    parser.add_argument("--faults", choices=PARTS, help="print what is missed and wrong in a part instead")
    return parser


if __name__ == "__main__":
    sys.exit(main())
