"""Rules and classifier together: everything that either of them found, for recall.

Where both found something the rules say what it is; what the classifier found beside it is added. A word that the rules
take for no name (a drug, an eponym, a noun of charts) is none here either: a span needs at least one other that is
written with a capital. Knows neither rules nor models.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from medbertde.privacy.kinds import DeidentificationRefused, Found, Kind, refused_without_classifier
from medbertde.privacy.reading import Page, Token
from medbertde.privacy.words import is_common, is_eponym
from medbertde.types import FoundSpan, UserError

_NAMES = frozenset({Kind.PATIENT, Kind.DOCTOR, Kind.PERSON})
_EDGES = " \t\n,;:|/()[]<>*•·–—\"'„“”‚‘’"


class Classifier(Protocol):
    """What `inference.identify` offers: the spans of a text. Only those that take in one of `places` are asked for.

    `check` raises when the time is over.
    """

    def __call__(self, text: str, places: Sequence[int], check: Callable[[], None]) -> Iterable[FoundSpan]:
        """The spans in the order of the text."""


def union(rules: Sequence[Found], page: Page, classifier: Classifier) -> list[Found]:
    """The spans of the rules, and what the classifier finds that they leave uncovered: in order, without overlaps.

    A classifier that cannot work is a refusal, never passed over.
    """
    places = [token.start for token in page.tokens if _may_name(token.text) and not _covered(token, rules)]
    if not places:
        return list(rules)
    try:
        spans = classifier(page.text, places, page.budget.check)
    except DeidentificationRefused:
        raise
    except UserError as error:
        raise refused_without_classifier(error) from None
    return added(rules, [Found(span.start, span.end, Kind(span.label)) for span in spans], page)


def _covered(token: Token, rules: Sequence[Found]) -> bool:
    at = bisect_right(rules, token.start, key=lambda rule: rule.end)
    return at < len(rules) and rules[at].start <= token.start and token.end <= rules[at].end


def _may_name(word: str) -> bool:
    """Whether a word may be a name: with a capital, and none that the rules know as something else."""
    return word[0].isupper() and not is_common(word) and not any(map(is_eponym, (word, *word.split("-"))))


def added(rules: Sequence[Found], more: Iterable[Found], page: Page) -> list[Found]:
    """The spans of the rules with those of `more` beside them."""
    starts = [token.start for token in page.tokens]
    kept: list[Found] = []
    for one in more:
        touched = _touched(one, page, starts)
        if touched and touched[0].start >= (kept[-1].end if kept else 0):
            kept += _left_over(Found(touched[0].start, touched[-1].end, one.kind), rules)
    naming = [one for one in kept if any(_may_name(token.text) for token in _touched(one, page, starts))]
    trimmed = [found for one in naming if (found := _trimmed(one, page.text))]
    return _grown(sorted([*rules, *trimmed], key=lambda one: one.start), page.text)


def _touched(one: Found, page: Page, starts: Sequence[int]) -> list[Token]:
    """The words and signs that a span covers or begins or ends in; `starts` are those of all of the page."""
    first = max(0, bisect_right(starts, one.start) - 1)
    return [token for token in page.tokens[first : bisect_left(starts, one.end)] if token.end > one.start]


def _left_over(one: Found, rules: Sequence[Found]) -> Iterator[Found]:
    """The parts of a span that the rules did not find."""
    place = one.start
    for at in range(bisect_right(rules, one.start, key=lambda rule: rule.end), len(rules)):
        if rules[at].start >= one.end:
            break
        if rules[at].start > place:
            yield Found(place, rules[at].start, one.kind)
        place = rules[at].end
    if place < one.end:
        yield Found(place, one.end, one.kind)


def _trimmed(one: Found, text: str) -> Found | None:
    """Without the spaces and signs at its ends; None where no letter or digit is left."""
    inside = text[one.start : one.end]
    start = one.start + len(inside) - len(inside.lstrip(_EDGES))
    end = one.end - len(inside) + len(inside.rstrip(_EDGES))
    return Found(start, end, one.kind) if any(char.isalnum() for char in text[start:end]) else None


def _grown(found: list[Found], text: str) -> list[Found]:
    """Spans of one sort with nothing but a space between them as one: a name is one placeholder, not two."""
    kept: list[Found] = []
    for one in found:
        if kept and _is_one(kept[-1], one, text):
            kept[-1] = Found(kept[-1].start, one.end, kept[-1].kind)
        else:
            kept.append(one)
    return kept


def _is_one(left: Found, right: Found, text: str) -> bool:
    between = text[left.end : right.start]
    return between in ("", " ", "-", ". ") and left.kind in _NAMES and right.kind in _NAMES
