"""Saves are append-only, safe to repeat, and come back in history and exports."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import exc, func, select, text

from medbertde.store import Database, labelled, labels
from medbertde.store.tables import LabelEventRow, SubmissionRow
from medbertde.types import Conflict, LabelChange, NotFound, Rationale, ReportRecord, Source, State, User

Save = Callable[..., Any]
XRAY: dict[str, Any] = {"schema_id": "chest_xray", "schema_version": 1}


def saved_rows(database: Database) -> tuple[int, int]:
    """How many submissions and label events there are."""
    with database.read() as session:
        submissions = session.scalars(select(func.count()).select_from(SubmissionRow)).one()
        return submissions, session.scalars(select(func.count()).select_from(LabelEventRow)).one()


def test_a_save_says_what_changed_from_what_to_what(save: Save, report_ids: tuple[int, ...], anna: User) -> None:
    first = save(report_ids[0], anna, Erguss=State.ABSENT, Stauung=State.UNCERTAIN)
    second = save(report_ids[0], anna, Erguss=State.PRESENT, Stauung=None)
    assert [(r.label, r.old_value, r.new_value, r.annotator) for r in first] == [
        ("Erguss", None, State.ABSENT, "anna"),
        ("Stauung", None, State.UNCERTAIN, "anna"),
    ]
    assert [(r.label, r.old_value, r.new_value) for r in second] == [
        ("Erguss", State.ABSENT, State.PRESENT),
        ("Stauung", State.UNCERTAIN, None),
    ]


def test_the_history_keeps_every_revision_in_order(
    database: Database, save: Save, report_ids: tuple[int, ...], anna: User, ben: User
) -> None:
    revisions = (
        *save(report_ids[0], anna, Erguss=State.ABSENT),
        *save(report_ids[0], ben, Erguss=State.PRESENT),
        *save(report_ids[0], anna, Erguss=State.UNCERTAIN),
    )
    save(report_ids[1], anna, Erguss=State.PRESENT)
    with database.read() as session:
        assert tuple(labelled.history(session, report_id=report_ids[0])) == revisions
        assert labelled.history(session, report_id=report_ids[0], schema_id="chest_ct") == []


def test_current_findings_are_the_users_own_or_those_saved_last(
    database: Database, save: Save, report_ids: tuple[int, ...], anna: User, ben: User
) -> None:
    save(report_ids[0], anna, Erguss=State.ABSENT, Stauung=State.PRESENT)
    save(report_ids[0], ben, Erguss=State.PRESENT)
    save(report_ids[0], ben, Erguss=None, ZVK=State.PRESENT)
    of: dict[str, Any] = {"report_id": report_ids[0], "schema_id": "chest_xray"}
    with database.read() as session:
        assert labels.current(session, **of, user_id=anna.id) == {"Erguss": State.ABSENT, "Stauung": State.PRESENT}
        assert labels.current(session, **of, user_id=ben.id) == {"ZVK": State.PRESENT}
        assert labels.current(session, **of) == {"ZVK": State.PRESENT}
        assert labels.current(session, report_id=report_ids[1], schema_id="chest_xray") == {}


def test_the_same_save_again_writes_nothing_and_gives_the_same_answer(
    database: Database, report_ids: tuple[int, ...], anna: User
) -> None:
    changes = [LabelChange("Erguss", State.PRESENT), LabelChange("ZVK", State.ABSENT)]
    kept: dict[str, Any] = {
        "report_id": report_ids[0],
        "user_id": anna.id,
        "changes": changes,
        "client_uuid": "4711",
        **XRAY,
    }
    with database.write() as session:
        first = labels.save(session, **kept)
    with database.write() as session:
        again = labels.save(session, **kept)
    assert again == first
    assert saved_rows(database) == (1, 2)


@pytest.mark.parametrize("other", ["report", "user", "schema"])
def test_the_same_number_for_another_save_is_a_conflict(
    database: Database, report_ids: tuple[int, ...], anna: User, ben: User, other: str
) -> None:
    kept: dict[str, Any] = {
        "report_id": report_ids[0],
        "user_id": anna.id,
        "changes": [],
        "client_uuid": "4711",
        **XRAY,
    }
    changed: dict[str, dict[str, Any]] = {
        "report": {"report_id": report_ids[1]},
        "user": {"user_id": ben.id},
        "schema": {"schema_id": "chest_ct"},
    }
    with database.write() as session:
        labels.save(session, **kept)
    with pytest.raises(Conflict) as refusal, database.write() as session:
        labels.save(session, **(kept | changed[other]))
    assert refusal.value.de.startswith("Diese Speicherung gehört zu einem anderen Befund und wurde nicht übernommen.")
    assert saved_rows(database) == (1, 0)


def test_a_save_for_an_unknown_report_is_refused(save: Save, anna: User) -> None:
    with pytest.raises(NotFound):
        save(99, anna, Erguss=State.PRESENT)


def test_a_change_that_changes_nothing_leaves_no_event_but_an_answered_suggestion_does(
    database: Database, save: Save, report_ids: tuple[int, ...], anna: User
) -> None:
    save(report_ids[0], anna, Erguss=State.PRESENT)
    changes = [
        LabelChange("Erguss", State.PRESENT),
        LabelChange("ZVK", None, Source.SUGGESTION_CHANGED, suggested=State.PRESENT),
    ]
    with database.write() as session:
        labels.save(
            session,
            report_id=report_ids[0],
            user_id=anna.id,
            changes=changes,
            client_uuid=str(uuid.uuid4()),
            model_version="mini@1",
            **XRAY,
        )
        history = labelled.history(session, report_id=report_ids[0])
    assert [(r.label, r.old_value, r.new_value, r.source, r.model_version) for r in history[1:]] == [
        ("ZVK", None, None, Source.SUGGESTION_CHANGED, "mini@1")
    ]


@pytest.mark.parametrize("table", ["submissions", "label_events", "rationales", "activations", "audit"])
@pytest.mark.parametrize("statement", ["UPDATE {table} SET id = id + 100", "DELETE FROM {table}"])
def test_append_only_tables_refuse_changes(
    database: Database, report_ids: tuple[int, ...], anna: User, table: str, statement: str
) -> None:
    with database.write() as session:
        labels.save(
            session,
            report_id=report_ids[0],
            user_id=anna.id,
            changes=[LabelChange("Erguss", State.PRESENT)],
            client_uuid="1",
            rationales=[Rationale("Erguss", 16, 22)],
            **XRAY,
        )
        session.execute(text("INSERT INTO audit VALUES (1, NULL, 'started', '{}', '2026-01-01')"))
        session.execute(text("INSERT INTO model_versions VALUES ('v1', 'chest_xray', 'f', NULL, '2026-01-01')"))
        session.execute(text(f"INSERT INTO activations VALUES (1, 'chest_xray', 'v1', {anna.id}, '2026-01-01')"))
    with pytest.raises(exc.DBAPIError, match="append-only"), database.write() as session:
        session.execute(text(statement.format(table=table)))


def test_reopening_brings_back_comment_flag_and_evidence_of_the_last_save(
    database: Database, report_ids: tuple[int, ...], anna: User
) -> None:
    first = Rationale("Erguss", 10, 16, source=Source.SUGGESTION_CHANGED)
    second = Rationale("Stauung", 24, 31, source=Source.HUMAN)
    of: dict[str, Any] = {"report_id": report_ids[0], "user_id": anna.id}
    with database.write() as session:
        labels.save(session, **of, **XRAY, changes=[], client_uuid="1", comment="unklar", rationales=[first])
        labels.save(session, **of, **XRAY, changes=[], client_uuid="2", flagged=True, rationales=[second, first])
        found = labels.latest_submission(session, schema_id="chest_xray", **of)
        assert labels.latest_submission(session, schema_id="chest_ct", **of) is None
    assert found is not None
    assert (found.annotator, found.comment, found.flagged, found.rationales) == ("anna", "", True, (second, first))
    assert [mark.source for mark in found.rationales] == [second.source, first.source]


def test_recent_reports_are_listed_once_with_the_newest_first(
    database: Database, save: Save, report_ids: tuple[int, ...], anna: User, ben: User
) -> None:
    for report_id, user in ((0, anna), (1, anna), (2, ben), (0, anna)):
        save(report_ids[report_id], user)
    with database.read() as session:
        recent = labelled.recent_by_user(session, user_id=anna.id, schema_id="chest_xray")
        assert [item.key for item in recent] == ["thorax-0", "thorax-1"]
        assert recent == labelled.recent_by_user(session, user_id=anna.id, schema_id="chest_xray", limit=2)
        assert len(labelled.recent_by_user(session, user_id=anna.id, schema_id="chest_xray", limit=1)) == 1


def test_the_training_export_has_every_annotated_report_also_the_one_without_findings(
    database: Database, save: Save, report_ids: tuple[int, ...], anna: User, ben: User
) -> None:
    save(report_ids[1], anna, Erguss=State.ABSENT)
    save(report_ids[1], ben, Stauung=State.PRESENT)
    save(report_ids[0], anna)
    with database.read() as session:
        records = list(labelled.records(session, schema_id="chest_xray"))
        assert list(labelled.records(session, schema_id="chest_ct")) == []
    assert [(record.id, record.labels) for record in records] == [
        ("thorax-0", {}),
        ("thorax-1", {"Stauung": State.PRESENT}),
    ]
    assert records[1].meta["annotator"] == "ben"
    assert records[1].meta["annotators"] == "anna, ben"
    assert records[1].meta["annotated_at"].endswith("+00:00")
    assert records[1].modality == "xray"


def test_flagged_reports_are_marked_in_the_export_and_can_be_left_out(
    database: Database, report_ids: tuple[int, ...], anna: User
) -> None:
    of: dict[str, Any] = {"user_id": anna.id, "changes": [], **XRAY}
    with database.write() as session:
        labels.save(session, report_id=report_ids[0], client_uuid="1", flagged=True, **of)
        labels.save(session, report_id=report_ids[1], client_uuid="2", **of)
        everything = list(labelled.records(session, schema_id="chest_xray"))
        settled = list(labelled.records(session, schema_id="chest_xray", include_flagged=False))
    assert [record.meta.get("flagged") for record in everything] == ["true", None]
    assert [record.id for record in settled] == ["thorax-1"]


def test_imported_labels_are_kept_with_their_source_and_never_override_people(
    database: Database, save: Save, report_ids: tuple[int, ...], anna: User, ben: User
) -> None:
    save(report_ids[0], ben, Erguss=State.ABSENT)
    span = Rationale("Erguss", 16, 22)
    imported = ReportRecord("…", labels={"Erguss": State.PRESENT, "ZVK": State.ABSENT}, rationales=(span,))
    for expected in (2, 0):
        with database.write() as session:
            brought = {report_ids[0]: imported, report_ids[1]: imported, report_ids[2]: ReportRecord("…")}
            assert labels.save_imported(session, user_id=anna.id, labelled=brought, **XRAY) == expected
    with database.read() as session:
        records = list(labelled.records(session, schema_id="chest_xray"))
        history = labelled.history(session, report_id=report_ids[1])
    assert [record.labels for record in records] == [{"Erguss": State.ABSENT}, imported.labels, {}]
    assert records[1].rationales == (span,)
    assert records[1].rationales[0].source is Source.IMPORT
    assert {revision.source for revision in history} == {Source.IMPORT}


def test_long_exports_are_complete_across_chunks(
    database: Database, save: Save, report_ids: tuple[int, ...], anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "_CHUNK", 2)
    for state in State:
        for report_id in report_ids:
            save(report_id, anna, Erguss=state)
    with database.read() as session:
        revisions = list(labelled.revisions(session, schema_id="chest_xray"))
        records = list(labelled.records(session, schema_id="chest_xray"))
    assert len(revisions) == 12
    assert [key for key, _ in revisions[:4]] == [record.id for record in records]
    assert {record.labels["Erguss"] for record in records} == {State.ABSENT}
