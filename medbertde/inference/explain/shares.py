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

    >>> shapley_of_maximum([4.0, 3.0, -6.0], [-5.0, -5.0, -5.0])
    [5.0, 4.0, 0.0]
    >>> shapley_of_maximum([-7.0, -8.0], [-5.0, -5.0])
    [-1.0, -1.0]
    """
    there, gone = (torch.tensor(list(values), dtype=torch.float64) for values in (text, blank))
    steps = torch.cat([there, gone]).unique()  # ascending
    between = steps[:-1, None]  # [steps - 1, 1]; the chances are constant up to the next step
    below_there, below_gone = there[None] <= between, gone[None] <= between  # [steps - 1, passages]
    only_there, only_gone, never = below_there & ~below_gone, below_gone & ~below_there, ~below_there & ~below_gone
    others_there, others_gone, others_never = (_others(kind) for kind in (only_there, only_gone, never))
    chance = torch.exp(
        torch.lgamma(others_there + 1) + torch.lgamma(others_gone + 1) - torch.lgamma(others_there + others_gone + 2)
    )
    sign = below_gone.double() - below_there.double()
    found = (sign * chance * (others_never == 0) * steps.diff()[:, None]).sum(dim=0)
    return [round(value, 12) + 0.0 for value in found.tolist()]


def _others(kind: Tensor) -> Tensor:
    """For each passage how many of the other ones are of this kind."""
    return (kind.sum(dim=1, keepdim=True) - kind.long()).double()
