"""A second classifier beside the one that answers, for one report: its findings and its explanation.

Owns one loaded model besides the runtime's; another one takes its place. Downloads nothing: a model is here or it is
not offered. Safe to call from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.classify import classify
from medbertde.inference.explain import DEFAULT, Baseline, explain
from medbertde.inference.rows import Stop, never
from medbertde.inference.runtime import Runtime
from medbertde.services.deidentification import Gate
from medbertde.services.models import Choice, Models
from medbertde.types import Attribution, ModelUnavailable, Prediction, Progress, State, User


@dataclass(frozen=True)
class Opinion:
    """What the second model says about a report, and about one of its findings."""

    prediction: Prediction
    thresholds: Mapping[str, float]
    attribution: Attribution


class SecondOpinion:
    """Keeps the model of the last comparison in memory."""

    def __init__(self, runtime: Runtime, gate: Gate, models: Models) -> None:
        self._runtime = runtime
        self._gate = gate
        self._models = models
        self._kept: tuple[Path, LoadedModel] | None = None
        self._loading = threading.Lock()

    def choices(self, schema_id: str) -> tuple[Choice, ...]:
        """The verified models on this machine that could answer for this schema and do not."""
        offered = self._models.choices(schema_id)
        return tuple(each for each in offered if not each.answers and self._models.folder_of(schema_id, each.name))

    def read(
        self,
        user: User,
        schema_id: str,
        text: str,
        name: str,
        *,
        label: str,
        state: State,
        method: str = DEFAULT,
        baseline: str = Baseline.PAD,
        on_progress: Callable[[Progress], None] | None = None,
        stop: Stop = never,
    ) -> Opinion:
        """Classify a report with one of the `choices` and explain one finding; `ModelUnavailable` for other models.

        `Cancelled` once `stop` says True.
        """
        self._gate.admit(user, text)
        model, max_chars = self._model(schema_id, name), self._runtime.max_chars
        prediction = classify(model, [text], max_chars=max_chars, stop=stop)[0]
        attribution = explain(
            model,
            text,
            label,
            target=state,
            method=method,
            baseline=baseline,
            max_chars=max_chars,
            on_progress=on_progress,
            stop=stop,
        )
        return Opinion(prediction, model.thresholds, attribution)

    def _model(self, schema_id: str, name: str) -> LoadedModel:
        folder = self._models.folder_of(schema_id, name)
        if folder is None:
            raise ModelUnavailable(
                "Das zweite Modell liegt nicht auf diesem Rechner. Bitte eines aus der Liste wählen.",
                "The second model is not on this machine. Please choose one from the list.",
            )
        with self._loading:
            kept = self._kept
            if kept is None or kept[0] != folder:
                self._kept = None  # free the old one first: two large models may not fit
                kept = self._kept = (
                    folder,
                    self._runtime.load(schema_id, folder, name=name.rpartition("@")[0] or name),
                )
        return kept[1]
