"""An attribution sentence by sentence, however its model reads: what each sentence says and what it has of the score.

Pure: no page, no language.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from medbertde.text import sentences
from medbertde.types import AttributedPassage, AttributedWord, Attribution

FLAT = 0.05  # logit units: a score that moves less than this is not divided into shares


@dataclass(frozen=True)
class Sentence:
    """The sentence ``text[start:end]`` and the heading it is read under.

    `score` is what it does to the report's logit, `share` that as a part of the whole change (None: hardly any change).
    A sentence that speaks against does hardly anything where the clearest sentence counts: there `score` is what it
    says by itself, as `own` always is and `probability` too (None where the model never reads it alone). `adds` says
    whether it does anything to the report's logit. `words` are those of the span and add up to `score`, but for the
    words of the heading; None where it adds nothing and nobody has asked for them.
    """

    start: int
    end: int
    heading: str
    score: float
    share: float | None
    own: float
    probability: float | None
    adds: bool
    words: tuple[AttributedWord, ...] | None


def sentences_of(attribution: Attribution) -> tuple[Sentence, ...]:
    """The sentences in the order of the text.

    A model that reads by sentence has scored each of them. Where it reads windows, a sentence has the sum of its words.
    """
    passages = sorted(attribution.passages, key=lambda each: each.start)
    apart = all(first.end <= second.start for first, second in pairwise(passages))
    if len(passages) > 1 and apart:
        return tuple(_of_passage(attribution, each) for each in passages)
    return tuple(_of_words(attribution))


def words_that_add(attribution: Attribution) -> tuple[AttributedWord, ...]:
    """The words of all sentences with what they do to the report's logit, exactly 0 in those that add nothing."""
    found: list[AttributedWord] = []
    for each in sentences_of(attribution):
        own = each.words if each.adds else None
        found += _inside(attribution.words, each.start, each.end) if own is None else own
    return tuple(found)


def _of_passage(attribution: Attribution, passage: AttributedPassage) -> Sentence:
    score = passage.contribution or min(passage.score, 0.0)
    part = score / passage.score if passage.score else 0.0  # between 0 and 1
    words = None if passage.words is None else _inside(passage.words, passage.start, passage.end)
    return Sentence(
        start=passage.start,
        end=passage.end,
        heading=attribution.text[slice(*passage.heading)] if passage.heading else "",
        score=score,
        share=_share(attribution, passage.contribution),
        own=passage.score,
        probability=passage.probability,
        adds=passage.contribution != 0,
        words=words and tuple(replace(word, score=part * word.score) for word in words),
    )


def _of_words(attribution: Attribution) -> Iterator[Sentence]:
    for start, end in sentences(attribution.text):
        words = _inside(attribution.words, start, end)
        score = sum(word.score for word in words)
        yield Sentence(start, end, "", score, _share(attribution, score), score, None, True, words)


def _inside(words: Sequence[AttributedWord], start: int, end: int) -> tuple[AttributedWord, ...]:
    return tuple(word for word in words if start <= word.start < end)


def _share(attribution: Attribution, contribution: float) -> float | None:
    change = attribution.logit - attribution.baseline_logit
    return contribution / change if abs(change) > FLAT else None
