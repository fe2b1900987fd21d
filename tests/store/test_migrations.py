"""Each migration goes down and up again over a filled database; every row of the tables that stay is still there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import exc

from medbertde.store import Database, labels, open_database, rows, suggestions
from medbertde.store.migrations import alembic_config
from medbertde.types import FoundSpan, Rationale, Source, State, Suggestion, User
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


def test_0003_keeps_marks_and_suggested_findings_and_takes_suggested_spans_and_sources_with_it(
    database: Database, url: str, report_ids: tuple[int, ...], anna: User
) -> None:
    first, second, *_ = report_ids
    mark = Rationale("Dosis", 9, 13, source=Source.SUGGESTION_ACCEPTED)
    spans = Suggestion("marken@1", {}, {}, (FoundSpan("Dosis", 9, 13, 0.75),))
    findings = Suggestion("mini@1", {"Erguss": State.ABSENT}, {"Erguss": 0.1})
    with database.write() as session:
        suggestions.put(session, schema_id="medication", suggestions={first: spans})
        suggestions.put(session, schema_id="chest_xray", suggestions={second: findings})
        labels.save(
            session, report_id=first, schema_id="medication", schema_version=1, user_id=anna.id, changes=(),
            client_uuid="1", model_version="marken@1", rationales=[mark],
        )  # fmt: skip
    database.close()
    with transaction(url) as connection:
        command.downgrade(alembic_config(connection), "0002")
    with transaction(url) as connection:
        (row,) = connection.exec_driver_sql("SELECT * FROM rationales").mappings()
        assert (row["label"], row["start_char"], row["end_char"]) == ("Dosis", 9, 13)
        assert "source" not in row
        left = connection.exec_driver_sql("SELECT model_version FROM suggestions").scalars().all()
        assert left == ["mini@1"], "a suggestion without its spans would say that nothing was suggested"
    upgraded = open_database(url)
    with upgraded.read() as session:
        saved = labels.latest_submission(session, report_id=first, schema_id="medication")
        kept = suggestions.get(session, report_id=second, schema_id="chest_xray", model_version="mini@1")
    assert saved is not None
    assert saved.rationales == (mark,)
    assert [one.source for one in saved.rationales] == [None]
    assert kept == findings
    with pytest.raises(exc.DBAPIError, match="append-only"), upgraded.write() as session:
        session.connection().exec_driver_sql("UPDATE rationales SET source = 'human'")
    unknown = "(submission_id, label, start_char, end_char, source) VALUES (1, 'Dosis', 0, 4, 'somebody')"
    with pytest.raises(exc.DBAPIError, match="ck_rationales_source_known"), upgraded.write() as session:
        session.connection().exec_driver_sql(f"INSERT INTO rationales {unknown}")
    upgraded.close()
