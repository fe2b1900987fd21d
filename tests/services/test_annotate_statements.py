"""How much work one save with the next report is for the database: a bound that may only fall."""

from __future__ import annotations

from sqlalchemy import event

from medbertde.inference.runtime import Runtime
from medbertde.services.access import Access
from medbertde.services.annotate import Annotate
from medbertde.settings import Settings
from medbertde.store.session import Database
from medbertde.types import State, User
from tests.services.test_annotate import bring, decide, first

MOST_STATEMENTS = 31  # BEGIN included, without a model


def test_a_save_with_four_findings_and_the_next_report_takes_a_bounded_number_of_statements(
    database: Database, access: Access, settings: Settings, anna: User
) -> None:
    annotate = Annotate(database, Runtime("cpu"), access, settings)
    bring(annotate, anna, *(f"Kein Pneumothorax. Nr. {number}." for number in range(3)))
    four = {label: State.ABSENT for label in ("Erguss", "ZVK", "Stauung", "Pneumothorax")}
    item = first(annotate, anna)
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    result = annotate.save(anna, decide(item, values=four), count=1)
    event.remove(database.engine, "before_cursor_execute", note)
    assert len(result.revisions) == 4
    assert len(result.work.items) == 1
    assert len(statements) <= MOST_STATEMENTS, "\n".join(statements)
