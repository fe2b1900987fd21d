"""Accounts: signing in, what locks out, how sessions end, what an admin may do and must not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from medbertde.services import accounts as rules
from medbertde.services import passwords
from medbertde.services.access import Access, Caller
from medbertde.services.accounts import TRIES_PER_NAME, WINDOW, Accounts
from medbertde.settings import Settings
from medbertde.store import sessions, tables, users
from medbertde.types import (
    Conflict,
    Forbidden,
    NotFound,
    NotSignedIn,
    PasswordRefused,
    Role,
    SignInRefused,
    User,
    UserError,
)

PASSWORD = "Kein Erguss, kein Pneu."
OTHER = "Herz normal groß und schlank"
HERE = "10.0.0.1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(var=tmp_path, profile="server", host="0.0.0.0")


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same hashes, made in a moment: what they cost is not tested here."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@pytest.fixture
def operator(access: Access) -> User:
    return access.operator()


@pytest.fixture(autouse=True)
def people(accounts: Accounts, operator: User, cheap_hashes: None) -> None:
    accounts.add(operator, "chefin", Role.ADMIN, PASSWORD)
    accounts.add(operator, "anna", Role.ANNOTATOR, PASSWORD)


def later(monkeypatch: pytest.MonkeyPatch, **passed: float) -> None:
    """Go on that much later."""
    now = datetime.now(UTC) + timedelta(**passed)
    for module in (tables, sessions, users):
        monkeypatch.setattr(module, "utc_now", lambda: now)


def refused(accounts: Accounts, name: str, password: str, address: str = HERE) -> str:
    with pytest.raises(SignInRefused) as raised:
        accounts.sign_in(name, password, address)
    return raised.value.de


def actions(accounts: Accounts, operator: User) -> list[tuple[str | None, str]]:
    return [(entry.user, entry.action) for entry in accounts.audit(operator)]


def test_a_session_belongs_to_who_signed_in_until_they_sign_out(accounts: Accounts, operator: User) -> None:
    token = accounts.sign_in("anna", PASSWORD, HERE)
    found = accounts.user_of(token)
    assert found is not None
    assert (found.name, found.role) == ("anna", Role.ANNOTATOR)
    accounts.sign_out(token)
    assert accounts.user_of(token) is None
    assert accounts.user_of("erfunden") is None
    assert actions(accounts, operator)[:2] == [("anna", "sign_out"), ("anna", "sign_in")]


def test_an_unknown_name_a_disabled_account_and_a_wrong_password_get_the_same_answer(
    accounts: Accounts, operator: User
) -> None:
    accounts.add(operator, "ben", Role.VIEWER, PASSWORD)
    accounts.disable(operator, "ben")
    said = {
        refused(accounts, "anna", "falsch und lang genug"),
        refused(accounts, "niemand", PASSWORD),
        refused(accounts, "ben", PASSWORD),
        refused(accounts, operator.name, ""),  # the local user has no password
    }
    assert said == {"Benutzername oder Passwort stimmt nicht."}


def test_half_characters_are_a_wrong_name_or_password_and_count_as_tries(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "TRIES_PER_ADDRESS", 4)
    for name, password in (("\ud800", PASSWORD), ("\0", PASSWORD), ("anna", "\ud800"), ("an\ud800na", "\0")):
        assert refused(accounts, name, password) == "Benutzername oder Passwort stimmt nicht."
    assert refused(accounts, "anna", "falsch").startswith("Zu viele")
    assert accounts.user_of("\ud800") is None


def test_too_many_tries_lock_a_name_for_a_while_known_or_not(
    accounts: Accounts, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "is_right", lambda password, hashed: password == PASSWORD)  # tries without their cost
    for name in ("anna", "niemand"):
        for _ in range(TRIES_PER_NAME):
            assert refused(accounts, name, "falsch") == "Benutzername oder Passwort stimmt nicht."
        assert refused(accounts, name, PASSWORD).startswith("Zu viele Fehlversuche. Bitte warten Sie 15 Minuten")
    assert ("anna", "locked") in actions(accounts, operator)
    assert accounts.sign_in("chefin", PASSWORD, HERE)
    later(monkeypatch, seconds=WINDOW.total_seconds() + 1)
    assert accounts.sign_in("anna", PASSWORD, HERE)


def test_a_right_password_begins_the_count_anew(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "is_right", lambda password, hashed: password == PASSWORD)
    for _ in range(3):
        for _ in range(TRIES_PER_NAME - 1):
            refused(accounts, "anna", "falsch")
        accounts.sign_in("anna", PASSWORD, HERE)


def test_an_address_that_tries_many_names_is_locked_others_are_not(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "is_right", lambda password, hashed: password == PASSWORD)
    monkeypatch.setattr(rules, "TRIES_PER_ADDRESS", 5)
    for number in range(5):
        refused(accounts, f"name{number}", "falsch")
    assert refused(accounts, "anna", PASSWORD).startswith("Zu viele")
    assert accounts.sign_in("anna", PASSWORD, "10.0.0.2")


def test_a_session_ends_after_an_hour_without_a_request(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    token = accounts.sign_in("anna", PASSWORD, HERE)
    later(monkeypatch, minutes=59)
    assert accounts.user_of(token)
    later(monkeypatch, minutes=118)
    assert accounts.user_of(token), "the request after 59 minutes counts"
    later(monkeypatch, minutes=179)
    assert accounts.user_of(token) is None


def test_a_session_ends_after_twelve_hours_in_any_case(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    token = accounts.sign_in("anna", PASSWORD, HERE)
    for minutes in range(50, 12 * 60, 50):
        later(monkeypatch, minutes=minutes)
        assert accounts.user_of(token)
    later(monkeypatch, minutes=12 * 60 + 1)
    assert accounts.user_of(token) is None


def test_a_session_holds_over_a_restart_and_on_another_replica(accounts: Accounts, settings: Settings) -> None:
    from medbertde.store.session import open_database

    token = accounts.sign_in("anna", PASSWORD, HERE)
    other = open_database(settings.database_url)
    replica = Accounts(other, Access(other, settings), settings)
    assert replica.user_of(token) == accounts.user_of(token)
    replica.sign_out(token)
    assert accounts.user_of(token) is None
    other.close()


def test_neither_tokens_nor_passwords_nor_typed_names_are_stored(accounts: Accounts, settings: Settings) -> None:
    token = accounts.sign_in("anna", PASSWORD, HERE)
    refused(accounts, "mein Passwort im falschen Feld", PASSWORD)
    stored = b"".join(path.read_bytes() for path in settings.var.rglob("*") if path.is_file())
    for secret in (token, PASSWORD, "im falschen Feld"):
        assert secret.encode() not in stored


def test_a_new_own_password_ends_the_other_sessions(accounts: Accounts) -> None:
    here, there = accounts.sign_in("anna", PASSWORD, HERE), accounts.sign_in("anna", PASSWORD, HERE)
    anna = accounts.user_of(here)
    assert anna is not None
    with pytest.raises(SignInRefused, match="present password"):
        accounts.change_password(anna, here, OTHER, OTHER, HERE)
    accounts.change_password(anna, here, PASSWORD, OTHER, HERE)
    assert accounts.user_of(here) == anna
    assert accounts.user_of(there) is None
    refused(accounts, "anna", PASSWORD)
    assert accounts.sign_in("anna", OTHER, HERE)


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("kurz", "mindestens 12 und höchstens 256 Zeichen, dieses hat 4"),
        ("a" * 12, "zu leicht"),
        ("doris" * 4, "zu leicht"),
    ],
)
def test_an_easy_password_is_refused_with_what_is_expected(
    accounts: Accounts, operator: User, password: str, said: str
) -> None:
    with pytest.raises(PasswordRefused) as raised:
        accounts.add(operator, "doris", Role.VIEWER, password)
    assert said in raised.value.de
    assert all(person.name != "doris" for person in accounts.people(operator))


def test_a_name_is_taken_however_it_is_written(accounts: Accounts, operator: User) -> None:
    with pytest.raises(Conflict, match="There is a user anna already"):
        accounts.add(operator, "Anna", Role.VIEWER, PASSWORD)
    for name in ("a", "gast-1", "<b>anna</b>", "anna meier"):
        with pytest.raises(UserError, match="A user name has"):
            accounts.add(operator, name, Role.VIEWER, PASSWORD)


def test_a_role_counts_from_the_next_request_on_and_a_disabled_user_is_out_at_once(
    accounts: Accounts, operator: User, access: Access
) -> None:
    token = accounts.sign_in("anna", PASSWORD, HERE)
    accounts.set_role(operator, "anna", Role.VIEWER)
    found = accounts.user_of(token)
    assert found is not None
    assert found.role is Role.VIEWER
    accounts.disable(operator, "anna")
    assert accounts.user_of(token) is None
    with pytest.raises(NotSignedIn):
        access.identify(Caller("anna", None))
    accounts.enable(operator, "anna")
    assert accounts.sign_in("anna", PASSWORD, HERE)


def test_a_reset_password_opens_a_locked_account_and_ends_its_sessions(
    accounts: Accounts, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = accounts.sign_in("anna", PASSWORD, HERE)
    with monkeypatch.context() as patched:
        patched.setattr(rules, "is_right", lambda password, hashed: False)
        for _ in range(TRIES_PER_NAME + 1):
            refused(accounts, "anna", "falsch")
    accounts.reset_password(operator, "anna", OTHER)
    assert accounts.user_of(token) is None
    assert accounts.sign_in("anna", OTHER, HERE)


def test_the_last_administrator_stays(accounts: Accounts, operator: User) -> None:
    for change in (
        lambda: accounts.disable(operator, "chefin"),
        lambda: accounts.set_role(operator, "chefin", Role.CURATOR),
    ):
        with pytest.raises(Conflict, match="last account with the role admin"):
            change()
    accounts.add(operator, "chef", Role.ADMIN, PASSWORD)
    accounts.disable(operator, "chefin")
    assert {person.name: person.can_sign_in for person in accounts.people(operator)} == {
        "anna": True, "chef": True, "chefin": False, operator.name: False,
    }  # fmt: skip


def test_the_name_of_the_command_line_stays_an_administrator(
    accounts: Accounts, operator: User, access: Access
) -> None:
    for change in (
        lambda: accounts.add(operator, operator.name, Role.ANNOTATOR, PASSWORD),
        lambda: accounts.set_role(operator, operator.name, Role.VIEWER),
    ):
        with pytest.raises(Conflict, match="command line of this machine works under the name lokal"):
            change()
    assert access.operator().role is Role.ADMIN
    assert accounts.add(operator, operator.name, Role.ADMIN, PASSWORD).can_sign_in


def test_an_unknown_person_is_said(accounts: Accounts, operator: User) -> None:
    with pytest.raises(NotFound, match="There is no user cem"):
        accounts.disable(operator, "cem")


def test_only_an_admin_reads_the_audit_trail_and_pages_through_it(accounts: Accounts, operator: User) -> None:
    anna = accounts.user_of(accounts.sign_in("anna", PASSWORD, HERE))
    assert anna is not None
    with pytest.raises(Forbidden):
        accounts.audit(anna)
    newest = accounts.audit(operator, limit=2)
    older = accounts.audit(operator, before=newest[-1].id)
    assert [entry.action for entry in newest] == ["sign_in", "add_user"]
    assert [entry.facts["name"] for entry in older] == ["chefin"]


def test_terms_are_accepted_per_user_and_version_with_their_time(
    accounts: Accounts, operator: User, access: Access
) -> None:
    anna = access.accept_terms(access.identify(Caller("anna", None)))
    (entry,) = [entry for entry in accounts.audit(operator) if entry.action == "accept_terms"]
    assert (entry.user, entry.facts["version"]) == ("anna", anna.terms_version)
    assert datetime.now(UTC) - entry.created_at < timedelta(minutes=5)
    assert not access.has_accepted(access.identify(Caller("chefin", None)))


def test_a_guest_may_read_owns_nothing_and_is_forgotten(
    accounts: Accounts, operator: User, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (accounts.user_of(accounts.welcome_guest()) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.id != second.id
    assert first.role is Role.VIEWER
    assert access.has_accepted(access.accept_terms(first))
    assert all(not person.name.startswith("gast-") for person in accounts.people(operator))
    later(monkeypatch, hours=2)
    accounts.welcome_guest()
    with pytest.raises(NotSignedIn):
        access.identify(Caller(first.name, None))


def test_an_address_for_others_needs_an_administrator_first(tmp_path: Path) -> None:
    from medbertde.store.session import open_database

    for options, said in (
        ({"host": "0.0.0.0"}, "python -m medbertde users add NAME --role admin"),
        ({"host": "klinik.example"}, "python -m medbertde users add NAME --role admin"),
        ({"host": "0.0.0.0", "profile": "local"}, "MEDBERTDE_PROFILE=server"),
        ({"host": "127.0.0.1", "profile": "server"}, "python -m medbertde users add NAME --role admin"),
    ):
        settings = Settings(var=tmp_path / "new", **options)
        database = open_database(settings.database_url)
        accounts = Accounts(database, Access(database, settings), settings)
        with pytest.raises(UserError) as raised:
            accounts.require_startable()
        database.close()
        assert said in raised.value.de


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_on_this_machine_alone_nobody_signs_in(tmp_path: Path, host: str) -> None:
    from medbertde.store.session import open_database

    settings = Settings(var=tmp_path, host=host)
    database = open_database(settings.database_url)
    access = Access(database, settings)
    Accounts(database, access, settings).require_startable()
    assert access.identify(Caller(None, None)) == access.operator()
    database.close()
