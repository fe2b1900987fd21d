"""The words of de-identification: kinds of identifying text, their placeholders, spans, and the refusal.

Owns the one table of placeholders. Knows nothing of how spans are found.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from medbertde.types import UserError


class Kind(StrEnum):
    """What an identifying span is. `DOCTOR` is anyone of the staff, `PERSON` anyone else: relatives, guardians."""

    PATIENT = "patient"
    DOCTOR = "doctor"
    PERSON = "person"
    BIRTH = "birth"
    DATE = "date"
    AGE = "age"
    STREET = "street"
    ZIP = "zip"
    CITY = "city"
    PHONE = "phone"
    FAX = "fax"
    EMAIL = "email"
    URL = "url"
    ID = "id"
    HOSPITAL = "hospital"
    WARD = "ward"


class Dates(StrEnum):
    """Which dates are replaced: dates of birth only, all, or all moved by one number of days per document."""

    BIRTH = "birth"
    ALL = "all"
    SHIFT = "shift"


class Replace(StrEnum):
    """What stands in for a span: its placeholder, or an invented value that reads naturally."""

    PLACEHOLDER = "placeholder"
    SURROGATE = "surrogate"


PLACEHOLDERS: Mapping[Kind, str] = {
    Kind.PATIENT: "[PATIENT]",
    Kind.DOCTOR: "[ARZT]",
    Kind.PERSON: "[PERSON]",
    Kind.BIRTH: "[GEBURTSDATUM]",
    Kind.DATE: "[DATUM]",
    Kind.AGE: "[ALTER]",
    Kind.STREET: "[STRASSE]",
    Kind.ZIP: "[PLZ]",
    Kind.CITY: "[ORT]",
    Kind.PHONE: "[TELEFON]",
    Kind.FAX: "[FAX]",
    Kind.EMAIL: "[EMAIL]",
    Kind.URL: "[URL]",
    Kind.ID: "[NUMMER]",
    Kind.HOSPITAL: "[KLINIK]",
    Kind.WARD: "[STATION]",
}


class DeidentificationRefused(UserError):
    """A text that was not de-identified: too long, too slow, or a rule failed. Nothing of it is given out."""


def refused_as_too_long(found: int, allowed: int) -> DeidentificationRefused:
    """The refusal of a text with `found` characters."""
    return DeidentificationRefused(
        f"Der Text hat {found} Zeichen, de-identifiziert werden höchstens {allowed}. Bitte den Text aufteilen.",
        f"The text has {found} characters, at most {allowed} are de-identified. Please split the text.",
    )


def refused_as_too_slow(budget_s: float) -> DeidentificationRefused:
    """The refusal of a text that took longer than `budget_s` seconds."""
    return DeidentificationRefused(
        f"Die De-Identifikation war nach {budget_s:g} Sekunden nicht fertig; es wird kein Text ausgegeben. Bitte den "
        "Text aufteilen oder prüfen, ob er ein Befund ist.",
        f"De-identification was not done after {budget_s:g} seconds; no text is given out. Please split the text or "
        "check that it is a report.",
    )


def refused_as_failed() -> DeidentificationRefused:
    """The refusal after an error in a rule; says nothing of the text."""
    return DeidentificationRefused(
        "Die De-Identifikation ist an diesem Text gescheitert; es wird kein Text ausgegeben. Bitte den Text von Hand "
        "anonymisieren und den Fehler melden.",
        "De-identification failed on this text; no text is given out. Please anonymise it by hand and report the "
        "fault.",
    )


def refused_without_classifier(error: UserError) -> DeidentificationRefused:
    """The refusal where the classifier beside the rules cannot work; `error` says why, and nothing of the text."""
    return DeidentificationRefused(
        f"Die De-Identifikation ist nicht vollständig: {error.de} Es wird kein Text ausgegeben. Bitte "
        "data/models/deidentifier wiederherstellen oder MEDBERTDE_DEIDENTIFICATION_BY=rules setzen (nur Regeln).",
        f"The de-identification is not complete: {error.en} No text is given out. Please restore "
        "data/models/deidentifier or set MEDBERTDE_DEIDENTIFICATION_BY=rules (rules only).",
    )


@dataclass(frozen=True)
class Found:
    """An identifying span ``text[start:end]`` as a rule found it."""

    start: int
    end: int
    kind: Kind


@dataclass(frozen=True)
class Span:
    """What was replaced: code points ``[start, end)`` of the NFC form of the input, its kind, and what stands there."""

    start: int
    end: int
    kind: Kind
    replacement: str


@dataclass(frozen=True)
class Deidentified:
    """A text without what the rules found, and the spans of the input that were replaced, in order.

    >>> done = Deidentified("Frau [PATIENT] hustet.", (Span(5, 16, Kind.PATIENT, "[PATIENT]"),))
    >>> done.moved(17, 23), done.moved(5, 9)
    ((15, 21), (5, 14))
    """

    text: str
    spans: tuple[Span, ...]

    def moved(self, start: int, end: int) -> tuple[int, int]:
        """Where ``[start, end)`` of the input lies in `text`; an end within a replaced span moves to its border.

        A span that touches a replaced one takes in all of the replacement.
        """
        return self._place(start, after=False), self._place(end, after=True)

    def _place(self, place: int, *, after: bool) -> int:
        """The new offset; within a replaced span its new start, or its new end when `after`."""
        index = bisect_right(self.spans, place, key=lambda span: span.start)
        shift = sum(len(span.replacement) - (span.end - span.start) for span in self.spans[: max(index - 1, 0)])
        if not index:
            return place
        last = self.spans[index - 1]
        if place >= last.end:
            return place + shift + len(last.replacement) - (last.end - last.start)
        inside_at_end = after and place > last.start
        return last.start + shift + (len(last.replacement) if inside_at_end else 0)
