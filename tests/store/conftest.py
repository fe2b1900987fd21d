"""What the tests of the store share: a real database file, two annotators, a few reports and a short way to save.

With TEST_POSTGRES_URL set (a superuser's URL), every test that takes `database` also runs on PostgreSQL, each in a
schema of its own.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from medbertde.store import Database, labels, open_database, reports, users
from medbertde.types import LabelChange, LabelRevision, ReportRecord, Role, State, User

POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL", "")
Save = Callable[..., tuple[LabelRevision, ...]]


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'labels.sqlite'}"


@pytest.fixture(params=["sqlite", "postgresql"] if POSTGRES_URL else ["sqlite"])
def url(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[str]:
    if request.param == "sqlite":
        yield sqlite_url
        return
    schema = f"test_{uuid.uuid4().hex}"
    engine = create_engine(POSTGRES_URL)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    target = make_url(POSTGRES_URL).update_query_dict({"options": f"-csearch_path={schema}"})
    yield target.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


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

    def save_findings(report_id: int, user: User, **findings: State | None) -> tuple[LabelRevision, ...]:
        changes = [LabelChange(label, value) for label, value in findings.items()]
        with database.write() as session:
            return labels.save(
                session,
                report_id=report_id,
                schema_id="chest_xray",
                schema_version=1,
                user_id=user.id,
                changes=changes,
                client_uuid=str(uuid.uuid4()),
            )

    return save_findings
