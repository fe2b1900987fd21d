"""Users: who they are, what they may do, which terms they accepted. Knows no passwords yet (the column waits)."""

from __future__ import annotations

from sqlalchemy import select

from medbertde.store.session import Session
from medbertde.store.tables import UserRow, utc_now
from medbertde.types import NotFound, Role, User


def ensure_user(session: Session, *, name: str, role: Role) -> User:
    """The user with this name, created with `role` when there is none; an existing user keeps their role."""
    row = session.scalar(select(UserRow).where(UserRow.name == name))
    if row is None:
        row = UserRow(name=name, role=role)
        session.add(row)
        session.flush()
    return _user(row)


def get_user(session: Session, *, user_id: int) -> User:
    """The user with this id; `NotFound` when there is none."""
    return _user(_row(session, user_id))


def find_user(session: Session, *, name: str) -> User | None:
    """The user with this name."""
    row = session.scalar(select(UserRow).where(UserRow.name == name))
    return None if row is None else _user(row)


def list_users(session: Session) -> list[User]:
    """All users by name."""
    return [_user(row) for row in session.scalars(select(UserRow).order_by(UserRow.name))]


def accept_terms(session: Session, *, user_id: int, version: str) -> User:
    """Note that the user accepted this version of the terms now."""
    row = _row(session, user_id)
    row.terms_version, row.terms_at = version, utc_now()
    session.flush()
    return _user(row)


def _row(session: Session, user_id: int) -> UserRow:
    row = session.get(UserRow, user_id)
    if row is None:
        raise NotFound(f"Den Benutzer Nr. {user_id} gibt es nicht.", f"There is no user no. {user_id}.")
    return row


def _user(row: UserRow) -> User:
    return User(row.id, row.name, row.role, row.terms_version)
