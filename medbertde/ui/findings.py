"""What the cards of the tab "Klassifikation" show: findings by state, and the words that moved one of them.

Pure functions from the services' dataclasses to the JSON that `cards/findings.js` and `cards/evidence.js` read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medbertde.schema import Label, load_schema
from medbertde.types import Attribution, LabelScore, Prediction, State
from medbertde.ui.words import Text, decimal, signed

STATES = {
    State.PRESENT: Text("vorhanden", "present"),
    State.UNCERTAIN: Text("unsicher", "uncertain"),
    State.ABSENT: Text("verneint", "absent"),
    None: Text("nicht erwähnt", "not mentioned"),
}
EMPTY = Text("Die Befunde erscheinen hier.", "The findings appear here.")
NO_EVIDENCE = Text(
    "Wählen Sie einen Befund, um zu sehen, auf welche Wörter sich die Einschätzung stützt.",
    "Choose a finding to see which words the score rests on.",
)
MODEL = Text("Modell", "Model")
METHODS = {"layer_integrated_gradients": "Layer Integrated Gradients"}
MOST_STRONGEST = 6
FAINT = 0.04  # words below this share of the strongest are not named


@dataclass(frozen=True)
class Shown:
    """The answer on the screen: the report it belongs to, the thresholds it was read with, the finding looked at."""

    schema_id: str
    text: str
    prediction: Prediction
    thresholds: Mapping[str, float]
    attribution: Attribution | None = None
    target: State = State.PRESENT


def findings_value(language: str, shown: Shown | None) -> dict[str, Any]:
    """Groups by state, in each the likeliest first."""
    if shown is None:
        return {"empty": EMPTY.say(language)}
    groups: dict[State | None, list[dict[str, Any]]] = {state: [] for state in STATES}
    for label in load_schema(shown.schema_id).labels:
        score = shown.prediction.scores[label.id]
        state = score.state(shown.thresholds[label.id])
        groups[state].append(_finding(language, label, score, state))
    return {
        "words": {state.value: STATES[state].say(language) for state in State},
        "chosen": shown.attribution.label if shown.attribution else "",
        "notices": [notice.sentence(language) for notice in shown.prediction.warnings],
        "model": f"{MODEL.say(language)}: {shown.prediction.model_version}",
        "groups": [
            {
                "title": name.say(language).capitalize(),
                "state": state.value if state else "none",
                "items": sorted(groups[state], key=lambda item: -item["shown"]),
            }
            for state, name in STATES.items()
        ],
    }


def _finding(language: str, label: Label, score: LabelScore, state: State | None) -> dict[str, Any]:
    """One row; a finding that is not mentioned shows its probability of being present."""
    return {
        "label": label.id,
        "name": label.name[language],
        "definition": label.definition[language],
        "state": state.value if state else "none",
        "present": score.present,
        "uncertain": score.uncertain,
        "absent": score.absent,
        "shown": getattr(score, state.value) if state else score.present,
    }


def evidence_value(language: str, shown: Shown | None) -> dict[str, Any]:
    """The text in pieces, the strongest words, and how the numbers came about."""
    if shown is None:
        return {}
    if shown.attribution is None:
        return {"empty": NO_EVIDENCE.say(language)}
    attribution, name = shown.attribution, load_schema(shown.schema_id).label(shown.attribution.label).name[language]
    state = STATES[shown.target].say(language)
    largest = max((abs(word.score) for word in attribution.words), default=0.0) or 1.0
    strongest = sorted(attribution.words, key=lambda word: -abs(word.score))[:MOST_STRONGEST]
    return {
        "label": attribution.label,
        "title": Text(f"{name} – was für „{state}“ spricht", f"{name} – what speaks for “{state}”").say(language),
        "pieces": _pieces(attribution, largest),
        "legend": {
            "against": Text("spricht dagegen", "speaks against").say(language),
            "for": Text("spricht dafür", "speaks for").say(language),
        },
        "top": [
            {"text": word.text, "score": word.score, "shown": signed(language, word.score, 2)}
            for word in strongest
            if abs(word.score) > FAINT * largest
        ],
        "facts": _facts(language, attribution),
        "notices": [notice.sentence(language) for notice in attribution.warnings],
    }


def _pieces(attribution: Attribution, largest: float) -> list[dict[str, Any]]:
    """The whole text as consecutive pieces; what lies between words has the score 0."""
    pieces, after = [], 0
    for word in attribution.words:
        if word.start > after:
            pieces.append({"text": attribution.text[after : word.start], "score": 0.0, "share": 0.0})
        shown = attribution.text[word.start : word.end]
        pieces.append({"text": shown, "score": word.score, "share": word.score / largest})
        after = word.end
    return [*pieces, {"text": attribution.text[after:], "score": 0.0, "share": 0.0}]


def _facts(language: str, attribution: Attribution) -> list[dict[str, str]]:
    share = decimal(language, f"{100 * attribution.relative_delta:.1f}")
    facts = {
        Text("Verfahren", "Method"): METHODS.get(attribution.method, attribution.method),
        Text("Ausgangspunkt", "Baseline"): attribution.baseline,
        Text("Rechenschritte", "Steps"): str(attribution.steps),
        Text("Konvergenzabweichung", "Convergence delta"): f"{signed(language, attribution.delta, 3)} ({share} %)",
        MODEL: attribution.model_version,
    }
    return [{"name": name.say(language), "value": value} for name, value in facts.items()]
