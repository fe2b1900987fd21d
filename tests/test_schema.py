"""Label schemas: the shipped ones are complete, a broken one is refused with the file's name and the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from medbertde.schema import ALL_KINDS, Kind, load_schema, parse_state, read_schema, schema_ids
from medbertde.types import InvalidSchema, State

LABEL = {
    "id": "Erguss",
    "name": {"de": "Pleuraerguss", "en": "Pleural effusion"},
    "definition": {"de": "Jeder Größe.", "en": "Of any size."},
    "phrasings": ["Randwinkelerguss"],
    "colour": "#2a7f86",
    "key": "e",
}
SCHEMA = {"id": "eigen", "version": 1, "title": {"de": "Eigenes", "en": "Own"}, "modality": "xray", "labels": [LABEL]}


def written(folder: Path, **changes: Any) -> Path:
    """A schema file that differs from a correct one in `changes`."""
    path = folder / "eigen.yaml"
    path.write_text(yaml.safe_dump({**SCHEMA, **changes}, allow_unicode=True), encoding="utf-8")
    return path


def refusal(path: Path) -> InvalidSchema:
    """What `read_schema` says about the file."""
    with pytest.raises(InvalidSchema) as refused:
        read_schema(path)
    assert refused.value.de.startswith("Die Schemadatei eigen.yaml ist nicht brauchbar. ")
    assert refused.value.en.startswith("The schema file eigen.yaml cannot be used: ")
    return refused.value


def test_the_shipped_schemas_are_the_promised_ones() -> None:
    assert schema_ids() == ("chest_xray", "chest_ct")
    assert load_schema("chest_xray").label_ids == tuple(
        "Stauung Verschattung Erguss Pneumothorax Thoraxdrainage ZVK Magensonde Tubus Materialfehllage Kardiomegalie "
        "Rundherd_Raumforderung Fraktur Emphysem".split()
    )
    assert len(load_schema("chest_ct").labels) == 24


def test_a_schema_of_spans_is_found_by_those_who_ask_for_all_kinds(tmp_path: Path) -> None:
    written(tmp_path, kind="spans")
    assert (schema_ids(tmp_path), schema_ids(tmp_path, kinds=ALL_KINDS)) == ((), ("eigen",))
    assert load_schema("eigen", tmp_path).kind is Kind.SPANS


def test_labels_may_stand_in_groups(tmp_path: Path) -> None:
    groups = {"pleura": {"de": "Pleura", "en": "Pleura"}}
    schema = read_schema(written(tmp_path, groups=groups, labels=[{**LABEL, "group": "pleura"}]))
    assert (schema.groups, schema.label("Erguss").group) == (groups, "pleura")


@pytest.mark.parametrize("schema_id", schema_ids(kinds=ALL_KINDS))
def test_every_shipped_finding_is_explained_in_both_languages(schema_id: str) -> None:
    for label in load_schema(schema_id).labels:
        assert {*label.name} == {*label.definition} == {"de", "en"}
        assert label.phrasings


def test_a_schema_of_ones_own_is_found_by_its_file_name(tmp_path: Path) -> None:
    written(tmp_path)
    assert schema_ids(tmp_path) == ("eigen",)
    assert load_schema("eigen", tmp_path).label("Erguss").name["en"] == "Pleural effusion"


def test_an_unknown_schema_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidSchema) as refused:
        load_schema("thorax")
    assert refused.value.de == "Das Schema „thorax“ gibt es nicht. Vorhanden sind: chest_xray, chest_ct, medication."
    assert refused.value.en == "There is no schema “thorax”. Available are: chest_xray, chest_ct, medication."


@pytest.mark.parametrize("schema_id", ["../chest_xray", "", "/etc/passwd"])
def test_a_path_is_no_schema_id(schema_id: str) -> None:
    with pytest.raises(InvalidSchema, match="There is no schema “…”"):
        load_schema(schema_id)


def test_an_unknown_finding_is_refused_with_the_allowed_ones(tmp_path: Path) -> None:
    with pytest.raises(InvalidSchema) as refused:
        read_schema(written(tmp_path)).label("Pneu")
    assert refused.value.de == "Der Befund „Pneu“ gehört nicht zum Schema eigen. Erlaubt sind: Erguss."
    assert refused.value.en == "The finding “Pneu” is not in the schema eigen. Allowed are: Erguss."


@pytest.mark.parametrize(
    ("changes", "de", "en"),
    [
        ({"id": "fremd"}, "Die id „fremd“ ist nicht der Dateiname.", "the id “fremd” is not the name of the file."),
        ({"labels": []}, "Es gibt keine Befunde (labels).", "there are no labels."),
        ({"title": {"de": "Nur deutsch"}}, "Der Titel fehlt auf Deutsch oder Englisch", "the title is missing"),
        ({"version": "neu"}, "Der Aufbau stimmt nicht (ValueError", "its form is wrong (ValueError"),
        ({"labels": "Erguss"}, "Der Aufbau stimmt nicht (TypeError", "its form is wrong (TypeError"),
        ({"labels": [LABEL, {**LABEL, "key": "x"}]}, "„Erguss“ ist zweimal vergeben.", "“Erguss” is used twice."),
        ({"labels": [LABEL, {**LABEL, "id": "Pneu"}]}, "„e“ ist zweimal vergeben.", "“e” is used twice."),
        ({"labels": [{**LABEL, "id": "Öde m"}]}, "Die id „Öde m“ darf nur", "the id “Öde m” may hold plain letters"),
        ({"labels": [{**LABEL, "key": "1"}]}, "Die Taste von Erguss muss", "the key of Erguss must"),
        ({"labels": [{**LABEL, "key": "6"}]}, "Die Taste von Erguss muss", "the key of Erguss must"),
        ({"labels": [{**LABEL, "group": "x"}]}, "Gruppe „x“, die unter groups fehlt", "which is missing under groups"),
        ({"groups": {"x": {"de": "X"}}}, "Die Gruppe x hat keinen Namen", "the group x lacks a name"),
        ({"kind": "wörter"}, "Der Aufbau stimmt nicht (ValueError", "its form is wrong (ValueError"),
        ({"labels": [{**LABEL, "key": "ee"}]}, "Die Taste von Erguss muss", "the key of Erguss must"),
        ({"labels": [{**LABEL, "colour": "red;}"}]}, "Die Farbe von Erguss hat", "the colour of Erguss is not"),
        (
            {"labels": [{**LABEL, "name": {"de": "Erguss"}}]},
            "Name oder Definition von Erguss",
            "the name or definition",
        ),
        ({"labels": [{**LABEL, "phrasings": "Erguss"}]}, "Der Aufbau stimmt nicht", "phrasings must be a list"),
        ({"labels": [{"id": "Erguss"}]}, "Das Feld 'phrasings' fehlt.", "the field 'phrasings' is missing."),
    ],
)
def test_a_broken_schema_is_refused_with_the_reason(tmp_path: Path, changes: Any, de: str, en: str) -> None:
    error = refusal(written(tmp_path, **changes))
    assert de in error.de
    assert en in error.en


@pytest.mark.parametrize("content", [b"", b"labels: [", b"\xff\xfe", b"- 1\n", b"id: eigen\n"])
def test_a_file_that_is_no_schema_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "eigen.yaml").write_bytes(content)
    assert "\n" not in refusal(tmp_path / "eigen.yaml").en


@pytest.mark.parametrize(
    ("word", "state"),
    [
        *((word, State.PRESENT) for word in ("present", "Vorhanden", " + ", "1", 1, 1.0, True)),
        *((word, State.UNCERTAIN) for word in ("uncertain", "UNSICHER", "?")),
        *((word, State.ABSENT) for word in ("absent", "verneint", "-", "0", 0, False)),
    ],
)
def test_a_state_may_be_written_in_many_ways(word: object, state: State) -> None:
    assert parse_state(word) is state


@pytest.mark.parametrize(("word", "repeated"), [("ja", "ja"), ("Kein Erguss rechts.", "…"), ({"a": 1}, "…"), (2, "2")])
def test_a_wrong_state_is_refused_without_repeating_text(word: object, repeated: str) -> None:
    with pytest.raises(InvalidSchema) as refused:
        parse_state(word)
    assert refused.value.de == (
        f"„{repeated}“ ist kein Zustand. Erlaubt sind: present, uncertain, absent (oder vorhanden, unsicher, verneint)."
    )
    assert refused.value.en == f"“{repeated}” is not a state. Allowed are: present, uncertain, absent."
