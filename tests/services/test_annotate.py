"""An annotator's work through the service: queue, suggestions, saving, going back, files in and out."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from medbertde.inference.runtime import Runtime
from medbertde.report_file import to_json
from medbertde.services.access import Access, Caller
from medbertde.services.annotate import Annotate, Decision, WorkItem
from medbertde.services.suggest import confidence
from medbertde.settings import Settings
from medbertde.store import labelled
from medbertde.store.session import Database
from medbertde.types import (
    Conflict,
    Forbidden,
    InvalidFile,
    InvalidSchema,
    NotFound,
    Progress,
    ReportRecord,
    Role,
    Source,
    State,
    User,
)

XRAY = "chest_xray"


def decide(item: WorkItem, **given: object) -> Decision:
    """A save of `item` with the suggested values unless others are given."""
    proposed = dict(item.suggestion.states) if item.suggestion else {}
    version = item.suggestion.model_version if item.suggestion else None
    fields = {"client_uuid": str(uuid.uuid4()), "values": proposed, "model_version": version}
    return Decision(schema_id=XRAY, report_id=item.report.id, **{**fields, **given})  # type: ignore[arg-type]


def bring(annotate: Annotate, user: User, *texts: str) -> None:
    lines = [to_json(ReportRecord(text, id=f"r{number}")) for number, text in enumerate(texts, start=1)]
    annotate.import_reports(user, XRAY, "befunde.jsonl", "\n".join(lines).encode())


def first(annotate: Annotate, user: User) -> WorkItem:
    return annotate.next_reports(user, XRAY).items[0]


class TestQueue:
    def test_a_report_comes_with_the_active_models_suggestion_and_its_confidence(
        self, annotate: Annotate, anna: User, runtime: Runtime
    ) -> None:
        bring(annotate, anna, "Kein Pneumothorax.")
        suggestion = first(annotate, anna).suggestion
        assert suggestion is not None
        assert suggestion.model_version == runtime.model_for(XRAY).version
        assert all(0 <= confidence(suggestion, label) <= 1 for label in suggestion.states)

    def test_without_a_model_reports_come_without_suggestions(
        self, database: Database, access: Access, settings: Settings, anna: User
    ) -> None:
        annotate = Annotate(database, Runtime("cpu"), access, settings)
        bring(annotate, anna, "Kein Pneumothorax.")
        assert first(annotate, anna).suggestion is None

    def test_two_annotators_never_get_the_same_report(self, annotate: Annotate, anna: User, ben: User) -> None:
        bring(annotate, anna, "Eins.", "Zwei.", "Drei.", "Vier.")
        annas = annotate.next_reports(anna, XRAY, count=2).items
        bens = annotate.next_reports(ben, XRAY, count=4).items
        assert [item.report.key for item in annas] == ["r1", "r2"]
        assert [item.report.key for item in bens] == ["r3", "r4"]

    def test_leases_in_hand_are_renewed_and_lost_ones_named(self, annotate: Annotate, anna: User, ben: User) -> None:
        bring(annotate, anna, "Eins.", "Zwei.")
        mine, other = first(annotate, anna).report.id, first(annotate, ben).report.id
        assert annotate.keep(anna, XRAY, [mine, other]) == (other,)


class TestSaving:
    def test_a_save_keeps_what_was_proposed_and_whether_it_was_accepted_or_changed(
        self, annotate: Annotate, anna: User, database: Database
    ) -> None:
        bring(annotate, anna, "Kleiner Erguss.")
        item = first(annotate, anna)
        assert item.suggestion is not None
        label, proposed = next((name, state) for name, state in item.suggestion.states.items() if state)
        other = State.ABSENT if proposed is not State.ABSENT else State.PRESENT
        annotate.save(anna, decide(item, values={**item.suggestion.states, label: other}))
        with database.read() as session:
            history = labelled.history(session, report_id=item.report.id)
        sources = {revision.label: revision.source for revision in history}
        assert sources.pop(label) is Source.SUGGESTION_CHANGED
        assert set(sources.values()) <= {Source.SUGGESTION_ACCEPTED}
        assert {revision.model_version for revision in history} == {item.suggestion.model_version}

    def test_saving_brings_the_next_report_and_counts(self, annotate: Annotate, anna: User) -> None:
        bring(annotate, anna, "Eins.", "Zwei.")
        result = annotate.save(anna, decide(first(annotate, anna)), count=1)
        assert [item.report.key for item in result.work.items] == ["r2"]
        assert (result.work.progress.done, result.work.progress.total) == (1, 2)

    def test_a_retry_with_the_same_uuid_writes_nothing(
        self, annotate: Annotate, anna: User, database: Database
    ) -> None:
        bring(annotate, anna, "Eins.")
        decision = decide(first(annotate, anna), values={"Erguss": State.PRESENT}, model_version=None)
        assert annotate.save(anna, decision).submission == annotate.save(anna, decision).submission
        with database.read() as session:
            assert len(labelled.history(session, report_id=decision.report_id)) == 1

    def test_going_back_and_correcting_keeps_both_revisions(
        self, annotate: Annotate, anna: User, database: Database
    ) -> None:
        bring(annotate, anna, "Eins.")
        item = first(annotate, anna)
        annotate.save(
            anna, decide(item, values={"Erguss": State.PRESENT}, model_version=None, comment="fraglich", flagged=True)
        )
        again = annotate.reopen(anna, XRAY, item.report.id)
        assert again.saved is not None
        assert (dict(again.saved.values), again.saved.comment) == ({"Erguss": State.PRESENT}, "fraglich")
        assert again.saved.flagged
        annotate.save(anna, decide(again, values={"Erguss": None}))
        with database.read() as session:
            history = labelled.history(session, report_id=item.report.id)
        assert [(one.old_value, one.new_value) for one in history] == [(None, State.PRESENT), (State.PRESENT, None)]

    def test_after_the_lease_ran_out_a_save_still_works(
        self, database: Database, runtime: Runtime, access: Access, tmp_path: Path, anna: User
    ) -> None:
        annotate = Annotate(database, runtime, access, _without_lease_time(tmp_path))
        bring(annotate, anna, "Eins.")
        assert annotate.save(anna, decide(first(annotate, anna))).work.progress.done == 1

    def test_after_someone_else_saved_it_a_save_is_refused_with_a_sentence(
        self, database: Database, runtime: Runtime, access: Access, tmp_path: Path, anna: User, ben: User
    ) -> None:
        annotate = Annotate(database, runtime, access, _without_lease_time(tmp_path))
        bring(annotate, anna, "Eins.")
        annas, bens = first(annotate, anna), first(annotate, ben)
        annotate.save(ben, decide(bens))
        with pytest.raises(Conflict, match="someone else has saved it by now"):
            annotate.save(anna, decide(annas))

    def test_a_report_that_someone_else_holds_is_not_saved(self, annotate: Annotate, anna: User, ben: User) -> None:
        bring(annotate, anna, "Eins.")
        item = first(annotate, anna)
        with pytest.raises(Conflict, match="Someone else is working on this report"):
            annotate.save(ben, decide(item))

    def test_a_finding_that_the_schema_lacks_is_refused_and_nothing_is_saved(
        self, annotate: Annotate, anna: User
    ) -> None:
        bring(annotate, anna, "Eins.")
        with pytest.raises(InvalidSchema, match="Gicht"):
            annotate.save(anna, decide(first(annotate, anna), values={"Gicht": State.PRESENT}))
        assert annotate.next_reports(anna, XRAY).progress.done == 0

    def test_a_report_that_does_not_exist_is_refused(self, annotate: Annotate, anna: User) -> None:
        with pytest.raises(NotFound, match=r"no report no\. 99"):
            annotate.save(anna, Decision(str(uuid.uuid4()), XRAY, 99))

    def test_only_own_reports_are_opened_again(self, annotate: Annotate, anna: User, ben: User) -> None:
        bring(annotate, anna, "Eins.")
        item = first(annotate, anna)
        annotate.save(anna, decide(item))
        assert [one.key for one in annotate.recent(anna, XRAY)] == ["r1"]
        with pytest.raises(NotFound, match="Only your own reports"):
            annotate.reopen(ben, XRAY, item.report.id)


class TestRights:
    def test_a_viewer_may_not_annotate(self, annotate: Annotate, anna: User) -> None:
        viewer = User(anna.id, anna.name, Role.VIEWER, anna.terms_version)
        with pytest.raises(Forbidden, match="annotator"):
            annotate.next_reports(viewer, XRAY)

    def test_nothing_is_shown_before_the_terms_are_accepted(self, annotate: Annotate, access: Access) -> None:
        with pytest.raises(Forbidden, match="terms of use"):
            annotate.next_reports(access.identify(Caller("neu", None)), XRAY)


class TestImport:
    def test_good_rows_are_stored_and_bad_ones_listed_with_number_and_reason(
        self, annotate: Annotate, anna: User
    ) -> None:
        rows = [
            '{"text": "Kein Pneu."}',
            "kaputt",
            '{"text": "Kein  Pneu.\\n"}',
            '{"text": "Erguss.", "labels": {"Erguss": "+"}}',
        ]
        result = annotate.import_reports(anna, XRAY, "a.jsonl", "\n".join(rows).encode())
        assert (result.added, result.duplicates, result.labelled) == (2, 1, 1)
        assert [(number, fault.de) for number, fault in result.rejected] == [(2, "Die Zeile ist kein JSON-Objekt.")]
        assert annotate.next_reports(anna, XRAY).progress.done == 1

    def test_an_id_that_names_another_text_is_rejected_with_its_row(self, annotate: Annotate, anna: User) -> None:
        bring(annotate, anna, "Eins.")
        result = annotate.import_reports(anna, XRAY, "b.jsonl", b'{"text": "Neu."}\n{"id": "r1", "text": "Ganz neu."}')
        assert (result.added, [(number, fault.code) for number, fault in result.rejected]) == (1, [(2, "id_taken")])

    def test_an_unknown_modality_does_not_hide_a_report(self, annotate: Annotate, anna: User) -> None:
        annotate.import_reports(anna, XRAY, "c.csv", "text,modality\nEins.,Röntgen\n".encode())
        assert first(annotate, anna).report.text == "Eins."

    def test_files_beyond_the_limits_are_refused_with_both_numbers(
        self, database: Database, runtime: Runtime, access: Access, tmp_path: Path, anna: User
    ) -> None:
        small = Settings(var=tmp_path, max_upload_mb=1, max_import_rows=2)
        annotate = Annotate(database, runtime, access, small)
        with pytest.raises(InvalidFile, match="has 2 MB, 1 MB are allowed"):
            annotate.import_reports(anna, XRAY, "groß.txt", b"x" * 2 * 1024 * 1024)
        with pytest.raises(InvalidFile, match="more than 2 rows"):
            annotate.import_reports(anna, XRAY, "lang.jsonl", b'{"text": "a"}\n' * 3)

    def test_progress_is_told(self, annotate: Annotate, anna: User) -> None:
        told: list[Progress] = []
        rows = "\n".join(json.dumps({"text": f"Befund {number}."}) for number in range(1000))
        annotate.import_reports(anna, XRAY, "viele.jsonl", rows.encode(), told.append)
        assert [(one.done, one.total) for one in told] == [(500, 1000), (1000, 1000)]

    def test_examples_fill_the_queue_without_labels_and_once(self, annotate: Annotate, anna: User) -> None:
        added = annotate.import_examples(anna, XRAY).added
        assert added > 0
        assert annotate.import_examples(anna, XRAY).added == 0
        progress = annotate.next_reports(anna, XRAY).progress
        assert (progress.done, progress.total) == (0, added)


def _without_lease_time(tmp_path: Path) -> Settings:
    """Settings whose leases run out at once; the settings themselves allow whole minutes only."""
    settings = Settings(var=tmp_path)
    object.__setattr__(settings, "lease_minutes", 0)
    return settings
