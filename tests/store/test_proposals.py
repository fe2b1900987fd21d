"""Proposed rationales as rows: kept for good, the newest of a finding counts, the same one again is no news."""

from __future__ import annotations

import pytest
from sqlalchemy import exc, func, select, text

from medbertde.store import Database, proposals
from medbertde.store.tables import ProposedRationaleRow
from medbertde.types import Proposal, State, User

XRAY = "chest_xray"


def proposal(*spans: tuple[int, int], label: str = "Erguss") -> Proposal:
    return Proposal(label, State.PRESENT, spans, "m@1", "layer_integrated_gradients")


def put(database: Database, user: User, report_id: int, *found: Proposal) -> None:
    with database.write() as session:
        for one in found:
            proposals.put(session, report_id=report_id, schema_id=XRAY, proposal=one, user_id=user.id)


def test_the_newest_of_each_finding_counts_and_a_repetition_writes_no_row(
    database: Database, report_ids: tuple[int, ...], anna: User
) -> None:
    first, second, other = proposal((0, 6)), proposal((0, 6), (10, 16)), proposal((3, 5), label="Stauung")
    put(database, anna, report_ids[0], first, other, second, second, other)
    with database.read() as session:
        shown = proposals.shown_to(session, report_ids=report_ids, schema_id=XRAY, user_id=anna.id)
        rows = session.scalar(select(func.count()).select_from(ProposedRationaleRow))
        spans = proposals.proposed_spans(session, schema_id=XRAY)
    assert shown == {report_ids[0]: (other, second)}
    assert rows == 3
    assert spans == {(report_ids[0], *one) for one in (("Erguss", 0, 6), ("Erguss", 10, 16), ("Stauung", 3, 5))}


@pytest.mark.parametrize("statement", ["UPDATE proposed_rationales SET label = 'x'", "DELETE FROM proposed_rationales"])
def test_proposals_are_never_changed(
    database: Database, report_ids: tuple[int, ...], anna: User, statement: str
) -> None:
    put(database, anna, report_ids[0], proposal((0, 6)))
    with pytest.raises(exc.DBAPIError, match="append-only"), database.write() as session:
        session.execute(text(statement))
