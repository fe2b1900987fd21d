"""Whether pieces are a whole word or only the beginning of one, in the eyes of the model.

No vocabulary says whether a piece such as ``Tracheal`` stands for a word or occurs in longer words only. The model has
read which, and two questions find out:

- what it expects behind the pieces in ``- Tracheal [MASK].``: a continuation, or the next word;
- for single pieces, where it expects them: in ``- [MASK] ##en.`` or in ``- [MASK] und.`` (many such at once).

Measured on the embedded model (held-out loss 3.0) against the words of this project's reports, with 3,900 beginnings of
two letters and more: 84 % of those that are a whole word in under 2 % of their uses are found, and 0.9 % of the running
text's whole words are taken for beginnings (area under the ROC curve 0.98). A model that has learned little finds few
of either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import PreTrainedModel

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.fill_mask_vocabulary import vocabulary
from medbertde.inference.tokens import pad

SINGLE = 0.8  # taken off the sum of both answers for a single piece; of several pieces only the first is asked
_NEXT = (".", ",", ":", ";", ")", "?", "-", " und", " mit", " im", " links", " rechts", " ist", " bei", " der")
_CONTINUATIONS = 64  # the first of a vocabulary are its most frequent
_ROWS = 64  # of one forward pass


@dataclass(frozen=True, eq=False)
class _Endings:
    """What was found out about a model's pieces; `leaning` ``[vocabulary]`` is the answer to the second question."""

    leaning: Tensor
    odds: dict[tuple[int, ...], float] = field(default_factory=dict)


_endings: WeakKeyDictionary[LoadedModel, _Endings] = WeakKeyDictionary()  # goes with its model


@torch.inference_mode()
def log_probabilities(model: LoadedModel, rows: Sequence[Sequence[int]], positions: Sequence[int]) -> Tensor:
    """The log-softmax ``[rows, vocabulary]`` of each row's model input at its position, rows of any length.

    The head runs at these positions only, where it is a module of its own.
    """
    network: PreTrainedModel = model.model
    ids, mask = pad(rows, model.encoder.pad_id, model.device)  # [rows, longest]
    at = torch.tensor(positions, device=model.device)
    row = torch.arange(len(rows), device=model.device)
    head = getattr(network, "cls", None) or getattr(network, "lm_head", None)
    if head is None:
        logits = network(input_ids=ids, attention_mask=mask).logits[row, at]
    else:
        hidden = network.base_model(input_ids=ids, attention_mask=mask).last_hidden_state  # [rows, longest, hidden]
        logits = head(hidden[row, at])
    return logits.float().log_softmax(dim=-1).cpu()


def beginning_odds(model: LoadedModel, sequences: Sequence[tuple[int, ...]]) -> list[float]:
    """How much speaks for each piece sequence being only the beginning of a word: log odds, above 0 more than against.

    What is no word of letters (numbers, punctuation) is never a beginning. The model is asked once per sequence, then
    the answer is remembered.
    """
    texts = vocabulary(model).texts
    endings = _endings.get(model)
    if endings is None:
        endings = _endings[model] = _Endings(_leaning(model))
    unknown = [pieces for pieces in dict.fromkeys(sequences) if pieces not in endings.odds]
    lettered = [pieces for pieces in unknown if texts[pieces[-1]].isalpha()]
    found = dict.fromkeys(unknown, float("-inf"))
    for start in range(0, len(lettered), _ROWS):
        part = lettered[start : start + _ROWS]
        for pieces, odds in zip(part, _continuation_odds(model, part), strict=True):
            found[pieces] = odds + float(endings.leaning[pieces[0]]) - SINGLE if len(pieces) == 1 else odds
    endings.odds.update(found)
    return [endings.odds[pieces] for pieces in sequences]


def _continuation_odds(model: LoadedModel, sequences: Sequence[tuple[int, ...]]) -> list[float]:
    """The log odds that a word goes on behind each sequence, in ``- Tracheal [MASK].`` and the like."""
    continues = vocabulary(model).continues
    inputs = [_between(model, pieces, ()) for pieces in sequences]
    scores = log_probabilities(model, *zip(*inputs, strict=True))  # [sequences, vocabulary]
    goes_on = scores[:, continues].logsumexp(dim=-1)
    ends = scores[:, ~continues].logsumexp(dim=-1)
    return [float(odds) for odds in goes_on - ends]


def _leaning(model: LoadedModel) -> Tensor:
    """By how much each piece is likelier before a continuation than before the next word: mean log ratio."""
    known = vocabulary(model)
    following = [model.encoder.pieces([text])[0].ids for text in _NEXT]
    usual = [piece for piece in known.continues.nonzero().flatten().tolist() if len(known.texts[piece]) > 1]
    inputs = [_between(model, (), pieces) for pieces in [*following, *((piece,) for piece in usual[:_CONTINUATIONS])]]
    scores = log_probabilities(model, *zip(*inputs, strict=True))  # [neighbours, vocabulary]
    if not usual:
        return torch.zeros(scores.shape[1])
    return scores[len(following) :].mean(dim=0) - scores[: len(following)].mean(dim=0)


def _between(model: LoadedModel, before: Sequence[int], after: Sequence[int]) -> tuple[list[int], int]:
    """A list item of one masked piece between others, ``- Tracheal [MASK].``, as model input, and its position."""
    encoder = model.encoder
    assert encoder.mask_id is not None
    start, end = encoder.pieces(["-", "."])
    ids = [*start.ids, *before, encoder.mask_id, *after, *end.ids]
    return encoder.model_ids(ids), len(encoder.prefix) + len(start.ids) + len(before)
