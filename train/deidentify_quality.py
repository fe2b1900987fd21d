"""How much of the identifying text in marked letters the de-identification finds, and how much else it takes.

    python -m train.deidentify_quality --out docs/deidentification.md

Reads the letters of `data/letters` (marks: ``{kind:text}``) in three parts: `heldout` (styles that no rule was made
for), `tune` (rules were made on them) and `pure` (radiology without any identifying text), and the report files of
`data/reports`, which hold nothing to find but dates. Counts letters and digits, not spaces and stops.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from string import Template

from medbertde.inference.identify import Identifier
from medbertde.privacy.deidentify import deidentify
from medbertde.privacy.kinds import Found, Kind
from medbertde.report_file import read_records
from medbertde.types import UserError
from train.letters import FOLDER, Letter, read_letters
from train.markdown import table
from train.output import make_room

DATA = FOLDER.parent
TEMPLATE = FOLDER / "deidentification.template.md"
PARTS = ("heldout", "tune", "pure")
REPORTS = ("test_chest_xray", "test_chest_ct", "chest_xray", "chest_ct")
DATES = (Kind.DATE, Kind.BIRTH)
PER_WORDS = 200
TIMED, HOSTILE = 300, "Xqz, Anna " * 10_000  # reports, and a text, that are timed
AIMS = (
    ("all kinds, letters and digits covered", "≥ .95"),
    ("patients", "≥ .97"),
    ("dates and dates of birth", "≥ .99"),
    ("hospitals", "≥ .80"),
    ("precision", "≥ .90"),
)

Find = Callable[[str], Sequence[Found]]  # the spans of a text, in order


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
    found: tuple[Found, ...]
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


# ---------------------------------------------------------------------------------------------- three ways to find


def rules(text: str) -> Sequence[Found]:
    """What the rules find."""
    return [Found(span.start, span.end, span.kind) for span in deidentify(text).spans]


def alone(classifier: Identifier) -> Find:
    """What the classifier finds without them."""
    return lambda text: [Found(span.start, span.end, Kind(span.label)) for span in classifier(text)]


def both(classifier: Identifier) -> Find:
    """What rules and classifier find together, as the app does it."""
    return lambda text: [
        Found(span.start, span.end, span.kind) for span in deidentify(text, classifier=classifier).spans
    ]


def outcome(letter: Letter, find: Find = rules) -> Outcome:
    """What is found in one letter."""
    found = tuple(find(letter.text))
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


def clean_reports(name: str, texts: Sequence[str], find: Find = rules) -> Clean:
    """The spans found in texts without identifying text; dates are right."""
    wrong: list[str] = []
    for text in texts:
        wrong += [f"{span.kind}: {text[span.start : span.end]}" for span in find(text) if span.kind not in DATES]
    return Clean(name, len(texts), sum(len(text.split()) for text in texts), tuple(wrong))


# ---------------------------------------------------------------------------------------------- the document


def part_table(by_way: Mapping[str, Sequence[Outcome]]) -> str:
    """Letters and digits covered per kind, overall, and precision, for each way to find; whole spans of the last."""
    last = list(by_way.values())[-1]
    groups = {kind.value: (kind,) for kind in Kind if recall(last, (kind,))[1].whole}
    rows = [
        [name, *(str(recall(outcomes, kinds)[0]) for outcomes in by_way.values()), str(recall(last, kinds)[1])]
        for name, kinds in {**groups, "**dates together**": DATES, "**all**": tuple(Kind)}.items()
    ]
    right = [precision(outcomes) for outcomes in by_way.values()]
    rows += [["**precision**", *(str(chars) for chars, _ in right), str(right[-1][1])]]
    rows += [["letters with nothing missed", *(str(_spotless(outcomes)) for outcomes in by_way.values()), ""]]
    return table(["kind", *by_way, f"{list(by_way)[-1]}, whole spans"], rows)


def _spotless(outcomes: Sequence[Outcome]) -> Share:
    return Share(sum(not misses(one) for one in outcomes), len(outcomes))


def aims_table(by_way: Mapping[str, Sequence[Outcome]]) -> str:
    """What was aimed at and what each way reaches."""
    reached = [
        (
            recall(outcomes)[0],
            recall(outcomes, [Kind.PATIENT])[0],
            recall(outcomes, DATES)[0],
            recall(outcomes, [Kind.HOSPITAL])[0],
            precision(outcomes)[1],
        )
        for outcomes in by_way.values()
    ]
    rows = [[what, aim, *map(str, shares)] for (what, aim), *shares in zip(AIMS, *reached, strict=True)]
    return table(["what", "aim", *by_way], rows)


def clean_table(by_way: Mapping[str, Sequence[Clean]]) -> str:
    """Wrong spans per 200 words of each way, with the most frequent texts of the last."""
    rows = []
    for parts in zip(*by_way.values(), strict=True):
        last = parts[-1]
        frequent = ", ".join(f"{text} ({count})" for text, count in Counter(last.wrong).most_common(5))
        rates = (f"{part.rate:.3f} ({len(part.wrong)})" for part in parts)
        rows.append([last.name, str(last.reports), str(last.words), *rates, frequent])
    return table(["text", "reports", "words", *by_way, f"most frequent, {list(by_way)[-1]}"], rows)


def ways(classifier: Identifier) -> dict[str, Find]:
    """The ways to find, by what stands above their columns; the app's default is the last."""
    return {"rules": rules, "model alone": alone(classifier), "both": both(classifier)}


def document(command: str) -> str:
    """The document of `docs/`: the prose of the template with the figures of this moment."""
    started = time.perf_counter()
    found = ways(Identifier())
    letters = {part: read_letters(part) for part in PARTS}
    outcomes = {
        part: {way: [outcome(letter, find) for letter in letters[part]] for way, find in found.items()}
        for part in ("heldout", "tune")
    }
    texts = {"radiology letters": [letter.text for letter in letters["pure"]]}
    texts |= {name: [one.text for one in read_records(DATA / "reports" / f"{name}.jsonl")] for name in REPORTS}
    clean = {way: [clean_reports(name, some, found[way]) for name, some in texts.items()] for way in ("rules", "both")}
    held_out, some, others = outcomes["heldout"], texts["chest_xray"][:TIMED], texts["chest_ct"][:TIMED]
    names = {
        "command": command,
        "day": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, Python {platform.python_version()}, one thread",
        "seconds": f"{time.perf_counter() - started:.0f}",
        "aims": aims_table({way: held_out[way] for way in ("rules", "both")}),
        "heldout": part_table(held_out),
        "tune": part_table(outcomes["tune"]),
        "clean": clean_table(clean),
        "timed": str(TIMED),
        "rules_xray": f"{_ms(some, rules):.2f}",
        "rules_ct": f"{_ms(others, rules):.2f}",
        "model_cost": f"{_ms(some, found['both']) - _ms(some, rules):.1f} ms for such an X-ray report",
        "hostile_cost": f"{_ms([HOSTILE], found['both']) / 1000:.1f} s",
        **{f"n_{part}": str(len(read_letters(part))) for part in ("heldout", "tune", "train")},
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(names)


def _ms(texts: Sequence[str], find: Find) -> float:
    """Milliseconds of this thread's processor time per text."""
    started = time.thread_time()
    for text in texts:
        find(text)
    return (time.thread_time() - started) * 1000 / len(texts)


def faults(part: str, find: Find) -> str:
    """Letter by letter what was missed (−) and what was taken wrongly (+)."""
    lines = []
    for one in (outcome(letter, find) for letter in read_letters(part)):
        lines += [f"{one.letter.name} − {text!r}" for text in misses(one)]
        lines += [f"{one.letter.name} + {text!r}" for text in extras(one)]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the document, or print it without `--out`."""
    given = list(sys.argv[1:] if argv is None else argv)
    args = _parser().parse_args(given)
    try:
        if args.faults:
            print(faults(args.faults, both(Identifier()) if args.by == "both" else rules))
            return 0
        make_room(args.out)
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
    parser.add_argument("--by", choices=("both", "rules"), default="both", help="with --faults: who finds")
    return parser


if __name__ == "__main__":
    sys.exit(main())
