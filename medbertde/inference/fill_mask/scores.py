"""What a language model says at masked positions, for rows of any length.

Owns the one forward pass of everything that fills gaps. Knows no words.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.tokens import pad

ROWS = 64  # of one forward pass: ids of a row, and the position in it that is asked for
Row = tuple[list[int], int]


@torch.inference_mode()
def log_probabilities(model: LoadedModel, rows: Sequence[Row]) -> Tensor:
    """The log-softmax ``[rows, vocabulary]`` of each row's model input at its position.

    The head runs at these positions only, where it is a module of its own.
    """
    network: PreTrainedModel = model.model
    ids, mask = pad([ids for ids, _ in rows], model.encoder.pad_id, model.device)  # [rows, longest]
    at = torch.tensor([position for _, position in rows], device=model.device)
    row = torch.arange(len(rows), device=model.device)
    head = getattr(network, "cls", None) or getattr(network, "lm_head", None)
    if head is None:
        logits = network(input_ids=ids, attention_mask=mask).logits[row, at]
    else:
        hidden = network.base_model(input_ids=ids, attention_mask=mask).last_hidden_state  # [rows, longest, hidden]
        logits = head(hidden[row, at])
    return logits.float().log_softmax(dim=-1).cpu()


def piece_log_probabilities(model: LoadedModel, asked: Sequence[tuple[Row, int]]) -> list[float]:
    """The log-probability of one piece per row, however many there are."""
    found: list[float] = []
    for start in range(0, len(asked), ROWS):
        part = asked[start : start + ROWS]
        scores = log_probabilities(model, [row for row, _ in part])  # [rows, vocabulary]
        found += scores[torch.arange(len(part)), torch.tensor([piece for _, piece in part])].tolist()
    return found
