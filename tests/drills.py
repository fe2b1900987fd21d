"""Faults at full size: `python -m tests.drills` prints a table; anything lost or doubled ends it with an error.

Eight annotator processes killed again and again at random moments, and eight of them racing for the same reports, on
SQLite and on PostgreSQL; and the PostgreSQL server itself stopped at random moments without writing anything down, and
on a disk that is full again and again (a file system of its own in memory where this user may mount one, else a limit
on the size of files). `tests/store/test_processes.py` and `test_full_disk.py` hold the same, smaller. The PostgreSQL
server waits for the disk, as one in earnest does.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from medbertde.store import open_database, users
from medbertde.types import Role
from tests import postgres
from tests.store.annotators import (
    REFUSED,
    annotators,
    fill,
    kill,
    killed_after,
    read_until,
    saved_reports,
    saves,
)

LEAST, MOST = 40, 90  # acknowledgements before a kill
PAUSE_S = 0.05  # at most between the last of them and the kill
REMARK, REFUSALS = 9_000, 16  # bytes with each save on a full disk, and refusals before there is room again
DISK_MB = 600


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
    with small_disk() as disk:
        kind = f"a disk of {DISK_MB} MB" if disk else "a limit on the size of files"
        moments = random.Random(args.seed)
        tell(f"{args.kills} × disk full ({kind})", "PostgreSQL", partial(full, disk, args.kills, moments))


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


def full(disk: Path | None, count: int, moments: random.Random) -> str:
    """Leave the server without room `count` times under eight annotators who try again; then all that they saved is."""
    with postgres.running(durable=True, log_mb=1, within=disk) as server:
        url = server.create("drills")
        prepare(url, reports=count * MOST * 10)
        with annotators(url, remark=REMARK) as started:
            started.stdin.close()
            told: list[str] = []
            for _ in range(count):
                least = moments.randint(LEAST, MOST)
                told += read_until(started, lambda lines, least=least: going_on(server, lines, least))
                with no_room(server, disk):
                    told += read_until(started, lambda lines: lines.count(REFUSED) >= REFUSALS)
            told += read_until(started, lambda lines: going_on(server, lines, MOST))
            kill(started)
            told += started.stdout.read().split()
        require_all(saves(told), url)
    counted = f"{len(saves(told))} acknowledged saves, {told.count(REFUSED)} refused with a sentence"
    return f"{counted}, 0 lost, 0 half written, 0 doubled"


def going_on(server: postgres.Server, lines: list[str], least: int) -> bool:
    """Whether so many saves were acknowledged; a server that the full disk has stopped is started again."""
    if lines and lines[-1] == REFUSED:
        server.revive()
    return len(saves(lines)) >= least


@contextmanager
def no_room(server: postgres.Server, disk: Path | None) -> Iterator[None]:
    """Nothing more can be written to the disk; without one of our own, to no file."""
    if disk is None:
        server.limit_files(0)
        yield
        server.revive()
        server.limit_files(None)
        return
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(2**16)):
            pass
    yield
    ballast.unlink()


@contextmanager
def small_disk() -> Iterator[Path | None]:
    """A small file system of its own, None where this user may not mount one."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        options = ["-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0755", "medbertde-drill", folder]
        mounted = subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
        try:
            yield Path(folder) if mounted else None
        finally:
            if mounted:
                subprocess.run(["umount", folder], check=True)


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
