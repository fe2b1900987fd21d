"""What is asked: findings with their states, and the outputs of a classifier that stand for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medbertde.inference.checkpoint import LoadedModel
from medbertde.types import InvalidSchema, State


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
