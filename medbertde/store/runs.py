"""Training runs as rows: at most one queued or running. Knows neither processes nor run folders' contents."""

from __future__ import annotations

from sqlalchemy import Select, select

from medbertde.store.session import Session
from medbertde.store.tables import RunRow, UserRow, utc_now
from medbertde.types import Conflict, NotFound, Run, RunState

GOING = (RunState.QUEUED, RunState.RUNNING)


def add_run(session: Session, *, run_id: str, schema_id: str, base_model: str, folder: str, user_id: int) -> Run:
    """Queue a run; `Conflict` while another one is queued or running (the database refuses it too)."""
    going = running_run(session)
    if going is not None:
        raise Conflict(
            f"Es läuft schon ein Training ({going.id}, gestartet von {going.started_by}). Bitte warten, bis es beendet "
            "ist, oder es abbrechen.",
            f"A training is already going ({going.id}, started by {going.started_by}). Please wait until it has ended "
            "or cancel it.",
        )
    session.add(
        RunRow(
            id=run_id,
            schema_id=schema_id,
            base_model=base_model,
            state=RunState.QUEUED,
            folder=folder,
            user_id=user_id,
        )
    )
    session.flush()
    return get_run(session, run_id=run_id)


def set_run_state(
    session: Session, *, run_id: str, state: RunState, pid: int | None = None, message: str | None = None
) -> Run:
    """Move a run on; a `pid` or `message` that is not given stays. `Conflict` when the run has already ended."""
    row = session.get(RunRow, run_id)
    if row is None:
        raise _unknown(run_id)
    if row.state not in GOING:
        raise Conflict(
            f"Das Training {run_id} ist schon beendet ({row.state}).",
            f"The training {run_id} has already ended ({row.state}).",
        )
    row.state = state
    row.pid = row.pid if pid is None else pid
    row.message = row.message if message is None else message
    row.finished_at = None if state in GOING else utc_now()
    session.flush()
    return get_run(session, run_id=run_id)


def get_run(session: Session, *, run_id: str) -> Run:
    """The run with this id; `NotFound` when there is none."""
    found = session.execute(_runs().where(RunRow.id == run_id)).one_or_none()
    if found is None:
        raise _unknown(run_id)
    return _run(*found)


def running_run(session: Session) -> Run | None:
    """The run that is queued or running."""
    found = session.execute(_runs().where(RunRow.state.in_(GOING))).one_or_none()
    return None if found is None else _run(*found)


def list_runs(session: Session, *, schema_id: str | None = None, limit: int = 50) -> list[Run]:
    """The newest runs first, of one schema or of all."""
    query = _runs().order_by(RunRow.created_at.desc(), RunRow.id.desc()).limit(limit)
    if schema_id is not None:
        query = query.where(RunRow.schema_id == schema_id)
    return [_run(*found) for found in session.execute(query)]


def _runs() -> Select[RunRow, str]:
    return select(RunRow, UserRow.name).join(UserRow, UserRow.id == RunRow.user_id)


def _run(row: RunRow, started_by: str) -> Run:
    return Run(
        id=row.id,
        schema_id=row.schema_id,
        base_model=row.base_model,
        state=row.state,
        folder=row.folder,
        started_by=started_by,
        created_at=row.created_at,
        finished_at=row.finished_at,
        pid=row.pid,
        message=row.message,
    )


def _unknown(run_id: str) -> NotFound:
    return NotFound(f"Das Training {run_id} gibt es nicht.", f"There is no training {run_id}.")
