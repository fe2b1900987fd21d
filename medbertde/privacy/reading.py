"""The text as the rules see it: same letters, tidier spaces, tokens with places, and a budget of time.

Owns what makes a text safe to match: long lines are cut into pieces, invisible characters are set aside, placeholders
of an earlier pass are blanked. Knows no rule.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

from medbertde.privacy.kinds import PLACEHOLDERS, Found, refused_as_too_slow

PIECE, OVERLAP = 2_000, 200  # characters of a piece of a long line, and of two neighbours together
BLANK = "\ue000"  # stands for each character of a placeholder: a letter to no rule
_INVISIBLE = re.compile("[\x01-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_SPACES = {ord(char): " " for char in "\r\x0b\x0c\x85\xa0\u2007\u2009\u202f_"} | {
    ord("\u2011"): "-",
    ord("\u2010"): "-",
}
_SPACE_LIKE = re.compile(f"[{''.join(map(chr, _SPACES))}]")
_PLACEHOLDER = re.compile("|".join(re.escape(placeholder) for placeholder in PLACEHOLDERS.values()))
_TOKEN = re.compile(r"(?:Herrn?|Frau|Dr|Prof)(?=[A-ZÄÖÜ][a-zäöüß])|[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+|[^\w\s]|\n")


class Budget:
    """A number of seconds of processor time of this thread; `check` refuses once they are over.

    Not of the clock: on a busy machine an ordinary letter waits long and works little.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.thread_time() + seconds

    def check(self) -> None:
        """Raise `DeidentificationRefused` when the time is over."""
        if time.thread_time() > self._end:
            raise refused_as_too_slow(self.seconds)


class Token(NamedTuple):
    """A word, number or sign: its text, its place, its line from 0, and whether a wide gap stands before it."""

    text: str
    start: int
    end: int
    line: int
    wide: bool


_token = partial(tuple.__new__, Token)  # as `Token._make`, in a third of the time: half of a short text's cost is here


@dataclass(frozen=True)
class Page:
    """The text that the rules read.

    `places` leads back: character i of `text` is character ``places[i]`` of the NFC input; None where nothing was set
    aside.
    """

    text: str
    places: Sequence[int] | None
    tokens: tuple[Token, ...]
    budget: Budget

    def origin(self, found: Found) -> Found:
        """The span in the NFC input."""
        if self.places is None:
            return found
        return Found(self.places[found.start], self.places[found.end - 1] + 1, found.kind)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The tokens in lower case."""
        return tuple(token.text.casefold() for token in self.tokens)

    def pieces(self) -> Iterator[tuple[int, str]]:
        """The lines with their offsets; a long line comes in pieces that overlap. The budget is checked on the way."""
        start = checked = 0
        for line in self.text.split("\n"):
            for offset in range(0, len(line) if line.strip() else 0, PIECE - OVERLAP):
                if start + offset >= checked:
                    self.budget.check()
                    checked = start + offset + PIECE
                yield start + offset, line[offset : offset + PIECE]
                if offset + PIECE >= len(line):
                    break
            start += len(line) + 1


def read(text: str, budget: Budget) -> tuple[str, Page]:
    """The NFC form of a text, and the page of it that the rules read."""
    text = unicodedata.normalize("NFC", text)
    seen, places = text, None
    if _INVISIBLE.search(text):
        places = [place for place, char in enumerate(text) if not _INVISIBLE.match(char)]
        seen = "".join(text[place] for place in places)
    if _SPACE_LIKE.search(seen):
        seen = seen.translate(_SPACES)
    if "[" in seen:
        seen = _PLACEHOLDER.sub(lambda match: BLANK * len(match.group()), seen)
    return text, Page(seen, places, _tokens(seen, budget), budget)


def _tokens(text: str, budget: Budget) -> tuple[Token, ...]:
    found: list[Token] = []
    line = end = 0
    for count, match in enumerate(_TOKEN.finditer(text)):
        if count % 1000 == 999:
            budget.check()
        word, (start, stop) = match.group(), match.span()
        if word == "\n":
            line += 1
        else:
            found.append(_token((word, start, stop, line, start > end + 1 or (start > end and text[end] == "\t"))))
        end = stop
    return tuple(found)
