"""How much work one save with the next report is for the database: a bound that may only fall."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from medbertde.inference.runtime import Runtime
from medbertde.services.access import Access
from medbertde.services.annotate import Annotate
from medbertde.settings import Settings
from medbertde.store import labels
from medbertde.store.session import Database
from medbertde.store.tables import Base
from medbertde.types import State, User
from tests.services.test_annotate import XRAY, bring, decide, first

MOST_STATEMENTS = 18  # BEGIN included, without a model
FOUR = dict.fromkeys(("Erguss", "ZVK", "Stauung", "Pneumothorax"), State.ABSENT)


@contextmanager
def noted(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """The statements that go to the database meanwhile, with their parameters."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        statements.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    yield statements
    event.remove(database.engine, "before_cursor_execute", note)


def test_a_save_with_four_findings_and_the_next_report_takes_a_bounded_number_of_statements(
    database: Database, access: Access, settings: Settings, anna: User
) -> None:
    annotate = Annotate(database, Runtime("cpu"), access, settings)
    bring(annotate, anna, *(f"Kein Pneumothorax. Nr. {number}." for number in range(3)))
    item = first(annotate, anna)
    with noted(database) as statements:
        result = annotate.save(anna, decide(item, values=FOUR), count=1)
    with database.read() as session:
        assert labels.current(session, report_id=item.report.id, schema_id=XRAY) == FOUR
    assert len(result.work.items) == 1
    assert len(statements) <= MOST_STATEMENTS, "\n".join(statement for statement, _ in statements)


def test_no_statement_of_a_save_reads_what_the_person_saved_before(
    database: Database, access: Access, settings: Settings, anna: User
) -> None:
    """An index by person alone made every save slower than the one before."""
    annotate = Annotate(database, Runtime("cpu"), access, settings)
    bring(annotate, anna, *(f"Kein Pneumothorax. Nr. {number}." for number in range(3)))
    with noted(database) as statements:
        annotate.save(anna, decide(first(annotate, anna), values=FOUR), count=1)
    plans = []
    with database.read() as session:
        for statement, parameters in statements:
            if statement.startswith(("SELECT", "UPDATE")):
                explained = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                plans += [row[3] for row in explained]
    large = set(Base.metadata.tables) - {"imports"}  # one row per imported file
    assert not [plan for plan in plans if plan.startswith("SCAN") and plan.split()[1] in large]
    reading = [plan for plan in plans if plan.startswith("SEARCH submissions")]
    assert reading
    assert all("report_id=?" in plan or "client_uuid=?" in plan or "rowid=?" in plan for plan in reading), reading
