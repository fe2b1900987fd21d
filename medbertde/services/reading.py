"""Reading with a model: fill a gap, classify a report, explain a finding. Each answer names its model version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from medbertde.inference.catalogue import CATALOGUE, Entry
from medbertde.inference.runtime import FILL_MASK_SLOT, Runtime
from medbertde.schema import Schema, load_schema, schema_ids
from medbertde.services.access import Access
from medbertde.settings import ROOT
from medbertde.types import Attribution, Candidate, Conflict, Prediction, State, User


@dataclass(frozen=True)
class Example:
    """A shipped fictional text to try; `modality` is empty for sentences with a gap."""

    title: Mapping[str, str]
    text: str
    modality: str = ""


@dataclass(frozen=True)
class Reading:
    """What everyone may ask the active models, once the terms are accepted."""

    runtime: Runtime
    access: Access

    def schemas(self) -> tuple[Schema, ...]:
        """The schemas there are, in the order they are offered."""
        return tuple(load_schema(schema_id) for schema_id in schema_ids())

    def catalogue(self) -> tuple[Entry, ...]:
        """The models known by name."""
        return CATALOGUE

    def active_version(self, schema_id: str) -> str | None:
        """The version that answers for this schema now, None when there is none yet."""
        return self.runtime.versions().get(schema_id)

    def model_version(self, schema_id: str) -> str:
        """The version that answers for this schema now; `ModelUnavailable` when there is none yet."""
        return self.runtime.model_for(schema_id).version

    def thresholds(self, schema_id: str) -> Mapping[str, float]:
        """The decision threshold per finding of the active model."""
        return self.runtime.model_for(schema_id).thresholds

    def classify(self, user: User, schema_id: str, text: str) -> Prediction:
        """The findings of one report."""
        self.access.require_terms(user)
        return self.runtime.classify(schema_id, [text])[0]

    def explain(
        self, user: User, schema_id: str, text: str, label: str, *, state: State, model_version: str
    ) -> Attribution:
        """Which words moved a finding's score; `Conflict` when another model has taken over since `model_version`."""
        self.access.require_terms(user)
        attribution = self.runtime.explain(schema_id, text, label, target=state)
        if attribution.model_version != model_version:
            raise Conflict(
                "Inzwischen antwortet ein anderes Modell. Bitte den Befund noch einmal klassifizieren.",
                "Another model answers by now. Please classify the report again.",
            )
        return attribution

    def fill_mask(self, user: User, text: str, top_k: int) -> list[Candidate]:
        """The best fillings of `[MASK]`."""
        self.access.require_terms(user)
        return self.runtime.fill_mask(text, top_k)

    def fill_mask_version(self) -> str | None:
        """The version of the language model, None when there is none."""
        return self.runtime.versions().get(FILL_MASK_SLOT)

    def example_reports(self, schema_id: str) -> tuple[Example, ...]:
        """The shipped example reports that fit a schema."""
        modality = load_schema(schema_id).modality
        return tuple(example for example in _examples("examples.yaml") if example.modality == modality)

    def example_gaps(self) -> tuple[Example, ...]:
        """The shipped sentences with a gap."""
        return _examples("fill_mask_examples.yaml")


@cache
def _examples(name: str, folder: Path = ROOT / "data") -> tuple[Example, ...]:
    raw = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
    return tuple(Example(item["title"], item["text"].strip(), item.get("modality", "")) for item in raw)
