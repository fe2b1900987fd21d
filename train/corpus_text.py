r"""Cleaning of corpus documents: page numbers and repeated lines go, names become NAME, sentences are found.

Pure functions over NFC text with ``\n`` line ends. Knows no file, no source and no other document: which lines are
boiler-plate comes in as a set of hashes that `train.corpus` counted over a source.

Names are masked by rules after titles and salutations, as medBERT.de did. THIS IS NO DE-IDENTIFICATION: a name without
a title, an address, a date or a number stays. Texts must be anonymised before they are used.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator, Sequence

from medbertde.text import sentences

EDGE = 5  # lines at the start and at the end of a document that may be header, footer or signature
PAGE_EDGE = 3  # the same on either side of a page number
MAX_LINE = 120  # characters; a longer line is a paragraph and no boiler-plate

_UPPER = re.escape("".join(char for char in map(chr, range(0x250)) if char.isupper()))
_DEGREE = r"(?:med|dent|vet|rer|nat|phil|habil|univ|jur|hum|biol|sc|theol|Ing|h|c)\."
_TITLE = (
    rf"(?:Prof(?:essorin|essor|\.)|Priv\.-\s?Doz\.|PD(?=\s?Dr\.)|Dres\.|Dr\.(?:[ -]?{_DEGREE})*|Dipl\.-[A-Z][a-z]+\.?|"
    r"Herrn?\b|HERRN?\b|Frau\b|FRAU\b|Hr\.|Fr\.|Familie\b|Fam\.|gez\.)"
)
_MARK = re.compile(r"Dr|Prof|Dipl|Doz|Herr|HERR|Frau|FRAU|Hr\.|Fr\.|Fam|gez\.")  # every title has one; found far faster
_ROLE = (
    r"(?:Koll\.|(?:Kolleg(?:en|innen|in|e)|Doktor|Professor(?:in)?|(?:Ober|Chef|Fach|Assistenz|Stations|Haus)"
    r"(?:arzt|ärztin)|Primar(?:ius|ia)?|Dozent(?:in)?|Medizinalrat|Hofrat|Patient(?:in)?|Direktor(?:in)?)\b)"
)
# Nouns that follow a salutation, or "Fr." for Fraktur, and are no names.
_NO_NAME = (
    r"(?:Radius|Ulna|Humerus|Femur|Tibia|Fibula|Clavicula|Klavikula|Scapula|Skapula|Rippen?|Becken|Wirbel\w*|Sternum|"
    r"BWK|LWK|HWK|OSG|USG|Befund|Beurteilung|Klinik|Station|Zustand|Radiologie|Mutter|Vater|Tochter|Sohn)\b"
)
_PARTICLE = r"(?:(?:von|van|de|di|da|del|della|ten|ter|bin|ibn)(?: (?:der|den|dem|la))? )"
_WORD = rf"(?!{_TITLE}|{_ROLE}|{_NO_NAME})[{_UPPER}](?:['’]?[^\W\d_])+(?:-[^\W\d_]+)*(?![\w-])"
_NAMED = re.compile(
    rf"(?<!\w)({_TITLE}(?: ?(?:{_TITLE}|{_ROLE}))*) ?"
    rf"(?:NAME\b|(?:(?:[{_UPPER}]\. ?){{1,2}}|{_PARTICLE})?{_WORD}(?:(?: [{_UPPER}]\.)? {_PARTICLE}?{_WORD})?)"
)
_PAGE = re.compile(
    r"\W*(?:(?:Seite|Blatt|Page|S\.)\s*\d{1,4}(?:\s*(?:von|of|/)\s*\d{1,4})?|\d{1,4}\s*von\s*\d{1,4}|"
    r"[-–—]\s*\d{1,4}\s*[-–—])\W*",
    re.IGNORECASE,
)
_HEADINGS = frozenset(
    "Befund Beurteilung Klinik Anamnese Fragestellung Indikation Technik Methode Vergleich Voraufnahmen Diagnose "
    "Diagnosen Therapie Verlauf Zusammenfassung".split()
)
_DIGIT = re.compile(r"\d")
_LETTER = re.compile(r"[^\W\d_]")
_BLANK_LINES = re.compile(r"\n{3,}")
_LINE_SPACE = re.compile(r"[ \t\xa0]+(?=\n)")


def mask_names(text: str) -> tuple[str, int]:
    """The text with NAME for the one or two words of a name after a title or salutation, and how many there were.

    >>> mask_names("Frau Dr. med. Anna Müller-Lüdenscheidt, Oberärztin")
    ('Frau Dr. med. NAME, Oberärztin', 1)
    >>> mask_names("Sehr geehrter Herr Kollege Huber, wir danken für Herrn von der Heide.")
    ('Sehr geehrter Herr Kollege NAME, wir danken für Herrn NAME.', 2)
    >>> mask_names("gez. PD Dr. H. Çelik / Prof. O’Brien")
    ('gez. PD Dr. NAME / Prof. NAME', 2)
    >>> mask_names("Herr Prof. bittet um CT, Zuweisung von Frau W. zur CT.")
    ('Herr Prof. bittet um CT, Zuweisung von Frau W. zur CT.', 0)
    >>> mask_names("Herr Kollege, die Frau mit Fr. Radius rechts, PD Lungenherd, M. Bechterew. Dr. NAME")[0]
    'Herr Kollege, die Frau mit Fr. Radius rechts, PD Lungenherd, M. Bechterew. Dr. NAME'
    """
    if not _MARK.search(text):
        return text, 0
    return _NAMED.subn(lambda match: f"{match[1]} NAME", text)


def line_key(line: str) -> str:
    """What counts as the same line: names masked, digits 0, lower case; empty for what is never boiler-plate.

    >>> line_key("  Befund vom 12.03.2024,  Dr. Huber "), line_key("Beurteilung:"), line_key("—")
    ('befund vom 00.00.0000, dr. name', '', '')
    """
    if len(line) > MAX_LINE:
        return ""
    line = " ".join(line.split())
    is_heading = line in _HEADINGS or (line.endswith(":") and line.count(" ") < 3)
    if is_heading or not _LETTER.search(line):
        return ""
    return _DIGIT.sub("0", mask_names(line)[0]).lower()


def key_hash(key: str) -> int:
    """64 bits that are equal in every process, unlike `hash`."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), sys.byteorder)


def edge_keys(text: str) -> set[int]:
    """Hashes of the lines of one document that may be header, footer or signature."""
    lines = text.split("\n")
    return {key_hash(key) for number in _edges(lines) if (key := line_key(lines[number]))}


def _edges(lines: Sequence[str]) -> list[int]:
    """Numbers of the lines near the start, the end or a page number; page numbers themselves are not among them.

    >>> _edges([*"abcdefgh", "Seite 1 von 2", *"ijklmnopq"])
    [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 13, 14, 15, 16, 17]
    """
    filled = [number for number, line in enumerate(lines) if line.strip()]
    pages = [place for place, number in enumerate(filled) if is_page_number(lines[number])]
    near = {*filled[:EDGE], *filled[-EDGE:]}
    for place in pages:
        near.update(filled[max(0, place - PAGE_EDGE) : place + PAGE_EDGE + 1])
    return sorted(near - {filled[place] for place in pages})


def is_page_number(line: str) -> bool:
    """Whether the line holds a page number only.

    >>> [is_page_number(line) for line in ("Seite 2 von 3", "- 7 -", "S. 4", "Seite 2: Befund", "12", "3-5")]
    [True, True, True, False, False, False]
    """
    return len(line) < 40 and _PAGE.fullmatch(line) is not None


def cut_boilerplate(text: str, frequent: frozenset[int]) -> tuple[str, list[str]]:
    r"""The text without page numbers and without the lines at its edges that are in `frequent`, and the keys of those.

    A text that would lose all its lines stays as it is.

    >>> frequent = frozenset({key_hash(line_key("Klinikum am Berg"))})
    >>> cut_boilerplate("Klinikum am Berg\nKein Erguss.\n- 2 -\n\n\nKein Pneu.", frequent)
    ('Kein Erguss.\n\nKein Pneu.', ['klinikum am berg'])
    """
    lines = text.split("\n")
    cut = {}
    if frequent:
        keys = {number: line_key(lines[number]) for number in _edges(lines)}
        cut = {number: key for number, key in keys.items() if key and key_hash(key) in frequent}
    kept = "\n".join(line for number, line in enumerate(lines) if number not in cut and not is_page_number(line))
    kept = _BLANK_LINES.sub("\n\n", _LINE_SPACE.sub("", kept)).strip()
    return (kept, list(cut.values())) if kept else (text, [])


def split_sentences(text: str) -> Iterator[str]:
    r"""The sentences, line by line: a line break ends one anyway, and a whole book is read in linear time.

    >>> list(split_sentences("Z. n. ZVK-Anlage re. Kein Pneu.\nV. a. Infiltrat bds. basal."))
    ['Z. n. ZVK-Anlage re.', 'Kein Pneu.', 'V. a. Infiltrat bds. basal.']
    """
    for line in text.split("\n"):
        for start, end in sentences(line):
            yield line[start:end]
