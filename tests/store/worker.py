"""Annotators in processes of their own: each takes and saves reports until nothing waits.

Run: python tests/store/worker.py DATABASE_URL COUNT [REMARK]

Prints "ready" for each annotator that has opened the database, waits for the end of standard input, then prints the id
of each report once its save was acknowledged. With REMARK every save has a remark of so many bytes, and an annotator
whom the database refuses prints "refused" and tries the same again.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

from medbertde.store import Database, Session, StorageError, labels, open_database, projects, queue, users
from medbertde.types import LabelChange, Role, State

PAUSE_S = 0.05  # before the next try


def main(url: str, count: str, remark: str = "") -> int:
    """Start the annotators and wait for them; 0 when all of them came to the end."""
    for number in range(int(count)):
        if os.fork() == 0:
            work(url, f"worker-{number}", int(remark or 0))
            os._exit(0)
    return max(os.waitpid(-1, 0)[1] for _ in range(int(count)))


def work(url: str, name: str, remark: int) -> None:
    """Work until nothing waits."""
    database = open_database(url)
    with database.write() as session:
        user = users.ensure_user(session, name=name, role=Role.ANNOTATOR)
        project = projects.default_project(session, schema_id="chest_xray", modality="xray")
    tell("ready")
    sys.stdin.read()
    stored = stubborn if remark else once
    while True:
        taken = stored(
            database, lambda session: queue.next_report(session, project=project, user_id=user.id, lease_minutes=15)
        )
        if taken is None:
            return
        decision = {
            "report_id": taken.report.id,
            "schema_id": "chest_xray",
            "schema_version": 1,
            "user_id": user.id,
            "changes": [LabelChange("Erguss", State.PRESENT), LabelChange("ZVK", State.ABSENT)],
            "client_uuid": str(uuid.uuid4()),
            "comment": secrets.token_urlsafe(remark)[:remark],
        }
        stored(database, lambda session, decision=decision: labels.save(session, **decision))
        tell(str(taken.report.id))


def once(database: Database, action: Callable[[Session], Any]) -> Any:
    """In a transaction of its own."""
    with database.write() as session:
        return action(session)


def stubborn(database: Database, action: Callable[[Session], Any]) -> Any:
    """As `once`, again and again while the database refuses."""
    while True:
        try:
            return once(database, action)
        except StorageError:
            tell("refused")
            time.sleep(PAUSE_S)


def tell(line: str) -> None:
    """One line in one write, so that those of several annotators do not mix."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
