"""Reports come in once each, fast, and are found again."""

from __future__ import annotations

import time

import pytest

from medbertde.store import Database, reports, rows, search
from medbertde.store.search import Filters
from medbertde.text import clean, content_hash
from medbertde.types import NotFound, ReportRecord, User


def add(database: Database, user: User, *records: ReportRecord) -> reports.AddedReports:
    with database.write() as session:
        return reports.add_reports(session, records=records, imported_by=user.id, file_name="befunde.jsonl")


def test_a_report_comes_back_as_it_was_given(database: Database, anna: User) -> None:
    text = clean("Thorax a.p.:\n„Verschattung“ re. basal ≥ 2 cm, V. a. Infiltrat 🫁.")
    added = add(database, anna, ReportRecord(text, id="A-1", modality="xray", meta={"Gerät": "CR"}))
    with database.read() as session:
        report = reports.get_report(session, report_id=added.added_ids[0])
        assert reports.find_report(session, key="A-1") == report
    assert (report.key, report.text, report.modality) == ("A-1", text, "xray")
    assert report.created_at.utcoffset() is not None


def test_texts_that_differ_only_in_layout_are_stored_once_and_counted(database: Database, anna: User) -> None:
    first = add(database, anna, ReportRecord("Kein Erguss."), ReportRecord("Kein  Erguss."), ReportRecord("Kein Pneu."))
    again = add(database, anna, ReportRecord("Kein\nPneu.", id="B"), ReportRecord("Stauung."))
    assert (len(first.added_ids), first.duplicates) == (2, 1)
    assert (len(again.added_ids), again.duplicates) == (1, 1)
    assert first.report_ids[0] == first.report_ids[1]
    assert again.report_ids[0] == first.report_ids[2]
    with database.read() as session:
        assert rows.count(session)["reports"] == 3


def test_an_id_that_names_another_text_is_reported_and_nothing_is_overwritten(database: Database, anna: User) -> None:
    add(database, anna, ReportRecord("Kein Erguss.", id="A"))
    again = add(database, anna, ReportRecord("Erguss.", id="A"), ReportRecord("Stauung.", id="B"))
    assert again.clashes == (0,)
    assert again.report_ids[0] is None
    assert (len(again.added_ids), again.duplicates) == (1, 0)
    with database.read() as session:
        report = reports.find_report(session, key="A")
        assert report is not None
        assert report.text == "Kein Erguss."


def test_a_report_without_id_gets_the_same_key_everywhere(database: Database, anna: User) -> None:
    added = add(database, anna, ReportRecord("Kein Erguss."))
    with database.read() as session:
        assert reports.get_report(session, report_id=added.added_ids[0]).key == f"r-{content_hash('Kein Erguss.')[:16]}"


def test_reports_of_a_modality_include_those_of_none(database: Database, anna: User) -> None:
    add(database, anna, ReportRecord("A.", modality="xray"), ReportRecord("B.", modality="ct"), ReportRecord("C."))
    with database.read() as session:
        assert search.count(session, wanted=(), filters=Filters("chest_xray", modality="xray")) == 2
        page = search.search(session, wanted=(), filters=Filters("chest_ct", modality="ct"))
    assert [hit.report.text for hit in page.hits] == ["B.", "C."]


def test_an_empty_import_adds_nothing(database: Database, anna: User) -> None:
    added = add(database, anna)
    assert (added.added_ids, added.duplicates, added.clashes) == ((), 0, ())


def test_an_unknown_report_is_not_found(database: Database) -> None:
    with database.read() as session, pytest.raises(NotFound) as refusal:
        reports.get_report(session, report_id=77)
    assert refusal.value.de.startswith("Den Befund Nr. 77 gibt es nicht oder nicht mehr.")


@pytest.mark.parametrize("text", ["Kein\x00Erguss", "Kein \ud800", "Lungeno\u0308dem", "  "])
def test_a_text_that_did_not_go_through_clean_cannot_come_in(database: Database, anna: User, text: str) -> None:
    with pytest.raises(ValueError):
        add(database, anna, ReportRecord("Kein Erguss."), ReportRecord(text))
    with database.read() as session:
        assert rows.count(session)["reports"] == 0


def test_ten_thousand_reports_come_in_within_seconds_and_are_all_there(database: Database, anna: User) -> None:
    records = [ReportRecord(f"Thorax {number}. Kein Erguss, kein Pneumothorax. " * 5) for number in range(10_000)]
    start = time.perf_counter()
    with database.write() as session:
        added = reports.add_reports(
            session, records=[ReportRecord(clean(r.text)) for r in records], imported_by=anna.id
        )
    elapsed_s = time.perf_counter() - start
    with database.read() as session:
        assert rows.count(session)["reports"] == 10_000
        last = reports.get_report(session, report_id=added.added_ids[-1])
    assert len(added.added_ids) == 10_000
    assert last.text == records[-1].text.strip()
    assert elapsed_s < 5  # about 0.5 s on an idle machine; the limit catches a fall back to single rows
