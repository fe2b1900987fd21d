"""The tables of signing in: who is signed in, and how often a sign-in was tried.

Owns the shape of these rows, as `tables` does for the others. Neither holds a secret: a session is kept as the hash of
its token, an attempt under the hash of the name that was typed.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from medbertde.store.tables import Base, utc_now


class SessionRow(Base):
    """Someone is signed in; `seen_at` is written at most once a minute."""

    __tablename__ = "sessions"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    seen_at: Mapped[datetime] = mapped_column(default=utc_now)


class LoginAttemptRow(Base):
    """How many sign-ins were tried `since` then for a name or from an address."""

    __tablename__ = "login_attempts"

    key: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    since: Mapped[datetime]
