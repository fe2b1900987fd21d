"""Methods that remove words or sentences and look at what the logit does: occlusion, KernelSHAP, LIME.

Owns the removals: a unit is removed by putting the blank's embeddings in its place, so that positions stay as they are.
Captum chooses what is removed and fits the scores. Each removal is computed once and serves all outputs. A unit's score
is spread evenly over its tokens.

Captum's KernelSHAP and LIME draw from torch's global generator. It is seeded and put back around them, one explanation
at a time, so that the same call gives the same numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from captum._utils.models.linear_model import SkLearnLinearRegression
from captum.attr import FeatureAblation, KernelShap, Lime
from captum.attr._core.lime import get_exp_kernel_similarity_function
from torch import Tensor

from medbertde.inference.explain.work import Scores, Work, logits

SAMPLES, SAMPLES_PER_UNIT, MOST_SAMPLES = 32, 8, 2_000
TOGETHER = 64  # removals that Captum asks about at once
LOCALITY = 0.75  # LIME: how fast a removal counts less the more it removes, in the cosine distance
_drawing = threading.Lock()

Fit = Callable[["_Removals", int], Tensor]  # removals and output → scores [units]


class _Removals:
    """The logits of one row with some of its units removed; Captum's function to explain."""

    def __init__(self, work: Work, row: int) -> None:
        self._work, self._row = work, work.rows[row]
        self._places = torch.tensor(work.units[row])
        self.units = int(self._places.max()) + 1 if len(self._places) else 0
        self._known: dict[bytes, Tensor] = {}

    def __call__(self, kept: Tensor) -> Tensor:
        """Logits ``[n, columns]`` in float64; `kept` ``[n, units]`` is 1 where a unit stays, 0 where it is removed."""
        keys = [bytes(each) for each in kept.bool().numpy()]
        new = {key: each.bool() for key, each in zip(keys, kept, strict=True) if key not in self._known}
        texts = [self._text(each) for each in new.values()]
        if texts:
            found = logits(self._work.exact, [self._row] * len(texts), texts, self._work.stop)
            self._known |= zip(new, found[:, list(self._work.columns)].double(), strict=True)
        return torch.stack([self._known[key] for key in keys])

    @property
    def asked(self) -> int:
        """How many removals have been computed."""
        return len(self._known)

    def spread(self, scores: Tensor) -> Tensor:
        """Scores per unit ``[units]`` as scores per token ``[length]``."""
        inside = self._places >= 0
        sizes = torch.bincount(self._places[inside], minlength=self.units)
        found = torch.zeros(len(self._places), dtype=torch.float64)
        found[inside] = (scores.double() / sizes)[self._places[inside]]
        return found

    def _text(self, kept: Tensor) -> Tensor:
        stays = torch.cat([kept, torch.tensor([True])])[self._places].to(
            self._row.text.device
        )  # -1: the control tokens
        return torch.where(stays[:, None], self._row.text, self._row.blank)


def occlusion(work: Work) -> Scores:
    """What the logit loses when one unit is removed (Zeiler and Fergus 2014)."""
    return _by_unit(work, _ablate)


def kernel_shap(work: Work) -> Scores:
    """Shapley values of the units, estimated from random removals (Lundberg and Lee 2017)."""
    return _by_unit(work, _kernel_shap, drawn=True)


def lime(work: Work) -> Scores:
    """The weights of a linear model of the logit near the text (Ribeiro et al. 2016), least squares."""
    return _by_unit(work, _lime, drawn=True)


def _ablate(removals: _Removals, column: int) -> Tensor:
    everything = torch.ones(1, removals.units, dtype=torch.float64)
    found: Tensor = FeatureAblation(removals).attribute(everything, target=column, perturbations_per_eval=TOGETHER)
    return found[0]


def _kernel_shap(removals: _Removals, column: int) -> Tensor:
    if removals.units == 1:
        return _ablate(removals, column)  # the only unit has the whole change; the kernel is not defined for it
    return _surrogate(KernelShap(removals), removals, column)


def _lime(removals: _Removals, column: int) -> Tensor:
    similarity = get_exp_kernel_similarity_function("cosine", kernel_width=LOCALITY)
    return _surrogate(Lime(removals, SkLearnLinearRegression(), similarity), removals, column)


def _surrogate(method: Lime, removals: _Removals, column: int) -> Tensor:
    if not removals.units:
        return _ablate(removals, column)  # the gap is the whole text: nothing to remove, nothing to draw
    everything = torch.ones(1, removals.units, dtype=torch.float64)
    found: Tensor = method.attribute(
        everything, target=column, n_samples=_samples(removals.units), perturbations_per_eval=TOGETHER
    )
    return found[0]


def _samples(units: int) -> int:
    return min(MOST_SAMPLES, SAMPLES + SAMPLES_PER_UNIT * units)


def _by_unit(work: Work, fit: Fit, *, drawn: bool = False) -> Scores:
    by_row, steps = [], torch.zeros(work.text.shape, dtype=torch.long)
    for row in range(len(work.rows)):
        removals = _Removals(work, row)
        found = torch.zeros(len(work.columns), len(work.rows[row].text), dtype=torch.float64)
        for column in work.needed[row].nonzero().flatten().tolist():
            scores = _seeded(fit, removals, column, work.seed) if drawn else fit(removals, column)
            found[column] = removals.spread(scores)
        by_row.append(found)
        steps[row, work.needed[row]] = removals.asked
        work.report(row + 1, len(work.rows))
    return Scores(tuple(by_row), steps)


def _seeded(fit: Fit, removals: _Removals, column: int, seed: int) -> Tensor:
    with _drawing, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return fit(removals, column)
