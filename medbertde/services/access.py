"""Who is asking and what they may do: identity, roles and acceptance of the terms.

Accounts with passwords are not here yet: on a laptop there is one local user, on a Space every visitor is a guest.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from medbertde.settings import Settings
from medbertde.store import users
from medbertde.store.session import Database
from medbertde.types import Forbidden, Role, User

TERMS_VERSION = "2026-11"


@dataclass(frozen=True)
class Caller:
    """What a request tells about who sent it: the login name, if any, and the browser session."""

    username: str | None
    session: str | None


class Access:
    """Identity and rights, decided on the server for every call."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def identify(self, caller: Caller) -> User:
        """The user behind a request: the login name, else the local user, else (on a Space) a guest per session."""
        name, role = caller.username or self._settings.annotator, Role.ADMIN
        if os.environ.get("SPACE_ID") and not caller.username:
            name, role = f"gast-{(caller.session or 'api')[:12]}", Role.ANNOTATOR
        with self._database.read() as session:
            known = users.find_user(session, name=name)
        if known:
            return known
        with self._database.write() as session:
            return users.ensure_user(session, name=name, role=role)

    def accept_terms(self, user: User) -> User:
        """Record that this user accepts the terms in their present version."""
        with self._database.write() as session:
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
