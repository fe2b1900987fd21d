"""What the active model proposes for reports: computed in one batch, kept with its version before anyone sees it.

Knows neither queues nor pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.classify import classify
from medbertde.inference.mark import mark
from medbertde.inference.runtime import Runtime
from medbertde.store import suggestions
from medbertde.store.session import Database
from medbertde.types import Marking, Prediction, Report, State, Suggestion, Task


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
        made = _made(model, [report.text for report in missing], runtime.max_chars)
        new = {report.id: suggestion for report, suggestion in zip(missing, made, strict=True)}
        with database.write() as session:
            suggestions.put(session, schema_id=schema_id, suggestions=new)
        found |= new
    return found


def _made(model: LoadedModel, texts: Sequence[str], max_chars: int) -> list[Suggestion]:
    """What the model proposes for each text: states of findings, or spans."""
    if model.task is Task.NER:
        return [to_suggested_spans(one) for one in mark(model, texts, max_chars=max_chars)]
    return [to_suggestion(one, model.thresholds) for one in classify(model, texts, max_chars=max_chars)]


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


def to_suggested_spans(marking: Marking) -> Suggestion:
    """What a model of spans proposes. The score of a label, by which reports are put in order, is its least sure span.

    >>> from medbertde.types import FoundSpan
    >>> spans = (FoundSpan("Dosis", 0, 4, 0.75), FoundSpan("Dosis", 9, 13, 0.5))
    >>> dict(to_suggested_spans(Marking(spans, "m@1")).scores)
    {'Dosis': 0.5}
    """
    scores: dict[str, float] = {}
    for span in marking.spans:
        scores[span.label] = min(span.confidence, scores.get(span.label, 1.0))
    return Suggestion(marking.model_version, {}, scores, marking.spans)


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
