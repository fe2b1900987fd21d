"""What is computed: one input of a model as word embeddings, and a function from such inputs to logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Row:
    """One input of the model as word embeddings: `text` and the `blank` one it is compared with, ``[length, hidden]``.

    `free` ``[length]`` marks the positions that are explained; control tokens are not and are equal in both. A language
    model is asked for `piece` at `position`.
    """

    text: Tensor
    blank: Tensor
    free: Tensor
    position: int = 0
    piece: int = 0

    @property
    def change(self) -> Tensor:
        """What the text puts in place of the blank ``[length, hidden]``; zero at control tokens."""
        return self.text - self.blank


class Network(Protocol):
    """Logits ``[sum of the blocks' rows, outputs]`` in float32; block i ``[n, length, hidden]`` is `n` times row i."""

    def __call__(self, rows: Sequence[Row], blocks: Sequence[Tensor]) -> Tensor:
        """The logits, with a graph where a block asks for gradients."""
        ...
