"""A suggestion stays as it was shown."""

from __future__ import annotations

import pytest

from medbertde.store import Database, suggestions
from medbertde.types import FoundSpan, State, Suggestion


def test_the_first_suggestion_of_a_version_is_kept(database: Database, report_ids: tuple[int, ...]) -> None:
    shown = Suggestion("mini@1", {"Erguss": State.ABSENT, "ZVK": None}, {"Erguss": 0.03, "ZVK": 0.01})
    later = Suggestion("mini@1", {"Erguss": State.PRESENT}, {"Erguss": 0.9})
    with database.write() as session:
        suggestions.put(session, schema_id="chest_xray", suggestions={})
        suggestions.put(session, schema_id="chest_xray", suggestions={report_ids[0]: shown})
        suggestions.put(session, schema_id="chest_xray", suggestions={report_ids[0]: later, report_ids[1]: later})
    with database.read() as session:
        found = [
            suggestions.get(session, report_id=report_id, schema_id="chest_xray", model_version="mini@1")
            for report_id in report_ids[:3]
        ]
    assert found == [shown, later, None]


def test_spans_that_were_shown_come_back_and_an_empty_answer_is_no_missing_one(
    database: Database, report_ids: tuple[int, ...]
) -> None:
    shown = Suggestion(
        "marken@1",
        {},
        {"Dosis": 0.75, "Medikament": 0.5},
        (FoundSpan("Dosis", 9, 13, 0.75), FoundSpan("Medikament", 0, 8, 0.5)),
    )
    nothing, findings = Suggestion("marken@1", {}, {}, ()), Suggestion("mini@1", {"Erguss": None}, {"Erguss": 0.1})
    first, second, third, *_ = report_ids
    with database.write() as session:
        suggestions.put(session, schema_id="medication", suggestions={first: shown, second: nothing, third: findings})
    with database.read() as session:
        kept = [
            suggestions.get(session, report_id=report_id, schema_id="medication", model_version=made.model_version)
            for report_id, made in ((first, shown), (second, nothing), (third, findings))
        ]
        doubts = session.connection().exec_driver_sql("SELECT doubt FROM suggestions ORDER BY id").scalars().all()
    assert kept == [shown, nothing, findings]
    assert doubts == pytest.approx([1.0, 0.0, 0.2])
