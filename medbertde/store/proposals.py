"""Proposed rationales: what an explanation offers as evidence, until a person makes it a mark of their own.

Owns which proposal counts (the newest of a finding) and who may see it. Knows nothing of marks: those belong to their
submission (`labels`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, bindparam, func, select

from medbertde.store.session import Session
from medbertde.store.tables import ProposedRationaleRow, table_of
from medbertde.store.work_tables import AssignmentRow, ProjectRow
from medbertde.types import Proposal


def put(session: Session, *, report_id: int, schema_id: str, proposal: Proposal, user_id: int) -> None:
    """Keep a proposal; the same one again writes nothing."""
    if proposal in _newest(session, [report_id], schema_id).get(report_id, ()):
        return
    session.add(
        ProposedRationaleRow(
            report_id=report_id,
            schema_id=schema_id,
            label=proposal.label,
            state=proposal.state,
            spans={"spans": [list(span) for span in proposal.spans]},
            model_version=proposal.model_version,
            method=proposal.method,
            user_id=user_id,
        )
    )
    session.flush()


def shown_to(
    session: Session, *, report_ids: Collection[int], schema_id: str, user_id: int
) -> dict[int, tuple[Proposal, ...]]:
    """By report the newest proposal of each finding, for this reader.

    Reports that they read without suggestions, to compare with later, have none.
    """
    found = _newest(session, report_ids, schema_id)
    if not found:
        return {}
    asked = {"reports": list(found), "reader": user_id, "schema": schema_id}
    hidden = set(session.scalars(_BARE, asked))
    return {report_id: proposals for report_id, proposals in found.items() if report_id not in hidden}


def proposed_spans(session: Session, *, schema_id: str) -> set[tuple[int, str, int, int]]:
    """Every span that was ever proposed: report, finding, start, end."""
    row = ProposedRationaleRow
    query = select(row.report_id, row.label, row.spans).where(row.schema_id == schema_id)
    return {(report_id, label, *span) for report_id, label, kept in session.execute(query) for span in kept["spans"]}


def _newest(session: Session, report_ids: Collection[int], schema_id: str) -> dict[int, tuple[Proposal, ...]]:
    found: dict[int, tuple[Proposal, ...]] = {}
    for one in session.execute(_NEWEST, {"reports": list(report_ids), "schema": schema_id}):
        spans = tuple((int(start), int(end)) for start, end in one.spans["spans"])
        proposal = Proposal(one.label, one.state, spans, one.model_version, one.method)
        found[one.report_id] = (*found.get(one.report_id, ()), proposal)
    return found


def _newest_of_each_finding() -> Select[*tuple[Any, ...]]:
    row = table_of(ProposedRationaleRow).c
    ids = (
        select(func.max(row.id))
        .where(row.report_id.in_(bindparam("reports", expanding=True)), row.schema_id == bindparam("schema"))
        .group_by(row.report_id, row.label)
    )
    return select(table_of(ProposedRationaleRow)).where(row.id.in_(ids)).order_by(row.id)


_NEWEST = _newest_of_each_finding()
_BARE = (
    select(AssignmentRow.report_id)
    .join(ProjectRow)
    .where(
        AssignmentRow.report_id.in_(bindparam("reports", expanding=True)),
        AssignmentRow.user_id == bindparam("reader"),
        AssignmentRow.bare,
        ProjectRow.schema_id == bindparam("schema"),
    )
)
