"""Marked letters as they come out of a hurry, a scanner or another system: cut, wrapped, mistyped, in one case.

A model that learns from them must not lean on a letter head that is missing tomorrow. The marks follow the text. Some
letters come with placeholders already in the place of what was marked: nothing is to be found there.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from medbertde.privacy.kinds import PLACEHOLDERS
from train.augment import SPELLED_OUT
from train.letters import Letter, Segment, joined, lines, segments

_FEWEST_LINES = 3


def scuffed(letter: Letter, rng: random.Random) -> Letter:
    """The letter with at most a few of the ways in which letters look different from how they were written."""
    parts = segments(letter)
    if rng.random() < 0.4:
        parts = _cut(parts, rng)
    if rng.random() < 0.08:
        parts = _replaced(parts, rng)
    draw = rng.random()
    if draw < 0.10:
        parts = [(re.sub(r"[ \t]*\n[ \t]*", " ", text), kind) for text, kind in parts]
    elif draw < 0.22:
        parts = _wrapped(parts, rng.randint(38, 90))
    draw = rng.random()
    for share, way in _SPELLINGS:
        draw -= share
        if draw < 0:
            parts = [(way(text, rng), kind) for text, kind in parts]
            break
    return joined(letter.name, parts)


def _cut(parts: list[Segment], rng: random.Random) -> list[Segment]:
    """Some lines out of the middle."""
    every = lines(parts)
    if len(every) <= _FEWEST_LINES:
        return parts
    start = rng.randrange(len(every) - _FEWEST_LINES + 1)
    end = rng.randint(start + _FEWEST_LINES, len(every))
    return _stacked(every[start:end])


def _stacked(some: list[list[Segment]]) -> list[Segment]:
    """Lines below each other; a mark that went over a line becomes two, which the tags cannot tell from one."""
    return [part for number, line in enumerate(some) for part in ([("\n", None)] if number else []) + line]


def mixed(letters: Sequence[Letter], sentences: Sequence[str], rng: random.Random) -> Letter:
    """A few lines of several letters among sentences of reports: a name may stand anywhere, beside anything."""
    found: list[list[Segment]] = [[(rng.choice(sentences), None)] for _ in range(rng.randint(1, 4))]
    for letter in letters:
        every = lines(segments(letter))
        start = rng.randrange(len(every))
        found += every[start : start + rng.randint(1, 2)]
    rng.shuffle(found)
    parts: list[Segment] = []
    for line in found:
        parts += [(rng.choice(("\n", "\n", " ")), None), *line] if parts else line
    return joined("mixed", parts)


def _replaced(parts: list[Segment], rng: random.Random) -> list[Segment]:
    """Placeholders where most of the marks were."""
    return [(PLACEHOLDERS[kind], None) if kind and rng.random() < 0.8 else (text, kind) for text, kind in parts]


def _wrapped(parts: list[Segment], width: int) -> list[Segment]:
    """Lines broken at spaces once they are `width` long, also within a name."""
    found, column = [], 0
    for text, kind in parts:
        letters = list(text)
        for at, letter in enumerate(letters):
            column = 0 if letter == "\n" else column + 1
            if column >= width and letter == " ":
                letters[at], column = "\n", 0
        found.append(("".join(letters), kind))
    return found


def _mistyped(text: str, rng: random.Random) -> str:
    """About one letter in a hundred doubled, lost or swapped with the next."""
    letters = list(text)
    for place in range(len(letters) - 1):
        if letters[place].isalpha() and rng.random() < 0.01:
            here, after = letters[place], letters[place + 1]
            letters[place], letters[place + 1] = rng.choice(((here * 2, after), ("", after), (after, here)))
    return "".join(letters)


_SPELLINGS: tuple[tuple[float, Callable[[str, random.Random], str]], ...] = (  # the share of letters, and the way
    (0.03, lambda text, _: text.upper()),
    (0.04, lambda text, _: text.lower()),
    (0.04, lambda text, _: text.translate(SPELLED_OUT)),
    (0.04, lambda text, _: text.replace("ß", "ss")),
    (0.03, lambda text, _: re.sub(r"(?<=[.,:]) (?=\w)", "", text)),
    (0.08, _mistyped),
)
