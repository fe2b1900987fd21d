"""From word pieces back to the words of the original text, by their offsets.

Owns what a word is in an explanation: a stretch between spaces without its outer brackets, quotes and commas; dots stay
("V. a.", "basal.", "<5"). Every piece belongs to exactly one word.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

from medbertde.types import AttributedWord

_BETWEEN_SPACES = re.compile(r"\S+")
_OPENING = re.compile(r"[(\[„“\"]+")
_CLOSING = ',;:!?)]“”"'


def word_spans(text: str) -> list[tuple[int, int]]:
    """The spans of the words, in order; what opens before a word and what closes behind it are spans of their own.

    >>> text = "(V. a. Erguss),"
    >>> [text[start:end] for start, end in word_spans(text)]
    ['(', 'V.', 'a.', 'Erguss', '),']
    """
    spans = []
    for stretch in _BETWEEN_SPACES.finditer(text):
        start, end = stretch.span()
        closing = start + len(stretch.group().rstrip(f".{_CLOSING}"))  # behind it are closing marks and dots only
        while start < end:
            if opening := _OPENING.match(text, start):
                stop = opening.end()
            elif start >= closing and text[start] in _CLOSING:
                stop = end
            else:
                stop = max(start + 1, closing)
                while stop < end and text[stop] == ".":  # dots belong to the word
                    stop += 1
            spans.append((start, stop))
            start = stop
    return spans


def place_pieces(text: str, spans: Sequence[tuple[int, int]], offsets: Sequence[tuple[int, int]]) -> list[int]:
    """For each piece the index of the span (of words, of sentences) that it begins in or after.

    >>> place_pieces("V. a. Erguss", [(0, 2), (3, 5), (6, 12)], [(0, 1), (1, 2), (3, 4), (4, 5), (6, 8), (8, 12)])
    [0, 0, 1, 1, 2, 2]
    """
    starts = [start for start, _ in spans]
    found = []
    for start, end in offsets:
        while start < end - 1 and text[start].isspace():  # byte-level pieces begin with the space before the word
            start += 1
        found.append(max(0, bisect_right(starts, start) - 1))
    return found


def scored_words(
    text: str, spans: Sequence[tuple[int, int]], word_of: Sequence[int], scores: Sequence[float]
) -> tuple[AttributedWord, ...]:
    """The words at `spans` with the sum of their pieces' scores.

    >>> scored_words("Kein Erguss", [(0, 4), (5, 11)], [0, 1, 1], [-1.0, 2.0, 0.5])[1]
    AttributedWord(text='Erguss', start=5, end=11, score=2.5)
    """
    totals = [0.0] * len(spans)
    for word, score in zip(word_of, scores, strict=True):
        totals[word] += score
    return tuple(
        AttributedWord(text[start:end], start, end, total) for (start, end), total in zip(spans, totals, strict=True)
    )
