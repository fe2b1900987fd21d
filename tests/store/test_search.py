"""Searching finds reports by parts of words, phrases and what was said about them, alike on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from medbertde.search_text import terms
from medbertde.store import Database, reports, search, suggestions
from medbertde.store.search import Filters, Status, Value
from medbertde.store.work_tables import ReviewRow
from medbertde.types import InvalidText, ReportRecord, State, Suggestion, User
from tests.store.conftest import Save

XRAY = "chest_xray"
TEXTS = {
    "pleura": "Kleiner Pleuraerguß links.\nKein Nachweis eines Pneumothorax.",
    "plural": "Beidseitige ERGÜSSE, geringe Stauung. 100 % Sättigung.",
    "kein": "Kein\n Erguss. ZVK regelrecht.",
    "frei": "Lunge frei. Nachweis eines Rundherdes, kein Infiltrat.",
    "ct": "CT Thorax: Rundherd im Oberlappen.",
}


@pytest.fixture
def keys(database: Database, anna: User) -> dict[str, int]:
    """The reports above by key, the last one a CT."""
    records = [ReportRecord(content, key, "ct" if key == "ct" else "xray") for key, content in TEXTS.items()]
    with database.write() as session:
        added = reports.add_reports(session, records=records, imported_by=anna.id)
    return dict(zip(TEXTS, added.added_ids, strict=True))


def found(database: Database, query: str = "", **filters: Any) -> list[str]:
    with database.read() as session:
        page = search.search(session, wanted=terms(query), filters=Filters(XRAY, **filters))
    return [hit.report.key for hit in page.hits]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["pleura", "plural", "kein", "frei", "ct"]),
        ("erguss", ["pleura", "plural", "kein"]),
        ("ERGUẞ", ["pleura", "plural", "kein"]),
        ("Ergüsse", ["plural"]),
        ("herd", ["frei", "ct"]),
        ("kein erguss", ["pleura", "kein"]),
        ('"kein erguss"', ["kein"]),
        ("„Nachweis eines“ rund", ["frei"]),
        ('"nachweis eines', ["pleura", "frei"]),
        ("sattigung", ["plural"]),
        ("100 sättigung", ["plural"]),
        ("Milz", []),
        ("regel-recht", []),
        ("NEAR(erguss OR zvk) AND *", []),
        ('erguss" OR "zvk', []),
        ("links.*", []),
        ("links. 'nachweis", []),
        ("Sättigung\\ 100", []),
        ("sättigung %", ["plural"]),
        ("eines_Pneumo", []),
        ("Ergu\u0308sse", ["plural"]),
        ("Er\xadguss\u200b", ["pleura", "plural", "kein"]),
    ],
)
def test_words_and_phrases_find_what_contains_them(
    database: Database, keys: dict[str, int], query: str, expected: list[str]
) -> None:
    assert found(database, query) == expected


@pytest.mark.parametrize("query", ["ab", "§ d %", "x" * 201])
def test_a_search_that_cannot_work_says_why(query: str) -> None:
    if query == "§ d %":
        with pytest.raises(InvalidText, match="at least one word of 3 letters"):
            terms(query)
    with pytest.raises(InvalidText, match="Please search for"):
        terms(query)


@pytest.mark.parametrize("query", ["erguss \ud83e", "erg\x00uss"])
def test_a_search_with_broken_characters_says_so(query: str) -> None:
    with pytest.raises(InvalidText, match="unreadable characters"):
        terms(query)


def test_a_search_of_signs_alone_searches_for_nothing() -> None:
    assert terms(' "" *** — ( ') == ()


def test_only_reports_of_the_modality_or_of_none_are_found(database: Database, keys: dict[str, int]) -> None:
    assert found(database, "herd", modality="ct") == ["ct"]


def test_pages_go_on_behind_the_last_report(database: Database, keys: dict[str, int]) -> None:
    with database.read() as session:
        first = search.search(session, wanted=("erguss",), filters=Filters(XRAY), limit=2)
        assert first.after is not None
        second = search.search(session, wanted=("erguss",), filters=Filters(XRAY), after=first.after, limit=2)
        assert search.count(session, wanted=("erguss",), filters=Filters(XRAY)) == 3
    assert [hit.report.key for page in (first, second) for hit in page.hits] == ["pleura", "plural", "kein"]
    assert second.after is None


def test_a_hit_shows_the_words_and_who_has_saved_it(
    database: Database, keys: dict[str, int], anna: User, ben: User, save: Save
) -> None:
    for user in (ben, anna):
        save(keys["pleura"], user, Erguss=State.PRESENT)
    with database.read() as session:
        (hit,) = search.search(session, wanted=("pleuraerguss",), filters=Filters(XRAY)).hits
    assert hit.annotators == ("anna", "ben")
    assert [piece.text for piece in hit.excerpt if piece.hit] == ["Pleuraerguß"]


def test_findings_are_searched_by_what_someone_says_now(
    database: Database, keys: dict[str, int], anna: User, ben: User, save: Save
) -> None:
    save(keys["pleura"], anna, Erguss=State.PRESENT, ZVK=State.ABSENT)
    save(keys["plural"], anna, Erguss=State.PRESENT)
    save(keys["plural"], anna, Erguss=State.UNCERTAIN)
    save(keys["kein"], ben, Erguss=State.ABSENT)
    save(keys["frei"], ben, Erguss=State.PRESENT)
    save(keys["frei"], ben, Erguss=None)
    assert found(database, label="Erguss", value=Value.PRESENT) == ["pleura"]
    assert found(database, label="Erguss", value=Value.UNCERTAIN) == ["plural"]
    assert found(database, label="Erguss") == ["pleura", "plural", "kein"]
    assert found(database, value=Value.ABSENT) == ["pleura", "kein"]
    assert found(database, label="Erguss", value=Value.NOT_MENTIONED) == ["frei"]
    assert found(database, label="ZVK", value=Value.NOT_MENTIONED) == ["plural", "kein", "frei"]
    assert found(database, label="Erguss", value=Value.ABSENT, annotator="anna") == []
    assert found(database, annotator="ben") == ["kein", "frei"]
    assert found(database, "rund", annotator="ben") == ["frei"]
    with database.read() as session:
        assert search.search(session, wanted=(), filters=Filters("chest_ct", label="Erguss")).hits == ()


def test_the_state_of_the_work_is_searched(
    database: Database, keys: dict[str, int], anna: User, ben: User, save: Save
) -> None:
    save(keys["pleura"], anna, Erguss=State.PRESENT)
    save(keys["kein"], anna)
    doubts = {"plural": 0.45, "kein": 0.02, "frei": 0.75}
    with database.write() as session:
        session.add(
            ReviewRow(report_id=keys["pleura"], schema_id=XRAY, disputed=1, flagged=False, skip_reason="", asked=False)
        )
        for key, score in doubts.items():
            made = Suggestion("mini@1", {"Erguss": None}, {"Erguss": score, "ZVK": 0.01})
            suggestions.put(session, schema_id=XRAY, suggestions={keys[key]: made})
    assert found(database, status=Status.OPEN) == ["plural", "frei", "ct"]
    assert found(database, status=Status.ANNOTATED) == ["pleura", "kein"]
    assert found(database, status=Status.DISPUTED) == ["pleura"]
    assert found(database, status=Status.DOUBTFUL) == ["plural"]
    assert found(database, "frei", status=Status.OPEN) == ["frei"]


def test_a_flag_counts_until_the_same_person_saves_without_it(
    database: Database, keys: dict[str, int], anna: User, ben: User, save: Save
) -> None:
    save(keys["pleura"], anna, flagged=True)
    save(keys["kein"], anna, flagged=True)
    save(keys["kein"], ben)
    assert found(database, status=Status.FLAGGED) == ["pleura", "kein"]
    save(keys["kein"], anna)
    assert found(database, status=Status.FLAGGED) == ["pleura"]


def test_reports_are_findable_in_the_moment_they_are_stored_and_not_when_the_import_failed(
    database: Database, anna: User
) -> None:
    def import_and_fail() -> None:
        with database.write() as session:
            reports.add_reports(session, records=[ReportRecord("Chilaiditi.", "gone")], imported_by=anna.id)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        import_and_fail()
    with database.write() as session:
        reports.add_reports(session, records=[ReportRecord("Zwerchfellhochstand.", "kept")], imported_by=anna.id)
    assert found(database, "chilaiditi") == []
    assert found(database, "hochstand") == ["kept"]
