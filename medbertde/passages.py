"""How a report falls into passages: one per sentence, each with the heading it stands under.

Core: pure functions over strings. A classifier that reads by sentence sees a sentence of the indication, of a list
under "Kein Nachweis von:" or of the paragraph "Pleura:" together with that heading, because the heading decides what it
means.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from operator import attrgetter

from medbertde.text import sentences

# Possessive repeats ("*+") keep the time linear on hostile text.
_BULLET = r"[ \t]*+(?:(?:[-–•*►>]|\d{1,2}[.)])[ \t]*+)?"
_SECTION = (
    r"(?:Klinik|Klinische[rs]? (?:Angaben?|Informationen|Daten|Problem|Fragestellung)|Klin\. ?Angaben?|"
    r"Angaben zur Klinik|Anamnese|Vorgeschichte|Diagnosen?|Einweisungsdiagnose|Indikation(?:sstellung)?|"
    r"Rechtfertigende Indikation|Frage(?:stellung)?|Klinische Frage|Untersuchungsgrund|Zuweisung|Überweisung|Technik|"
    r"Methode|Methodik|Untersuchung(?:stechnik|smethode)?|Protokoll|Kontrastmittel|KM|Dosis|"
    r"Vergleich(?:suntersuchung(?:en)?|saufnahmen?)?|Vorauf(?:nahmen?|n\.?)|Voruntersuchung(?:en)?|Vorbefunde?|VU|VA|"
    r"Vorbilder|Voraufnahmen-Vergleich|Befund(?:e|text|ung)?|Beurteilung|Zusammenfassung|Fazit|Ergebnis|Diagnose|"
    r"Wertung|Impression|Schlussfolgerung|Kommentar|Empfehlung(?:en)?|Procedere|Prozedere)"
)
# Headings that say nothing about the sentences below: "here are the findings", or whose they are.
_NEUTRAL = re.compile(
    r"\W*(?:Befund|Beurteilung|Zusammenfassung|Fazit|Ergebnis|Wertung|Impression|Schlussfolgerung|"
    r"(?:Pat|Patient(?:in)?|Herrn?|Frau|(?:Vor|Nach|Familien)?name|geb|Geburts\w+|Alter|Geschlecht|männlich|weiblich)\b)",
    re.IGNORECASE,
)
# A section's name with a colon, at the start of a line or after a sentence, and something behind it on the same line.
_INLINE = re.compile(rf"(?:^{_BULLET}|(?<=[.!?] ))({_SECTION}[ \t]*+:)(?=[ \t]*+\S)", re.MULTILINE | re.IGNORECASE)
# A line that is nothing but a heading: a section's name, or a few words with a colon.
_BLOCK = re.compile(
    rf"^{_BULLET}({_SECTION}(?:[ \t]*+:)?+|[A-ZÄÖÜ][^\n:.!?;]{{0,48}}:)[ \t]*+$", re.MULTILINE | re.IGNORECASE
)
_BLANK_LINE = re.compile(r"\n(?=[ \t]*+\n)")
_VISIBLE = re.compile(r"\S")


@dataclass(frozen=True)
class Passage:
    """One sentence `text[start:end]` and the span of the heading that it needs to be understood, if any."""

    start: int
    end: int
    heading: tuple[int, int] | None = None


@dataclass(frozen=True)
class _Scope:
    """A heading and how far it reaches."""

    start: int
    end: int
    until: int


def passages(text: str) -> list[Passage]:
    r"""The sentences with their headings; headings that only say "findings", or whose they are, count as none.

    A heading on a line of its own holds until a blank line or the next heading, one with text behind it until the end
    of its line or the next section.

    >>> report = "Klinik: Husten. V. a. Pneumonie.\nBefund:\nKein Nachweis von:\n- Erguss\n- Pneu\n\nHerz schlank."
    >>> for part in passages(report):
    ...     print(report[slice(*part.heading)] if part.heading else "–", "|", report[part.start : part.end])
    – | Klinik: Husten.
    Klinik: | V. a. Pneumonie.
    – | Befund:
    – | Kein Nachweis von:
    Kein Nachweis von: | - Erguss
    Kein Nachweis von: | - Pneu
    – | Herz schlank.
    """
    scopes = _scopes(text)
    return [Passage(start, end, _heading_of(scopes, text, start)) for start, end in sentences(text)]


def _scopes(text: str) -> list[_Scope]:
    """The headings of a text in their order."""
    inline = {match.span(1): False for match in _INLINE.finditer(text)}
    blocks = {match.span(1): True for match in _BLOCK.finditer(text)}
    headings = sorted((inline | blocks).items())
    blanks = [match.start() for match in _BLANK_LINE.finditer(text)]
    limits = [*(start for (start, _), _ in headings[1:]), len(text)]
    return [
        _Scope(start, end, min(limit, _reach(text, end, blanks if block else None)))
        for ((start, end), block), limit in zip(headings, limits, strict=False)
    ]


def _reach(text: str, end: int, blanks: list[int] | None) -> int:
    """Where a heading that ends at `end` stops to count at the latest.

    With text behind it (`blanks` is None) that is the end of its line, else the first blank line after something was
    said under it.
    """
    if blanks is None:
        line_end = text.find("\n", end)
        return line_end if line_end >= 0 else len(text)
    said = _VISIBLE.search(text, end)
    later = bisect_left(blanks, said.start()) if said else len(blanks)
    return blanks[later] if later < len(blanks) else len(text)


def _heading_of(scopes: list[_Scope], text: str, place: int) -> tuple[int, int] | None:
    """The heading over the sentence that begins at `place`, unless it stands in that sentence itself."""
    last = bisect_right(scopes, place, key=attrgetter("end")) - 1
    if last < 0 or place >= scopes[last].until:
        return None
    start, end = scopes[last].start, scopes[last].end
    return None if _NEUTRAL.match(text[start:end]) else (start, end)
