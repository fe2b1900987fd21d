"""The audit trail: who did what when. Append-only; its facts never hold report text (the caller sees to that)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, true

from medbertde.store.session import Session
from medbertde.store.tables import AuditRow, UserRow

Fact = str | int | float | bool | None


@dataclass(frozen=True)
class AuditEntry:
    """One line of the trail; `user` is None where the system acted by itself."""

    id: int
    user: str | None
    action: str
    facts: Mapping[str, Fact]
    created_at: datetime


def record(session: Session, *, user_id: int | None, action: str, facts: Mapping[str, Fact]) -> None:
    """Add a line in the same transaction as the action itself."""
    session.add(AuditRow(user_id=user_id, action=action, facts=dict(facts)))
    session.flush()


def entries(session: Session, *, limit: int = 100, before: int | None = None) -> list[AuditEntry]:
    """The newest lines first; `before` goes on below the line with this id."""
    rows = session.execute(
        select(AuditRow, UserRow.name)
        .outerjoin(UserRow, UserRow.id == AuditRow.user_id)
        .where(AuditRow.id < before if before is not None else true())
        .order_by(AuditRow.id.desc())
        .limit(limit)
    )
    return [AuditEntry(row.id, name, row.action, dict(row.facts), row.created_at) for row, name in rows]
