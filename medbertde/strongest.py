"""Which spans of a text to mark for a finding: the few strongest stretches of words of an explanation.

Core: pure functions over words and texts; knows neither models nor who marks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence

from medbertde.text import sentences
from medbertde.types import AttributedWord

Span = tuple[int, int]
SHARE = 0.6  # of all that speaks for the finding, which the chosen words have together
MOST_SPANS = 3
BRIDGED = 1  # words between two chosen ones that are marked with them


def strongest_spans(text: str, words: Sequence[AttributedWord]) -> tuple[Span, ...]:
    """At most `MOST_SPANS` stretches of words, none beyond its sentence, in the order of the text.

    The fewest words are chosen that have `SHARE` of what speaks for the finding; neighbours are marked together.

    >>> scores = [("Kein", -1.0), ("Pneu.", 0.1), ("Kleiner", 0.5), ("Erguss", 3.0), ("links.", 1.2)]
    >>> text, found, end = " ".join(word for word, _ in scores), [], 0
    >>> for word, score in scores:
    ...     start = text.index(word, end)
    ...     end = start + len(word)
    ...     found.append(AttributedWord(word, start, end, score))
    >>> [text[start:end] for start, end in strongest_spans(text, found)]
    ['Erguss']
    """
    chosen = _fewest(words)
    groups: list[list[int]] = []
    bounds = sentences(text)
    of_word = _sentence_of(bounds, words)
    for at in chosen:
        near = groups and at - groups[-1][-1] <= 1 + BRIDGED and of_word[at] == of_word[groups[-1][-1]]
        if near:
            groups[-1].append(at)
        else:
            groups.append([at])
    groups.sort(key=lambda group: -sum(words[at].score for at in group))
    spans = [(words[group[0]].start, words[group[-1]].end) for group in groups[:MOST_SPANS]]
    ends = {end for _, end in bounds}
    return tuple(sorted(_without_stop(text, ends, span) for span in spans))


def _fewest(words: Sequence[AttributedWord]) -> list[int]:
    """The strongest words that speak for it and hold something to read, in the order of the text."""
    able = [at for at, word in enumerate(words) if word.score > 0 and any(map(str.isalnum, word.text))]
    whole, held, chosen = sum(words[at].score for at in able), 0.0, []
    for at in sorted(able, key=lambda at: -words[at].score):
        if held >= SHARE * whole:
            break
        chosen.append(at)
        held += words[at].score
    return sorted(chosen)


def _sentence_of(bounds: Sequence[Span], words: Sequence[AttributedWord]) -> list[int]:
    """For each word the number of the sentence that it begins in; `bounds`: the spans of the sentences."""
    starts = [start for start, _ in bounds]
    return [bisect_right(starts, word.start) for word in words]


def _without_stop(text: str, ends: Collection[int], span: Span) -> Span:
    """The span without the full stop of its sentence; `ends`: where the sentences end."""
    start, end = span
    return (start, end - 1) if end in ends and text[end - 1] in ".:;," and end - 1 > start else span


def same_place(span: Span, text: str, other: str) -> Span:
    r"""Where ``text[start:end]`` stands in a copy of the text that differs in white space only.

    >>> same_place((5, 9), "Kein Pneu.", "Kein\n\n Pneu.")
    (7, 11)
    """
    places = [at for at, character in enumerate(other) if not character.isspace()]
    before, inside = (_visible(text[slice(*part)]) for part in ((0, span[0]), span))
    return places[before], places[before + inside - 1] + 1


def _visible(text: str) -> int:
    return sum(not character.isspace() for character in text)
