"""The overview shows curators everything and annotators nothing of what others said before it is their turn to know."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from medbertde.services.access import Access, Caller
from medbertde.services.annotate import Annotate, Decision
from medbertde.services.overview import Filters, Overview, Status, Value
from medbertde.settings import Settings
from medbertde.store.session import Database, open_database
from medbertde.types import Forbidden, InvalidSchema, InvalidText, NotFound, State, User

XRAY = "chest_xray"
TEXTS = ("Kleiner Pleuraerguss links.", "Kein Erguss. ZVK regelrecht.", "Lunge frei.")


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """On both databases."""
    sqlite = f"sqlite:///{tmp_path / 'labels.sqlite'}"
    url = sqlite if request.param == "sqlite" else request.getfixturevalue("new_postgres")()
    return Settings(var=tmp_path, database_url=url)


@pytest.fixture
def overview(database: Database, access: Access) -> Overview:
    return Overview(database, access)


@pytest.fixture
def annotator(database: Database, ben: User, access: Access) -> User:
    """Ben, who only labels."""
    with database.write() as session:
        session.execute(text("UPDATE users SET role = 'annotator' WHERE name = 'ben'"))
    return access.identify(Caller("ben", None))


@pytest.fixture
def ids(annotate: Annotate, database: Database, anna: User) -> dict[str, int]:
    """Three reports; anna has labelled two of them."""
    lines = "".join(json.dumps({"text": content, "id": content[:6]}) + "\n" for content in TEXTS)
    annotate.import_reports(anna, XRAY, "reports.jsonl", lines.encode())
    with database.read() as session:
        found = {key: number for key, number in session.execute(text("SELECT key, id FROM reports"))}
    save(annotate, anna, found["Kleine"], Erguss=State.PRESENT, ZVK=State.UNCERTAIN)
    save(annotate, anna, found["Kein E"], Erguss=State.ABSENT)
    return found


def save(annotate: Annotate, user: User, report_id: int, **values: State | None) -> None:
    decision: dict[str, Any] = {"client_uuid": str(uuid.uuid4()), "schema_id": XRAY, "report_id": report_id}
    annotate.save(user, Decision(**decision, values=values, active_ms=30_000))


def keys(overview: Overview, user: User, query: str = "", **filters: Any) -> list[str]:
    return [hit.report.key for hit in overview.find(user, query, Filters(XRAY, **filters)).hits]


def test_a_curator_finds_by_text_and_by_what_anyone_says(overview: Overview, ids: dict[str, int], anna: User) -> None:
    assert keys(overview, anna, "erguss") == ["Kleine", "Kein E"]
    assert keys(overview, anna, "erguss", label="Erguss", value=Value.PRESENT) == ["Kleine"]
    assert keys(overview, anna, status=Status.OPEN) == ["Lunge"]
    found = overview.find(anna, "", Filters(XRAY))
    assert (found.count, found.after, found.hits[0].annotators) == (3, None, ("anna",))
    assert overview.annotators(anna, XRAY) == ["anna", "ben"] or overview.annotators(anna, XRAY) == ["anna"]


def test_an_annotator_searches_in_and_sees_only_their_own_labels(
    overview: Overview, annotate: Annotate, ids: dict[str, int], annotator: User
) -> None:
    save(annotate, annotator, ids["Lunge"], Erguss=State.ABSENT)
    assert keys(overview, annotator, "lunge erguss") == []
    assert keys(overview, annotator, label="Erguss") == ["Lunge"]
    assert keys(overview, annotator, annotator="anna") == ["Lunge"]
    assert [hit.annotators for hit in overview.find(annotator, "", Filters(XRAY)).hits] == [(), (), ("ben",)]
    assert overview.annotators(annotator, XRAY) == ["ben"]
    looked = overview.look(annotator, XRAY, ids["Kleine"])
    assert (looked.values, looked.history, looked.is_own) == ({}, (), False)
    assert [day.annotator for day in overview.figures(annotator, XRAY).days] == ["ben"]
    with pytest.raises(Forbidden):
        overview.find(annotator, "", Filters(XRAY, status=Status.DISPUTED))


def test_a_report_is_shown_with_what_holds_and_how_it_came_about(
    overview: Overview, annotate: Annotate, ids: dict[str, int], anna: User
) -> None:
    save(annotate, anna, ids["Kleine"], Erguss=State.PRESENT, ZVK=None)
    looked = overview.look(anna, XRAY, ids["Kleine"], "erguss")
    assert looked.values == {"anna": {"Erguss": State.PRESENT}}
    assert [(change.label, change.new_value) for change in looked.history] == [
        ("Erguss", State.PRESENT),
        ("ZVK", State.UNCERTAIN),
        ("ZVK", None),
    ]
    assert looked.is_own
    assert looked.terms == ("erguss",)


def test_figures_count_reports_and_days(overview: Overview, ids: dict[str, int], anna: User) -> None:
    figures = overview.figures(anna, XRAY)
    assert figures.annotated == 2
    assert figures.values[("Erguss", State.ABSENT)] == 1
    assert [(day.annotator, day.reports, day.active_ms) for day in figures.days] == [("anna", 2, 60_000)]


def test_what_cannot_be_searched_is_a_sentence(overview: Overview, ids: dict[str, int], anna: User) -> None:
    with pytest.raises(InvalidText):
        overview.find(anna, "ab", Filters(XRAY))
    for broken in ("erguss \ud83e", "erg\x00uss"):
        with pytest.raises(InvalidText, match="unreadable characters"):
            overview.find(anna, broken, Filters(XRAY))
    with pytest.raises(InvalidSchema):
        overview.find(anna, "", Filters(XRAY, label="Milz"))
    with pytest.raises(NotFound):
        overview.look(anna, XRAY, 77)


@pytest.fixture
def visitor(access: Access) -> User:
    """Someone who has not accepted the terms."""
    return access.identify(Caller("carl", None))


def test_nothing_is_shown_before_the_terms_are_accepted(overview: Overview, ids: dict[str, int], visitor: User) -> None:
    for call in (
        lambda: overview.find(visitor, "", Filters(XRAY)),
        lambda: overview.look(visitor, XRAY, ids["Kleine"]),
        lambda: overview.figures(visitor, XRAY),
        lambda: overview.annotators(visitor, XRAY),
    ):
        with pytest.raises(Forbidden):
            call()


def test_both_databases_are_really_used(settings: Settings) -> None:
    opened = open_database(settings.database_url)
    assert opened.is_postgresql == settings.database_url.startswith("postgresql")
    opened.close()
