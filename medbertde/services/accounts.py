"""Accounts: signing in and out, sessions, passwords, and what an admin does with people; the audit trail to read.

Owns the rules: how often may be tried, how long a session lasts, that an administrator is left. The token of a session
is known to the browser alone, the database keeps its hash. Knows no HTTP.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from medbertde.services.access import Access
from medbertde.services.passwords import hash_password, is_right, require_password
from medbertde.settings import Profile, Settings
from medbertde.store import audit, sessions, users
from medbertde.store.audit import AuditEntry
from medbertde.store.session import Database, Session
from medbertde.store.sessions import Lifetime
from medbertde.store.users import Account
from medbertde.types import Conflict, NotFound, Role, SignInRefused, StorageError, User, UserError
from medbertde.user_names import FROM_HUB, GUEST, RULE_DE, RULE_EN, can_be_a_name, is_free_to_choose

TRIES_PER_NAME = 8
TRIES_PER_ADDRESS = 60  # a clinic may share one address
WINDOW = timedelta(minutes=15)
AUDIT_PAGE = 50


@dataclass(frozen=True)
class Person:
    """A user as administrators see them."""

    name: str
    role: Role
    can_sign_in: bool
    disabled: bool
    terms_version: str | None
    created_at: datetime


@dataclass(frozen=True)
class Accounts:
    """Signing in for everyone, the rest for administrators."""

    database: Database
    access: Access
    settings: Settings

    # -------------------------------------------------------------------------------------------- sessions

    def sign_in(self, name: str, password: str, address: str) -> str:
        """The token of a new session; `SignInRefused` says the same for an unknown name and a wrong password."""
        name = unicodedata.normalize("NFC", name.strip())
        with self._tried(name, address) as account:
            right = is_right(password, account.password_hash if account and not account.disabled_at else None)
            if account is None or not right:
                raise SignInRefused(
                    "Benutzername oder Passwort stimmt nicht.", "The user name or the password is not right."
                )
        return self._begin(account.user)

    def user_of(self, token: str) -> User | None:
        """Who is signed in with this token, None when nobody is or the session has expired."""
        found = None
        with self.database.read() as session:
            found = sessions.find_session(session, token_hash=_hashed(token), lifetime=self._lifetime)
        if found and found.is_stale:
            # whoever reads may go on while nothing can be written
            with suppress(StorageError), self.database.write() as session:
                sessions.touch(session, token_hash=_hashed(token))
        return found.user if found else None

    def sign_out(self, token: str) -> None:
        """End the session on all replicas."""
        user = self.user_of(token)
        with self.database.write() as session:
            sessions.close_session(session, token_hash=_hashed(token))
            if user and not user.name.startswith(GUEST):
                audit.record(session, user_id=user.id, action="sign_out", facts={})

    def welcome_guest(self) -> str:
        """The token of a session for a visitor of a Space without login: may read, owns nothing."""
        with self.database.write() as session:
            self._forget_the_old(session)
            guest = users.ensure_user(session, name=f"{GUEST}{secrets.token_hex(6)}", role=Role.VIEWER)
            return self._open(session, guest)

    def welcome_from_hub(self, hub_name: str) -> str:
        """The token of a session for someone whom the Hub has signed in: annotates under their Hub name."""
        with self.database.write() as session:
            user = users.ensure_user(session, name=f"{FROM_HUB}{hub_name}", role=Role.ANNOTATOR)
        return self._begin(user)

    def change_password(self, user: User, token: str, old: str, new: str, address: str) -> None:
        """Exchange one's own password; all other sessions of this user end."""
        with self._tried(user.name, address) as account:
            if not is_right(old, account.password_hash if account else None):
                raise SignInRefused("Das bisherige Passwort stimmt nicht.", "The present password is not right.")
        require_password(new, user.name)
        hashed = hash_password(new)
        with self.database.write() as session:
            users.set_password(session, user_id=user.id, password_hash=hashed)
            sessions.close_all(session, user_id=user.id, but=_hashed(token))
            audit.record(session, user_id=user.id, action="password", facts={"of": user.name})

    def require_database(self) -> None:
        """`StorageError` when the database does not answer."""
        with self.database.read() as session:
            users.count_active_admins(session)

    def require_startable(self) -> None:
        """Refuse to serve an address that others reach without an administrator who can sign in."""
        if self.settings.served_as is Profile.LOCAL and not self.settings.is_loopback:
            raise UserError(
                f"Das Profil „local“ kennt kein Passwort und geht nur auf 127.0.0.1, nicht auf {self.settings.host}. "
                "Bitte MEDBERTDE_PROFILE=server setzen oder MEDBERTDE_HOST weglassen.",
                f"The profile “local” knows no password and works on 127.0.0.1 only, not on {self.settings.host}. "
                "Please set MEDBERTDE_PROFILE=server or leave out MEDBERTDE_HOST.",
            )
        if self.settings.served_as is not Profile.SERVER:
            return
        with self.database.read() as session:
            admins = users.count_active_admins(session)
        if not admins:
            raise UserError(
                f"Unter {self.settings.host} können andere die App erreichen, es gibt aber noch kein Konto mit der "
                "Rolle admin. Bitte zuerst: python -m medbertde users add NAME --role admin",
                f"Others can reach the app at {self.settings.host}, but there is no account with the role admin yet. "
                "Please first: python -m medbertde users add NAME --role admin",
            )

    # -------------------------------------------------------------------------------------------- people

    def people(self, user: User) -> list[Person]:
        """Everyone who has or had an account, by name; guests are left out."""
        self.access.require(user, Role.ADMIN)
        with self.database.read() as session:
            found = users.list_accounts(session)
        return [_person(account) for account in found if not account.user.name.startswith(GUEST)]

    def add(self, user: User, name: str, role: Role, password: str) -> Person:
        """A new account, or a first password for a user who had none."""
        self.access.require(user, Role.ADMIN)
        name = unicodedata.normalize("NFC", name.strip())
        _require_name(name)
        self._require_operator_admin(name, role)
        require_password(password, name)
        hashed = hash_password(password)
        with self.database.write() as session:
            taken = {account.user.name.casefold(): account for account in users.list_accounts(session)}
            known = taken.get(name.casefold())
            if known and (known.password_hash or known.user.name != name):
                raise Conflict(
                    f"Den Benutzer {known.user.name} gibt es schon. Bitte einen anderen Namen wählen.",
                    f"There is a user {known.user.name} already. Please choose another name.",
                )
            added = users.ensure_user(session, name=name, role=role)
            users.set_role(session, user_id=added.id, role=role)
            users.set_password(session, user_id=added.id, password_hash=hashed)
            audit.record(session, user_id=user.id, action="add_user", facts={"name": name, "role": role.value})
            return _person(_account(session, name))

    def set_role(self, user: User, name: str, role: Role) -> Person:
        """Give someone another role, from their next click on."""
        self.access.require(user, Role.ADMIN)
        self._require_operator_admin(name, role)
        with self._changing(user, name, "role", role=role.value) as (session, account):
            users.set_role(session, user_id=account.user.id, role=role)
            return _person(_account(session, name))

    def disable(self, user: User, name: str) -> Person:
        """Lock someone out at once, everywhere; what they did stays."""
        with self._changing(user, name, "disable") as (session, account):
            users.set_disabled(session, user_id=account.user.id, disabled=True)
            sessions.close_all(session, user_id=account.user.id)
            return _person(_account(session, name))

    def enable(self, user: User, name: str) -> Person:
        """Let someone in again."""
        with self._changing(user, name, "enable") as (session, account):
            users.set_disabled(session, user_id=account.user.id, disabled=False)
            return _person(_account(session, name))

    def reset_password(self, user: User, name: str, password: str) -> Person:
        """Give someone a new password; all their sessions end, and what was counted against them is forgotten."""
        self.access.require(user, Role.ADMIN)
        require_password(password, name)
        hashed = hash_password(password)
        with self._changing(user, name, "password") as (session, account):
            users.set_password(session, user_id=account.user.id, password_hash=hashed)
            sessions.close_all(session, user_id=account.user.id)
            sessions.forget_attempts(session, key=_name_key(name))
            return _person(_account(session, name))

    def audit(self, user: User, *, before: int | None = None, limit: int = AUDIT_PAGE) -> list[AuditEntry]:
        """The audit trail, newest first; `before` goes on below the line with this id."""
        self.access.require(user, Role.ADMIN)
        with self.database.read() as session:
            return audit.entries(session, limit=limit, before=before)

    # -------------------------------------------------------------------------------------------- inside

    def _require_operator_admin(self, name: str, role: Role) -> None:
        """The command line works under a name of its own and would be locked out with another role."""
        if name == self.settings.annotator and role is not Role.ADMIN:
            raise Conflict(
                f"Unter dem Namen {name} arbeitet die Kommandozeile dieses Rechners (MEDBERTDE_ANNOTATOR); er behält "
                "die Rolle admin. Bitte für eine Person einen anderen Namen wählen.",
                f"The command line of this machine works under the name {name} (MEDBERTDE_ANNOTATOR); it keeps the "
                "role admin. Please choose another name for a person.",
            )

    @property
    def _lifetime(self) -> Lifetime:
        settings = self.settings
        return Lifetime(timedelta(minutes=settings.session_idle_minutes), timedelta(hours=settings.session_hours))

    def _begin(self, user: User) -> str:
        with self.database.write() as session:
            self._forget_the_old(session)
            audit.record(session, user_id=user.id, action="sign_in", facts={})
            return self._open(session, user)

    def _forget_the_old(self, session: Session) -> None:
        """Whoever comes in takes out what has expired: sessions, guests, counts of tries."""
        sessions.remove_expired(session, lifetime=self._lifetime, guests=GUEST)
        sessions.remove_old_attempts(session, window=WINDOW)

    def _open(self, session: Session, user: User) -> str:
        token = secrets.token_urlsafe(32)
        sessions.open_session(session, token_hash=_hashed(token), user_id=user.id)
        return token

    @contextmanager
    def _tried(self, name: str, address: str) -> Iterator[Account | None]:
        """Count before looking, so that many tries at once count too; a block that ends well is no failed try."""
        name_key, address_key = _name_key(name), f"address:{address}"
        with self.database.write() as session:
            of_name = sessions.count_attempt(session, key=name_key, window=WINDOW)
            of_address = sessions.count_attempt(session, key=address_key, window=WINDOW)
            account = users.find_account(session, name=name) if can_be_a_name(name) else None
            if of_name == TRIES_PER_NAME + 1 and account:
                audit.record(session, user_id=account.user.id, action="locked", facts={"tries": TRIES_PER_NAME})
        if of_name > TRIES_PER_NAME or of_address > TRIES_PER_ADDRESS:
            minutes = WINDOW // timedelta(minutes=1)
            raise SignInRefused(
                f"Zu viele Fehlversuche. Bitte warten Sie {minutes} Minuten oder lassen Sie sich von der "
                "Administration ein neues Passwort geben.",
                f"Too many failed tries. Please wait {minutes} minutes or ask an administrator for a new password.",
            )
        yield account
        with self.database.write() as session:
            sessions.forget_attempts(session, key=name_key)
            sessions.take_back_attempt(session, key=address_key)

    @contextmanager
    def _changing(self, user: User, name: str, action: str, **facts: str) -> Iterator[tuple[Session, Account]]:
        """One change to someone's account, noted; refused when nobody would be left to administer the server."""
        self.access.require(user, Role.ADMIN)
        with self.database.write() as session:
            account = _account(session, name)
            before = users.count_active_admins(session)
            yield session, account
            if before and not users.count_active_admins(session):
                raise Conflict(
                    f"{name} ist das letzte Konto mit der Rolle admin, das sich anmelden kann. Bitte zuerst ein "
                    "weiteres anlegen.",
                    f"{name} is the last account with the role admin that can sign in. Please add another one first.",
                )
            audit.record(session, user_id=user.id, action=action, facts={"of": name, **facts})


def _account(session: Session, name: str) -> Account:
    account = users.find_account(session, name=name)
    if account is None:
        raise NotFound(f"Den Benutzer {name} gibt es nicht.", f"There is no user {name}.")
    return account


def _person(account: Account) -> Person:
    user, disabled = account.user, account.disabled_at is not None
    can_sign_in = bool(account.password_hash) and not disabled
    return Person(user.name, user.role, can_sign_in, disabled, user.terms_version, account.created_at)


def _require_name(name: str) -> None:
    if not is_free_to_choose(name):
        raise UserError(RULE_DE, RULE_EN)


def _hashed(token: str) -> str:
    """A token has 256 random bits: a fast hash is enough. Whatever a form or a cookie can bring has one."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _name_key(name: str) -> str:
    """Hashed, because people type passwords into the field for the name."""
    return f"name:{_hashed(name.casefold())}"
