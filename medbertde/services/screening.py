"""What in a text could show who a person is: `privacy` asked with a time bound, counted and put in words.

Owns which of the spans count. A text that cannot be screened is refused, never passed on unseen. Knows no policy.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b

from medbertde.inference.identify import Identifier
from medbertde.privacy.deidentify import deidentify
from medbertde.privacy.kinds import Dates, DeidentificationRefused, Deidentified, Kind, Replace, Span
from medbertde.privacy.union import Classifier
from medbertde.settings import Settings
from medbertde.text import normalise
from medbertde.types import Notice, UserError

BUDGET_S = 2.0  # of processor time per text; 100,000 hostile characters take below one
REMEMBERED = 50_000  # texts with nothing in them, by their digests, so that a second look at a file costs little
_NAMES = {Kind.PATIENT, Kind.DOCTOR, Kind.PERSON}
_MORE_THAN_AN_INITIAL = re.compile(r"[^\W\d_]{2}")
_GROUPS: tuple[tuple[frozenset[Kind], tuple[str, str], tuple[str, str]], ...] = (
    (frozenset(_NAMES), ("Name", "Namen"), ("name", "names")),
    (frozenset({Kind.BIRTH}), ("Geburtsdatum", "Geburtsdaten"), ("date of birth", "dates of birth")),
    (frozenset({Kind.DATE}), ("Datum", "Daten"), ("date", "dates")),
    (frozenset({Kind.AGE}), ("Alter über 89", "Altersangaben über 89"), ("age over 89", "ages over 89")),
    (
        frozenset({Kind.ID}),
        ("Nummer einer Person", "Nummern von Personen"),
        ("number of a person", "numbers of persons"),
    ),
    (
        frozenset({Kind.PHONE, Kind.FAX, Kind.EMAIL, Kind.URL}),
        ("Kontaktangabe", "Kontaktangaben"),
        ("contact detail", "contact details"),
    ),
    (frozenset({Kind.STREET, Kind.ZIP, Kind.CITY}), ("Ortsangabe", "Ortsangaben"), ("place", "places")),
    (
        frozenset({Kind.HOSPITAL, Kind.WARD}),
        ("Klinik oder Station", "Kliniken oder Stationen"),
        ("clinic or ward", "clinics or wards"),
    ),
)


@cache
def _shipped() -> Identifier:
    return Identifier()


def classifier_for(settings: Settings) -> Classifier | None:
    """The small model that is asked beside the rules, as the settings say; None: rules only."""
    return None if settings.deidentification_by == "rules" else _shipped()


def screener_of_files(settings: Settings) -> Screener:
    """Who screens the rows of files: thousands of reports are screened by rules alone unless the settings ask for more.

    The model takes about five times as long as the rules, and is there for letters rather than for reports.
    """
    asked = settings.deidentification_by == "always"
    return Screener(settings.deidentification_dates, classifier=classifier_for(settings) if asked else None)


class ScreeningRefused(UserError):
    """A text that could not be screened in time or at all."""


@dataclass(frozen=True)
class Screening:
    """A text in its NFC form and the spans in it that could show who a person is, in order, without overlaps."""

    text: str
    spans: tuple[Span, ...] = ()

    @property
    def identifies(self) -> bool:
        """Whether the spans say anything about a person: a ward or an initial ("Frau K.") alone does not."""
        return any(self._counts(span) for span in self.spans)

    @property
    def kinds(self) -> Counter[Kind]:
        """How many spans there are of each kind."""
        return Counter(span.kind for span in self.spans)

    def _counts(self, span: Span) -> bool:
        if span.kind in _NAMES:
            return bool(_MORE_THAN_AN_INITIAL.search(self.text, span.start, span.end))
        return span.kind is not Kind.WARD


class Screener:
    """Screens texts by one rule about dates; `budget_s` is the processor time that one text may take.

    `classifier` is asked beside the rules; None: rules only. Of a text with nothing in it a digest is kept for a while,
    of any other nothing.
    """

    def __init__(
        self, dates: Dates | str = Dates.BIRTH, budget_s: float = BUDGET_S, classifier: Classifier | None = None
    ) -> None:
        self.dates = Dates(dates)
        self._budget_s = budget_s
        self._classifier = classifier
        self._clean: set[bytes] = set()

    def screen(self, text: str) -> Screening:
        """What is found in a text; `ScreeningRefused` where that cannot be told, `InvalidText` for bad characters."""
        text = normalise(text)
        digest = blake2b(text.encode(), digest_size=16).digest()
        if digest in self._clean:
            return Screening(text)
        found = Screening(text, self.replace(text).spans)
        if not found.spans:
            if len(self._clean) >= REMEMBERED:
                self._clean.clear()
            self._clean.add(digest)
        return found

    def replace(self, text: str, replace: Replace = Replace.PLACEHOLDER) -> Deidentified:
        """A text without what is found in it; refuses as `screen`."""
        try:
            return deidentify(
                normalise(text),
                dates=self.dates,
                replace=replace,
                budget_s=self._budget_s,
                classifier=self._classifier,
            )
        except DeidentificationRefused:
            raise ScreeningRefused(
                "Der Text ließ sich nicht auf Namen und andere Angaben zu Personen prüfen und wurde deshalb weder "
                "gelesen noch gespeichert. Bitte ihn kürzen oder aufteilen, oder solche Angaben von Hand entfernen.",
                "The text could not be screened for names and other details of persons and was therefore neither read "
                "nor stored. Please shorten or split it, or remove such details by hand.",
            ) from None  # what failed could hold the text


def counted(kinds: Mapping[Kind, int]) -> Notice:
    """How many spans of which kind, in words.

    >>> counted({Kind.DATE: 2, Kind.PATIENT: 1}).de
    '1 Name, 2 Daten'
    """
    german, english = [], []
    for group, de, en in _GROUPS:
        count = sum(kinds.get(kind, 0) for kind in group)
        if count:
            german.append(f"{count} {de[count > 1]}")
            english.append(f"{count} {en[count > 1]}")
    return Notice("counted", ", ".join(german), ", ".join(english))


def told(kinds: Mapping[Kind, int]) -> Notice:
    """What was found, as the beginning of a sentence.

    >>> told({Kind.DATE: 2, Kind.PATIENT: 1}).de
    '3 Stellen, die eine Person erkennbar machen könnten: 1 Name, 2 Daten'
    """
    total, said = sum(kinds.values()), counted(kinds)
    return Notice(
        "names",
        f"{total} {'Stelle' if total == 1 else 'Stellen'}, die eine Person erkennbar machen "
        f"{'könnte' if total == 1 else 'könnten'}: {said.de}",
        f"{total} {'place' if total == 1 else 'places'} that could show who a person is: {said.en}",
    )


__all__ = ["Dates", "Deidentified", "Kind", "Replace", "Screener", "Screening", "ScreeningRefused", "counted", "told"]
