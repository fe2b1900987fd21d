"""Sessions and the count of tries, on both databases: what expires, what is forgotten, and that counting loses none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from medbertde.store import Database, sessions, users
from medbertde.store.sessions import Lifetime
from medbertde.types import Role, User

LIFETIME = Lifetime(idle=timedelta(minutes=60), absolute=timedelta(hours=12))
WINDOW = timedelta(minutes=15)


def test_a_session_is_found_until_it_is_closed(database: Database, anna: User, ben: User) -> None:
    with database.write() as session:
        for token, user in (("a1", anna), ("a2", anna), ("b1", ben)):
            sessions.open_session(session, token_hash=token, user_id=user.id)
        sessions.close_session(session, token_hash="a1")
        sessions.close_session(session, token_hash="unknown")
    with database.read() as session:
        found = {
            token: sessions.find_session(session, token_hash=token, lifetime=LIFETIME) for token in ("a1", "a2", "b1")
        }
    assert {token: live.user if live else None for token, live in found.items()} == {"a1": None, "a2": anna, "b1": ben}


def test_closing_all_leaves_the_one_in_hand(database: Database, anna: User, ben: User) -> None:
    with database.write() as session:
        for token, user in (("a1", anna), ("a2", anna), ("b1", ben)):
            sessions.open_session(session, token_hash=token, user_id=user.id)
        sessions.close_all(session, user_id=anna.id, but="a2")
        live = [sessions.find_session(session, token_hash=token, lifetime=LIFETIME) for token in ("a1", "a2", "b1")]
    assert [one is not None for one in live] == [False, True, True]


def test_a_disabled_user_has_no_session(database: Database, anna: User) -> None:
    with database.write() as session:
        sessions.open_session(session, token_hash="a1", user_id=anna.id)
        users.set_disabled(session, user_id=anna.id, disabled=True)
        assert sessions.find_session(session, token_hash="a1", lifetime=LIFETIME) is None
        users.set_disabled(session, user_id=anna.id, disabled=False)
        assert sessions.find_session(session, token_hash="a1", lifetime=LIFETIME)


def test_what_has_expired_is_removed_with_its_guests_and_nobody_else(
    database: Database, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.write() as session:
        guest = users.ensure_user(session, name="gast-1", role=Role.VIEWER)
        named = users.ensure_user(session, name="gastwirt", role=Role.VIEWER)
        for token, user in (("a1", anna), ("g1", guest)):
            sessions.open_session(session, token_hash=token, user_id=user.id)
    monkeypatch.setattr(sessions, "utc_now", lambda: datetime.now(UTC) + timedelta(minutes=61))
    with database.write() as session:
        sessions.remove_expired(session, lifetime=LIFETIME, guests="gast-")
        assert users.list_users(session) == [anna, named]


def test_tries_at_the_same_moment_are_all_counted(database: Database) -> None:
    def count(_: int) -> int:
        with database.write() as session:
            return sessions.count_attempt(session, key="name:x", window=WINDOW)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(count, range(24))) == list(range(1, 25))


def test_the_count_begins_anew_after_the_window(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.write() as session:
        assert [sessions.count_attempt(session, key="k", window=WINDOW) for _ in range(3)] == [1, 2, 3]
        sessions.take_back_attempt(session, key="k")
        assert sessions.count_attempt(session, key="k", window=WINDOW) == 3
    monkeypatch.setattr(sessions, "utc_now", lambda: datetime.now(UTC) + WINDOW + timedelta(seconds=1))
    with database.write() as session:
        assert sessions.count_attempt(session, key="k", window=WINDOW) == 1
        sessions.forget_attempts(session, key="k")
        assert sessions.count_attempt(session, key="k", window=WINDOW) == 1


def test_the_last_administrator_is_counted_by_who_can_sign_in(database: Database) -> None:
    with database.write() as session:
        chief = users.ensure_user(session, name="chefin", role=Role.ADMIN)
        assert users.count_active_admins(session) == 0
        users.set_password(session, user_id=chief.id, password_hash="$argon2id$")
        assert users.count_active_admins(session) == 1
        users.set_role(session, user_id=chief.id, role=Role.CURATOR)
        assert users.count_active_admins(session) == 0
