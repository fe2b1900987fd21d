"""Model versions and which one is active: the newest activation of a schema counts, going back is one more of them.

`schema_id` names the slot a model answers in: a schema, or ``fill_mask`` for the language model. Knows rows and folder
names; whether a folder holds a usable checkpoint is checked before.
"""

from __future__ import annotations

from sqlalchemy import func, select

from medbertde.store.session import Session
from medbertde.store.tables import ActivationRow, ModelVersionRow, UserRow
from medbertde.types import Conflict, ModelVersion, NotFound


def add_version(
    session: Session, *, version: str, schema_id: str, folder: str, run_id: str | None = None
) -> ModelVersion:
    """Register a checkpoint; the same one again changes nothing, the same name for another one is a `Conflict`."""
    row = session.get(ModelVersionRow, version)
    if row is None:
        row = ModelVersionRow(version=version, schema_id=schema_id, folder=folder, run_id=run_id)
        session.add(row)
        session.flush()
    elif (row.schema_id, row.folder) != (schema_id, folder):
        raise Conflict(
            f"Die Modellversion {version} gibt es schon mit einem anderen Ordner. Bitte einen neuen Namen verwenden.",
            f"The model version {version} already exists with another folder. Please use a new name.",
        )
    return _model_version(session, row)


def move_version(session: Session, *, version: str, folder: str) -> None:
    """Note that a registered checkpoint lies in another folder by now."""
    row = session.get(ModelVersionRow, version)
    if row is None:
        raise _unknown(version)
    row.folder = folder
    session.flush()


def activate(session: Session, *, version: str, user_id: int) -> ModelVersion:
    """Make a version the active one of its schema; nothing is written when it already is. `NotFound` if unknown."""
    row = session.get(ModelVersionRow, version)
    if row is None:
        raise _unknown(version)
    if _active_name(session, row.schema_id) != version:
        session.add(ActivationRow(schema_id=row.schema_id, version=version, user_id=user_id))
        session.flush()
    return _model_version(session, row)


def active_version(session: Session, *, schema_id: str) -> ModelVersion | None:
    """The active version of a schema; None as long as none was ever activated."""
    name = _active_name(session, schema_id)
    row = None if name is None else session.get(ModelVersionRow, name)
    return None if row is None else _model_version(session, row)


def list_versions(session: Session, *, schema_id: str) -> list[ModelVersion]:
    """The versions of a schema, newest first."""
    rows = session.scalars(
        select(ModelVersionRow)
        .where(ModelVersionRow.schema_id == schema_id)
        .order_by(ModelVersionRow.created_at.desc(), ModelVersionRow.version.desc())
    )
    return [_model_version(session, row) for row in rows]


def _unknown(version: str) -> NotFound:
    return NotFound(f"Die Modellversion {version} gibt es nicht.", f"There is no model version {version}.")


def _active_name(session: Session, schema_id: str) -> str | None:
    newest = select(func.max(ActivationRow.id)).where(ActivationRow.schema_id == schema_id).scalar_subquery()
    return session.scalar(select(ActivationRow.version).where(ActivationRow.id == newest))


def _model_version(session: Session, row: ModelVersionRow) -> ModelVersion:
    """`promoted_by` is who activated it last."""
    promoted_by = session.scalar(
        select(UserRow.name)
        .join(ActivationRow)
        .where(ActivationRow.version == row.version)
        .order_by(ActivationRow.id.desc())
        .limit(1)
    )
    return ModelVersion(
        version=row.version,
        schema_id=row.schema_id,
        folder=row.folder,
        run_id=row.run_id,
        active=_active_name(session, row.schema_id) == row.version,
        promoted_by=promoted_by,
        created_at=row.created_at,
    )
