"""Whether pieces are a whole word in the eyes of the model: neither the beginning of one nor put together by chance.

No vocabulary says whether a piece such as ``Tracheal`` stands for a word or occurs in longer words only, nor which
pieces belong together: ``Blutung|##en`` is a word, ``Blutung|##n`` is none. The model has read which. It is asked
outside of the sentence, in a list item that could hold any word:

- what it expects behind the pieces in ``- Tracheal [MASK].``: a continuation, or the next word;
- for single pieces, where it expects them: in ``- [MASK] ##en.`` or in ``- [MASK] und.`` (many such at once);
- for several pieces, how likely each is behind those before it: ``##n`` in ``- Blutung [MASK].``.

Measured on an embedded model (held-out loss 3.0) against the words of this project's reports. Single pieces, 3,900
beginnings of two letters and more: 84 % of those that are a whole word in under 2 % of their uses are found, and 0.9 %
of the running text's whole words are taken for beginnings (area under the ROC curve 0.98). Several pieces, 401
candidates for 135 gaps in held-out reports: together with what `search` asks in the sentence, nine of ten of the 287
that stand in some report are kept and two thirds of the others dropped (0.89); with today's model (2.66) and limits, in
240 gaps of the test reports, 125 of 173 are kept and 32 of 33 others dropped. A model that has learned little finds few
of either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.fill_mask.scores import ROWS, Row, log_probabilities, piece_log_probabilities
from medbertde.inference.fill_mask.vocabulary import vocabulary

SINGLE = 0.8  # taken off the sum of both answers for a single piece
_NEXT = (".", ",", ":", ";", ")", "?", "-", " und", " mit", " im", " links", " rechts", " ist", " bei", " der")
_CONTINUATIONS = 64  # the first of a vocabulary are its most frequent

Sequences = Sequence[tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class _Answers:
    """What was found out about a model's pieces; `leaning` ``[vocabulary]``: where it expects each, see `_leaning`."""

    leaning: Tensor
    beginning: dict[tuple[int, ...], float] = field(default_factory=dict)
    together: dict[tuple[int, ...], tuple[float, float]] = field(default_factory=dict)


_answers: WeakKeyDictionary[LoadedModel, _Answers] = WeakKeyDictionary()  # goes with its model


def beginning_odds(model: LoadedModel, sequences: Sequences) -> list[float]:
    """How much speaks for each single piece being only the beginning of a word: log odds, above 0 more than against.

    What is no word of letters (numbers, punctuation) is never a beginning. The model is asked once per piece.
    """
    known, answers = vocabulary(model), _of(model)
    unknown = [pieces for pieces in dict.fromkeys(sequences) if pieces not in answers.beginning]
    lettered = [pieces for pieces in unknown if known.texts[pieces[-1]].isalpha()]
    found = dict.fromkeys(unknown, float("-inf"))
    for pieces, odds in zip(lettered, _continuation_odds(model, lettered), strict=True):
        found[pieces] = odds + float(answers.leaning[pieces[0]]) - SINGLE
    answers.beginning.update(found)  # at the end: an answer that failed must not be remembered
    return [answers.beginning[pieces] for pieces in sequences]


def togetherness(model: LoadedModel, sequences: Sequences) -> list[tuple[float, float]]:
    """What speaks for each sequence of several pieces being one word, and against it.

    For: the log-probability of the least likely piece behind those before it. Against: the log odds that the word goes
    on after the last. The model is asked once per sequence.
    """
    answers = _of(model)
    unknown = [pieces for pieces in dict.fromkeys(sequences) if pieces not in answers.together]
    steps = [(pieces, place) for pieces in unknown for place in range(1, len(pieces))]
    asked = [(_item(model, pieces[:place], len(pieces) - place), pieces[place]) for pieces, place in steps]
    least = dict.fromkeys(unknown, 0.0)
    for (pieces, _), found in zip(steps, piece_log_probabilities(model, asked), strict=True):
        least[pieces] = min(least[pieces], found)
    for pieces, odds in zip(unknown, _continuation_odds(model, unknown), strict=True):
        answers.together[pieces] = least[pieces], odds
    return [answers.together[pieces] for pieces in sequences]


def _of(model: LoadedModel) -> _Answers:
    found = _answers.get(model)
    if found is None:
        found = _answers[model] = _Answers(_leaning(model))
    return found


def _continuation_odds(model: LoadedModel, sequences: Sequences) -> list[float]:
    """The log odds that a word goes on behind each sequence, in ``- Tracheal [MASK].`` and the like."""
    return odds_of_going_on(model, [_item(model, pieces, 1) for pieces in sequences])


def odds_of_going_on(model: LoadedModel, rows: Sequence[Row]) -> list[float]:
    """The log odds that a word goes on at the mask of each row instead of having ended before it."""
    continues = vocabulary(model).continues
    found: list[float] = []
    for start in range(0, len(rows), ROWS):
        scores = log_probabilities(model, rows[start : start + ROWS])  # [rows, vocabulary]
        goes_on = scores[:, continues].logsumexp(dim=-1)
        ends = scores[:, ~continues].logsumexp(dim=-1)
        found += (goes_on - ends).tolist()
    return found


def _leaning(model: LoadedModel) -> Tensor:
    """By how much each piece is likelier before a continuation than before the next word: mean log ratio."""
    known = vocabulary(model)
    following = [model.encoder.pieces([text])[0].ids for text in _NEXT]
    usual = [piece for piece in known.continues.nonzero().flatten().tolist() if len(known.texts[piece]) > 1]
    behind = [*following, *((piece,) for piece in usual[:_CONTINUATIONS])]
    scores = log_probabilities(model, [_item(model, (), 1, pieces) for pieces in behind])  # [neighbours, vocabulary]
    if not usual:
        return torch.zeros(scores.shape[1])
    return scores[len(following) :].mean(dim=0) - scores[: len(following)].mean(dim=0)


def _item(model: LoadedModel, before: Sequence[int], masks: int, after: Sequence[int] = ()) -> Row:
    """A list item with masked pieces between others, ``- Tracheal [MASK].``, and the position of the first mask."""
    encoder = model.encoder
    assert encoder.mask_id is not None
    start, end = encoder.pieces(["-", "."])
    ids = [*start.ids, *before, *[encoder.mask_id] * masks, *after, *end.ids]
    return encoder.model_ids(ids), len(encoder.prefix) + len(start.ids) + len(before)
