"""The gate before a model: what could show who a person is must be replaced, or knowingly let through, by policy.

Owns what each user has let through, which is forgotten with the process and after a session's time. Keeps no text: of
what was let through only a keyed digest. The gate before the database is `screened_records`.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from medbertde.privacy.deidentify import deidentify
from medbertde.privacy.kinds import Dates, Deidentified, Replace
from medbertde.services.access import Access
from medbertde.services.screening import Screener, Screening, classifier_for, told
from medbertde.settings import Policy, Settings
from medbertde.store import audit
from medbertde.store.session import Database
from medbertde.text import clean
from medbertde.types import Forbidden, Notice, User, UserError
from medbertde.user_names import GUEST

REMEMBERED = 20_000  # spans that users let through


class IdentifyingText(UserError):
    """A text that could show who a person is and that nobody has decided about yet."""


@dataclass(frozen=True)
class Question:
    """What was found in a text that its user has not decided about; `must` says that nothing goes on before."""

    screening: Screening
    policy: Policy

    @property
    def must(self) -> bool:
        """Whether the text is held back until the user has decided."""
        return self.policy in (Policy.CONFIRM, Policy.REFUSE)

    @property
    def may_keep(self) -> bool:
        """Whether the user may let the text through as it is."""
        return self.policy is not Policy.REFUSE

    @property
    def notice(self) -> Notice:
        """The remark beside an answer."""
        found = told(self.screening.kinds)
        return Notice(
            found.code,
            f"Der Text enthält {found.de}. Bitte nur anonymisierte Texte eingeben.",
            f"The text holds {found.en}. Please enter anonymised texts only.",
        )


class Gate:
    """Every text that somebody sends to a model passes here first. Every method checks that the terms are accepted."""

    def __init__(self, database: Database, access: Access, settings: Settings, screener: Screener) -> None:
        self._database = database
        self._access = access
        self._settings = settings
        self._screener = screener
        self._passed = _Passed(settings.session_hours * 3600.0)

    def ask(self, user: User, text: str) -> Question | None:
        """What the user has to know or to decide about this text; None where there is nothing (more)."""
        self._access.require_terms(user)
        policy = self._settings.reading_policy
        if policy is Policy.OFF:
            return None
        found = self._screener.screen(clean(text, self._settings.max_chars))
        if not found.identifies or self._passed.all(user, found):
            return None
        return Question(found, policy)

    def admit(self, user: User, text: str, *, confirmed: bool = False) -> Question | None:
        """As `ask`, before a model reads the text; `IdentifyingText` while the policy demands a decision."""
        question = self.ask(user, text)
        if question is None or not question.must:
            return question
        if not confirmed:
            raise _undecided(question)
        self.confirm(user, text)
        return None

    def confirm(self, user: User, text: str) -> None:
        """The user lets this text through as it is; that goes on record, with what was found but without the text."""
        question = self.ask(user, text)
        if question is None:
            return
        if not question.may_keep:
            raise Forbidden(
                "Texte mit Angaben zu Personen werden hier nicht gelesen. Bitte die Angaben ersetzen oder entfernen.",
                "Texts with details of persons are not read here. Please replace or remove these details.",
            )
        if not user.name.startswith(GUEST):  # a guest is forgotten with their session, the audit trail is not
            with self._database.write() as session:
                facts: dict[str, audit.Fact] = {kind.value: n for kind, n in question.screening.kinds.items()}
                audit.record(session, user_id=user.id, action="read_identifying", facts=facts)
        self._passed.add(user, question.screening)

    def replace(self, user: User, text: str, replace: Replace) -> str:
        """The text without what was found; invented details count as let through."""
        self._access.require_terms(user)
        done = self._screener.replace(clean(text, self._settings.max_chars), replace)
        invented = list(_replacements(done))
        again = self._screener.screen(done.text)
        spans = (one for one in again.spans if any(one.start < end and start < one.end for start, end in invented))
        self._passed.add(user, Screening(again.text, tuple(spans)))
        return done.text

    def deidentify(self, user: User, text: str, dates: Dates, replace: Replace) -> Deidentified:
        """`medbertde.deidentify` for whoever has accepted the terms."""
        self._access.require_terms(user)
        classifier = classifier_for(self._settings)
        return deidentify(clean(text, self._settings.max_chars), dates=dates, replace=replace, classifier=classifier)


def _replacements(done: Deidentified) -> Iterator[tuple[int, int]]:
    """Where the replacements stand in the new text."""
    shift = 0
    for span in done.spans:
        start = span.start + shift
        yield start, start + len(span.replacement)
        shift += len(span.replacement) - (span.end - span.start)


def _undecided(question: Question) -> IdentifyingText:
    found = told(question.screening.kinds)
    de = "Bitte sie ersetzen oder entfernen, oder ausdrücklich bestätigen, dass der Text so gelesen werden soll"
    en = "Please replace or remove them, or confirm expressly that the text is to be read as it is"
    if not question.may_keep:
        de, en = "Bitte sie ersetzen oder entfernen", "Please replace or remove them"
    return IdentifyingText(
        f"Der Text enthält {found.de}. Er wurde deshalb noch nicht gelesen. {de}.",
        f"The text holds {found.en}. It was therefore not read yet. {en}.",
    )


class _Passed:
    """What users let through: digests of spans under a key that nobody else has, the oldest forgotten first."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._key = secrets.token_bytes(32)
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._guard = threading.Lock()

    def add(self, user: User, found: Screening) -> None:
        """Remember the spans of a text."""
        until = time.monotonic() + self._seconds
        with self._guard:
            for digest in self._digests(user, found):
                self._until[digest] = until
                self._until.move_to_end(digest)
            while len(self._until) > REMEMBERED:
                self._until.popitem(last=False)

    def all(self, user: User, found: Screening) -> bool:
        """Whether every span of a text was let through before, here or in another text of this user."""
        now = time.monotonic()
        with self._guard:
            return all(self._until.get(digest, 0.0) > now for digest in self._digests(user, found))

    def _digests(self, user: User, found: Screening) -> Iterator[bytes]:
        for span in found.spans:
            words = " ".join(found.text[span.start : span.end].casefold().split())
            yield hmac.digest(self._key, f"{user.id}\n{words}".encode(), "sha256")
