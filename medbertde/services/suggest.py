"""What the active model proposes for reports: computed in one batch, kept with its version before anyone sees it.

Knows neither queues nor pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medbertde.inference.classify import classify
from medbertde.inference.runtime import Runtime
from medbertde.store import suggestions
from medbertde.store.session import Database
from medbertde.types import Prediction, Report, State, Suggestion


def suggest(database: Database, runtime: Runtime, schema_id: str, wanted: Sequence[Report]) -> dict[int, Suggestion]:
    """Suggestions by report id, computed where the active version has made none yet; `ModelUnavailable` without one."""
    model = runtime.model_for(schema_id)
    found: dict[int, Suggestion] = {}
    with database.read() as session:
        for report in wanted:
            kept = suggestions.get(session, report_id=report.id, schema_id=schema_id, model_version=model.version)
            if kept is not None:
                found[report.id] = kept
    missing = [report for report in wanted if report.id not in found]
    if missing:
        predictions = classify(model, [report.text for report in missing], max_chars=runtime.max_chars)
        new = {
            report.id: to_suggestion(prediction, model.thresholds)
            for report, prediction in zip(missing, predictions, strict=True)
        }
        with database.write() as session:
            suggestions.put(session, schema_id=schema_id, suggestions=new)
        found |= new
    return found


def to_suggestion(prediction: Prediction, thresholds: Mapping[str, float]) -> Suggestion:
    """What a prediction proposes per finding.

    `scores` keeps every probability: ``label`` for present, ``label:uncertain`` and ``label:absent`` where the model
    tells them apart.
    """
    scores: dict[str, float] = {}
    for label, score in prediction.scores.items():
        states = {
            label: score.present,
            f"{label}:{State.UNCERTAIN}": score.uncertain,
            f"{label}:{State.ABSENT}": score.absent,
        }
        scores |= {name: value for name, value in states.items() if value is not None}
    proposed = {label: score.state(thresholds[label]) for label, score in prediction.scores.items()}
    return Suggestion(prediction.model_version, proposed, scores)


def confidence(suggestion: Suggestion, label: str) -> float:
    """The probability of what is proposed for a finding; of "not mentioned": that none of the states holds.

    >>> confidence(Suggestion("m@1", {"Erguss": None}, {"Erguss": 0.125, "Erguss:absent": 0.25}), "Erguss")
    0.75
    """
    state, scores = suggestion.states[label], suggestion.scores
    if state is State.PRESENT:
        return scores[label]
    if state is not None:
        return scores[f"{label}:{state}"]
    return 1 - max(scores.get(name, 0.0) for name in (label, f"{label}:{State.UNCERTAIN}", f"{label}:{State.ABSENT}"))
