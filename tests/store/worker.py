"""An annotator in a process of its own: takes and saves reports, and prints each id once the save was acknowledged.

Run: python tests/store/worker.py DATABASE_URL USER_NAME
"""

from __future__ import annotations

import sys
import uuid

from medbertde.store import labels, open_database, queue, users
from medbertde.types import LabelChange, Role, State


def main(url: str, name: str) -> None:
    """Work until nothing waits."""
    database = open_database(url)
    with database.write() as session:
        user = users.ensure_user(session, name=name, role=Role.ANNOTATOR)
    while True:
        with database.write() as session:
            report = queue.next_report(
                session, schema_id="chest_xray", user_id=user.id, modality=None, lease_minutes=15
            )
        if report is None:
            return
        with database.write() as session:
            labels.save(
                session,
                report_id=report.id,
                schema_id="chest_xray",
                schema_version=1,
                user_id=user.id,
                changes=[LabelChange("Erguss", State.PRESENT), LabelChange("ZVK", State.ABSENT)],
                client_uuid=str(uuid.uuid4()),
            )
        print(report.id, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
