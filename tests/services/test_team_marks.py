"""A team at work on a schema of spans: review of differing marks, agreement on them, what suggested marks do."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from medbertde.mark_agreement import shared
from medbertde.report_file import to_json
from medbertde.schema import load_schema
from medbertde.services.access import Access, Caller
from medbertde.services.annotate import Annotate, Decision, SkipDecision
from medbertde.services.mark_figures import compare_marks
from medbertde.services.review import Review, ReviewCase, Ruling
from medbertde.services.team import MODEL, NewProject, Team
from medbertde.services.training_data import annotated
from medbertde.store import audit, exports, labelled, reports, suggestions
from medbertde.store.exports import ExportedReport, Wanted
from medbertde.store.projects import Project
from medbertde.store.session import Database
from medbertde.types import (
    Conflict,
    FoundSpan,
    InvalidSchema,
    Provenance,
    Rationale,
    ReportRecord,
    Rules,
    SkipReason,
    Source,
    State,
    Suggestion,
    User,
)

MEDICATION = "medication"
TEXT = "Ramipril 5 mg 1-0-1, ASS 100 mg."
DRUG, DOSE, TIMES = Rationale("Medikament", 0, 8), Rationale("Dosis", 9, 13), Rationale("Frequenz", 14, 19)
SHORT_DOSE, SECOND = Rationale("Dosis", 9, 10), Rationale("Medikament", 21, 24)
Read = Callable[..., None]


@pytest.fixture
def cem(access: Access) -> User:
    return access.accept_terms(access.identify(Caller("cem", None)))


@pytest.fixture
def bring(annotate: Annotate, anna: User) -> Callable[[int], None]:
    """Import letters m1, m2, … that all say the same."""

    def bring(count: int) -> None:
        records = [ReportRecord(f"{TEXT} Nr. {one}", id=f"m{one}", modality="letter") for one in range(1, count + 1)]
        annotate.import_reports(anna, MEDICATION, "m.jsonl", "\n".join(map(to_json, records)).encode())

    return bring


@pytest.fixture
def read(annotate: Annotate) -> Read:
    """The next letter of this person, saved with these marks."""

    def read(user: User, *marks: Rationale, **given: Any) -> None:
        item = annotate.next_reports(user, MEDICATION).items[0]
        fields: dict[str, Any] = {"rationales": marks, "active_ms": 20_000, **given}
        annotate.save(user, Decision(str(uuid.uuid4()), MEDICATION, item.report.id, **fields))

    return read


@pytest.fixture
def project(team: Team, anna: User, ben: User, cem: User, bring: Callable[[int], None]) -> Project:
    """Four letters that everyone reads blind."""
    bring(4)
    rules = Rules(overlap_share=1.0, readers=3, bare_share=0.0)
    made = team.create(anna, NewProject(MEDICATION, "Studie", "letter", rules), ("anna", "ben", "cem"))
    for user in (anna, ben, cem):
        team.choose(user, made.id)
    return made


def all_read(read: Read, *readings: tuple[User, tuple[Rationale, ...]]) -> None:
    """One letter, read by several."""
    for user, marks in readings:
        read(user, *marks)


def exported(database: Database, **wanted: Any) -> list[ExportedReport]:
    with database.read() as session:
        return list(exports.exported_reports(session, schema_id=MEDICATION, wanted=Wanted(**wanted)))


def only_case(review: Review, user: User) -> ReviewCase:
    (one,) = review.waiting(user, MEDICATION)
    return review.case(user, MEDICATION, one.report_id)


def ruling(case: ReviewCase, *marks: Rationale, kinds: tuple[str, ...] = ("Dosis",), **given: Any) -> Ruling:
    values = dict.fromkeys(kinds)
    return Ruling(str(uuid.uuid4()), MEDICATION, case.report.id, values, marks=marks, **given)


class TestWhatHolds:
    def test_equal_marks_are_unanimous_and_two_of_three_are_a_majority_that_is_still_reviewed(
        self, database: Database, review: Review, read: Read, project: Project, anna: User, ben: User, cem: User
    ) -> None:
        all_read(read, (anna, (DRUG, DOSE)), (ben, (DOSE, DRUG)), (cem, (DRUG, DOSE)))
        all_read(read, (anna, (DRUG, DOSE)), (ben, (DRUG, DOSE)), (cem, (DRUG, SHORT_DOSE)))
        unanimous, majority = exported(database)
        assert (unanimous.provenance, majority.provenance) == (Provenance.UNANIMOUS, Provenance.MAJORITY)
        assert unanimous.rationales == majority.rationales == (DRUG, DOSE)
        assert majority.annotators == ("anna", "ben", "cem")
        assert [(one.key, one.disputed) for one in review.waiting(anna, MEDICATION)] == [("m2", 1)]

    def test_three_who_differ_leave_the_kind_open_and_the_last_one_counts_meanwhile(
        self, database: Database, read: Read, project: Project, anna: User, ben: User, cem: User
    ) -> None:
        all_read(read, (anna, (DRUG, DOSE)), (ben, (DRUG,)), (cem, (DRUG, SHORT_DOSE)))
        (found,) = exported(database)
        assert (found.provenance, found.rationales) == (Provenance.OPEN, (DRUG, SHORT_DOSE))
        (record,) = annotated(database, load_schema(MEDICATION))
        assert (record.meta["provenance"], record.rationales) == ("open", (DRUG, SHORT_DOSE))
        assert exported(database, annotator="anna")[0].rationales == (DRUG, DOSE)
        assert exported(database, finding="Frequenz") == []
        assert len(exported(database, finding="Dosis")) == 1


class TestReview:
    @pytest.fixture
    def case(self, review: Review, read: Read, project: Project, anna: User, ben: User, cem: User) -> ReviewCase:
        all_read(read, (anna, (DRUG, DOSE, SECOND)), (ben, (DRUG, SHORT_DOSE, SECOND)), (cem, (DRUG, SECOND, TIMES)))
        return only_case(review, anna)

    def test_a_curator_sees_everyones_marks_and_the_kinds_that_differ(self, case: ReviewCase) -> None:
        assert [(one.annotator, one.marks[1]) for one in case.readers] == [
            ("anna", DOSE),
            ("ben", SHORT_DOSE),
            ("cem", SECOND),
        ]
        assert set(case.differing) == {"Dosis", "Frequenz"}

    def test_a_decision_takes_one_persons_marks_or_new_ones_and_leaves_the_rest_as_agreed(
        self, case: ReviewCase, review: Review, database: Database, anna: User
    ) -> None:
        new = Rationale("Frequenz", 14, 15)
        decision = ruling(case, DOSE, new, kinds=("Dosis", "Frequenz"), reasons={"Dosis": "Einheit gehört dazu"})
        review.decide(anna, decision)
        review.decide(anna, decision)  # a retry writes nothing
        assert review.waiting(anna, MEDICATION) == []
        (found,) = exported(database)
        assert (found.provenance, found.annotator) == (Provenance.ADJUDICATED, "anna")
        assert found.rationales == (DRUG, DOSE, new, SECOND)
        assert {mark.source for mark in found.rationales} == {Source.ADJUDICATED}
        with database.read() as session:
            (record,) = labelled.records(session, schema_id=MEDICATION)
            entry = next(one for one in audit.entries(session) if one.action == "adjudicate")
        assert record.rationales == found.rationales
        assert entry.facts["like"] == "Dosis=anna, Frequenz="
        again = review.case(anna, MEDICATION, case.report.id)
        assert (again.reasons["Dosis"], again.marks) == ("Einheit gehört dazu", found.rationales)
        assert again.readers == case.readers, "what the annotators marked stays"

    def test_a_decision_stands_when_an_annotator_saves_again(
        self, case: ReviewCase, review: Review, annotate: Annotate, database: Database, anna: User, ben: User
    ) -> None:
        review.decide(anna, ruling(case, DOSE, kinds=("Dosis", "Frequenz")))
        later = Decision(str(uuid.uuid4()), MEDICATION, case.report.id, rationales=(TIMES,))
        annotate.save(ben, later)
        (found,) = exported(database)
        assert (found.provenance, found.rationales) == (Provenance.ADJUDICATED, (DRUG, DOSE, SECOND))
        assert review.waiting(anna, MEDICATION) == []

    def test_a_decision_without_one_of_the_kinds_in_dispute_is_refused(
        self, case: ReviewCase, review: Review, anna: User
    ) -> None:
        with pytest.raises(Conflict, match=r"Not decided yet: Frequency"):
            review.decide(anna, ruling(case, DOSE))
        with pytest.raises(Conflict, match=r"Not decided yet: Drug"):
            review.decide(anna, ruling(case, DRUG, kinds=("Dosis", "Frequenz")))

    def test_marks_outside_the_text_and_states_are_refused(self, case: ReviewCase, review: Review, anna: User) -> None:
        with pytest.raises(Conflict, match="lie outside the text"):
            review.decide(anna, ruling(case, Rationale("Dosis", 9, 999), kinds=("Dosis", "Frequenz")))
        with pytest.raises(InvalidSchema, match="does not fit the schema Medication"):
            review.decide(anna, replace(ruling(case), values={"Dosis": State.PRESENT, "Frequenz": None}))
        assert len(review.waiting(anna, MEDICATION)) == 1

    def test_a_report_that_nobody_could_read_is_marked_by_the_curator(
        self, review: Review, read: Read, database: Database, anna: User, bring: Callable[[int], None]
    ) -> None:
        bring(1)
        read(anna, flagged=True)
        case = only_case(review, anna)
        review.decide(anna, ruling(case, DOSE))
        assert exported(database)[0].rationales == (DOSE,)

    def test_a_letter_put_aside_counts_once_a_curator_decided_a_kind(
        self, review: Review, annotate: Annotate, database: Database, anna: User, bring: Callable[[int], None]
    ) -> None:
        bring(3)
        ids = [item.report.id for item in annotate.next_reports(anna, MEDICATION, count=3).items]
        for report_id, marks, kinds in zip(ids, ((), (), (DOSE,)), ((), ("Dosis",), ("Dosis",)), strict=True):
            annotate.skip(anna, SkipDecision(str(uuid.uuid4()), MEDICATION, report_id, SkipReason.UNREADABLE))
            review.decide(anna, ruling(only_case(review, anna), *marks, kinds=kinds))
        learnt = annotated(database, load_schema(MEDICATION))
        assert [(one.id, one.rationales) for one in learnt] == [("m2", ()), ("m3", (DOSE,))]
        assert [(one.key, one.rationales) for one in exported(database)] == [("m2", ()), ("m3", (DOSE,))]


class TestAgreement:
    def test_f1_between_two_is_strict_and_by_overlap_for_each_kind_and_for_all(
        self, team: Team, read: Read, project: Project, anna: User, ben: User, cem: User
    ) -> None:
        all_read(read, (anna, (DRUG, DOSE, SECOND)), (ben, (DRUG, SHORT_DOSE)), (cem, ()))
        found = team.agreement(anna, project.id, ["anna", "ben"])
        assert (found.findings, found.readers) == ((), ("anna", "ben", "cem", MODEL))
        figures = {one.label: one for one in found.marks}
        everything, dose, drug = figures[""], figures["Dosis"], figures["Medikament"]
        assert everything.strict is not None
        assert everything.overlap is not None
        assert (everything.n, everything.marks) == (1, 5)
        assert (everything.strict.value, everything.overlap.value) == (2 / 5, 4 / 5)
        assert dose.strict is not None
        assert dose.overlap is not None
        assert (dose.strict.value, dose.overlap.value) == (0.0, 1.0)
        assert drug.strict is not None
        assert drug.strict.value == pytest.approx(2 / 3)
        assert (figures["Frequenz"].strict, figures["Frequenz"].why) == (None, "no_marks")

    def test_a_decision_is_no_reading_and_a_letter_without_marks_is_one(
        self, team: Team, review: Review, read: Read, project: Project, anna: User, ben: User, cem: User
    ) -> None:
        all_read(read, (anna, (DRUG,)), (ben, ()))
        read(anna, DRUG, flagged=True)
        flagged = only_case(review, anna)
        review.decide(cem, ruling(flagged, DRUG, kinds=("Medikament",)))
        found = team.agreement(anna, project.id)
        assert found.readers == ("anna", "ben", MODEL)
        assert found.marks[0].n == 1, "the first letter"

    def test_of_three_readers_all_pairs_count_together(self) -> None:
        said = {
            "a": frozenset({("Dosis", 0, 4)}),
            "b": frozenset({("Dosis", 0, 4)}),
            "c": frozenset({("Dosis", 1, 4)}),
        }
        whole, _ = compare_marks({name: {7: marks} for name, marks in said.items()}, ["Dosis"])
        assert whole.strict is not None
        assert whole.overlap is not None
        assert (whole.strict.value, whole.overlap.value) == (pytest.approx(1 / 3), 1.0)

    def test_one_long_mark_over_two_short_ones_touches_both(self) -> None:
        found = shared({("Dosis", 0, 9)}, {("Dosis", 0, 4), ("Dosis", 5, 9)})
        assert (found.equal, found.touching, found.total) == (0, 3, 3)

    def test_before_anything_is_shared_it_says_so(self, team: Team, read: Read, project: Project, anna: User) -> None:
        read(anna, DRUG)
        assert {one.why for one in team.agreement(anna, project.id).marks} == {"nothing_shared"}


def suggest(database: Database, key: str, version: str, *spans: Rationale) -> None:
    """What the model marks in a letter."""
    found = tuple(FoundSpan(one.label, one.start, one.end, 0.9) for one in spans)
    with database.write() as session:
        report = reports.find_report(session, key=key)
        assert report is not None
        suggestions.put(session, schema_id=MEDICATION, suggestions={report.id: Suggestion(version, {}, {}, found)})


class TestWhatSuggestedMarksDo:
    def test_kept_changed_turned_down_and_added_marks_are_counted_beside_the_time(
        self, team: Team, read: Read, database: Database, bring: Callable[[int], None], anna: User
    ) -> None:
        bring(3)
        (view,) = team.projects(anna, MEDICATION)
        suggest(database, "m1", "m@1", DRUG, SHORT_DOSE, TIMES, Rationale("Dosis", 25, 31))
        suggest(database, "m2", "m@1", DRUG)
        read(anna, DRUG, DOSE, TIMES, SECOND, model_version="m@1", active_ms=10_000)
        read(anna, DRUG, model_version="m@1", active_ms=12_000)
        effect = team.suggestion_effect(anna, view.project.id)
        assert effect.marks is not None
        assert effect.agrees_shown is not None
        assert (effect.n_shown, effect.n_bare, effect.median_shown_s, effect.saved_s) == (2, 0, 11.0, None)
        assert (effect.marks.suggested, effect.marks.kept, effect.marks.changed, effect.marks.removed) == (
            5, 3 / 5, 1 / 5, 1 / 5,
        )  # fmt: skip
        assert (effect.marks.by_hand, effect.marks.per_report_shown) == (1, 2.5)
        assert effect.agrees_shown.value == pytest.approx(3 / 7)

    def test_letters_read_without_suggestion_are_compared_with_what_the_model_would_have_said(
        self, team: Team, read: Read, database: Database, bring: Callable[[int], None], anna: User
    ) -> None:
        bring(40)  # of a handful none is drawn
        project = team.create(anna, NewProject(MEDICATION, "Bar", "letter", Rules(bare_share=1.0)))
        team.choose(anna, project.id)
        suggest(database, "m1", "m@1", DRUG, DOSE)
        suggest(database, "m1", "m@2", DRUG)
        read(anna, DRUG, active_ms=30_000)
        effect = team.suggestion_effect(anna, project.id)
        assert effect.marks is not None
        assert effect.agrees_bare is not None
        assert (effect.n_shown, effect.n_bare, effect.median_bare_s) == (0, 1, 30.0)
        assert effect.agrees_bare.value == 1.0, "the newest version"
        assert (effect.marks.suggested, effect.marks.kept, effect.marks.per_report_bare) == (0, None, 1.0)

    def test_progress_counts_marks_and_the_letters_that_have_them(
        self, team: Team, read: Read, bring: Callable[[int], None], anna: User
    ) -> None:
        bring(2)
        read(anna, DRUG, SECOND, DOSE)
        read(anna, DRUG)
        (view,) = team.projects(anna, MEDICATION)
        progress = team.progress(anna, view.project.id)
        assert progress.findings == ()
        counts = {one.label: (one.marks, one.readings) for one in progress.kinds}
        assert (counts["Medikament"], counts["Dosis"], counts["Frequenz"]) == ((3, 2), (1, 1), (0, 0))
