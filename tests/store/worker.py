"""Annotators in processes of their own: each takes and saves reports until nothing waits.

Run: python tests/store/worker.py DATABASE_URL COUNT

Prints "ready" for each annotator that has opened the database, waits for the end of standard input, then prints the id
of each report once its save was acknowledged.
"""

from __future__ import annotations

import os
import sys
import uuid

from medbertde.store import labels, open_database, projects, queue, users
from medbertde.types import LabelChange, Role, State


def main(url: str, count: str) -> int:
    """Start the annotators and wait for them; 0 when all of them came to the end."""
    for number in range(int(count)):
        if os.fork() == 0:
            work(url, f"worker-{number}")
            os._exit(0)
    return max(os.waitpid(-1, 0)[1] for _ in range(int(count)))


def work(url: str, name: str) -> None:
    """Work until nothing waits."""
    database = open_database(url)
    with database.write() as session:
        user = users.ensure_user(session, name=name, role=Role.ANNOTATOR)
        project = projects.default_project(session, schema_id="chest_xray", modality="xray")
    tell("ready")
    sys.stdin.read()
    while True:
        with database.write() as session:
            taken = queue.next_report(session, project=project, user_id=user.id, lease_minutes=15)
        if taken is None:
            return
        with database.write() as session:
            labels.save(
                session,
                report_id=taken.report.id,
                schema_id="chest_xray",
                schema_version=1,
                user_id=user.id,
                changes=[LabelChange("Erguss", State.PRESENT), LabelChange("ZVK", State.ABSENT)],
                client_uuid=str(uuid.uuid4()),
            )
        tell(str(taken.report.id))


def tell(line: str) -> None:
    """One line in one write, so that those of several annotators do not mix."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
