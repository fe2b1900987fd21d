"""Where a path is evaluated: nested quadrature rules, so that a finer rule keeps every evaluation already made.

Owns the nodes and weights of the Gauss–Legendre rule with three nodes and of its optimal extensions to 7, 15, 31 and 63
nodes (Patterson 1968, doi:10.1090/S0025-5718-68-99866-9). On the reports measured, 15 and 31 nested nodes are as exact
as Gauss–Legendre rules of that size (docs/explanations.md).
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

# The nodes in [0, 1) that each extension adds; all but 0 count with both signs. Computed with 120 digits.
_ADDED = (
    (0.0, 0.7745966692414834),
    (0.43424374934680254, 0.9604912687080203),
    (0.2233866864289669, 0.6211029467372264, 0.888459232872257, 0.993831963212755),
    (
        *(0.11248894313318662, 0.3311353932579768, 0.5313197436443756, 0.7024962064915271),
        *(0.8367259381688688, 0.9296548574297401, 0.9815311495537401, 0.9990981249676676),
    ),
    (
        *(0.05634431304659279, 0.16823525155220748, 0.2777498220218243, 0.38335932419873037),
        *(0.48361802694584105, 0.5771957100520458, 0.6629096600247806, 0.7397560443526947),
        *(0.8069405319502176, 0.8639079381936905, 0.9103711569570043, 0.9463428583734029),
        *(0.9721828747485818, 0.9886847575474295, 0.997206259372222, 0.9998728881203576),
    ),
)
SIZES = (3, 7, 15, 31, 63)


@cache
def added(level: int) -> tuple[float, ...]:
    """The nodes in (0, 1) that this level adds to those of the levels before it.

    >>> [round(node, 3) for node in added(0)], len(added(1))
    ([0.5, 0.113, 0.887], 4)
    """
    found = [sign * node for node in _ADDED[level] for sign in ((1,) if node == 0 else (-1, 1))]
    return tuple((1 + node) / 2 for node in found)


@cache
def weights(level: int) -> Tensor:
    """The weight of each node up to this level, in the order of `added`; they sum to 1.

    >>> [round(weight, 4) for weight in weights(0).tolist()]
    [0.4444, 0.2778, 0.2778]
    """
    nodes = torch.tensor([node for each in range(level + 1) for node in added(each)], dtype=torch.float64) * 2 - 1
    degrees = torch.arange(len(nodes))[:, None]
    legendre = torch.special.legendre_polynomial_p(nodes[None], degrees)  # [degrees, nodes]
    return torch.linalg.solve(legendre, (degrees[:, 0] == 0).double())
