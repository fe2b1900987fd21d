"""How much of a report's score belongs to each of its passages.

The report's logit is the largest logit of its passages. Which of them "has" it? Each passage gets its Shapley value in
that maximum: over all orders in which blank passages can be filled in, the mean of what filling it changes. Two
passages that say the same share alike, a passage that no other outdoes alone gets the lead over the next one, and the
values add up to the change of the report's logit exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def shapley_of_maximum(text: Sequence[float], blank: Sequence[float]) -> list[float]:
    r"""The Shapley values of passages whose logits are `text` when they are there and `blank` when they are not.

    With every other passage there at the chance q, the maximum stays below t at the chance
    :math:`q^a (1-q)^b`, where `a` of the others are below t only with their text and `b` only when blank (0 if one
    never is); over all q that is the Beta function B(a+1, b+1). The integral over t has the logits as its steps.

    A passage has the integral between its two logits. There it is itself below t only when blank (the text raises it)
    or only with its text (the text lowers it), so two integrals from the lowest logit on serve all passages.

    >>> shapley_of_maximum([4.0, 3.0, -6.0], [-5.0, -5.0, -5.0])
    [5.0, 4.0, 0.0]
    >>> shapley_of_maximum([-7.0, -8.0], [-5.0, -5.0])
    [-1.0, -1.0]
    """
    there, gone = (torch.tensor(list(values), dtype=torch.float64) for values in (text, blank))
    steps = torch.cat([there, gone]).unique()  # ascending
    between = steps[:-1].contiguous()  # [steps - 1]; the chances are constant up to the next step
    both = _below(torch.maximum(there, gone), between)
    only_there, only_gone = _below(there, between) - both, _below(gone, between) - both
    width = steps.diff() * (both + only_there + only_gone == len(there))  # 0 where one is never below
    raised = _from_lowest(_chance(only_there, only_gone - 1) * width)
    lowered = _from_lowest(_chance(only_there - 1, only_gone) * width)
    start, end = torch.searchsorted(steps, gone), torch.searchsorted(steps, there)
    found = torch.where(there > gone, raised[end] - raised[start], lowered[end] - lowered[start])
    return [round(value, 12) + 0.0 for value in found.tolist()]


def _below(logits: Tensor, between: Tensor) -> Tensor:
    """How many of the logits are below each step's upper end ``[steps - 1]``."""
    return torch.searchsorted(logits.sort().values, between, right=True)


def _chance(a: Tensor, b: Tensor) -> Tensor:
    """The Beta function B(a+1, b+1); a count of -1, where no passage asks for it, is read as 0."""
    x, y = a.clamp(min=0).double(), b.clamp(min=0).double()
    return torch.exp(torch.lgamma(x + 1) + torch.lgamma(y + 1) - torch.lgamma(x + y + 2))


def _from_lowest(areas: Tensor) -> Tensor:
    """The integral from the lowest logit to each ``[steps]``."""
    return torch.cat([areas.new_zeros(1), areas.cumsum(dim=0)])
