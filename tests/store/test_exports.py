"""Exports read the annotated reports: what counts, on what it rests, and what the filters take. On both databases."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from medbertde.store import Database, exports, labelled, labels, reviews
from medbertde.store.exports import ExportedReport, Wanted
from medbertde.store.reviews import Ruling
from medbertde.store.tables import SubmissionRow
from medbertde.types import LabelChange, Provenance, Rationale, Source, State, User
from tests.store.conftest import Save

XRAY = "chest_xray"


@pytest.fixture
def read(database: Database) -> Any:
    """The exported reports, by filters."""

    def exported(**wanted: Any) -> list[ExportedReport]:
        with database.read() as session:
            return list(exports.exported_reports(session, schema_id=XRAY, wanted=Wanted(**wanted)))

    return exported


def keys(found: list[ExportedReport]) -> list[str]:
    return [report.key for report in found]


def save_with(database: Database, report_id: int, user: User, **more: Any) -> None:
    """A save with everything that an export shows."""
    with database.write() as session:
        labels.save(
            session,
            report_id=report_id,
            schema_id=XRAY,
            schema_version=2,
            user_id=user.id,
            changes=more.pop("changes", []),
            client_uuid=str(uuid.uuid4()),
            **more,
        )


def test_an_annotated_report_brings_its_labels_and_what_they_rest_on(
    database: Database, report_ids: tuple[int, ...], anna: User, read: Any
) -> None:
    changes = [
        LabelChange("Erguss", State.ABSENT),
        LabelChange("Stauung", State.UNCERTAIN, Source.SUGGESTION_ACCEPTED, State.UNCERTAIN),
        LabelChange("ZVK", None, Source.SUGGESTION_CHANGED, State.PRESENT),
    ]
    save_with(
        database,
        report_ids[1],
        anna,
        changes=changes,
        model_version="m@1",
        comment="alt?",
        flagged=True,
        rationales=[Rationale("Erguss", 11, 22)],
    )
    (found,) = read()
    assert (found.key, found.modality, found.annotator, found.annotators) == ("thorax-1", "xray", "anna", ("anna",))
    assert found.labels == {"Erguss": State.ABSENT, "Stauung": State.UNCERTAIN}
    assert found.sources == {"Erguss": "human", "Stauung": "suggestion_accepted"}
    assert found.rationales == (Rationale("Erguss", 11, 22),)
    assert (found.provenance, found.model_version, found.comment) == (Provenance.SINGLE, "m@1", "alt?")
    assert (found.flagged, found.schema_version, found.split) == (True, 2, "")
    assert abs(found.annotated_at - datetime.now(UTC)) < timedelta(minutes=5)


def test_what_several_people_say_is_settled_as_everywhere_else(
    database: Database, report_ids: tuple[int, ...], anna: User, ben: User, save: Save, read: Any
) -> None:
    for user in (anna, ben):
        save(report_ids[0], user, Erguss=State.ABSENT)
    save(report_ids[1], anna, Erguss=State.ABSENT)
    save(report_ids[1], ben, Erguss=State.PRESENT)
    save(report_ids[2], anna, Erguss=State.ABSENT)
    save(report_ids[2], ben, Erguss=State.PRESENT)
    ruling = Ruling(str(uuid.uuid4()), XRAY, report_ids[2], {"Erguss": State.UNCERTAIN})
    with database.write() as session:
        reviews.decide(session, ruling=ruling, schema_version=1, user_id=ben.id)
    found = read()
    assert [(report.provenance, report.labels["Erguss"], report.annotators) for report in found] == [
        (Provenance.UNANIMOUS, State.ABSENT, ("anna", "ben")),
        (Provenance.OPEN, State.PRESENT, ("anna", "ben")),
        (Provenance.ADJUDICATED, State.UNCERTAIN, ("anna", "ben")),
    ]
    assert found[2].sources == {"Erguss": "adjudicated"}
    with database.read() as session:
        records = list(labelled.records(session, schema_id=XRAY))
    assert [record.labels for record in records] == [report.labels for report in found]


def decide(database: Database, report_id: int, user: User, **values: State | None) -> None:
    with database.write() as session:
        ruling = Ruling(str(uuid.uuid4()), XRAY, report_id, values)
        reviews.decide(session, ruling=ruling, schema_version=1, user_id=user.id)


def test_what_a_curator_decided_without_any_annotation_is_exported(
    database: Database, report_ids: tuple[int, ...], anna: User, ben: User, read: Any
) -> None:
    decide(database, report_ids[0], ben, Erguss=State.PRESENT)
    decide(database, report_ids[1], ben, Erguss=None)
    decide(database, report_ids[2], ben)  # closed; nobody has said that it has no findings
    found = read()
    assert keys(found) == ["thorax-0", "thorax-1"]
    assert [report.labels for report in found] == [{"Erguss": State.PRESENT}, {}]
    assert {(report.provenance, report.annotator, report.annotators) for report in found} == {
        (Provenance.ADJUDICATED, "ben", ())
    }
    assert read(annotator="ben") == []
    with database.read() as session:
        records = list(labelled.records(session, schema_id=XRAY))
    assert [(record.id, record.labels, record.meta["annotators"]) for record in records] == [
        ("thorax-0", {"Erguss": State.PRESENT}, ""),
        ("thorax-1", {}, ""),
    ]


def test_the_day_of_the_last_save_counts_whoever_made_it(
    database: Database, report_ids: tuple[int, ...], anna: User, ben: User, save: Save, read: Any
) -> None:
    long_ago = datetime(2020, 5, 1, tzinfo=UTC)
    with database.write() as session:
        for number, flagged in ((0, False), (1, True), (2, False)):
            shared = {"schema_id": XRAY, "schema_version": 1, "active_ms": 0, "comment": "", "flagged": flagged}
            of = {"report_id": report_ids[number], "user_id": anna.id, "client_uuid": f"old-{number}"}
            session.add(SubmissionRow(**shared, **of, created_at=long_ago))
    decide(database, report_ids[0], ben, Erguss=State.PRESENT)
    save(report_ids[1], ben, Erguss=State.ABSENT)
    recent = date(2021, 1, 1)
    assert keys(read(since=recent)) == ["thorax-0", "thorax-1"]
    assert keys(read(since=recent, flagged=True)) == ["thorax-1"]
    assert keys(read(since=recent, annotator="anna")) == []
    assert keys(read(until=recent)) == ["thorax-2"]


def test_an_export_of_one_person_takes_what_this_person_said(
    report_ids: tuple[int, ...], anna: User, ben: User, save: Save, read: Any
) -> None:
    save(report_ids[0], anna, Erguss=State.ABSENT)
    save(report_ids[0], ben, Erguss=State.PRESENT)
    save(report_ids[1], ben, Stauung=State.PRESENT)
    (found,) = read(annotator="anna")
    assert (found.annotator, found.labels) == ("anna", {"Erguss": State.ABSENT})
    assert [report.labels for report in read(annotator="ben")] == [
        {"Erguss": State.PRESENT},
        {"Stauung": State.PRESENT},
    ]


def test_filters_take_what_they_say(
    database: Database, report_ids: tuple[int, ...], anna: User, save: Save, read: Any
) -> None:
    save(report_ids[0], anna, Erguss=State.ABSENT)
    save(report_ids[1], anna, Erguss=State.PRESENT)
    save(report_ids[2], anna)
    save_with(database, report_ids[3], anna, flagged=True)
    first, second, third, fourth = (f"thorax-{number}" for number in range(4))
    today = datetime.now(UTC).date()
    day = timedelta(days=1)
    assert keys(read(finding="Erguss")) == [first, second]
    assert keys(read(finding="Erguss", values=(State.ABSENT,))) == [first]
    assert keys(read(finding="Erguss", values=(None, State.ABSENT))) == [first, third, fourth]
    assert keys(read(flagged=True)) == [fourth]
    assert keys(read(flagged=False)) == [first, second, third]
    assert keys(read(modality="xray")) == [first, second, third, fourth]
    assert keys(read(modality="ct")) == []
    assert keys(read(since=today - day, until=today + day)) == [first, second, third, fourth]
    assert keys(read(since=today + 2 * day)) == []
    assert keys(read(until=today - 2 * day)) == []
    assert keys(read(provenance=(Provenance.OPEN,))) == []


def test_everyone_who_annotated_can_be_chosen(
    database: Database, report_ids: tuple[int, ...], anna: User, ben: User, save: Save
) -> None:
    save(report_ids[0], ben)
    save(report_ids[0], anna)
    with database.read() as session:
        assert exports.annotators_of(session, schema_id=XRAY) == ["anna", "ben"]
        assert exports.annotators_of(session, schema_id="chest_ct") == []
