"""Reports that annotators put aside, with the reason. Append-only; knows no queue and no page."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, bindparam, select

from medbertde.store.reports import get_report
from medbertde.store.session import Session
from medbertde.store.tables import ReportRow, SkipRow, UserRow, table_of
from medbertde.types import Skip, SkipReason


def record_skip(
    session: Session,
    *,
    report_id: int,
    schema_id: str,
    user_id: int,
    client_uuid: str,
    reason: SkipReason,
    comment: str = "",
    active_ms: int = 0,
) -> None:
    """Store one skip; the same `client_uuid` again writes nothing. `NotFound` when the report is gone."""
    if session.scalar(select(SkipRow.id).where(SkipRow.client_uuid == client_uuid)) is not None:
        return
    get_report(session, report_id=report_id)
    session.add(
        SkipRow(
            client_uuid=client_uuid,
            report_id=report_id,
            schema_id=schema_id,
            user_id=user_id,
            reason=reason,
            comment=comment,
            active_ms=active_ms,
        )
    )
    session.flush()


def put_aside_by_reader() -> Select[int]:
    """The ids of what the `reader` has put aside in the `schema`. For queries in `store`."""
    skip = table_of(SkipRow).c
    return select(skip.report_id).where(skip.user_id == bindparam("reader"), skip.schema_id == bindparam("schema"))


def put_aside(report_id: ColumnElement[int]) -> ColumnElement[bool]:
    """The condition that the `reader` has put this report aside in the `schema`. For queries in `store`."""
    return put_aside_by_reader().where(table_of(SkipRow).c.report_id == report_id).exists()


def skips(session: Session, *, schema_id: str, report_id: int | None = None, limit: int = 1000) -> list[Skip]:
    """What was put aside in a schema, or of one report, newest first: for review."""
    query = (
        select(SkipRow.report_id, ReportRow.key, UserRow.name, SkipRow.reason, SkipRow.comment, SkipRow.created_at)
        .join(ReportRow, ReportRow.id == SkipRow.report_id)
        .join(UserRow, UserRow.id == SkipRow.user_id)
        .where(SkipRow.schema_id == schema_id)
        .order_by(SkipRow.id.desc())
        .limit(limit)
    )
    if report_id is not None:
        query = query.where(SkipRow.report_id == report_id)
    return [Skip(*row) for row in session.execute(query)]
