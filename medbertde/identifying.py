"""Identifying text as a token classifier reads it: how a text is shown to it, and which of its scores become spans.

Core: training (`train.deidentifier`) and reading (`inference.identify`) share it, so that both see the same. Knows no
model and no rule. The labels are the kinds of `privacy.kinds`, in `data/schemas/internal/identifying.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from medbertde.span_tags import OUTSIDE, Scores, Word
from medbertde.types import FoundSpan

SCHEMA_ID = "identifying"
LINE_END = "¶"  # what the model sees where a line ends: in a letter that says more than a space
GAP = "■"  # what it sees of a placeholder
_REPEATED = re.compile(r"([^\w\s])\1{2,}")
_PRIVATE = "\ue000"  # the blanks of `privacy.reading`


def shown_as(text: str) -> str:
    r"""A text as the model is shown it: of the same length, so that places stay; runs of a sign are one sign.

    >>> shown_as("Pat. ..... Kasulke\ngeb. 1956")
    'Pat. .     Kasulke¶geb. 1956'
    """
    marked = text.replace("\n", LINE_END)
    return _REPEATED.sub(lambda run: run[1] + " " * (len(run[0]) - 1), marked).replace(_PRIVATE, GAP)


def outside(scores: Scores, temperature: float = 1.0) -> tuple[Scores, Scores]:
    """From scores `(words, tags)`: the probability that a word identifies nobody `(words,)`, and that of each tag."""
    logits = scores / temperature
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Scores = shifted / shifted.sum(axis=1, keepdims=True)
    return probabilities[:, OUTSIDE], probabilities


def spans_above(
    words: Sequence[Word], scores: Scores, thresholds: Mapping[str, float], labels: Sequence[str], temperature: float
) -> tuple[FoundSpan, ...]:
    """The spans of the words that identify somebody at least as surely as the threshold of their likeliest kind says.

    For recall: a word counts although "outside" is likelier, where the threshold is below a half. A label without a
    threshold is left out. The confidence of a span is that of its surest word.
    """
    if not words:
        return ()
    free, tags = outside(scores, temperature)
    begin, inside = tags[:, 1::2], tags[:, 2::2]
    likeliest = (begin + inside).argmax(axis=1)
    limits = np.array([thresholds.get(label, 2.0) for label in labels])
    found: list[FoundSpan] = []
    last = -2
    for at in np.flatnonzero(1 - free >= limits[likeliest]):
        kind, word, sure = int(likeliest[at]), words[int(at)], float(1 - free[at])
        goes_on = at == last + 1 and found[-1].label == labels[kind] and inside[at, kind] >= begin[at, kind]
        if goes_on:
            found[-1] = FoundSpan(labels[kind], found[-1].start, word.end, max(found[-1].confidence, sure))
        else:
            found.append(FoundSpan(labels[kind], word.start, word.end, sure))
        last = int(at)
    return tuple(found)
