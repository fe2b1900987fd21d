"""The methods by name, what they remove or follow, and what their numbers mean.

DeepLIFT and layer-wise relevance propagation are left out: their rules cover layers that act on each number by itself,
and in these models softmax, LayerNorm and the product of attention and values do not. Captum's `DeepLift` silently
falls back to plain gradients there, so that its scores miss the logit difference (a test shows it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from medbertde.inference.explain.paths import expected_gradients, input_x_gradient, integrated_gradients, saliency
from medbertde.inference.explain.removal import kernel_shap, lime, occlusion
from medbertde.inference.explain.work import Scores, Work
from medbertde.text import shown
from medbertde.types import UserError

DEFAULT = "layer_integrated_gradients"


class Baseline(StrEnum):
    """What stands in place of every word piece in the blank text: padding or the mask token."""

    PAD = "pad"
    MASK = "mask"

    @property
    def shown(self) -> str:
        """As an explanation names it."""
        return f"[CLS] [{self.value.upper()}] … [SEP]"


class Unit(StrEnum):
    """What is removed together."""

    WORD = "word"
    SENTENCE = "sentence"


@dataclass(frozen=True)
class Method:
    """`adds_up`: whether the scores must sum to the change of the logit; `signed`: whether they say for or against."""

    compute: Callable[[Work], Scores]
    adds_up: bool = False
    signed: bool = True
    unit: Unit = Unit.WORD


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        DEFAULT: Method(integrated_gradients, adds_up=True),
        "gradient_shap": Method(expected_gradients),
        "input_x_gradient": Method(input_x_gradient),
        "saliency": Method(saliency, signed=False),
        "occlusion": Method(occlusion),
        "occlusion_sentence": Method(occlusion, unit=Unit.SENTENCE),
        "kernel_shap": Method(kernel_shap, adds_up=True),
        "lime": Method(lime),
    }
)


def method_of(name: str) -> Method:
    """The method with this name; `UserError` when there is none."""
    if name in METHODS:
        return METHODS[name]
    there = ", ".join(METHODS)
    raise UserError(
        f"Das Verfahren „{shown(name)}“ gibt es nicht. Verfügbar sind: {there}.",
        f"There is no method “{shown(name)}”. Available are: {there}.",
    )


def baseline_of(name: Baseline | str) -> Baseline:
    """The baseline with this name; `UserError` when there is none."""
    if name in set(Baseline):
        return Baseline(name)
    raise UserError(
        f"Den Ausgangspunkt „{shown(name)}“ gibt es nicht. Verfügbar sind: pad, mask.",
        f"There is no baseline “{shown(name)}”. Available are: pad, mask.",
    )
