"""Label schemas: which findings a report set is labelled with, read from `data/schemas/<id>.yaml`.

A schema of `kind: spans` has labels that are only marked in the text (medication, dose); those of `kind: findings`, the
usual case, also get a state per report. Core: knows YAML, but neither models nor databases.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from medbertde.text import shown
from medbertde.types import InvalidSchema, State

SCHEMA_FOLDER = Path(__file__).parent.parent / "data" / "schemas"
INTERNAL = "internal"  # a folder in it: schemas of models that do their work unseen; nobody is offered them
RESERVED_KEYS = frozenset("0123456789?/ ")  # the annotation card's own keys
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")


class Kind(StrEnum):
    """What the labels of a schema are: findings with a state per report, or spans of the text and nothing else."""

    FINDINGS = "findings"
    SPANS = "spans"


ALL_KINDS = tuple(Kind)


@dataclass(frozen=True)
class Label:
    """A finding: its names, a short definition with typical phrasings, its colour and its annotation key.

    `group` is the id of one of the schema's groups, empty for none.
    """

    id: str
    name: Mapping[str, str]
    definition: Mapping[str, str]
    phrasings: tuple[str, ...]
    colour: str
    key: str
    group: str = ""


@dataclass(frozen=True)
class Schema:
    """An ordered set of findings with an id and a version; a change of meaning raises the version.

    `groups` ({id: {de, en}}) are for the eye only: they gather labels on the annotation card, in their own order.
    """

    id: str
    version: int
    title: Mapping[str, str]
    modality: str
    labels: tuple[Label, ...]
    kind: Kind = Kind.FINDINGS
    groups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def label_ids(self) -> tuple[str, ...]:
        """The ids in schema order."""
        return tuple(label.id for label in self.labels)

    def label(self, label_id: str) -> Label:
        """The finding with this id; `InvalidSchema` when there is none."""
        for label in self.labels:
            if label.id == label_id:
                return label
        found, allowed = shown(label_id), ", ".join(self.label_ids)
        raise InvalidSchema(
            f"Der Befund „{found}“ gehört nicht zum Schema {self.id}. Erlaubt sind: {allowed}.",
            f"The finding “{found}” is not in the schema {self.id}. Allowed are: {allowed}.",
        )


def parse_state(value: object) -> State:
    """A state from the words people write in files: English, German, or the signs ``+ ? -``.

    >>> parse_state("verneint").value, parse_state("+").value
    ('absent', 'present')
    """
    word = str(value).strip().lower()
    if word not in _STATE_WORDS:
        raise InvalidSchema(
            f"„{shown(word)}“ ist kein Zustand. Erlaubt sind: present, uncertain, absent (oder vorhanden, unsicher, "
            "verneint).",
            f"“{shown(word)}” is not a state. Allowed are: present, uncertain, absent.",
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
        schema = Schema(
            id=str(raw["id"]),
            version=int(raw["version"]),
            title=dict(raw["title"]),
            modality=str(raw["modality"]),
            labels=tuple(_label(item) for item in raw["labels"]),
            kind=Kind(raw.get("kind", Kind.FINDINGS)),
            groups={str(group): dict(name) for group, name in raw.get("groups", {}).items()},
        )
    except KeyError as error:
        raise _invalid(path, f"Das Feld {error} fehlt", f"the field {error} is missing") from error
    except (OSError, yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        found = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise _invalid(path, f"Der Aufbau stimmt nicht ({found})", f"its form is wrong ({found})") from error
    for de, en in _faults(path, schema):
        raise _invalid(path, de, en)
    return schema


def _label(item: Mapping[str, Any]) -> Label:
    if not isinstance(item["phrasings"], list):
        raise TypeError("phrasings must be a list")
    return Label(
        id=str(item["id"]),
        name=dict(item["name"]),
        definition=dict(item["definition"]),
        phrasings=tuple(str(phrase) for phrase in item["phrasings"]),
        colour=str(item["colour"]),
        key=str(item["key"]).lower(),
        group=str(item.get("group", "")),
    )


def _faults(path: Path, schema: Schema) -> Iterator[tuple[str, str]]:
    """What is wrong with the values of a schema, in German and English."""
    if schema.id != path.stem:
        yield f"Die id „{schema.id}“ ist nicht der Dateiname", f"the id “{schema.id}” is not the name of the file"
    if not schema.labels:
        yield "Es gibt keine Befunde (labels)", "there are no labels"
    if not _in_both(schema.title):
        yield "Der Titel fehlt auf Deutsch oder Englisch (de, en)", "the title is missing in one language (de, en)"
    for label in schema.labels:
        yield from _label_faults(label)
    yield from _group_faults(schema)
    for values in (schema.label_ids, tuple(label.key for label in schema.labels)):
        for doubled in sorted({value for value in values if values.count(value) > 1}):
            yield f"„{doubled}“ ist zweimal vergeben", f"“{doubled}” is used twice"


def _label_faults(label: Label) -> Iterator[tuple[str, str]]:
    if not _ID.fullmatch(label.id):
        yield (
            f"Die id „{label.id}“ darf nur Buchstaben ohne Umlaute, Ziffern und Unterstriche enthalten",
            f"the id “{label.id}” may hold plain letters, digits and underscores only",
        )
    if not _in_both(label.name) or not _in_both(label.definition):
        yield (
            f"Name oder Definition von {label.id} fehlt auf Deutsch oder Englisch (de, en)",
            f"the name or definition of {label.id} is missing in one language (de, en)",
        )
    if not _COLOUR.fullmatch(label.colour):
        yield f"Die Farbe von {label.id} hat nicht die Form #1a2b3c", f"the colour of {label.id} is not like #1a2b3c"
    if len(label.key) != 1 or label.key in RESERVED_KEYS:
        yield (
            f"Die Taste von {label.id} muss ein einzelnes Zeichen sein, und zwar keine Ziffer, kein ? und kein /",
            f"the key of {label.id} must be one character and no digit, no ? and no /",
        )


def _group_faults(schema: Schema) -> Iterator[tuple[str, str]]:
    for group, name in schema.groups.items():
        if not _in_both(name):
            yield (
                f"Die Gruppe {group} hat keinen Namen auf Deutsch und Englisch (de, en)",
                f"the group {group} lacks a name",
            )
    for label in schema.labels:
        if label.group and label.group not in schema.groups:
            yield (
                f"{label.id} gehört zur Gruppe „{shown(label.group)}“, die unter groups fehlt",
                f"{label.id} belongs to the group “{shown(label.group)}”, which is missing under groups",
            )


def _in_both(text: Mapping[str, str]) -> bool:
    return all(text.get(language) for language in ("de", "en"))


def _invalid(path: Path, de: str, en: str) -> InvalidSchema:
    return InvalidSchema(
        f"Die Schemadatei {path.name} ist nicht brauchbar. {de}.", f"The schema file {path.name} cannot be used: {en}."
    )


def load_schema(schema_id: str, folder: Path = SCHEMA_FOLDER) -> Schema:
    """The schema with this id, read again whenever its file has changed; `InvalidSchema` when there is none."""
    there = _files(folder)
    if schema_id in _files(folder / INTERNAL):
        folder = folder / INTERNAL
    elif schema_id not in there:
        raise InvalidSchema(
            f"Das Schema „{shown(schema_id)}“ gibt es nicht. Vorhanden sind: {', '.join(there)}.",
            f"There is no schema “{shown(schema_id)}”. Available are: {', '.join(there)}.",
        )
    path = folder / f"{schema_id}.yaml"
    return _read_at(path, path.stat().st_mtime_ns)


@cache
def _read_at(path: Path, _changed_ns: int) -> Schema:
    return read_schema(path)


def schema_ids(folder: Path = SCHEMA_FOLDER, *, kinds: Collection[Kind] = (Kind.FINDINGS,)) -> tuple[str, ...]:
    """The ids of the schemas of findings, or of other `kinds`: `chest_xray` first, then alphabetical.

    Reading and quality know findings only; `kinds=ALL_KINDS` is for those who import, annotate, train and export.
    """
    return tuple(name for name in _files(folder) if load_schema(name, folder).kind in kinds)


def _files(folder: Path) -> tuple[str, ...]:
    return tuple(sorted((path.stem for path in folder.glob("*.yaml")), key=lambda name: (name != "chest_xray", name)))
