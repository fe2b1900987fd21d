"""What the tests of the store share: a real database, two annotators, a few reports and a short way to save.

Every test that takes `url` or `database` runs twice: on a SQLite file and on a PostgreSQL server.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, select

from medbertde.store import Database, labelled, labels, open_database, reports, users
from medbertde.store.tables import LabelEventRow
from medbertde.types import LabelChange, LabelRevision, ReportRecord, Role, State, User

Save = Callable[..., tuple[LabelRevision, ...]]


@contextmanager
def transaction(url: str) -> Iterator[Connection]:
    """A transaction beside the store, for what it does not offer."""
    engine = create_engine(url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'labels.sqlite'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    new_postgres: Callable[[], str] = request.getfixturevalue("new_postgres")
    return new_postgres()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = open_database(url)
    yield opened
    opened.close()


@pytest.fixture
def anna(database: Database) -> User:
    with database.write() as session:
        return users.ensure_user(session, name="anna", role=Role.ANNOTATOR)


@pytest.fixture
def ben(database: Database) -> User:
    with database.write() as session:
        return users.ensure_user(session, name="ben", role=Role.ANNOTATOR)


@pytest.fixture
def report_ids(database: Database, anna: User) -> tuple[int, ...]:
    """Four stored chest radiographs."""
    records = [
        ReportRecord(f"Thorax {number}: kein Erguss, V. a. Stauung.", f"thorax-{number}", "xray") for number in range(4)
    ]
    with database.write() as session:
        return reports.add_reports(session, records=records, imported_by=anna.id).added_ids


@pytest.fixture
def save(database: Database) -> Save:
    """Save findings given as `Erguss=State.PRESENT`, in a transaction of their own."""

    def save_findings(
        report_id: int, user: User, *, flagged: bool = False, **findings: State | None
    ) -> tuple[LabelRevision, ...]:
        changes = [LabelChange(label, value) for label, value in findings.items()]
        with database.write() as session:
            number = labels.save(
                session,
                report_id=report_id,
                schema_id="chest_xray",
                schema_version=1,
                user_id=user.id,
                changes=changes,
                client_uuid=str(uuid.uuid4()),
                flagged=flagged,
            )
            written = session.scalars(select(LabelEventRow.id).where(LabelEventRow.submission_id == number)).all()
            history = labelled.history(session, report_id=report_id, schema_id="chest_xray")
        return tuple(one for one in history if one.id in written)

    return save_findings
