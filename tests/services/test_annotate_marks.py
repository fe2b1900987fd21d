"""Marked words, guideline versions, skips with a reason, two windows and changed schemas, through the services."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from medbertde import schema as schemas
from medbertde.inference.runtime import Runtime
from medbertde.report_file import to_json
from medbertde.services.access import Access
from medbertde.services.annotate import Annotate, Decision, SkipDecision, WorkItem
from medbertde.services.deidentification import Gate
from medbertde.services.evidence import Evidence
from medbertde.services.reading import Reading
from medbertde.store import evidence as evidence_store
from medbertde.store import labelled
from medbertde.store.session import Database
from medbertde.types import (
    AttributedWord,
    Conflict,
    InvalidSchema,
    Rationale,
    ReportRecord,
    SavedElsewhere,
    SchemaChanged,
    SkipReason,
    State,
    User,
)

XRAY = "chest_xray"
TEXT = "Kein Pneumothorax. Kleiner Erguss links."
MARK = Rationale("Erguss", 19, 33)


def bring(annotate: Annotate, user: User, *texts: str, schema_id: str = XRAY) -> None:
    lines = [to_json(ReportRecord(text, id=f"r{number}")) for number, text in enumerate(texts, start=1)]
    annotate.import_reports(user, schema_id, "befunde.jsonl", "\n".join(lines).encode())


def first(annotate: Annotate, user: User, schema_id: str = XRAY) -> WorkItem:
    return annotate.next_reports(user, schema_id).items[0]


def decide(item: WorkItem, **given: object) -> Decision:
    fields: dict[str, object] = {"values": {"Erguss": State.PRESENT}, "schema_id": XRAY}
    return Decision(client_uuid=str(uuid.uuid4()), report_id=item.report.id, **{**fields, **given})  # type: ignore[arg-type]


@pytest.fixture
def evidence(database: Database, runtime: Runtime, access: Access, gate: Gate) -> Evidence:
    return Evidence(database, Reading(runtime, access, gate), access)


class TestMarkedWords:
    def test_they_come_back_with_the_report_and_in_the_export(
        self, annotate: Annotate, anna: User, database: Database
    ) -> None:
        bring(annotate, anna, TEXT)
        item = first(annotate, anna)
        annotate.save(anna, decide(item, rationales=(MARK, Rationale("Erguss", 34, 39), MARK)))
        saved = annotate.reopen(anna, XRAY, item.report.id).saved
        assert saved is not None
        assert saved.rationales == (MARK, Rationale("Erguss", 34, 39)), "the same span counts once"
        with database.read() as session:
            (record,) = labelled.records(session, schema_id=XRAY)
        assert [record.text[one.start : one.end] for one in record.rationales] == ["Kleiner Erguss", "links"]

    def test_the_newest_save_says_what_is_marked_and_older_ones_stay(
        self, annotate: Annotate, anna: User, database: Database
    ) -> None:
        bring(annotate, anna, TEXT)
        item = first(annotate, anna)
        annotate.save(anna, decide(item, rationales=(MARK,)))
        annotate.save(anna, decide(item))
        saved = annotate.reopen(anna, XRAY, item.report.id).saved
        assert saved is not None
        assert saved.rationales == ()
        with database.read() as session:
            assert list(evidence_store.marked_findings(session, schema_id=XRAY)) == []

    @pytest.mark.parametrize("span", [(-1, 3), (5, 5), (30, 41)])
    def test_a_span_outside_the_text_is_refused_and_nothing_is_saved(
        self, annotate: Annotate, anna: User, span: tuple[int, int]
    ) -> None:
        bring(annotate, anna, TEXT)
        with pytest.raises(Conflict, match="lie outside the text"):
            annotate.save(anna, decide(first(annotate, anna), rationales=(Rationale("Erguss", *span),)))
        assert annotate.next_reports(anna, XRAY).progress.done == 0

    def test_marked_words_of_a_finding_that_is_not_mentioned_are_refused(self, annotate: Annotate, anna: User) -> None:
        bring(annotate, anna, TEXT)
        with pytest.raises(Conflict, match="“not mentioned” is chosen"):
            annotate.save(anna, decide(first(annotate, anna), values={"Erguss": None}, rationales=(MARK,)))

    def test_marked_words_of_a_finding_that_the_schema_lacks_are_refused(self, annotate: Annotate, anna: User) -> None:
        bring(annotate, anna, TEXT)
        with pytest.raises(InvalidSchema, match="Gicht"):
            annotate.save(anna, decide(first(annotate, anna), rationales=(Rationale("Gicht", 0, 4),)))


class TestSpans:
    def test_a_schema_of_spans_takes_marks_and_no_states(
        self, annotate: Annotate, anna: User, database: Database
    ) -> None:
        bring(annotate, anna, "Ramipril 5 mg 1-0-1.", schema_id="medication")
        item = first(annotate, anna, "medication")
        assert item.suggestion is None
        drug = Rationale("Medikament", 0, 8)
        with pytest.raises(InvalidSchema, match="no states"):
            annotate.save(
                anna, decide(item, schema_id="medication", values={"Dosis": State.PRESENT}, rationales=(drug,))
            )
        annotate.save(anna, decide(item, schema_id="medication", values={}, rationales=(drug,)))
        with database.read() as session:
            (record,) = labelled.records(session, schema_id="medication")
        assert (record.labels, record.rationales) == ({}, (drug,))

    def test_classification_and_quality_know_findings_only(self) -> None:
        assert "medication" not in schemas.schema_ids()
        assert "medication" in schemas.schema_ids(kinds=schemas.ALL_KINDS)

    def test_its_examples_fill_the_queue(self, annotate: Annotate, anna: User) -> None:
        assert annotate.import_examples(anna, "medication").added >= 10


class TestTwoWindows:
    def test_the_second_window_is_told_and_may_save_on_top(
        self, annotate: Annotate, anna: User, database: Database
    ) -> None:
        bring(annotate, anna, TEXT)
        item = first(annotate, anna)
        here, there = decide(item, seen=0), decide(item, seen=0, values={"Erguss": State.ABSENT})
        saved = annotate.save(anna, here)
        with pytest.raises(SavedElsewhere, match="in another window"):
            annotate.save(anna, there)
        assert annotate.save(anna, here).submission == saved.submission, "a retry is no second window"
        annotate.save(anna, replace(there, seen=saved.submission))
        with database.read() as session:
            history = labelled.history(session, report_id=item.report.id)
        assert [one.new_value for one in history] == [State.PRESENT, State.ABSENT]


class TestSchemaAndGuideline:
    def test_a_save_with_an_old_schema_is_refused_with_both_versions(self, annotate: Annotate, anna: User) -> None:
        bring(annotate, anna, TEXT)
        with pytest.raises(SchemaChanged, match=r"version 9 to 1") as refused:
            annotate.save(anna, decide(first(annotate, anna), schema_version=9))
        assert "Ihre Angaben sind noch da" in refused.value.de

    def test_a_retry_of_what_was_saved_passes_whatever_the_schema_is_now(self, annotate: Annotate, anna: User) -> None:
        bring(annotate, anna, TEXT)
        decision = decide(first(annotate, anna), schema_version=1)
        first_save = annotate.save(anna, decision)
        assert annotate.save(anna, replace(decision, schema_version=9)).submission == first_save.submission

    def test_a_schema_file_is_read_again_when_it_changes(self, tmp_path: Path) -> None:
        source = yaml.safe_load((schemas.SCHEMA_FOLDER / "chest_xray.yaml").read_text(encoding="utf-8"))
        path = tmp_path / "chest_xray.yaml"
        for version in (1, 2):
            path.write_text(yaml.safe_dump({**source, "version": version}), encoding="utf-8")
            assert schemas.load_schema("chest_xray", tmp_path).version == version

    def test_the_guideline_that_the_page_had_is_kept_with_the_save(
        self, annotate: Annotate, anna: User, database: Database
    ) -> None:
        bring(annotate, anna, TEXT)
        saved = annotate.save(anna, decide(first(annotate, anna), guideline_version="0123456789ab"))
        with database.read() as session:
            kept = session.connection().exec_driver_sql("SELECT id, guideline_version FROM submissions").all()
        assert [tuple(row) for row in kept] == [(saved.submission, "0123456789ab")]


class TestSkips:
    def skip(self, item: WorkItem, reason: SkipReason = SkipReason.UNREADABLE) -> SkipDecision:
        return SkipDecision(str(uuid.uuid4()), XRAY, item.report.id, reason, "abgeschnitten", 1200)

    def test_the_reason_is_kept_once_and_the_report_goes_to_someone_else(
        self, annotate: Annotate, anna: User, ben: User
    ) -> None:
        bring(annotate, anna, TEXT, "Zwei.")
        decision = self.skip(first(annotate, anna))
        annotate.skip(anna, decision)
        annotate.skip(anna, decision)
        (kept,) = annotate.skipped(anna, XRAY)
        assert (kept.key, kept.annotator, kept.reason, kept.comment) == (
            "r1",
            "anna",
            SkipReason.UNREADABLE,
            "abgeschnitten",
        )
        assert first(annotate, anna).report.key == "r2", "what one has put aside does not come back by itself"
        assert first(annotate, ben).report.key == "r1"

    def test_what_was_put_aside_comes_when_asked_for(self, annotate: Annotate, anna: User) -> None:
        bring(annotate, anna, TEXT)
        annotate.skip(anna, self.skip(first(annotate, anna)))
        assert annotate.next_reports(anna, XRAY).items == ()
        assert [item.report.key for item in annotate.next_reports(anna, XRAY, skipped=True).items] == ["r1"]

    def test_a_skip_is_never_changed(self, annotate: Annotate, anna: User, database: Database) -> None:
        bring(annotate, anna, TEXT)
        annotate.skip(anna, self.skip(first(annotate, anna)))
        with pytest.raises(Exception, match="append-only"), database.write() as session:
            session.connection().exec_driver_sql("DELETE FROM skips")


class TestEvidence:
    def test_the_models_words_come_with_version_and_agreement(
        self, annotate: Annotate, evidence: Evidence, anna: User, runtime: Runtime
    ) -> None:
        bring(annotate, anna, TEXT)
        item = first(annotate, anna)
        weighed = evidence.weigh(anna, XRAY, item.report.id, "Erguss", State.PRESENT, [(19, 33)])
        assert [TEXT[word.start : word.end] for word in weighed.words] == [word.text for word in weighed.words]
        assert weighed.model_version == runtime.model_for(XRAY).version
        assert weighed.agreement is not None
        assert 0 < weighed.agreement.auprc <= 1
        assert evidence.weigh(anna, XRAY, item.report.id, "Erguss", State.PRESENT).agreement is None

    def test_the_table_has_a_row_per_version_that_has_weighed_the_marked_words(
        self, annotate: Annotate, evidence: Evidence, anna: User, database: Database, runtime: Runtime
    ) -> None:
        bring(annotate, anna, TEXT, "Erguss rechts.")
        for span in ((19, 33), (0, 6)):
            annotate.save(anna, decide(first(annotate, anna), rationales=(Rationale("Erguss", *span),)))
        assert evidence.agreement(anna, XRAY).versions == ()
        assert [evidence.agreement(anna, XRAY, compute=1).missing for _ in range(2)] == [1, 0]
        words = [AttributedWord("Kleiner", 19, 26, 0.5), AttributedWord("Erguss", 27, 33, 0.9)]
        with database.write() as session:
            (report_id,) = {
                one.report_id
                for one in evidence_store.marked_findings(session, schema_id=XRAY)
                if one.spans == ((19, 33),)
            }
            evidence_store.put_attribution(
                session,
                report_id=report_id,
                schema_id=XRAY,
                label="Erguss",
                state=State.PRESENT,
                model_version="alt@1",
                words=words,
            )
        now, earlier = evidence.agreement(anna, XRAY).versions
        assert (now.model_version, now.active, now.reports, now.mean.n) == (runtime.model_for(XRAY).version, True, 2, 2)
        assert (earlier.model_version, earlier.active, earlier.mean.f1) == ("alt@1", False, 1.0)

    def test_a_finding_that_was_taken_back_leaves_the_table(
        self, annotate: Annotate, evidence: Evidence, anna: User
    ) -> None:
        bring(annotate, anna, TEXT)
        item = first(annotate, anna)
        annotate.save(anna, decide(item, rationales=(MARK,)))
        annotate.save(anna, decide(item, values={"Erguss": None}))
        assert evidence.agreement(anna, XRAY, compute=5).marked == 0
