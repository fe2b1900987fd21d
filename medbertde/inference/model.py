"""The Python API: one model, loaded by name, for notebooks and scripts.

Owns nothing but the names of `DESIGN.md`, "Python"; every method is a call into the module that does the work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medbertde.inference.catalogue import resolve
from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.classify import classify
from medbertde.inference.explain import (
    DEFAULT,
    Baseline,
    explain,
    explain_all,
    explain_word,
    faithfulness,
    with_words,
)
from medbertde.inference.fill_mask import fill_mask
from medbertde.inference.mark import mark
from medbertde.inference.runtime import pick_device
from medbertde.types import Attribution, Candidate, Faithfulness, Marking, Prediction, State


@dataclass(frozen=True)
class Model:
    """A loaded model. A method that its task does not offer raises `ModelUnavailable`."""

    loaded: LoadedModel

    @property
    def version(self) -> str:
        """The version every answer names: name and start of the weights' hash."""
        return self.loaded.version

    @property
    def thresholds(self) -> Mapping[str, float]:
        """The decision threshold per label; empty for a language model."""
        return self.loaded.thresholds

    def classify(self, texts: Sequence[str]) -> list[Prediction]:
        """The findings of each text."""
        return classify(self.loaded, texts)

    def mark(self, texts: Sequence[str]) -> list[Marking]:
        """The spans of each text, with places in the NFC text."""
        return mark(self.loaded, texts)

    def fill_mask(self, text: str, top_k: int = 10) -> list[Candidate]:
        """The likeliest words for `[MASK]`, best first."""
        return fill_mask(self.loaded, text, top_k)

    def explain(
        self,
        text: str,
        label: str,
        method: str = DEFAULT,
        *,
        target: State | str = State.PRESENT,
        baseline: Baseline | str = Baseline.PAD,
    ) -> Attribution:
        """Which sentences and words moved the logit of `label`."""
        return explain(self.loaded, text, label, target=target, method=method, baseline=baseline)

    def explain_all(
        self,
        text: str,
        labels: Mapping[str, State] | Sequence[str] | None = None,
        method: str = DEFAULT,
        *,
        baseline: Baseline | str = Baseline.PAD,
    ) -> dict[str, Attribution]:
        """As `explain` for several findings (default: all) from the same passes."""
        return explain_all(self.loaded, text, labels, method=method, baseline=baseline)

    def with_words(self, attribution: Attribution) -> Attribution:
        """The attribution with the words of the passages, too, that add nothing to the report's score."""
        return with_words(self.loaded, attribution)

    def explain_word(
        self, text: str, word: str, method: str = DEFAULT, *, baseline: Baseline | str = Baseline.PAD
    ) -> Attribution:
        """Which words around `[MASK]` make the model put `word` there."""
        return explain_word(self.loaded, text, word, method=method, baseline=baseline)

    def faithfulness(self, attribution: Attribution) -> Faithfulness:
        """How far an attribution of a finding says what the model does."""
        return faithfulness(self.loaded, attribution)


def load(name: str, device: str = "auto") -> Model:
    """The model with this catalogue id, folder or Hub id, checked and ready to answer."""
    return Model(load_checkpoint(resolve(name), pick_device(device), name=name))
