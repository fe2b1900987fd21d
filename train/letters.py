"""The marked fictional letters of `data/letters`: `{kind:text}` around everything that could show who somebody is.

Four parts: `train` (the classifier learns from them), `tune` (rules were made on them, thresholds are chosen on them),
`heldout` (for measuring only) and `pure` (radiology without anything to find).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from medbertde.privacy.kinds import Kind
from medbertde.types import InvalidFile

FOLDER = Path(__file__).parent.parent / "data" / "letters"
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


Segment = tuple[str, Kind | None]  # a stretch of a letter, and what it is where it is marked


def segments(letter: Letter) -> list[Segment]:
    """The letter cut at its marks."""
    found: list[Segment] = []
    place = 0
    for mark in letter.marks:
        found += [(letter.text[place : mark.start], None), (letter.text[mark.start : mark.end], mark.kind)]
        place = mark.end
    return [*found, (letter.text[place:], None)]


def lines(parts: list[Segment]) -> list[list[Segment]]:
    """The segments of each line, its end left out; a mark that goes over a line is in both."""
    found: list[list[Segment]] = [[]]
    for text, kind in parts:
        for number, line in enumerate(text.split("\n")):
            if number:
                found.append([])
            found[-1].append((line, kind))
    return found


def joined(name: str, parts: list[Segment]) -> Letter:
    """The letter of these segments."""
    marks, length = [], 0
    for text, kind in parts:
        if kind is not None and text:
            marks.append(Mark(length, length + len(text), kind))
        length += len(text)
    return Letter(name, "".join(text for text, _ in parts), tuple(marks))


def parse(name: str, marked: str) -> Letter:
    """The letter of a marked text; `InvalidFile` for a mark of no known kind.

    >>> letter = parse("a", "Frau {patient:Kasulke} hustet.")
    >>> letter.text, letter.marks[0].start
    ('Frau Kasulke hustet.', 5)
    """
    parts: list[Segment] = []
    place = 0
    for match in _MARK.finditer(marked):
        if match.group(1) not in list(Kind):
            raise InvalidFile(
                f"{name}: unbekannte Art {match.group(1)!r}, erwartet wird eine von {', '.join(Kind)}.",
                f"{name}: unknown kind {match.group(1)!r}, expected is one of {', '.join(Kind)}.",
            )
        parts += [(marked[place : match.start()], None), (match.group(2), Kind(match.group(1)))]
        place = match.end()
    return joined(name, [*parts, (marked[place:], None)])


def read_letters(part: str, folder: Path = FOLDER) -> list[Letter]:
    """The letters of a part in the order of their names."""
    paths = sorted(folder.glob(f"{part}_*.txt"))
    if not paths:
        raise InvalidFile(f"In {folder} liegen keine Briefe {part}_*.txt.", f"{folder} has no letters {part}_*.txt.")
    return [parse(path.stem, path.read_text(encoding="utf-8")) for path in paths]
