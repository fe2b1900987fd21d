"""Projects in the database: what is drawn once, leases of several readers, and the queue's speed at a large size."""

from __future__ import annotations

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, text

from medbertde.store import Database, intake, labelled, labels, projects, queue, reports, reviews, users
from medbertde.store.projects import NewProject, Project
from medbertde.store.work_tables import AssignmentRow
from medbertde.types import ReportRecord, Role, Rules, State, User, WorkOrder
from tests.store.conftest import Save

XRAY = "chest_xray"


def bring(database: Database, user: User, count: int, name: str = "thorax") -> None:
    records = [ReportRecord(f"{name} {one}: kein Erguss.", f"{name}-{one}", "xray") for one in range(count)]
    with database.write() as session:
        reports.add_reports(session, records=records, imported_by=user.id, file_name=f"{name}.jsonl")


def made(database: Database, rules: Rules, people: tuple[int, ...] = (), name: str = "Studie") -> Project:
    with database.write() as session:
        project = projects.add_project(session, new=NewProject(XRAY, name, "xray", rules, people=people))
        intake.take_in(session, project=project)
        return projects.get_project(session, project_id=project.id)


def rows(database: Database, project: Project) -> dict[int, tuple[int, bool, bool, float]]:
    """By report: how many readings it has, whether it is bare, whether it is of the test part, and its place."""
    found: dict[int, tuple[int, bool, bool, float]] = {}
    with database.read() as session:
        for row in session.scalars(select(AssignmentRow).where(AssignmentRow.project_id == project.id)):
            found[row.report_id] = (found.get(row.report_id, (0,))[0] + 1, row.bare, row.test, row.place)
    return found


def test_shares_are_drawn_near_their_size_and_never_again(database: Database, anna: User, ben: User) -> None:
    bring(database, anna, 1_000)
    rules = Rules(WorkOrder.RANDOM, overlap_share=0.2, readers=3, bare_share=0.1, test_share=0.1)
    project = made(database, rules, (anna.id, ben.id))
    before = rows(database, project)
    counts = Counter(readers for readers, *_ in before.values())
    assert set(counts) == {1, 3}
    assert 150 < counts[3] < 250
    assert 60 < sum(bare for _, bare, _, _ in before.values()) < 140
    assert 60 < sum(test for _, _, test, _ in before.values()) < 140
    assert project.total == 1_000 + 2 * counts[3]
    bring(database, anna, 100, "neu")
    with database.write() as session:
        intake.take_in(session, project=project)
        intake.take_in(session, project=project)
    after = rows(database, project)
    assert len(after) == 1_100
    assert {report: after[report] for report in before} == before


def test_places_are_changed_for_open_reports_outside_the_test_part_only(database: Database, anna: User) -> None:
    bring(database, anna, 40)
    project = made(database, Rules(WorkOrder.MIXED, test_share=0.5))
    before = rows(database, project)
    tests = {report for report, (_, _, test, _) in before.items() if test}
    assert 0 < len(tests) < 40
    with database.write() as session:
        assert {report for report, _ in intake.open_reports(session, project_id=project.id)} == set(before) - tests
        intake.set_places(session, project_id=project.id, places=[(report, 0.25) for report in before])
        assert intake.test_reports(session, schema_id=XRAY, report_ids=list(before)) == tests
    assert {report for report, (_, _, _, place) in rows(database, project).items() if place == 0.25} == set(
        before
    ) - tests


def test_a_report_that_was_read_before_counts_as_read_in_a_new_project(
    database: Database, anna: User, ben: User
) -> None:
    bring(database, anna, 2)
    with database.write() as session:
        labels.save(
            session, report_id=1, schema_id=XRAY, schema_version=1, user_id=anna.id, changes=[],
            client_uuid=str(uuid.uuid4()),
        )  # fmt: skip
    project = made(database, Rules(overlap_share=1.0, readers=2), (anna.id, ben.id))
    with database.write() as session:
        assert queue.progress(session, project=project, user_id=anna.id).done_by_user == 1
        found = {}
        for user in (anna, ben):
            assigned = queue.next_report(session, project=project, user_id=user.id, lease_minutes=15)
            assert assigned is not None
            found[user.name] = assigned.report.key
    assert found == {"anna": "thorax-1", "ben": "thorax-0"}


def test_eight_readers_fill_every_blind_reading_once(database: Database, anna: User) -> None:
    bring(database, anna, 40)
    with database.write() as session:
        team = [users.ensure_user(session, name=f"reader-{one}", role=Role.ANNOTATOR) for one in range(8)]
    project = made(database, Rules(overlap_share=1.0, readers=3), tuple(user.id for user in team))

    def work(user: User) -> list[int]:
        read: list[int] = []
        while True:
            with database.write() as session:
                found = queue.next_report(session, project=project, user_id=user.id, lease_minutes=15)
                if found is None:
                    return read
                labels.save(
                    session, report_id=found.report.id, schema_id=XRAY, schema_version=1, user_id=user.id, changes=[],
                    client_uuid=str(uuid.uuid4()),
                )  # fmt: skip
            read.append(found.report.id)

    with ThreadPoolExecutor(len(team)) as pool:
        per_reader = list(pool.map(work, team))
    assert all(len(read) == len(set(read)) for read in per_reader), "nobody reads a report twice"
    assert Counter(report for read in per_reader for report in read) == dict.fromkeys(range(1, 41), 3)
    with database.write() as session:
        progress = queue.progress(session, project=project, user_id=team[0].id)
    assert (progress.done, progress.total) == (120, 120)


def test_the_next_report_is_found_by_index_alone(sqlite_url: str) -> None:
    """A plan that sorts or scans would pass every test at ten reports and stop a clinic at a million."""
    from medbertde.store import open_database

    database = open_database(sqlite_url)
    asked = {"project": 1, "schema": XRAY, "reader": 1, "now": projects.utc_now()}
    query = queue._WAITING.params(**asked, exclude=[5], skipped=False)
    with database.read() as session:
        sql = query.compile(session.get_bind(), compile_kwargs={"literal_binds": True})
        plan = "\n".join(row[3] for row in session.execute(text(f"EXPLAIN QUERY PLAN {sql}")))
    database.close()
    assert "USING INDEX waiting_assignments (project_id=?)" in plan
    assert "B-TREE" not in plan
    assert "SCAN" not in plan


def test_a_review_is_settled_when_the_annotators_come_to_agree(
    database: Database, anna: User, ben: User, save: Save
) -> None:
    bring(database, anna, 1)

    def waiting() -> list[int]:
        with database.write() as session:
            reviews.note(session, report_id=1, schema_id=XRAY)
            return [one.disputed for one in reviews.open_reviews(session, schema_id=XRAY)]

    save(1, anna, Erguss=State.PRESENT)
    save(1, ben, Erguss=State.ABSENT)
    assert waiting() == [1]
    save(1, ben, Erguss=State.PRESENT)
    assert waiting() == []


def test_a_dispute_comes_to_the_curator_also_while_someone_has_the_report_in_a_project_of_single_readings(
    database: Database,
    anna: User,
    ben: User,
    save: Save,
) -> None:
    bring(database, anna, 1)
    with database.write() as session:
        admin = users.ensure_user(session, name="admin", role=Role.ADMIN)
        everyone = projects.default_project(session, schema_id=XRAY, modality="xray")
        assert queue.next_report(session, project=everyone, user_id=admin.id, lease_minutes=15) is not None
    study = made(database, Rules(overlap_share=1.0, readers=2), (anna.id, ben.id))
    save(1, anna, Erguss=State.PRESENT)
    assert waiting_in(database, None, everyone.id, study.id) == [[], [], []]
    save(1, ben, Erguss=State.UNCERTAIN)
    assert waiting_in(database, None, everyone.id, study.id) == [[1], [1], [1]]
    with database.write() as session:  # from now on nobody has it
        queue.renew(session, report_id=1, schema_id=XRAY, user_id=admin.id, lease_minutes=0)
    assert waiting_in(database, None, everyone.id, study.id) == [[1], [1], [1]]


def test_a_dispute_waits_for_the_blind_readings_of_the_project_asked_for(
    database: Database,
    anna: User,
    ben: User,
    save: Save,
) -> None:
    bring(database, anna, 1)
    with database.write() as session:
        team = [users.ensure_user(session, name=name, role=Role.ANNOTATOR) for name in ("cem", "dora")]
    both = Rules(overlap_share=1.0, readers=2)
    study = made(database, both, (anna.id, ben.id))
    second = made(database, both, tuple(one.id for one in team), "Zweite Studie")
    save(1, anna, Erguss=State.PRESENT)
    save(1, ben, Erguss=State.ABSENT)
    assert waiting_in(database, None, study.id, second.id) == [[], [1], []]
    for one in team:
        save(1, one, Erguss=State.PRESENT)
    assert waiting_in(database, None, study.id, second.id) == [[1], [1], [1]]


def waiting_in(database: Database, *project_ids: int | None) -> list[list[int]]:
    """The reports on the review list of each of these projects; None: of all."""
    with database.write() as session:
        reviews.note(session, report_id=1, schema_id=XRAY)
        return [
            [one.report_id for one in reviews.open_reviews(session, schema_id=XRAY, project_id=project_id)]
            for project_id in project_ids
        ]


@pytest.mark.parametrize(
    ("said", "provenance", "label"),
    [
        ((State.PRESENT,), "single", State.PRESENT),
        ((State.PRESENT, State.PRESENT), "unanimous", State.PRESENT),
        ((State.PRESENT, State.PRESENT, State.ABSENT), "majority", State.PRESENT),
        ((State.PRESENT, State.ABSENT), "open", State.ABSENT),
    ],
)
def test_what_a_report_counts_as_names_what_it_rests_on(
    database: Database,
    anna: User,
    save,
    said: tuple[State, ...],
    provenance: str,
    label: State,  # type: ignore[no-untyped-def]
) -> None:
    bring(database, anna, 1)
    for number, state in enumerate(said):
        with database.write() as session:
            user = users.ensure_user(session, name=f"reader-{number}", role=Role.ANNOTATOR)
        save(1, user, Erguss=state)
    with database.read() as session:
        (record,) = labelled.records(session, schema_id=XRAY)
    assert (record.meta["provenance"], record.labels) == (provenance, {"Erguss": label})
