"""What holds of the marks of several people in a schema of spans, and a curator's decision. On both databases."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from medbertde.store import Database, exports, labelled, labels, reviews
from medbertde.store.consensus import consensus, settle_marks
from medbertde.store.exports import Wanted
from medbertde.store.review_cases import review_case
from medbertde.store.reviews import Ruling
from medbertde.types import Provenance, Rationale, Source, User

MEDICATION = "medication"
DRUG, DOSE, LONG_DOSE = Rationale("Medikament", 0, 6), Rationale("Dosis", 7, 8), Rationale("Dosis", 7, 11)
Mark = Callable[..., None]


@pytest.fixture
def mark(database: Database) -> Mark:
    """A save with these marks, looked at for review as the service does."""

    def mark(report_id: int, user: User, *marks: Rationale, flagged: bool = False) -> None:
        with database.write() as session:
            labels.save(
                session,
                report_id=report_id,
                schema_id=MEDICATION,
                schema_version=1,
                user_id=user.id,
                changes=[],
                client_uuid=str(uuid.uuid4()),
                rationales=marks,
                flagged=flagged,
            )
            reviews.note(session, report_id=report_id, schema_id=MEDICATION)

    return mark


def test_equal_marks_agree_whatever_their_order_and_source() -> None:
    accepted = Rationale("Dosis", 7, 8, source=Source.SUGGESTION_ACCEPTED)
    found = settle_marks([(DRUG, DOSE), (accepted, DRUG)], None, flagged=False)
    assert (found.provenance, found.disputed, found.marks) == (Provenance.UNANIMOUS, (), (DRUG, DOSE))


def test_nobody_marking_anything_is_agreement_too() -> None:
    found = settle_marks([(), ()], None, flagged=False)
    assert (found.provenance, found.disputed, found.marks) == (Provenance.UNANIMOUS, (), ())


def test_a_kind_that_one_marks_and_the_other_does_not_is_in_dispute() -> None:
    found = settle_marks([(DRUG, DOSE), (DRUG,)], None, flagged=False)
    assert (found.provenance, found.disputed, found.marks) == (Provenance.OPEN, ("Dosis",), (DRUG,))


def test_differing_marks_come_to_review_and_a_decision_holds_in_exports_and_training(
    database: Database, report_ids: tuple[int, ...], anna: User, ben: User, mark: Mark
) -> None:
    report_id = report_ids[0]
    mark(report_id, anna, DRUG, DOSE)
    mark(report_id, ben, DRUG, LONG_DOSE)
    with database.read() as session:
        (waiting,) = reviews.open_reviews(session, schema_id=MEDICATION)
        case = review_case(session, report_id=report_id, schema_id=MEDICATION)
    assert (waiting.report_id, waiting.disputed, waiting.readers) == (report_id, 1, 2)
    assert [(one.annotator, one.marks) for one in case.readers] == [("anna", (DRUG, DOSE)), ("ben", (DRUG, LONG_DOSE))]
    assert (case.differing, case.marks) == (("Dosis",), (DRUG, LONG_DOSE))

    ruling = Ruling(str(uuid.uuid4()), MEDICATION, report_id, {"Dosis": None}, {"Dosis": "mit Einheit"}, marks=(DOSE,))
    with database.write() as session:
        reviews.decide(session, ruling=ruling, schema_version=1, user_id=anna.id)
    mark(report_id, ben, LONG_DOSE)
    with database.read() as session:
        assert reviews.open_reviews(session, schema_id=MEDICATION) == []
        settled = consensus(session, schema_id=MEDICATION, report_ids=[report_id])[report_id]
        (exported,) = exports.exported_reports(session, schema_id=MEDICATION, wanted=Wanted())
        (record,) = labelled.records(session, schema_id=MEDICATION)
        (decision, *_) = [
            one for one in labelled.history(session, report_id=report_id) if one.source is Source.ADJUDICATED
        ]
    assert settled.marks == exported.rationales == record.rationales == (DRUG, DOSE)
    assert {mark.source for mark in exported.rationales} == {Source.ADJUDICATED}
    assert (exported.provenance, record.meta["provenance"]) == (Provenance.ADJUDICATED, "adjudicated")
    assert (decision.label, decision.annotator) == ("Dosis", "anna")


def test_alike_readings_and_one_reader_alone_need_no_review_but_a_flag_does(
    database: Database, report_ids: tuple[int, ...], anna: User, ben: User, mark: Mark
) -> None:
    mark(report_ids[0], anna, DRUG)
    mark(report_ids[1], anna, DRUG, DOSE)
    mark(report_ids[1], ben, DOSE, DRUG)
    mark(report_ids[2], anna, DRUG, flagged=True)
    with database.read() as session:
        waiting = reviews.open_reviews(session, schema_id=MEDICATION)
    assert [(one.report_id, one.disputed, one.flagged) for one in waiting] == [(report_ids[2], 0, True)]
