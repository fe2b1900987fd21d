"""Eight annotators in processes of their own over one database, as tests and drills start and kill them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import select, text

from medbertde.store import Database, open_database, reports
from medbertde.store.tables import LabelEventRow, SubmissionRow
from medbertde.types import ReportRecord, User

ROOT = Path(__file__).parents[2]
WORKERS = 8
REFUSED = "refused"  # what an annotator prints whom the database refuses
EVENTS = 2  # that each save of a worker writes


def fill(database: Database, user: User, count: int) -> None:
    """Store this many reports."""
    records = [ReportRecord(f"Thorax {number}: kein Erguss.") for number in range(count)]
    with database.write() as session:
        reports.add_reports(session, records=records, imported_by=user.id)


@contextmanager
def annotators(url: str, *, remark: int = 0) -> Iterator[subprocess.Popen[str]]:
    """Eight annotators who have opened the database and begin when the standard input is closed.

    With a `remark` of so many bytes in every save they try again whenever the database refuses.
    """
    command = [sys.executable, str(ROOT / "tests" / "store" / "worker.py"), url, str(WORKERS), str(remark)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    pipe = subprocess.PIPE
    started = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment, start_new_session=True)
    try:
        assert [started.stdout.readline() for _ in range(WORKERS)] == ["ready\n"] * WORKERS
        yield started
    finally:
        kill(started)
        for end in (started.stdin, started.stdout):
            end.close()
        started.wait()


def kill(started: subprocess.Popen[str]) -> None:
    """All annotators at once, with a signal that none of them can answer."""
    if started.poll() is None:
        os.killpg(started.pid, signal.SIGKILL)


def killed_after(url: str, count: int, wait_s: float = 0) -> list[str]:
    """The reports whose saves were acknowledged by annotators who were killed `wait_s` after so many of them."""
    with annotators(url) as started:
        started.stdin.close()
        acknowledged = [started.stdout.readline().strip() for _ in range(count)]
        time.sleep(wait_s)
        kill(started)
        return acknowledged + started.stdout.read().split()


def read_until(started: subprocess.Popen[str], enough: Callable[[list[str]], bool]) -> list[str]:
    """What annotators print until it is enough; `enough` is asked after each line."""
    lines: list[str] = []
    while not enough(lines):
        line = started.stdout.readline().strip()
        assert line, "the annotators ended"
        lines.append(line)
    return lines


def saves(lines: list[str]) -> list[str]:
    """The reports whose saves were acknowledged, of what annotators print."""
    return [line for line in lines if line != REFUSED]


def saved_reports(url: str) -> Counter[str]:
    """How often each report was saved, by the database opened anew; a save that is not whole is an `AssertionError`."""
    database = open_database(url)
    with database.read() as session:
        saved = session.execute(select(SubmissionRow.id, SubmissionRow.report_id)).all()
        events = Counter(session.scalars(select(LabelEventRow.submission_id)))
        if not database.is_postgresql:
            assert session.scalar(text("PRAGMA integrity_check")) == "ok"
    database.close()
    assert events == {number: EVENTS for number, _ in saved}
    return Counter(str(report) for _, report in saved)
