"""What a language model says at masked positions, for rows of any length.

Owns what everything that fills gaps asks of the model. Knows no words.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.forward import forward_of

ROWS = 64  # of one forward pass: ids of a row, and the position in it that is asked for
Row = tuple[list[int], int]


def log_probabilities(model: LoadedModel, rows: Sequence[Row]) -> Tensor:
    """The log-softmax ``[rows, vocabulary]`` of each row's model input at its position; the head runs at these only."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index][0]))
    logits = forward_of(model).logits([rows[index][0] for index in order], [rows[index][1] for index in order])
    found = torch.empty_like(logits)
    found[order] = logits
    return found.log_softmax(dim=-1)


def piece_log_probabilities(model: LoadedModel, asked: Sequence[tuple[Row, int]]) -> list[float]:
    """The log-probability of one piece per row, however many there are."""
    found: list[float] = []
    for start in range(0, len(asked), ROWS):
        part = asked[start : start + ROWS]
        scores = log_probabilities(model, [row for row, _ in part])  # [rows, vocabulary]
        found += scores[torch.arange(len(part)), torch.tensor([piece for _, piece in part])].tolist()
    return found
