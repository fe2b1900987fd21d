"""The labels in figures count each report once, with what its last annotator says now or a curator has decided."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from medbertde.store import Database, figures, labels, reviews, users
from medbertde.store.figures import DayOfWork
from medbertde.store.reviews import Ruling
from medbertde.types import LabelChange, ReportRecord, Role, State, User
from tests.store.conftest import Save

XRAY = "chest_xray"


@pytest.fixture
def saved(report_ids: tuple[int, ...], anna: User, ben: User, save: Save) -> None:
    """Four saves of three reports, one of them read by both, one corrected."""
    save(report_ids[0], anna, Erguss=State.PRESENT, ZVK=State.PRESENT, Stauung=State.ABSENT)
    save(report_ids[1], anna, Erguss=State.ABSENT)
    save(report_ids[1], anna, Erguss=State.PRESENT, Stauung=State.PRESENT)
    save(report_ids[1], ben, Erguss=State.UNCERTAIN, ZVK=State.PRESENT)
    save(report_ids[2], ben, Erguss=State.PRESENT)
    save(report_ids[2], ben, Erguss=None)


def test_values_and_pairs_are_counted_by_report(database: Database, saved: None) -> None:
    with database.read() as session:
        assert figures.annotated(session, schema_id=XRAY) == 3
        assert figures.value_counts(session, schema_id=XRAY) == {
            ("Erguss", State.PRESENT): 1,
            ("Erguss", State.UNCERTAIN): 1,
            ("ZVK", State.PRESENT): 2,
            ("Stauung", State.ABSENT): 1,
        }
        assert figures.present_together(session, schema_id=XRAY) == {("Erguss", "ZVK"): 1}
        assert figures.value_counts(session, schema_id="chest_ct") == {}
        assert figures.annotated(session, schema_id="chest_ct") == 0


def test_a_decision_stands_beside_what_was_not_disputed(
    database: Database, report_ids: tuple[int, ...], anna: User, ben: User, save: Save
) -> None:
    def decide(report_id: int, by: User, **values: State | None) -> None:
        ruling = Ruling(str(uuid.uuid4()), XRAY, report_id, values)
        with database.write() as session:
            reviews.decide(session, ruling=ruling, schema_version=1, user_id=by.id)

    save(report_ids[0], anna, Erguss=State.PRESENT, Pneumothorax=State.PRESENT)
    save(report_ids[0], ben, Erguss=State.PRESENT, Pneumothorax=State.ABSENT, ZVK=State.PRESENT)
    save(report_ids[1], anna, Erguss=State.PRESENT, ZVK=State.PRESENT)
    decide(report_ids[0], anna, Pneumothorax=State.UNCERTAIN)
    decide(report_ids[0], ben, Pneumothorax=State.PRESENT)
    decide(report_ids[1], ben, ZVK=None)
    decide(report_ids[2], ben, Erguss=State.ABSENT)
    decide(report_ids[3], ben)
    save(report_ids[1], anna, ZVK=State.ABSENT)
    with database.read() as session:
        assert figures.value_counts(session, schema_id=XRAY) == {
            ("Erguss", State.PRESENT): 2,
            ("Pneumothorax", State.PRESENT): 1,
            ("ZVK", State.PRESENT): 1,
            ("Erguss", State.ABSENT): 1,
        }
        assert figures.present_together(session, schema_id=XRAY) == {
            ("Erguss", "Pneumothorax"): 1,
            ("Erguss", "ZVK"): 1,
            ("Pneumothorax", "ZVK"): 1,
        }


def test_a_day_counts_reports_and_time_by_person_without_imports(
    database: Database, saved: None, report_ids: tuple[int, ...], anna: User
) -> None:
    with database.write() as session:
        of = {"report_id": report_ids[3], "schema_id": XRAY, "schema_version": 1, "user_id": anna.id}
        labels.save(session, **of, changes=[LabelChange("ZVK", State.ABSENT)], client_uuid="slow", active_ms=40_000)
        imported = ReportRecord("Importiert.", labels={"Erguss": State.PRESENT})
        clara = users.ensure_user(session, name="clara", role=Role.ANNOTATOR)
        labels.save_imported(
            session, schema_id="chest_ct", schema_version=1, user_id=clara.id, labelled={report_ids[0]: imported}
        )
    today = datetime.now(UTC).date().isoformat()
    with database.read() as session:
        days = figures.days_of_work(session, schema_id=XRAY)
        assert figures.days_of_work(session, schema_id=XRAY, annotator="ben") == [DayOfWork(today, "ben", 2, 0)]
        assert figures.days_of_work(session, schema_id="chest_ct") == []
    assert days == [DayOfWork(today, "anna", 3, 40_000), DayOfWork(today, "ben", 2, 0)]
