"""Nobody gets a report that someone else holds or that is done; nobody loses the one on their screen."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from medbertde.store import Database, projects, queue, reports, skips, users
from medbertde.types import (
    Conflict,
    NotFound,
    QueueProgress,
    ReportRecord,
    Role,
    Rules,
    SkipReason,
    State,
    User,
)

Save = Callable[..., Any]


def take(database: Database, user: User, *, minutes: float = 15, **options: Any) -> str | None:
    """The key of the report that `user` gets next from the default project."""
    with database.write() as session:
        project = projects.default_project(session, schema_id="chest_xray", modality="xray")
        found = queue.next_report(session, project=project, user_id=user.id, lease_minutes=minutes, **options)
    return None if found is None else found.report.key


@pytest.mark.usefixtures("report_ids")
def test_two_annotators_get_different_reports_in_import_order(database: Database, anna: User, ben: User) -> None:
    assert [take(database, anna), take(database, ben)] == ["thorax-0", "thorax-1"]


@pytest.mark.usefixtures("report_ids")
def test_a_reloaded_page_gets_its_report_back(database: Database, anna: User) -> None:
    assert [take(database, anna), take(database, anna)] == ["thorax-0", "thorax-0"]


def test_prefetching_and_skipping_go_on_to_the_next(
    database: Database, report_ids: tuple[int, ...], anna: User
) -> None:
    assert take(database, anna, exclude=report_ids[:2]) == "thorax-2"


def test_a_saved_report_is_done_for_everyone(
    database: Database, save: Save, report_ids: tuple[int, ...], anna: User, ben: User
) -> None:
    assert take(database, anna) == "thorax-0"
    save(report_ids[0], anna)
    assert [take(database, ben), take(database, anna)] == ["thorax-1", "thorax-2"]


def test_a_late_renewal_after_the_save_does_not_bring_the_report_back(
    database: Database, save: Save, report_ids: tuple[int, ...], anna: User
) -> None:
    save(report_ids[0], anna)
    with database.write() as session:
        queue.renew(session, report_id=report_ids[0], schema_id="chest_xray", user_id=anna.id, lease_minutes=15)
    assert take(database, anna) == "thorax-1"


def test_a_report_is_done_for_one_schema_only(
    database: Database, save: Save, report_ids: tuple[int, ...], anna: User
) -> None:
    save(report_ids[0], anna, Erguss=State.PRESENT)
    with database.write() as session:
        project = projects.default_project(session, schema_id="chest_ct", modality=None)
        found = queue.next_report(session, project=project, user_id=anna.id, lease_minutes=15)
    assert found is not None
    assert found.report.id == report_ids[0]


@pytest.mark.usefixtures("report_ids")
def test_an_expired_lease_gives_the_report_to_the_next(database: Database, anna: User, ben: User) -> None:
    assert [take(database, anna, minutes=0), take(database, ben)] == ["thorax-0", "thorax-0"]


def test_a_released_report_goes_to_the_next(
    database: Database, report_ids: tuple[int, ...], anna: User, ben: User
) -> None:
    take(database, anna)
    with database.write() as session:
        queue.release(session, report_id=report_ids[0], schema_id="chest_xray", user_id=anna.id)
    assert take(database, ben) == "thorax-0"


def test_nobody_can_release_or_renew_what_another_holds(
    database: Database, report_ids: tuple[int, ...], anna: User, ben: User
) -> None:
    take(database, anna)
    of: dict[str, Any] = {"report_id": report_ids[0], "schema_id": "chest_xray", "user_id": ben.id}
    with database.write() as session:
        queue.release(session, **of)
    with pytest.raises(Conflict) as refusal, database.write() as session:
        queue.renew(session, **of, lease_minutes=15)
    assert refusal.value.de.startswith("Dieser Befund wird inzwischen von jemand anderem bearbeitet.")


def test_a_lease_that_ran_out_can_be_renewed_while_nobody_took_the_report(
    database: Database, report_ids: tuple[int, ...], anna: User, ben: User
) -> None:
    take(database, anna, minutes=0)
    with database.write() as session:
        queue.renew(session, report_id=report_ids[0], schema_id="chest_xray", user_id=anna.id, lease_minutes=15)
    assert take(database, ben) == "thorax-1"


def test_an_unknown_report_cannot_be_held(database: Database, anna: User) -> None:
    with pytest.raises(NotFound), database.write() as session:
        queue.renew(session, report_id=99, schema_id="chest_xray", user_id=anna.id, lease_minutes=15)


def test_only_reports_of_the_modality_or_of_none_are_handed_out(database: Database, anna: User) -> None:
    records = [ReportRecord("CT.", "ct", "ct"), ReportRecord("Thorax.", "xray", "xray"), ReportRecord("Text.", "none")]
    with database.write() as session:
        ids = reports.add_reports(session, records=records, imported_by=anna.id).report_ids
    assert take(database, anna) == "xray"
    assert take(database, anna, exclude=[ids[1]]) == "none"
    assert take(database, anna, exclude=ids[1:]) is None


def test_progress_counts_reports_not_saves(
    database: Database, save: Save, report_ids: tuple[int, ...], anna: User, ben: User
) -> None:
    for report_id, user in ((0, anna), (0, anna), (0, ben), (1, ben)):
        save(report_ids[report_id], user)
    with database.write() as session:
        project = projects.default_project(session, schema_id="chest_xray", modality="xray")
        progress = queue.progress(session, project=project, user_id=anna.id)
    assert progress == QueueProgress(done_by_user=1, done=2, total=4)


def test_progress_counts_what_the_user_put_aside_as_long_as_it_waits_for_them(
    database: Database, save: Save, report_ids: tuple[int, ...], anna: User, ben: User
) -> None:
    rules = Rules(overlap_share=1.0, readers=2, bare_share=0.0)
    with database.write() as session:
        new = projects.NewProject("chest_xray", "Studie", "xray", rules, people=(anna.id, ben.id))
        project = projects.add_project(session, new=new)
        for report_id, user in ((0, anna), (0, anna), (1, anna), (2, anna), (3, ben)):
            skips.record_skip(
                session, report_id=report_ids[report_id], schema_id="chest_xray", user_id=user.id,
                client_uuid=str(uuid.uuid4()), reason=SkipReason.OTHER,
            )  # fmt: skip

    def told(user: User) -> QueueProgress:
        with database.write() as session:
            return queue.progress(session, project=project, user_id=user.id)

    assert told(anna) == QueueProgress(done_by_user=0, done=0, total=8, several=True, skipped=3)
    assert told(ben).skipped == 1
    save(report_ids[1], anna)
    save(report_ids[2], ben)
    assert told(anna) == QueueProgress(done_by_user=1, done=2, total=8, several=True, skipped=2)
    with database.write() as session:
        cem = users.ensure_user(session, name="cem", role=Role.ANNOTATOR)
        projects.assign(session, project_id=project.id, user_ids=(anna.id, ben.id, cem.id))
    save(report_ids[2], cem)
    assert told(anna).skipped == 1, "two others have read it"


def test_eight_threads_never_get_the_same_report(database: Database, anna: User) -> None:
    with database.write() as session:
        records = [ReportRecord(f"Thorax {number}.", modality="xray") for number in range(120)]
        reports.add_reports(session, records=records, imported_by=anna.id)
        team = [users.ensure_user(session, name=f"user-{number}", role=Role.ANNOTATOR) for number in range(8)]

    def take_all(user: User) -> list[int]:
        held: list[int] = []
        while True:
            with database.write() as session:
                project = projects.default_project(session, schema_id="s", modality="xray")
                found = queue.next_report(session, project=project, user_id=user.id, lease_minutes=15, exclude=held)
            if found is None:
                return held
            held.append(found.report.id)

    with ThreadPoolExecutor(len(team)) as pool:
        held = [report_id for ids in pool.map(take_all, team) for report_id in ids]
    assert len(held) == len(set(held)) == 120
