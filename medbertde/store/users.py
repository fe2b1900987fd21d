"""Users: who they are, what they may do, the hash of their password, which terms they accepted.

Knows no passwords: hashes come and go as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select

from medbertde.store.session import Session
from medbertde.store.tables import UserRow, utc_now
from medbertde.types import NotFound, Role, User

_NAMED = select(UserRow).where(UserRow.name == bindparam("name"))


@dataclass(frozen=True)
class Account:
    """A user with what is needed to sign in. Without a hash nobody can sign in under this name."""

    user: User
    password_hash: str | None
    disabled_at: datetime | None
    created_at: datetime


def ensure_user(session: Session, *, name: str, role: Role) -> User:
    """The user with this name, created with `role` when there is none; an existing user keeps their role."""
    row = session.scalar(select(UserRow).where(UserRow.name == name))
    if row is None:
        row = UserRow(name=name, role=role)
        session.add(row)
        session.flush()
    return _user(row)


def find_user(session: Session, *, name: str) -> User | None:
    """The user with this name."""
    row = session.scalar(_NAMED, {"name": name})
    return None if row is None else _user(row)


def find_account(session: Session, *, name: str) -> Account | None:
    """The account with this name, disabled or not."""
    row = session.scalar(_NAMED, {"name": name})
    return None if row is None else _account(row)


def list_users(session: Session) -> list[User]:
    """All users by name."""
    return [_user(row) for row in session.scalars(select(UserRow).order_by(UserRow.name))]


def list_accounts(session: Session) -> list[Account]:
    """All accounts by name."""
    return [_account(row) for row in session.scalars(select(UserRow).order_by(UserRow.name))]


def count_active_admins(session: Session) -> int:
    """How many administrators can sign in."""
    active = (UserRow.role == Role.ADMIN, UserRow.disabled_at.is_(None), UserRow.password_hash.is_not(None))
    return session.scalars(select(func.count()).select_from(UserRow).where(*active)).one()


def set_password(session: Session, *, user_id: int, password_hash: str) -> None:
    """Exchange the hash of a user's password."""
    _row(session, user_id).password_hash = password_hash
    session.flush()


def set_role(session: Session, *, user_id: int, role: Role) -> User:
    """Give a user another role."""
    row = _row(session, user_id)
    row.role = role
    session.flush()
    return _user(row)


def set_disabled(session: Session, *, user_id: int, disabled: bool) -> None:
    """Lock a user out, or let them in again."""
    _row(session, user_id).disabled_at = utc_now() if disabled else None
    session.flush()


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


def _account(row: UserRow) -> Account:
    return Account(_user(row), row.password_hash, row.disabled_at, row.created_at)
