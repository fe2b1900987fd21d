"""What the card of the findings shows: a report's findings by state. Owns the answer on the screen, `Shown`.

Pure functions from the services' dataclasses to the JSON that `cards/findings.js` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from medbertde.schema import Label, load_schema
from medbertde.services.proposals import Proposed
from medbertde.types import AgainstChance, Attribution, LabelScore, Prediction, State
from medbertde.ui.methods import DEFAULT_BASELINE, DEFAULT_METHOD
from medbertde.ui.words import Text

STATES = {
    State.PRESENT: Text("vorhanden", "present"),
    State.UNCERTAIN: Text("unsicher", "uncertain"),
    State.ABSENT: Text("verneint", "absent"),
    None: Text("nicht erwähnt", "not mentioned"),
}
OUTDATED = Text(
    "Gilt für den vorigen Text. Bitte neu klassifizieren.", "This is about the text before. Please classify again."
)
EMPTY = Text("Die Befunde erscheinen hier.", "The findings appear here.")
MODEL = Text("Modell", "Model")
SAID_ABOVE = "names"  # the remark that the note on persons makes, with the places and what can be done


@dataclass(frozen=True)
class Shown:
    """The answer on the screen: the report, the thresholds it was read with, the explanations asked for so far.

    All explanations come from the model that classified, by the same `method` and `baseline`. `chosen` is the finding
    looked at. `checks` and `proposed` belong to the explanations: how reliable one is, and for which stored report its
    words were proposed (None: the text is not stored).
    """

    schema_id: str
    text: str
    prediction: Prediction
    thresholds: Mapping[str, float]
    attributions: Mapping[str, Attribution] = field(default_factory=dict)
    chosen: str = ""
    method: str = DEFAULT_METHOD
    baseline: str = DEFAULT_BASELINE
    may_propose: bool = False
    checks: Mapping[str, AgainstChance] = field(default_factory=dict)
    proposed: Mapping[str, Proposed | None] = field(default_factory=dict)

    @property
    def attribution(self) -> Attribution | None:
        """The explanation of the finding looked at."""
        return self.attributions.get(self.chosen)

    def explained(self, found: Mapping[str, Attribution]) -> Shown:
        """The answer with these explanations; what was said about earlier ones of the same findings is dropped."""
        return replace(
            self,
            attributions={**self.attributions, **found},
            checks={label: check for label, check in self.checks.items() if label not in found},
            proposed={label: sent for label, sent in self.proposed.items() if label not in found},
        )

    def state(self, label: str) -> State | None:
        """What the scores of a finding stand for."""
        return self.prediction.scores[label].state(self.thresholds[label])

    def name(self, language: str, label: str) -> str:
        """A finding's name."""
        return load_schema(self.schema_id).label(label).name[language]


def findings_value(language: str, shown: Shown | None) -> dict[str, Any]:
    """Groups by state, in each the likeliest first."""
    if shown is None:
        return {"empty": EMPTY.say(language)}
    groups: dict[State | None, list[dict[str, Any]]] = {state: [] for state in STATES}
    for label in load_schema(shown.schema_id).labels:
        state = shown.state(label.id)
        groups[state].append(_finding(language, label, shown.prediction.scores[label.id], state))
    return {
        "words": {state.value: STATES[state].say(language) for state in State},
        "text": shown.text,
        "outdated": OUTDATED.say(language),
        "chosen": shown.chosen,
        "notices": [one.sentence(language) for one in shown.prediction.warnings if one.code != SAID_ABOVE],
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
        "shown": probability(score, state),
    }


def probability(score: LabelScore, state: State | None) -> float:
    """The probability of a state; of being present where the finding is not mentioned."""
    found = getattr(score, state.value) if state else None
    return score.present if found is None else float(found)
