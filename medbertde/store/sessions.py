"""Sessions of signed-in users and the count of sign-in attempts. Knows no tokens and no passwords, only their hashes.

Both hold across replicas: whoever asks, asks the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import bindparam, case, delete, select, update

from medbertde.store.account_tables import LoginAttemptRow, SessionRow
from medbertde.store.session import Session, insert
from medbertde.store.tables import UserRow, table_of, utc_now
from medbertde.types import Role, User

_SEEN_STEP = timedelta(minutes=1)  # a page that is open asks often; not every question is worth a write
_SESSION, _USER = table_of(SessionRow).c, table_of(UserRow).c
_LIVE = (
    select(_USER.id, _USER.name, _USER.role, _USER.terms_version, _SESSION.seen_at)
    .join(table_of(SessionRow), _SESSION.user_id == _USER.id)
    .where(
        _SESSION.token_hash == bindparam("token"),
        _SESSION.seen_at > bindparam("seen"),
        _SESSION.created_at > bindparam("created"),
        _USER.disabled_at.is_(None),
    )
)


@dataclass(frozen=True)
class Lifetime:
    """How long a session lasts without a request, and at most."""

    idle: timedelta
    absolute: timedelta


@dataclass(frozen=True)
class LiveSession:
    """A session that counts. `is_stale`: its last request is so long ago that the new one is worth noting."""

    user: User
    is_stale: bool


def open_session(session: Session, *, token_hash: str, user_id: int) -> None:
    """Begin a session."""
    session.add(SessionRow(token_hash=token_hash, user_id=user_id))
    session.flush()


def find_session(session: Session, *, token_hash: str, lifetime: Lifetime) -> LiveSession | None:
    """The session with this token; None when there is none, it has expired or its user is disabled."""
    now = utc_now()
    asked = {"token": token_hash, "seen": now - lifetime.idle, "created": now - lifetime.absolute}
    found = session.execute(_LIVE, asked).one_or_none()
    if found is None:
        return None
    user_id, name, role, terms_version, seen_at = found
    return LiveSession(User(user_id, name, role, terms_version), seen_at < now - _SEEN_STEP)


def touch(session: Session, *, token_hash: str) -> None:
    """Note that the session was used now."""
    session.execute(update(SessionRow).where(SessionRow.token_hash == token_hash).values(seen_at=utc_now()))


def close_session(session: Session, *, token_hash: str) -> None:
    """End a session; one that is gone already is no error."""
    session.execute(delete(SessionRow).where(SessionRow.token_hash == token_hash))


def close_all(session: Session, *, user_id: int, but: str = "") -> None:
    """End all sessions of a user, except the one whose token has the hash `but`."""
    session.execute(delete(SessionRow).where(SessionRow.user_id == user_id, SessionRow.token_hash != but))


def remove_expired(session: Session, *, lifetime: Lifetime, guests: str) -> None:
    """Delete sessions that have expired, and the users whose name begins with `guests` that have none left."""
    now = utc_now()
    session.execute(
        delete(SessionRow).where(
            (SessionRow.seen_at <= now - lifetime.idle) | (SessionRow.created_at <= now - lifetime.absolute)
        )
    )
    session.execute(
        delete(UserRow).where(
            UserRow.name.startswith(guests, autoescape=True),
            UserRow.role == Role.VIEWER,
            UserRow.password_hash.is_(None),
            UserRow.created_at <= now - lifetime.idle,
            ~select(SessionRow.token_hash).where(SessionRow.user_id == UserRow.id).exists(),
        )
    )


def count_attempt(session: Session, *, key: str, window: timedelta) -> int:
    """Count one more attempt and return how many there were in the window that is open; atomic in both databases."""
    now = utc_now()
    fresh = LoginAttemptRow.since <= now - window
    statement = insert(session, LoginAttemptRow).values(key=key, count=1, since=now)
    counted = statement.on_conflict_do_update(
        index_elements=[LoginAttemptRow.key],
        set_={
            "count": case((fresh, 1), else_=LoginAttemptRow.count + 1),
            "since": case((fresh, now), else_=LoginAttemptRow.since),
        },
    ).returning(LoginAttemptRow.count)
    return int(session.scalars(counted).one())


def forget_attempts(session: Session, *, key: str) -> None:
    """Begin to count anew for a name."""
    session.execute(delete(LoginAttemptRow).where(LoginAttemptRow.key == key))


def take_back_attempt(session: Session, *, key: str) -> None:
    """One attempt less: it was right."""
    session.execute(update(LoginAttemptRow).where(LoginAttemptRow.key == key).values(count=LoginAttemptRow.count - 1))


def remove_old_attempts(session: Session, *, window: timedelta) -> None:
    """Delete counts whose window has passed."""
    session.execute(delete(LoginAttemptRow).where(LoginAttemptRow.since <= utc_now() - window))
