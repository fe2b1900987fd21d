"""The remarks themselves: what was noticed, why it matters, what to do.

Owns wording, thresholds and order. What a tokenizer and a model make of a text comes in as plain numbers (`Cut`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from medbertde.notices.identity import names_someone
from medbertde.notices.language import is_foreign, letters_only
from medbertde.types import Notice

VERY_SHORT = 2  # words; below it
MANY_UNKNOWN = 0.1  # share of pieces that the vocabulary does not have; above it
SHATTERED = 3.0  # pieces per word; above it
COUNTED = 5  # words below which pieces per word say little
_MARKUP = re.compile(r"</?[a-z][a-z0-9]*(\s[^<>]*)?/?>", re.IGNORECASE)


@dataclass(frozen=True)
class Cut:
    """How a tokenizer cuts a text: the words of its text, its pieces and how many of them are unknown."""

    words: int
    pieces: int
    unknown: int

    def __add__(self, other: Cut) -> Cut:
        """The numbers of two texts together."""
        return Cut(self.words + other.words, self.pieces + other.pieces, self.unknown + other.unknown)

    @property
    def unknown_share(self) -> float:
        """The share of pieces that the vocabulary does not have, 0…1."""
        return self.unknown / max(1, self.pieces)

    @property
    def fertility(self) -> float:
        """Pieces per word."""
        return self.pieces / max(1, self.words)


def remarks(text: str, cut: Cut) -> tuple[Notice, ...]:
    """What to say about a text and how it was cut.

    >>> [notice.code for notice in remarks("No evidence of pneumothorax, heart normal in size.", Cut(8, 20, 0))]
    ['not_german']
    >>> [notice.code for notice in remarks("Frau Dr. Wehmeier: kein Erguss.", Cut(7, 9, 0))]
    ['names']
    """
    plain = _MARKUP.sub(" ", text)
    words = letters_only(plain)
    found = []
    if names_someone(plain, words):
        found.append(NAMES)
    if is_foreign(words):
        found.append(NOT_GERMAN)
    elif cut.unknown_share > MANY_UNKNOWN:
        found.append(MANY_UNKNOWN_CHARACTERS)
    elif cut.fertility > SHATTERED and cut.words >= COUNTED:
        found.append(shattered(cut))
    if len(words) < VERY_SHORT:
        found.append(SHORT)
    if _MARKUP.search(text):
        found.append(MARKUP)
    return tuple(found)


NAMES = Notice(
    "names",
    "Der Text enthält vermutlich einen Namen oder ein Geburtsdatum. Bitte nur anonymisierte Texte eingeben: die "
    "Angaben löschen und noch einmal absenden.",
    "The text seems to hold a name or a date of birth. Please enter anonymised texts only: delete them and send it "
    "again.",
)
NOT_GERMAN = Notice(
    "not_german",
    "Der Text scheint nicht auf Deutsch zu sein. Die Modelle haben nur deutsche Texte gelernt; bitte einen deutschen "
    "Befund eingeben.",
    "The text does not seem to be German. The models have learned German texts only; please enter a German report.",
)
MANY_UNKNOWN_CHARACTERS = Notice(
    "many_unknown",
    "Das Modell kennt viele Zeichen dieses Textes nicht und liest sie als Leerstelle. Bitte prüfen, ob der Text "
    "richtig kopiert wurde.",
    "The model does not know many characters of this text and reads them as blanks. Please check that the text was "
    "copied correctly.",
)
SHORT = Notice(
    "very_short",
    "Der Text ist sehr kurz. Mit dem ganzen Satz oder Befund wird die Antwort verlässlicher.",
    "The text is very short. The whole sentence or report makes the answer more reliable.",
)
MARKUP = Notice(
    "markup",
    "Der Text enthält HTML-Tags. Sie werden als Text mitgelesen; bitte nur den Befundtext eingeben.",
    "The text contains HTML tags. They are read as text; please enter the report only.",
)


def shattered(cut: Cut) -> Notice:
    """Words that the tokenizer knows in small parts only."""
    ratio = f"{cut.fertility:.1f}"
    return Notice(
        "shattered",
        f"Das Modell kennt viele Wörter nicht und zerlegt sie in kleine Teile ({ratio.replace('.', ',')} je Wort). "
        "Bitte auf Tippfehler, Trennstriche und durchgehende Großschreibung prüfen.",
        f"The model does not know many words and cuts them into small parts ({ratio} per word). Please check for "
        "typing errors, hyphens at line ends and all capitals.",
    )


def long_text(pieces: int, room: int, parts: int) -> Notice:
    """A text of `pieces` was read in overlapping windows of `room` pieces, all of it."""
    return Notice(
        "long_text",
        f"Der Text hat {_number(pieces, '.')} Wortteile, das Modell liest höchstens {room} auf einmal. Er wurde "
        f"vollständig gelesen, in {parts} überlappenden Abschnitten; je Befund zählt der deutlichste.",
        f"The text has {_number(pieces, ',')} pieces, the model reads {room} at once at most. All of it was read, in "
        f"{parts} overlapping windows; the clearest one counts for each finding.",
    )


def long_sentence(room: int, sentences: int, parts: int) -> Notice:
    """A text of several `sentences`, of which some were too long and cut, so that `parts` were read."""
    return Notice(
        "long_sentence",
        f"Das Modell liest Satz für Satz. Von {sentences} Sätzen war mindestens einer länger als {room} Wortteile und "
        f"wurde zerteilt; gelesen wurde alles, in {parts} Teilen. Bitte prüfen, ob Satzzeichen oder Zeilenumbrüche "
        "fehlen.",
        f"The model reads sentence by sentence. Of {sentences} sentences at least one was longer than {room} pieces "
        f"and was cut; all was read, in {parts} parts. Please check for missing full stops or line breaks.",
    )


def partly_read(read: int, pieces: int) -> Notice:
    """Of a text with a gap, only `read` of its `pieces` around it fit."""
    return Notice(
        "partly_read",
        f"Der Text ist länger, als das Modell auf einmal lesen kann. Gelesen wurden die {_number(read, '.')} von "
        f"{_number(pieces, '.')} Wortteilen, die der Lücke am nächsten stehen. Ist anderes wichtig, den Text kürzen.",
        f"The text is longer than the model can read at once. It read the {_number(read, ',')} of "
        f"{_number(pieces, ',')} pieces that are nearest to the gap. Shorten the text where other parts matter.",
    )


def _number(count: int, separator: str) -> str:
    return f"{count:,}".replace(",", separator)
