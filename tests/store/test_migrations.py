"""Each migration goes down and up again over a filled database; every row of the tables that stay is still there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory

from medbertde.store import Database, open_database, rows
from medbertde.store.migrations import alembic_config
from medbertde.types import State, User
from tests.store.conftest import transaction

Save = Callable[..., Any]


def steps_down(url: str) -> list[str]:
    """Every revision below the newest one, newest first."""
    with transaction(url) as connection:
        script = ScriptDirectory.from_config(alembic_config(connection))
    return [revision.revision for revision in script.walk_revisions()][1:]


def contents(url: str) -> rows.Contents:
    opened = open_database(url)
    with opened.read() as session:
        found = rows.contents(session)
    opened.close()
    return found


@pytest.fixture
def filled(database: Database, url: str, save: Save, report_ids: tuple[int, ...], anna: User, ben: User) -> str:
    for number, report_id in enumerate(report_ids):
        save(report_id, anna, Erguss=State.ABSENT, Stauung=State.UNCERTAIN)
        save(report_id, ben, flagged=number == 0, Erguss=State.PRESENT)
    database.close()
    return url


def test_down_to_each_migration_and_up_again_keeps_every_row(filled: str) -> None:
    before = contents(filled)
    assert before.counts["label_events"] == 12
    revisions = steps_down(filled)
    assert revisions
    for revision in revisions:
        with transaction(filled) as connection:
            command.downgrade(alembic_config(connection), revision)
        assert contents(filled) == before, f"down to {revision} and up again"
