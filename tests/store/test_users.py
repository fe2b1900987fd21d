"""Users keep their role and their acceptance of the terms; the audit trail names them."""

from __future__ import annotations

import pytest

from medbertde.store import Database, audit, users
from medbertde.types import NotFound, Role, User


def test_a_user_is_created_once_and_keeps_the_role(database: Database, anna: User) -> None:
    with database.write() as session:
        assert users.ensure_user(session, name="anna", role=Role.ADMIN) == anna
        assert users.list_users(session) == [anna]
    assert anna.role is Role.ANNOTATOR


def test_the_accepted_terms_are_remembered(database: Database, anna: User) -> None:
    with database.write() as session:
        assert users.accept_terms(session, user_id=anna.id, version="2026-11").terms_version == "2026-11"
    with database.read() as session:
        known = users.find_user(session, name="anna")
    assert known is not None
    assert known.terms_version == "2026-11"


def test_an_unknown_user_is_not_found(database: Database) -> None:
    with database.write() as session:
        assert users.find_user(session, name="nobody") is None
        with pytest.raises(NotFound):
            users.set_role(session, user_id=5, role=Role.ADMIN)


def test_the_audit_trail_says_who_did_what_newest_first(database: Database, anna: User) -> None:
    with database.write() as session:
        audit.record(session, user_id=None, action="started", facts={})
        audit.record(session, user_id=anna.id, action="exported", facts={"reports": 12, "schema": "chest_xray"})
    with database.read() as session:
        trail = audit.entries(session)
        assert len(audit.entries(session, limit=1)) == 1
    assert [(entry.user, entry.action) for entry in trail] == [("anna", "exported"), (None, "started")]
    assert trail[0].facts == {"reports": 12, "schema": "chest_xray"}
