"""Training runs as rows: at most one running and one that waits for it.

Knows neither processes nor what lies in run folders.
"""

from __future__ import annotations

from sqlalchemy import Select, select

from medbertde.store.session import Session
from medbertde.store.tables import RunRow, UserRow, utc_now
from medbertde.types import Conflict, NotFound, Run, RunState

GOING = (RunState.QUEUED, RunState.RUNNING)
ENDED_EARLY = (RunState.FAILED, RunState.CANCELLED)


def add_run(session: Session, *, run_id: str, schema_id: str, base_model: str, folder: str, user_id: int) -> Run:
    """Put a run at the end of the queue, where there is one place; `Conflict` while another one waits there."""
    _require_place(session)
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


def queue_again(session: Session, *, run_id: str) -> Run:
    """Let a run that ended early wait again; `Conflict` while another one waits, or for a run of another kind."""
    row = _row(session, run_id)
    if row.state not in ENDED_EARLY:
        raise Conflict(
            f"Das Training {run_id} lässt sich nicht fortsetzen ({row.state}).",
            f"The training {run_id} cannot go on ({row.state}).",
        )
    _require_place(session)
    row.state, row.pid, row.message, row.finished_at = RunState.QUEUED, None, None, None
    session.flush()
    return get_run(session, run_id=run_id)


def claim(session: Session) -> Run | None:
    """Let the waiting run begin, where none is running: it counts as running from now on. None: nothing to begin."""
    row = session.scalar(select(RunRow).where(RunRow.state == RunState.QUEUED).with_for_update())
    if row is None or running_run(session) is not None:
        return None
    row.state = RunState.RUNNING
    session.flush()
    return get_run(session, run_id=row.id)


def _require_place(session: Session) -> None:
    waiting = waiting_run(session)
    if waiting is not None:
        raise Conflict(
            f"Es wartet schon ein Training ({waiting.id}, von {waiting.started_by}), mehr als eines kann nicht warten. "
            "Bitte später starten oder das wartende abbrechen.",
            f"A training is already waiting ({waiting.id}, by {waiting.started_by}), and only one can. Please start "
            "later or cancel the one that waits.",
        )


def set_run_state(
    session: Session, *, run_id: str, state: RunState, pid: int | None = None, message: str | None = None
) -> Run:
    """Move a run on; a `pid` or `message` that is not given stays. `Conflict` when the run has already ended."""
    row = _row(session, run_id)
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
    """The run that is computing."""
    return _in_state(session, RunState.RUNNING)


def waiting_run(session: Session) -> Run | None:
    """The run that waits for the other one to end."""
    return _in_state(session, RunState.QUEUED)


def _in_state(session: Session, state: RunState) -> Run | None:
    found = session.execute(_runs().where(RunRow.state == state)).one_or_none()
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


def _row(session: Session, run_id: str) -> RunRow:
    row = session.get(RunRow, run_id)
    if row is None:
        raise _unknown(run_id)
    return row


def _unknown(run_id: str) -> NotFound:
    return NotFound(f"Das Training {run_id} gibt es nicht.", f"There is no training {run_id}.")
