"""Faults at full size: `python -m tests.drills` prints a table; anything lost or doubled ends it with an error.

Eight annotator processes killed again and again at random moments, and eight of them racing for the same reports, on
SQLite and on PostgreSQL; and the PostgreSQL server itself stopped at random moments without writing anything down.
`tests/store/test_processes.py` holds the same, smaller. The PostgreSQL server waits for the disk, as one in earnest
does.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from medbertde.store import open_database, users
from medbertde.types import Role
from tests import postgres
from tests.store.annotators import annotators, fill, kill, killed_after, saved_reports

LEAST, MOST = 40, 90  # acknowledgements before a kill
PAUSE_S = 0.05  # at most between the last of them and the kill


def main() -> None:
    """Run all drills and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--reports", type=int, default=3000, help="that eight annotators race for")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    args = parser.parse_args()
    print("| drill | database | what was found | s |\n|---|---|---|---|")
    for name in ("SQLite", "PostgreSQL"):
        tell(f"{args.kills} × kill -9", name, partial(kills, name, args.kills, random.Random(args.seed)))
        tell(f"8 processes, {args.reports} reports", name, partial(race, name, args.reports))
    tell(f"{args.kills} × server stopped", "PostgreSQL", partial(crashes, args.kills, random.Random(args.seed)))


def tell(drill: str, name: str, action: Callable[[], str]) -> None:
    """Run one drill and print its line."""
    start = time.monotonic()
    print(f"| {drill} | {name} | {action()} | {time.monotonic() - start:.0f} |", flush=True)


def kills(name: str, count: int, moments: random.Random) -> str:
    """Kill all annotators `count` times; every acknowledged save must be there once and whole."""
    acknowledged: list[str] = []
    with filled(name, reports=count * MOST * 10) as url:
        for _ in range(count):
            acknowledged += killed_after(url, moments.randint(LEAST, MOST), moments.uniform(0, PAUSE_S))
            require_all(acknowledged, url)
    return f"{len(acknowledged)} acknowledged saves, 0 lost, 0 half written, 0 doubled"


def crashes(count: int, moments: random.Random) -> str:
    """Stop the server `count` times under eight annotators; what it acknowledged must be there after each new start."""
    acknowledged: list[str] = []
    with postgres.running(durable=True) as server:
        url = server.create("drills")
        prepare(url, reports=count * MOST * 10)
        for _ in range(count):
            with annotators(url) as started:
                started.stdin.close()
                acknowledged += [started.stdout.readline().strip() for _ in range(moments.randint(LEAST, MOST))]
                time.sleep(moments.uniform(0, PAUSE_S))
                server.crash()
                kill(started)
                acknowledged += started.stdout.read().split()
            server.restart()
            require_all(acknowledged, url)
    return f"{len(acknowledged)} acknowledged saves, 0 lost, 0 half written, 0 doubled"


def require_all(acknowledged: list[str], url: str) -> None:
    """Every acknowledged save is there, and none twice."""
    saved = saved_reports(url)
    assert set(acknowledged) <= set(saved), "an acknowledged save is lost"
    assert set(saved.values()) == {1}, "a report was saved twice"


def race(name: str, count: int) -> str:
    """Eight annotators until nothing waits; every report must be done once."""
    with filled(name, reports=count) as url:
        with annotators(url) as started:
            done = Counter(started.communicate()[0].split())
        assert started.returncode == 0
        assert len(done) == count, "reports were left over"
        assert set(done.values()) == {1}, "two annotators had the same report"
        assert saved_reports(url) == done
    return f"{count} reports done, 0 given out twice"


@contextmanager
def filled(name: str, *, reports: int) -> Iterator[str]:
    """The address of a new database of this kind with so many reports."""
    with empty(name) as url:
        prepare(url, reports=reports)
        yield url


def prepare(url: str, *, reports: int) -> None:
    """Make the tables and store so many reports."""
    database = open_database(url)
    with database.write() as session:
        user = users.ensure_user(session, name="drill", role=Role.ADMIN)
    fill(database, user, reports)
    database.close()


@contextmanager
def empty(name: str) -> Iterator[str]:
    """The address of a new database of this kind."""
    if name == "PostgreSQL":
        with postgres.running(durable=True) as server:
            yield server.create("drills")
        return
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{Path(folder) / 'labels.sqlite'}"


if __name__ == "__main__":
    main()
