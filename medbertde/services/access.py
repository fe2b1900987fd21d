"""Who is asking and what they may do: identity, roles and acceptance of the terms.

Whoever is named in a request was named by the server guard, which checked the session. On a laptop that is always the
one local user. Knows no passwords and no sessions: `accounts` does.
"""

from __future__ import annotations

from dataclasses import dataclass

from medbertde.settings import Profile, Settings
from medbertde.store import audit, users
from medbertde.store.session import Database
from medbertde.types import Forbidden, NotSignedIn, Role, User
from medbertde.user_names import GUEST

TERMS_VERSION = "2026-11"


@dataclass(frozen=True)
class Caller:
    """What a request tells about who sent it: the name the server guard vouches for, and the page that asks.

    `user`: what the guard has just read about them, where the request is answered at once.
    """

    username: str | None
    session: str | None
    user: User | None = None


class Access:
    """Identity and rights, decided on the server for every call."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def identify(self, caller: Caller) -> User:
        """The user behind a request; `NotSignedIn` where accounts are needed and there is none, or it is disabled."""
        if self._settings.served_as is Profile.LOCAL:
            return self._local(caller.username or self._settings.annotator)
        if caller.user:
            return caller.user
        if caller.username:
            with self._database.read() as session:
                account = users.find_account(session, name=caller.username)
            if account and account.disabled_at is None:
                return account.user
        raise NotSignedIn(
            "Sie sind nicht angemeldet oder Ihre Sitzung ist abgelaufen. Bitte melden Sie sich an.",
            "You are not signed in or your session has expired. Please sign in.",
        )

    def operator(self) -> User:
        """Who works on the command line of this machine, with the database at hand: the local user."""
        return self._local(self._settings.annotator)

    def _local(self, name: str) -> User:
        with self._database.read() as session:
            known = users.find_user(session, name=name)
        if known:
            return known
        with self._database.write() as session:
            return users.ensure_user(session, name=name, role=Role.ADMIN)

    def accept_terms(self, user: User) -> User:
        """Record that this user accepts the terms in their present version, and when."""
        with self._database.write() as session:
            if not user.name.startswith(GUEST):  # a guest is forgotten with their session, the audit trail is not
                audit.record(session, user_id=user.id, action="accept_terms", facts={"version": TERMS_VERSION})
            return users.accept_terms(session, user_id=user.id, version=TERMS_VERSION)

    def has_accepted(self, user: User) -> bool:
        """Whether this user has accepted the terms in their present version."""
        return user.terms_version == TERMS_VERSION

    def require_terms(self, user: User) -> None:
        """Refuse an answer before the terms are accepted."""
        if not self.has_accepted(user):
            raise Forbidden(
                "Bitte bestätigen Sie zuerst die Nutzungsbedingungen auf der Seite (nur Forschung, keine Diagnostik) "
                "oder mit „python -m medbertde terms --accept“.",
                "Please accept the terms of use on the page first (research only, no diagnosis) or with "
                "“python -m medbertde terms --accept”.",
            )

    def require(self, user: User, role: Role) -> None:
        """Refuse what `user` may not do."""
        if not user.role.includes(role):
            raise Forbidden(
                f"Dafür ist die Rolle „{role.value}“ nötig, angemeldet sind Sie als „{user.role.value}“.",
                f"This needs the role “{role.value}”, you are signed in as “{user.role.value}”.",
            )
