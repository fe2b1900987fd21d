"""A suggestion stays as it was shown."""

from __future__ import annotations

from medbertde.store import Database, suggestions
from medbertde.types import State, Suggestion


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
