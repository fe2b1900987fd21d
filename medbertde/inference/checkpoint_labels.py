"""Whether a model's outputs, thresholds and temperatures are those of its label schema. Knows no weights."""

from __future__ import annotations

from pathlib import Path

from transformers import PretrainedConfig

from medbertde.inference.facts import FACTS_FILE, CheckpointFacts, refuse
from medbertde.schema import Kind, Schema, load_schema
from medbertde.span_tags import tag_names
from medbertde.types import CheckpointRefused, InvalidSchema, State, Task


def output_names(schema: Schema, *, states: bool) -> tuple[str, ...]:
    """The classifier outputs of a schema in column order: labels, then ``label:uncertain``, then ``label:absent``."""
    names = schema.label_ids
    if states:
        for state in (State.UNCERTAIN, State.ABSENT):
            names += tuple(f"{label}:{state.value}" for label in schema.label_ids)
    return names


def check_labels(folder: Path, facts: CheckpointFacts, config: PretrainedConfig) -> tuple[Schema, tuple[str, ...]]:
    """Schema and output names of a model with labels, refused where they do not belong together."""
    try:
        schema = load_schema(facts.schema_id or "")
    except InvalidSchema as error:
        raise CheckpointRefused(error.de, error.en) from error
    if facts.schema_version != schema.version:
        refuse(
            folder,
            f"es gehört zu Version {facts.schema_version} des Schemas {schema.id}, gültig ist {schema.version}",
            f"it belongs to version {facts.schema_version} of the schema {schema.id}, current is {schema.version}",
        )
    outputs = tuple(str(name) for _, name in sorted((config.id2label or {}).items()))
    if facts.task is Task.NER:
        _check_tags(folder, schema, outputs)
        _check_temperatures(folder, facts)
        return schema, outputs
    expected = {output_names(schema, states=states) for states in (False, True)}
    if sorted(outputs) not in [sorted(names) for names in expected]:
        missing = sorted(set(schema.label_ids) - set(outputs))
        foreign = sorted(set(outputs) - set(output_names(schema, states=True)))
        refuse(
            folder,
            f"seine {len(outputs)} Ausgaben passen nicht zum Schema {schema.id} mit {len(schema.labels)} Befunden "
            f"(fehlend: {listed(missing)}; unbekannt: {listed(foreign)})",
            f"its {len(outputs)} outputs do not match the schema {schema.id} with {len(schema.labels)} findings "
            f"(missing: {listed(missing)}; unknown: {listed(foreign)})",
        )
    if config.problem_type != "multi_label_classification":
        refuse(
            folder,
            f"problem_type ist {config.problem_type}, erwartet wird multi_label_classification",
            f"problem_type is {config.problem_type}, expected is multi_label_classification",
        )
    _check_calibration(folder, facts, schema)
    return schema, outputs


def _check_tags(folder: Path, schema: Schema, outputs: tuple[str, ...]) -> None:
    """Refuse a schema whose labels are not spans, and outputs that are not its tags in their order."""
    if schema.kind is not Kind.SPANS:
        refuse(
            folder,
            f"es markiert Textstellen, das Schema {schema.id} hat aber Befunde (kind: findings)",
            f"it marks spans, but the schema {schema.id} has findings (kind: findings)",
        )
    if outputs != tag_names(schema.label_ids):
        refuse(
            folder,
            f"seine {len(outputs)} Ausgaben sind nicht O und je B und I der {len(schema.labels)} Labels des Schemas "
            f"{schema.id} in dessen Reihenfolge",
            f"its {len(outputs)} outputs are not O and B and I of each of the {len(schema.labels)} labels of the "
            f"schema {schema.id} in its order",
        )


def _check_calibration(folder: Path, facts: CheckpointFacts, schema: Schema) -> None:
    without = [label for label in schema.label_ids if not 0 < facts.thresholds.get(label, -1.0) < 1]
    if without:
        refuse(
            folder,
            f"{FACTS_FILE} nennt keine Schwelle zwischen 0 und 1 für {listed(without)}",
            f"{FACTS_FILE} gives no threshold between 0 and 1 for {listed(without)}",
        )
    _check_temperatures(folder, facts)


def _check_temperatures(folder: Path, facts: CheckpointFacts) -> None:
    bad = [name for name, value in facts.temperatures.items() if not 0 < value < float("inf")]
    if bad:
        refuse(
            folder,
            f"{FACTS_FILE} nennt keine positive Temperatur für {listed(bad)}",
            f"{FACTS_FILE} gives no positive temperature for {listed(bad)}",
        )


def listed(names: list[str]) -> str:
    """Some names for a sentence, the first four of many."""
    return ", ".join(names[:4]) + (" …" if len(names) > 4 else "") if names else "–"
