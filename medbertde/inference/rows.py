"""From rows of token ids to logits: each distinct row once, sorted by length, in batches of a token budget.

Owns batching, stopping between batches and what happens when the memory does not suffice. Knows no texts and no labels.
A row's logits do not depend on the rows it is computed with (float32: below 1e-5 in a probability; half precision:
below `forward.TOLERANCE`, as everything there).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.forward import forward_of
from medbertde.types import ModelUnavailable, UserError

Stop = Callable[[], bool]


class Cancelled(UserError):
    """Whoever asked does not want the answer any more."""


def never() -> bool:
    """The `Stop` of a call that nobody can cancel."""
    return False


def cancelled() -> Cancelled:
    """The refusal of a call that was cancelled."""
    return Cancelled("Die Berechnung wurde abgebrochen.", "The computation was cancelled.")


def row_logits(model: LoadedModel, rows: Sequence[Sequence[int]], *, stop: Stop = never) -> Tensor:
    """Raw logits ``[len(rows), outputs]`` in float32 on the CPU of token ids, control tokens included.

    Equal rows are computed once. `stop` is asked before every batch; once it says True the call ends in `Cancelled`.
    """
    places: dict[tuple[int, ...], int] = {}
    of_row = [places.setdefault(tuple(row), len(places)) for row in rows]
    distinct = list(places)
    forward = forward_of(model)
    logits = torch.empty(len(distinct), len(model.outputs))
    for batch in batches([len(row) for row in distinct], forward.tokens, padded=forward.padded):
        if stop():
            raise cancelled()
        parts = in_parts(forward.logits, [distinct[place] for place in batch])
        logits[batch] = torch.cat(parts)  # [batch, outputs]
    return logits[of_row]


def batches(lengths: Sequence[int], budget: int, *, padded: bool = True) -> Iterator[list[int]]:
    """Rows by length in batches of at most `budget` tokens, at least one row each; `padded` counts the padding too.

    >>> list(batches([5, 1, 4], budget=8)), list(batches([5, 1, 4], budget=9, padded=False))
    ([[1, 2], [0]], [[1, 2], [0]])
    """
    batch: list[int] = []
    tokens = 0
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        tokens = (len(batch) + 1) * lengths[row] if padded else tokens + lengths[row]
        if batch and tokens > budget:
            yield batch
            batch, tokens = [], lengths[row]
        batch.append(row)
    if batch:
        yield batch


def in_parts(compute: Callable[[Sequence[Sequence[int]]], Tensor], rows: Sequence[Sequence[int]]) -> list[Tensor]:
    """What `compute` gives for one batch; if the device's memory does not suffice, for its halves, once."""
    try:
        return [compute(rows)]
    except torch.OutOfMemoryError:
        if len(rows) == 1:
            raise too_large() from None
    torch.accelerator.empty_cache() if torch.accelerator.is_available() else None
    middle = len(rows) // 2
    try:
        return [compute(rows[:middle]), compute(rows[middle:])]
    except torch.OutOfMemoryError:
        raise too_large() from None


def too_large() -> ModelUnavailable:
    """The refusal where the device's memory does not suffice."""
    return ModelUnavailable(
        "Der Speicher des Rechengeräts reicht nicht, auch nicht für halb so viele Texte auf einmal. Bitte andere "
        "Programme auf dem Gerät beenden oder MEDBERTDE_DEVICE=cpu setzen.",
        "The device's memory does not suffice, not even for half as many texts at once. Please end other programs on "
        "the device or set MEDBERTDE_DEVICE=cpu.",
    )
