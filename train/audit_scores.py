"""How well a model knows a text: the scores that attacks on its privacy compare.

Owns pseudo-likelihoods of language models and losses of classifiers. All scores are natural logarithms; a higher loss
means less known. Knows no members and no attack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.checkpoint_labels import output_names
from medbertde.inference.tokens import pad
from medbertde.text import MASK
from medbertde.types import InvalidFile, ReportRecord
from train.classifier import predict_logits
from train.dataset import examples, targets
from train.evaluate import Floats, cross_entropy
from train.mlm import HEADS, chosen_logits

PASSES = 7  # each token is hidden once, with a seventh of the others: about the 15 % of the training
BATCH_TOKENS = 4096
SEED = 20_260_101


@dataclass(frozen=True)
class Question:
    """A row of a model's input with masks: the positions asked about, the true ids there, whose score they count to."""

    ids: tuple[int, ...]
    positions: tuple[int, ...]
    targets: tuple[int, ...]
    owner: int


def text_losses(loaded: LoadedModel, texts: Sequence[str]) -> Floats:
    """The loss of each text in nats per character, every token hidden once (energy of Mireshghallah et al. 2022).

    arXiv:2203.03929. Per character, so that models with other word pieces compare; the masks of a text are the same for
    all models with the same pieces.
    """
    questions = [question for at, text in enumerate(texts) for question in _hidden_in_turn(loaded, text, at)]
    return -_summed(loaded, questions, len(texts)) / np.array([len(text) for text in texts])


def _hidden_in_turn(loaded: LoadedModel, text: str, owner: int) -> list[Question]:
    encoder = loaded.encoder
    (pieces,) = encoder.pieces([text])
    found = []
    for start in range(0, len(pieces.ids), encoder.room):
        row = pieces.ids[start : start + encoder.room]
        order = np.random.default_rng(SEED).permutation(len(row))
        for hidden in np.array_split(order, min(PASSES, len(row))):
            found.append(_question(loaded, row, sorted(hidden.tolist()), owner))
    return found


def word_scores(loaded: LoadedModel, text: str, words: Sequence[str]) -> Floats:
    """The log-probability of each word (or several) in the one `[MASK]` of a text.

    Pseudo-log-likelihood of the pieces, those behind a piece hidden with it (Kauf & Ivanova 2023, arXiv:2305.10588), so
    that the rest of a word does not give it away.
    """
    before, mask, after = text.partition(MASK)
    if not mask or MASK in after:
        raise InvalidFile(
            f"Erwartet wird ein Satz mit genau einem {MASK}, gefunden wurden {text.count(MASK)}.",
            f"Expected is a sentence with exactly one {MASK}, found were {text.count(MASK)}.",
        )
    questions = []
    for owner, (word, pieces) in enumerate(
        zip(words, loaded.encoder.pieces([f"{before}{word}{after}" for word in words]), strict=True)
    ):
        span = range(len(before), len(before) + len(word))
        own = [at for at, (start, end) in enumerate(pieces.offsets) if max(start, span.start) < min(end, span.stop)]
        questions += [
            _question(loaded, pieces.ids[: loaded.encoder.room], own[index:], owner, asked=own[index : index + 1])
            for index in range(len(own))
        ]
    return _summed(loaded, questions, len(words))


def _question(
    loaded: LoadedModel, row: Sequence[int], hidden: Sequence[int], owner: int, asked: Sequence[int] | None = None
) -> Question:
    """A row with these pieces hidden; all of them are asked about unless `asked` says which."""
    mask_id, first = loaded.encoder.mask_id, len(loaded.encoder.prefix)
    assert mask_id is not None, "a language model has a mask"
    masked = list(row)
    for at in hidden:
        masked[at] = mask_id
    asked = hidden if asked is None else asked
    return Question(
        ids=tuple(loaded.encoder.model_ids(masked)),
        positions=tuple(first + at for at in asked),
        targets=tuple(row[at] for at in asked),
        owner=owner,
    )


@torch.inference_mode()
def _summed(loaded: LoadedModel, questions: Sequence[Question], owners: int) -> Floats:
    """The sum of log-probabilities for each owner, computed in the order of length."""
    found = np.zeros(owners)
    order = sorted(range(len(questions)), key=lambda at: len(questions[at].ids))
    while order:
        rows = max(1, BATCH_TOKENS // len(questions[order[-1]].ids))
        batch, order = [questions[at] for at in order[-rows:]], order[:-rows]
        ids, attention = pad([each.ids for each in batch], loaded.encoder.pad_id, loaded.device)  # (rows, longest)
        width = ids.shape[1]
        chosen = torch.tensor([row * width + at for row, each in enumerate(batch) for at in each.positions])
        wanted = torch.tensor([target for each in batch for target in each.targets])
        logits = _logits_at(loaded.model, ids, attention, chosen.to(loaded.device))  # (chosen, vocabulary)
        scores = logits.float().cpu().log_softmax(-1)[torch.arange(len(wanted)), wanted].double().numpy()
        np.add.at(found, [each.owner for each in batch for _ in each.positions], scores)
    return found


def _logits_at(model: PreTrainedModel, ids: Tensor, attention: Tensor, chosen: Tensor) -> Tensor:
    if any(hasattr(model, name) for name in HEADS):
        return chosen_logits(model, ids, attention, chosen)
    return model(input_ids=ids, attention_mask=attention).logits.flatten(0, 1)[chosen]


def report_losses(loaded: LoadedModel, records: Sequence[ReportRecord]) -> Floats:
    """The mean binary cross-entropy of a classifier over its outputs, for each labelled report."""
    assert loaded.schema is not None, "a classifier has a schema"
    logits = predict_logits(loaded.model, examples(records, loaded.schema, loaded), loaded.encoder.pad_id)
    order = output_names(loaded.schema, states=True)
    columns = [order.index(output) for output in loaded.outputs]
    truth = np.array([targets(record, loaded.schema) for record in records])[:, columns]
    return np.asarray(cross_entropy(truth, logits).mean(axis=1))
