"""How well the words that a model weighs agree with the words that a person marked: token F1, IoU and AUPRC.

Core: pure functions over spans and scores. A token is a word of the attribution that holds a letter or a digit; it is
marked when it shares a character with a marked span. The measures are those of DeYoung et al. 2020 ("ERASER",
doi:10.18653/v1/2020.acl-main.408), per token. A model gives scores, not a set: for F1 and IoU its set are the tokens of
highest positive score, as many as the person marked. AUPRC needs no such choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from medbertde.types import AttributedWord

Span = tuple[int, int]


@dataclass(frozen=True)
class SpanAgreement:
    """One finding of one report, or the means over many; `chance` is the AUPRC of random scores (the marked share)."""

    f1: float
    iou: float
    auprc: float
    chance: float
    n: int = 1


def span_agreement(words: Sequence[AttributedWord], marked: Iterable[Span]) -> SpanAgreement | None:
    """Compare the words' scores with the marked spans; None where no word is marked.

    >>> words = [AttributedWord("Erguss", 5, 11, 0.9), AttributedWord("links", 12, 17, 0.1)]
    >>> span_agreement(words, [(5, 11)])
    SpanAgreement(f1=1.0, iou=1.0, auprc=1.0, chance=0.5, n=1)
    """
    tokens = [word for word in words if any(map(str.isalnum, word.text))]
    spans = list(marked)
    human = {index for index, word in enumerate(tokens) if any(_touch(word, span) for span in spans)}
    if not human:
        return None
    scores = [word.score for word in tokens]
    model = top_tokens(scores, len(human))
    shared = len(human & model)
    return SpanAgreement(
        f1=2 * shared / (len(human) + len(model)),
        iou=shared / len(human | model),
        auprc=average_precision(scores, human),
        chance=len(human) / len(tokens),
    )


def top_tokens(scores: Sequence[float], count: int) -> set[int]:
    """The `count` tokens of highest positive score; of equal scores the earlier ones.

    >>> sorted(top_tokens([0.2, -0.9, 0.7, 0.2], 2))
    [0, 2]
    """
    ranked = sorted((index for index, score in enumerate(scores) if score > 0), key=lambda index: -scores[index])
    return set(ranked[:count])


def average_precision(scores: Sequence[float], relevant: set[int]) -> float:
    """The area under the precision-recall curve as a sum over the ranks; tokens of equal score share one rank.

    >>> average_precision([0.9, 0.5, 0.1], {0, 2})  # precision 1 at the first hit, 2/3 at the second
    0.8333333333333333
    """
    area, taken, hits = 0.0, 0, 0
    for threshold in sorted(set(scores), reverse=True):
        tied = [index for index, score in enumerate(scores) if score == threshold]
        found = sum(index in relevant for index in tied)
        taken, hits = taken + len(tied), hits + found
        area += found / len(relevant) * hits / taken
    return area


def mean_agreement(found: Sequence[SpanAgreement]) -> SpanAgreement | None:
    """The means over findings of reports, each counted once; None where there are none."""
    if not found:
        return None
    return SpanAgreement(
        f1=fmean(one.f1 for one in found),
        iou=fmean(one.iou for one in found),
        auprc=fmean(one.auprc for one in found),
        chance=fmean(one.chance for one in found),
        n=len(found),
    )


def _touch(word: AttributedWord, span: Span) -> bool:
    return word.start < span[1] and span[0] < word.end
