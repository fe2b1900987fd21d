"""What holds when several processes work on one database, also when all of them are killed in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import select

from medbertde.store import Database, labels, open_database, reports
from medbertde.store.tables import LabelEventRow, SubmissionRow
from medbertde.types import ReportRecord, User

ROOT = Path(__file__).parents[2]
WORKERS = 8


def fill(database: Database, user: User, count: int) -> None:
    records = [ReportRecord(f"Thorax {number}: kein Erguss.") for number in range(count)]
    with database.write() as session:
        reports.add_reports(session, records=records, imported_by=user.id)


@contextmanager
def annotators(url: str) -> Iterator[subprocess.Popen[str]]:
    """Eight annotators who have opened the database and begin when the standard input is closed."""
    command = [sys.executable, str(ROOT / "tests" / "store" / "worker.py"), url, str(WORKERS)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = subprocess.Popen(command, **pipes, env=environment, start_new_session=True)  # type: ignore[call-overload]
    try:
        assert [started.stdout.readline() for _ in range(WORKERS)] == ["ready\n"] * WORKERS
        yield started
    finally:
        kill(started)
        for pipe in (started.stdin, started.stdout):
            pipe.close()
        started.wait()


def kill(started: subprocess.Popen[str]) -> None:
    """All annotators at once, with a signal that none of them can answer."""
    if started.poll() is None:
        os.killpg(started.pid, signal.SIGKILL)


def test_processes_share_the_work_without_doing_a_report_twice(database: Database, url: str, anna: User) -> None:
    fill(database, anna, 200)
    with annotators(url) as started:
        printed = started.communicate()[0].split()
    assert started.returncode == 0
    assert len(printed) == len(set(printed)) == 200
    with database.read() as session:
        assert sum(1 for _ in labels.labelled_records(session, schema_id="chest_xray")) == 200


def test_a_killed_process_loses_no_acknowledged_save_and_leaves_none_half_written(
    database: Database, url: str, anna: User
) -> None:
    fill(database, anna, 3000)  # more than they save between the fifteenth acknowledgement and the kill
    database.close()
    with annotators(url) as started:
        started.stdin.close()
        acknowledged = [started.stdout.readline().strip() for _ in range(15)]
        kill(started)
        acknowledged += started.stdout.read().split()
    assert 15 <= len(acknowledged) < 3000
    reopened = open_database(url)
    with reopened.read() as session:
        saved = Counter(str(number) for number in session.scalars(select(SubmissionRow.report_id)))
        events = Counter(session.scalars(select(LabelEventRow.submission_id)))
    reopened.close()
    assert set(acknowledged) <= set(saved)
    assert set(saved.values()) == {1}
    assert set(events.values()) == {2}
    assert len(events) == len(saved)
