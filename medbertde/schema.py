"""Label schemas: which findings a report set is labelled with, read from `data/schemas/<id>.yaml`.

Core: knows YAML, but neither models nor databases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from medbertde.types import InvalidSchema, State

SCHEMA_FOLDER = Path(__file__).parent.parent / "data" / "schemas"
RESERVED_KEYS = frozenset("0123?")  # the annotation card's own keys
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Label:
    """A finding: its names, a short definition with typical phrasings, its colour and its annotation key."""

    id: str
    name: Mapping[str, str]
    definition: Mapping[str, str]
    phrasings: tuple[str, ...]
    colour: str
    key: str


@dataclass(frozen=True)
class Schema:
    """An ordered set of findings with an id and a version; a change of meaning raises the version."""

    id: str
    version: int
    title: Mapping[str, str]
    modality: str
    labels: tuple[Label, ...]

    @property
    def label_ids(self) -> tuple[str, ...]:
        """The ids in schema order."""
        return tuple(label.id for label in self.labels)

    def label(self, label_id: str) -> Label:
        """The finding with this id; `InvalidSchema` when there is none."""
        for label in self.labels:
            if label.id == label_id:
                return label
        raise InvalidSchema(
            f"Der Befund „{label_id}“ gehört nicht zum Schema {self.id}. Erlaubt sind: {', '.join(self.label_ids)}.",
            f"The finding “{label_id}” is not in the schema {self.id}. Allowed are: {', '.join(self.label_ids)}.",
        )


def parse_state(value: object) -> State:
    """A state from the words people write in files: English, German, or the signs ``+ ? -``.

    >>> parse_state("verneint").value, parse_state("+").value
    ('absent', 'present')
    """
    word = str(value).strip().lower()
    if word not in _STATE_WORDS:
        raise InvalidSchema(
            f"„{word[:40]}“ ist kein Zustand. Erlaubt sind: present, uncertain, absent (vorhanden, unsicher, verneint).",
            f"“{word[:40]}” is not a state. Allowed are: present, uncertain, absent.",
        )
    return _STATE_WORDS[word]


_STATE_WORDS = {
    **dict.fromkeys(("present", "vorhanden", "+", "1", "1.0", "true"), State.PRESENT),
    **dict.fromkeys(("uncertain", "unsicher", "?"), State.UNCERTAIN),
    **dict.fromkeys(("absent", "verneint", "-", "0", "0.0", "false"), State.ABSENT),
}


def read_schema(path: Path) -> Schema:
    """Read and check one schema file; `InvalidSchema` names the file and what is wrong in it."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        labels = tuple(_label(item) for item in raw["labels"])
        schema = Schema(str(raw["id"]), int(raw["version"]), dict(raw["title"]), str(raw["modality"]), labels)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise _invalid(path, f"{type(error).__name__}: {error}") from error
    _check(path, schema)
    return schema


def _label(item: Mapping[str, Any]) -> Label:
    return Label(
        id=str(item["id"]),
        name=dict(item["name"]),
        definition=dict(item["definition"]),
        phrasings=tuple(str(phrase) for phrase in item["phrasings"]),
        colour=str(item["colour"]),
        key=str(item["key"]).lower(),
    )


def _check(path: Path, schema: Schema) -> None:
    if schema.id != path.stem:
        raise _invalid(path, f"id {schema.id!r} differs from the file name")
    ids, keys = schema.label_ids, [label.key for label in schema.labels]
    if not ids:
        raise _invalid(path, "no labels")
    for label_id in ids:
        if not _ID.fullmatch(label_id):
            raise _invalid(path, f"label id {label_id!r} must be letters, digits and underscores")
    for name, values in (("label id", ids), ("key", keys)):
        doubled = {value for value in values if values.count(value) > 1}
        if doubled:
            raise _invalid(path, f"{name} used twice: {', '.join(sorted(doubled))}")
    bad_keys = [key for key in keys if len(key) != 1 or key in RESERVED_KEYS]
    if bad_keys:
        raise _invalid(path, f"keys must be one character and not one of 0 1 2 3 ?: {', '.join(bad_keys)}")


def _invalid(path: Path, reason: str) -> InvalidSchema:
    return InvalidSchema(
        f"Die Schemadatei {path.name} ist nicht lesbar: {reason}.",
        f"The schema file {path.name} cannot be used: {reason}.",
    )


@cache
def load_schema(schema_id: str, folder: Path = SCHEMA_FOLDER) -> Schema:
    """The schema with this id, read once; `InvalidSchema` when there is none."""
    if schema_id not in schema_ids(folder):
        raise InvalidSchema(
            f"Das Schema „{schema_id}“ gibt es nicht. Vorhanden sind: {', '.join(schema_ids(folder))}.",
            f"There is no schema “{schema_id}”. Available are: {', '.join(schema_ids(folder))}.",
        )
    return read_schema(folder / f"{schema_id}.yaml")


def schema_ids(folder: Path = SCHEMA_FOLDER) -> tuple[str, ...]:
    """The ids of all schema files, `chest_xray` first, then alphabetical."""
    return tuple(sorted((path.stem for path in folder.glob("*.yaml")), key=lambda name: (name != "chest_xray", name)))
