"""What is asked: findings with their states, the outputs of a classifier that stand for them, and earlier questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.explain.methods import Baseline, method_of
from medbertde.inference.explain.reading import ReadReport, read_report
from medbertde.types import Attribution, Conflict, InvalidSchema, State


@dataclass(frozen=True)
class Asked:
    """One finding and state, and the column of the output that stands for it."""

    label: str
    state: State
    column: int


def states_of(model: LoadedModel, labels: Mapping[str, State] | Sequence[str] | None) -> dict[str, State]:
    """The findings asked for with their states: all of the schema by default, `present` where no state is given."""
    assert model.schema is not None, "a classifier has a schema"
    if isinstance(labels, Mapping):
        return dict(labels)
    return dict.fromkeys(model.schema.label_ids if labels is None else labels, State.PRESENT)


def asked_for(model: LoadedModel, label: str, state: State) -> Asked:
    """The output for a finding's state; `InvalidSchema` when the model has none."""
    assert model.schema is not None, "a classifier has a schema"
    model.schema.label(label)  # refuses a label the schema does not have
    output = label if state is State.PRESENT else f"{label}:{state.value}"
    if output not in model.outputs:
        raise InvalidSchema(
            f"Das Modell {model.version} sagt für „{label}“ keinen Zustand „{state.value}“ voraus, nur present.",
            f"The model {model.version} predicts no state “{state.value}” for “{label}”, only present.",
        )
    return Asked(label, state, model.outputs.index(output))


def as_explained(model: LoadedModel, attribution: Attribution) -> tuple[ReadReport, Asked, Baseline]:
    """The report, the output and the baseline of an attribution; `Conflict` if it was not this model's."""
    if attribution.model_version != model.version or not attribution.label:
        raise Conflict(
            f"Die Erklärung stammt nicht von einem Befund des Modells {model.version}. Bitte neu erklären lassen.",
            f"The explanation is not one of a finding by the model {model.version}. Please explain again.",
        )
    baseline = next(each for each in Baseline if each.shown == attribution.baseline)
    report = read_report(model, attribution.text, baseline, method_of(attribution.method).unit)
    return report, asked_for(model, attribution.label, State(attribution.target)), baseline
