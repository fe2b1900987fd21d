"""Spans as BIO tags of words, and tags as spans: what training and reading share of token classification.

Core: pure functions over texts, offsets and arrays; knows no tokenizer and no model. Each label has two tags, B for the
first word of a span and I for the others; number 0 is O, outside (Ramshaw & Marcus 1995, arXiv:cmp-lg/9505040). A word
is a run of letters, a run of digits or one other sign, so "5mg" is two; the first piece of a word decides on its tag
(Devlin et al. 2019, arXiv:1810.04805). Tags are numbers: `1 + 2 * label` is B, the next one I.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medbertde.types import FoundSpan, Rationale

OUTSIDE = 0
Scores = NDArray[np.float64]
_WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")


@dataclass(frozen=True)
class Word:
    """A word of a text, `text[start:end]`, and the index of the piece whose scores are its own.

    Where a piece reaches over several words (an unknown token, "kg/" as one piece), these count as one word.
    """

    start: int
    end: int
    piece: int


def tag_names(labels: Sequence[str]) -> tuple[str, ...]:
    """The names of the tags in the order of their numbers.

    >>> tag_names(["Dosis"])
    ('O', 'B-Dosis', 'I-Dosis')
    """
    return ("O", *(f"{place}-{label}" for label in labels for place in "BI"))


def words_of(text: str, offsets: Sequence[tuple[int, int]]) -> list[Word]:
    """The words of a text as a tokenizer's pieces show them; `offsets` are the pieces' places in the text.

    >>> text = "Ramipril 5mg"
    >>> [text[word.start : word.end] for word in words_of(text, [(0, 4), (4, 8), (8, 10), (10, 12)])]
    ['Ramipril', '5', 'mg']
    """
    begins = {match.start() for match in _WORD.finditer(text)}
    found: list[Word] = []
    for piece, (left, right) in enumerate(offsets):
        shown = text[left:right]
        start, end = right - len(shown.lstrip()), left + len(shown.rstrip())
        if start >= end:
            continue
        if not found or not begins.isdisjoint(range(start, end)):
            found.append(Word(start, end, piece))
        else:
            found[-1] = Word(found[-1].start, max(end, found[-1].end), found[-1].piece)
    return found


def without_overlaps(spans: Iterable[Rationale]) -> tuple[list[Rationale], list[Rationale]]:
    """The longest spans that do not overlap, in the order of the text, and those that had to give way."""
    kept: list[Rationale] = []
    dropped: list[Rationale] = []
    for span in sorted(spans, key=lambda one: (one.start - one.end, one.start, one.label)):
        overlaps = any(span.start < other.end and other.start < span.end for other in kept)
        (dropped if overlaps else kept).append(span)
    return sorted(kept, key=lambda one: one.start), sorted(dropped, key=lambda one: one.start)


def tags_of(words: Sequence[Word], spans: Iterable[Rationale], labels: Sequence[str]) -> list[int]:
    """The tag of each word. A word has one: of spans that overlap the longest counts.

    >>> words = [Word(0, 8, 0), Word(9, 10, 1), Word(11, 13, 2)]
    >>> tags_of(words, [Rationale("Dosis", 9, 13)], ["Medikament", "Dosis"])
    [0, 3, 4]
    """
    starts, ends = [word.start for word in words], [word.end for word in words]
    tags = [OUTSIDE] * len(words)
    for span in without_overlaps(spans)[0]:
        touched = range(bisect_right(ends, span.start), bisect_left(starts, span.end))
        free = [at for at in touched if tags[at] == OUTSIDE]
        begin = 1 + 2 * labels.index(span.label)
        for at in free:
            tags[at] = begin if at == free[0] else begin + 1
    return tags


def runs(tags: Sequence[int]) -> list[tuple[int, int, int]]:
    """The spans that tags stand for: number of the label, first word, word after the last one.

    >>> runs([0, 1, 2, 1, 0, 3])
    [(0, 1, 3), (0, 3, 4), (1, 5, 6)]
    """
    found: list[tuple[int, int, int]] = []
    for at, tag in enumerate(tags):
        if tag == OUTSIDE:
            continue
        label, inside = divmod(tag - 1, 2)
        if inside and found and found[-1][0] == label and found[-1][2] == at:
            found[-1] = (label, found[-1][1], at + 1)
        else:
            found.append((label, at, at + 1))
    return found


def best_path(scores: Scores) -> list[int]:
    """The tags with the highest sum of scores `(words, tags)` in which every I follows B or I of its label (Viterbi).

    >>> best_path(np.array([[1.0, 0.9, 0.0], [0.0, 0.0, 2.0]]))  # alone, the first word would be O
    [1, 2]
    """
    if not len(scores):
        return []
    tags = scores.shape[1]
    begin, inside = np.arange(1, tags, 2), np.arange(2, tags, 2)
    best = scores[0].astype(np.float64)
    best[inside] = -np.inf
    came = np.zeros(scores.shape, dtype=np.int64)  # the best tag before
    for at in range(1, len(scores)):
        came[at] = best.argmax()
        came[at, inside] = np.where(best[begin] >= best[inside], begin, inside)
        best = scores[at] + best[came[at]]
    path = [int(best.argmax())]
    for at in range(len(scores) - 1, 0, -1):
        path.append(int(came[at, path[-1]]))
    return path[::-1]


def places(windows: Sequence[Sequence[int]], pieces: int) -> list[tuple[int, int] | None]:
    """For each piece the window, and the place in it, where it stands farthest from the window's ends.

    A piece that two windows share is read where it has the most text on both sides; None: no window has it.

    >>> places([range(0, 4), range(2, 6)], 6)
    [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (1, 3)]
    """
    found: list[tuple[int, int] | None] = [None] * pieces
    room = [-1] * pieces
    for number, window in enumerate(windows):
        for place, piece in enumerate(window):
            around = min(place, len(window) - 1 - place)
            if around > room[piece]:
                found[piece], room[piece] = (number, place), around
    return found


def gather(words: Sequence[Word], windows: Sequence[Sequence[int]], scores: Sequence[Scores]) -> Scores:
    """The scores `(words, tags)` of a text from those of its windows, `(pieces of the window, tags)` each.

    A word that no window has is surely outside.
    """
    tags = scores[0].shape[1]
    outside = np.where(np.arange(tags) == OUTSIDE, 0.0, -1e9)
    last = max((*(word.piece for word in words), *(piece for window in windows for piece in window)), default=0)
    where = places(windows, 1 + last)  # a word may go on in pieces after its first
    read = [(where[word.piece], outside) for word in words]
    return np.array([scores[at[0]][at[1]] if at else missing for at, missing in read]).reshape(-1, tags)


def found_spans(
    words: Sequence[Word], scores: Scores, labels: Sequence[str], temperature: float = 1.0
) -> tuple[FoundSpan, ...]:
    """The spans that scores `(words, tags)` stand for.

    The confidence of a span is the smallest probability among its words' tags, after division by the temperature.
    """
    path = best_path(scores)
    logits = scores / temperature
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True)) if len(scores) else logits
    return tuple(
        FoundSpan(
            label=labels[label],
            start=words[first].start,
            end=words[last - 1].end,
            confidence=float(min(shifted[at, path[at]] / shifted[at].sum() for at in range(first, last))),
        )
        for label, first, last in runs(path)
    )
