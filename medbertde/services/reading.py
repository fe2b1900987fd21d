"""Reading with a model: fill a gap, classify a report, explain a finding. Each answer names its model version."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import yaml

from medbertde.inference.catalogue import CATALOGUE, Entry
from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.explain import (
    DEFAULT,
    METHODS,
    Baseline,
    against_chance,
    explain,
    explain_all,
    explain_word,
    faithfulness,
    with_words,
)
from medbertde.inference.fill_mask import fillings
from medbertde.inference.fill_mask.own_words import RankedWord, parse_words, rank_words
from medbertde.inference.fill_mask.second import SecondModel, available_entries
from medbertde.inference.pieces import Tokenisation, tokenise
from medbertde.inference.rows import Stop, never
from medbertde.inference.runtime import FILL_MASK_SLOT, Runtime
from medbertde.schema import Schema, load_schema, schema_ids
from medbertde.services.access import Access
from medbertde.services.deidentification import Gate, Question
from medbertde.settings import ROOT
from medbertde.types import (
    AgainstChance,
    Attribution,
    Candidate,
    Conflict,
    Faithfulness,
    Metrics,
    Notice,
    Prediction,
    Progress,
    ReliabilityBin,
    Role,
    State,
    User,
)


@dataclass(frozen=True)
class Example:
    """A shipped fictional text to try; `modality` is empty for sentences with a gap."""

    title: Mapping[str, str]
    text: str
    modality: str = ""


@dataclass(frozen=True)
class Suggested:
    """Candidates for the gaps of a text, the version that proposed them, and what to say about the text."""

    candidates: tuple[Candidate, ...]
    model_version: str
    warnings: tuple[Notice, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The text with each candidate in place."""
        return tuple(candidate.text for candidate in self.candidates)


@dataclass(frozen=True)
class Ranked:
    """Words of the user's own by how well they fit, the version that says so, and what to say about the text."""

    words: tuple[RankedWord, ...]
    model_version: str
    warnings: tuple[Notice, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The text with each word in place."""
        return tuple(word.text for word in self.words)


@dataclass(frozen=True)
class Reading:
    """What everyone may ask the active models, once the terms are accepted. Every text passes the gate first.

    `confirmed`: the user says expressly that a text is to be read with what could show who a person is in it.
    """

    runtime: Runtime
    access: Access
    gate: Gate
    second: SecondModel = field(default_factory=SecondModel)

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

    def metrics(self, schema_id: str) -> Metrics | None:
        """The held-out figures of the active model at its own thresholds, None where its checkpoint holds none."""
        return self.runtime.model_for(schema_id).facts.metrics

    def reliability(self, schema_id: str) -> tuple[ReliabilityBin, ...]:
        """How often the active model's probabilities came true in its validation reports, if its checkpoint says so."""
        return self.runtime.model_for(schema_id).facts.reliability

    def classify(self, user: User, schema_id: str, text: str, *, confirmed: bool = False) -> Prediction:
        """The findings of one report."""
        question = self.gate.admit(user, text, confirmed=confirmed)
        prediction = self.runtime.classify(schema_id, [text])[0]
        return replace(prediction, warnings=_remarked(prediction.warnings, question))

    def explain(
        self,
        user: User,
        schema_id: str,
        text: str,
        label: str,
        *,
        state: State,
        model_version: str,
        method: str = DEFAULT,
        baseline: str = Baseline.PAD,
        confirmed: bool = False,
    ) -> Attribution:
        """Which sentences and words moved a finding's score.

        `Conflict` when another model than `model_version`, which classified the report, answers by now.
        """
        self.gate.admit(user, text, confirmed=confirmed)
        return self.explain_stored(
            user, schema_id, text, label, state=state, model_version=model_version, method=method, baseline=baseline
        )

    def explain_stored(
        self,
        user: User,
        schema_id: str,
        text: str,
        label: str,
        *,
        state: State,
        model_version: str,
        method: str = DEFAULT,
        baseline: str = Baseline.PAD,
    ) -> Attribution:
        """As `explain`, for a text from the database: it passed the gate when it was stored."""
        model = self._classifier_that_answered(user, schema_id, model_version)
        return explain(
            model, text, label, target=state, method=method, baseline=baseline, max_chars=self.runtime.max_chars
        )

    def explain_all(
        self,
        user: User,
        schema_id: str,
        text: str,
        states: Mapping[str, State] | None = None,
        *,
        model_version: str,
        method: str = DEFAULT,
        baseline: str = Baseline.PAD,
        on_progress: Callable[[Progress], None] | None = None,
        stop: Stop = never,
    ) -> dict[str, Attribution]:
        """As `explain` for several findings and their `states` (all of the schema: present) from the same passes.

        `Cancelled` once `stop` says True.
        """
        self.gate.admit(user, text)
        model = self._classifier_that_answered(user, schema_id, model_version)
        return explain_all(
            model,
            text,
            states,
            method=method,
            baseline=baseline,
            max_chars=self.runtime.max_chars,
            on_progress=on_progress,
            stop=stop,
        )

    def with_words(
        self,
        user: User,
        schema_id: str,
        attribution: Attribution,
        starts: Collection[int] | None = None,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        stop: Stop = never,
    ) -> Attribution:
        """An explanation with the words of the passages that begin at `starts` (None: of all) though they add nothing.

        `Conflict` when another model answers by now, `Cancelled` once `stop` says True.
        """
        self.gate.admit(user, attribution.text)
        self.access.require_terms(user)
        if all(each.words is not None for each in attribution.passages):
            return attribution
        model = self._classifier_that_answered(user, schema_id, attribution.model_version)
        return with_words(model, attribution, starts, on_progress=on_progress, stop=stop)

    def faithfulness(self, user: User, schema_id: str, attribution: Attribution, *, stop: Stop = never) -> Faithfulness:
        """How far an explanation says what the model does; `Conflict` when another model answers by now."""
        self.gate.admit(user, attribution.text)
        model = self._classifier_that_answered(user, schema_id, attribution.model_version)
        return faithfulness(model, attribution, stop=stop)

    def against_chance(
        self,
        user: User,
        schema_id: str,
        attribution: Attribution,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        stop: Stop = never,
    ) -> AgainstChance:
        """The part of `faithfulness` that can be told in words, beside random orders of the words."""
        self.gate.admit(user, attribution.text)
        model = self._classifier_that_answered(user, schema_id, attribution.model_version)
        return against_chance(model, attribution, on_progress=on_progress, stop=stop)

    def explain_word(
        self,
        user: User,
        text: str,
        word: str,
        *,
        model_version: str,
        method: str = DEFAULT,
        baseline: str = Baseline.PAD,
        stop: Stop = never,
    ) -> Attribution:
        """Which words around the gap make the active language model propose `word`; `Conflict` as for `explain`."""
        self.gate.admit(user, text)
        model = self._language_model(user)
        if model.version != model_version:
            raise Conflict(
                "Inzwischen antwortet ein anderes Sprachmodell. Bitte die Lücke noch einmal füllen lassen.",
                "Another language model answers by now. Please fill the gap again.",
            )
        return explain_word(
            model, text, word, method=method, baseline=baseline, max_chars=self.runtime.max_chars, stop=stop
        )

    def methods(self) -> tuple[str, ...]:
        """The methods of explanation, the default one first."""
        return tuple(METHODS)

    def _classifier_that_answered(self, user: User, schema_id: str, model_version: str) -> LoadedModel:
        self.access.require_terms(user)
        model = self.runtime.model_for(schema_id)
        if model.version != model_version:
            raise Conflict(
                "Inzwischen antwortet ein anderes Modell. Bitte den Befund noch einmal klassifizieren.",
                "Another model answers by now. Please classify the report again.",
            )
        return model

    def fill_mask(self, user: User, text: str, top_k: int, *, confirmed: bool = False) -> list[Candidate]:
        """The best fillings of `[MASK]`."""
        self.gate.admit(user, text, confirmed=confirmed)
        return self.runtime.fill_mask(text, top_k)

    def suggest(self, user: User, text: str, top_k: int, *, whole: bool = True, second: str = "") -> Suggested:
        """The best fillings of `[MASK]` by the active model or by the `second` one; pieces if not `whole` words."""
        question = self.gate.admit(user, text)
        model = self._language_model(user, second)
        found = fillings(model, text, top_k, max_chars=self.runtime.max_chars, whole=whole)
        return Suggested(found.candidates, model.version, _remarked(found.warnings, question))

    def rank_words(self, user: User, text: str, typed: str) -> Ranked:
        """A typed list of words by how well the active model finds them to fit the one gap."""
        question = self.gate.admit(user, text)
        model = self._language_model(user)
        found = rank_words(model, text, parse_words(typed), max_chars=self.runtime.max_chars)
        return Ranked(found.words, model.version, _remarked(found.warnings, question))

    def tokenise(self, user: User, text: str, *, second: str = "") -> Tokenisation:
        """The pieces of a text for the active language model or for the `second` model, which may be a classifier."""
        self.gate.admit(user, text)
        return tokenise(self._language_model(user, second), text, max_chars=self.runtime.max_chars)

    def second_models(self) -> tuple[Entry, ...]:
        """The models on this machine that the active language model can be compared with."""
        active = self.fill_mask_version()
        name = active.partition("@")[0] if active else None
        return tuple(entry for entry in available_entries() if entry.id != name)

    def _language_model(self, user: User, second: str = "") -> LoadedModel:
        """The active language model, or the one named; folders beyond the catalogue only for who may change models."""
        self.access.require_terms(user)
        active = self.runtime.fill_mask_model()
        if not second:
            return active
        if second not in {entry.id for entry in CATALOGUE}:
            self.access.require(user, Role.ADMIN)
        return self.second.get(second, self.runtime.device, active)

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


def _remarked(warnings: tuple[Notice, ...], question: Question | None) -> tuple[Notice, ...]:
    """The remarks beside an answer: the gate says more about names than the models' own remark, and takes its place."""
    if question is None:
        return warnings
    return (question.notice, *(notice for notice in warnings if notice.code != question.notice.code))


@cache
def _examples(name: str, folder: Path = ROOT / "data") -> tuple[Example, ...]:
    raw = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
    return tuple(Example(item["title"], item["text"].strip(), item.get("modality", "")) for item in raw)
