"""Logits from word embeddings, with a graph back to these embeddings and to nothing else.

Owns the passes that explanations need. The weights are frozen, so no gradient of a weight is ever computed; positions
and token types are the model's own and stay as they are wherever a text's embeddings come from (models of the RoBERTa
family would number positions anew from padding ids). Nothing is hooked into the shared model: a classification in
another thread reads the same weights undisturbed.

On the CPU, BERT and RoBERTa classifiers compute rows of any lengths end to end (`packed_network`); all others run their
own `forward`.
"""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.explain.packed_network import PackedNetwork
from medbertde.inference.explain.row import Network, Row
from medbertde.inference.forward import Precision, forward_of
from medbertde.inference.packed import supports
from medbertde.types import Task

_NETWORKS: WeakKeyDictionary[LoadedModel, Network] = WeakKeyDictionary()


def network_of(model: LoadedModel) -> Network:
    """How `model` computes explanations: in the precision it classifies in."""
    found = _NETWORKS.get(model)
    if found is None:
        found = _NETWORKS[model] = _network(model)
    return found


def exact_network_of(model: LoadedModel) -> Network:
    """The same in float32, for the differences that explanations have to add up to."""
    network = network_of(model)
    return network.exact if isinstance(network, PackedNetwork) else network


def _network(model: LoadedModel) -> Network:
    if model.task is Task.FILL_MASK:
        return GapNetwork(model.model, model.encoder.pad_id)
    if supports(model.model):
        half = forward_of(model).precision is Precision.BF16
        return PackedNetwork(model.model, torch.bfloat16 if half else torch.float32)
    return PlainNetwork(model.model)


# ---------------------------------------------------------------------------------------------- any architecture


class PlainNetwork:
    """A classifier's own `forward`: per block on the CPU, over padded rows at once on a GPU."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model

    def __call__(self, rows: Sequence[Row], blocks: Sequence[Tensor]) -> Tensor:
        """See `Network`."""
        if blocks[0].device.type == "cpu":
            return torch.cat([self._logits(block, _ones(block)) for block in blocks])
        return self._logits(*_padded(blocks))

    def _logits(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        logits: Tensor = self._model(inputs_embeds=embeddings, attention_mask=mask).logits
        return logits.float()


class GapNetwork:
    """What a language model gives for each row's `piece` at its `position`.

    Output 0 is the piece's logit, output 1 the logarithm of its probability. The head runs at that position only.
    """

    def __init__(self, model: PreTrainedModel, pad_id: int) -> None:
        self._model = model
        self._head = getattr(model, "cls", None) or getattr(model, "lm_head", None)

    def __call__(self, rows: Sequence[Row], blocks: Sequence[Tensor]) -> Tensor:
        """See `Network`."""
        return torch.cat([self._outputs(row, block) for row, block in zip(rows, blocks, strict=True)])

    def _outputs(self, row: Row, block: Tensor) -> Tensor:
        if self._head is None:
            scores = self._model(inputs_embeds=block, attention_mask=_ones(block)).logits[:, row.position]
        else:
            hidden = self._model.base_model(inputs_embeds=block, attention_mask=_ones(block)).last_hidden_state
            scores = self._head(hidden[:, row.position])  # [n, vocabulary]
        scores = scores.float()
        logit = scores[:, row.piece]
        return torch.stack([logit, logit - scores.logsumexp(dim=-1)], dim=1)


def _ones(block: Tensor) -> Tensor:
    return torch.ones(block.shape[:2], dtype=torch.long, device=block.device)


def _padded(blocks: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """All blocks as one batch ``[rows, longest, hidden]`` with its attention mask."""
    longest = max(block.shape[1] for block in blocks)
    embeddings = torch.cat([functional.pad(block, (0, 0, 0, longest - block.shape[1])) for block in blocks])
    mask = torch.cat([functional.pad(_ones(block), (0, longest - block.shape[1])) for block in blocks])
    return embeddings, mask
