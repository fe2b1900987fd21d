"""What holds when several processes work on one database, also when one of them is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from medbertde.store import Database, labels, open_database, reports
from medbertde.store.tables import LabelEventRow, SubmissionRow
from medbertde.types import ReportRecord, User

ROOT = Path(__file__).parents[2]


@pytest.fixture
def many_reports(database: Database, anna: User) -> None:
    records = [ReportRecord(f"Thorax {number}: kein Erguss.") for number in range(200)]
    with database.write() as session:
        reports.add_reports(session, records=records, imported_by=anna.id)


@pytest.fixture
def workers(url: str, many_reports: None) -> Iterator[list[subprocess.Popen[str]]]:
    """Two annotators at work."""
    command = [sys.executable, str(ROOT / "tests" / "store" / "worker.py"), url]
    environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    started = [
        subprocess.Popen([*command, f"worker-{number}"], stdout=subprocess.PIPE, text=True, env=environment)
        for number in range(2)
    ]
    yield started
    for worker in started:
        worker.kill()
        worker.communicate(timeout=10)


def test_processes_share_the_work_without_doing_a_report_twice(
    database: Database, workers: list[subprocess.Popen[str]]
) -> None:
    printed = [line for worker in workers for line in worker.communicate(timeout=30)[0].split()]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert len(printed) == len(set(printed)) == 200
    with database.read() as session:
        assert sum(1 for _ in labels.labelled_records(session, schema_id="chest_xray")) == 200


def test_a_killed_process_loses_no_acknowledged_save_and_leaves_none_half_written(
    database: Database, url: str, workers: list[subprocess.Popen[str]]
) -> None:
    pipes = [worker.stdout for worker in workers if worker.stdout is not None]
    acknowledged = [pipes[0].readline().strip() for _ in range(15)]
    for worker in workers:
        worker.kill()
    acknowledged += [line for pipe in pipes for line in pipe.read().split()]
    assert 15 <= len(acknowledged) < 200, "the kill came too late to prove anything"
    database.close()
    reopened = open_database(url)
    with reopened.read() as session:
        saved = Counter(str(number) for number in session.scalars(select(SubmissionRow.report_id)))
        events = Counter(session.scalars(select(LabelEventRow.submission_id)))
    reopened.close()
    assert set(acknowledged) <= set(saved)
    assert set(saved.values()) == {1}
    assert set(events.values()) == {2}
    assert len(events) == len(saved)
