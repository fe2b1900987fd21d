"""Word lists: given names, family names, towns, eponyms, drugs, and words that are no names.

Owns the text files beside it. Knows words, not sentences: every question is about one word.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent
_LETTERS = re.compile(r"[^\W\d_]+")
_NOUN_ENDS = tuple(
    (
        "ung ungen heit heiten keit keiten tät täten itis itiden ose osen tomie skopie grafie grafhie grapie graphie "
        "pathie ämie urie stomie therapie syndrom karzinom sarkom adenom ödem ion ionen ismus lyse metrie logie "
        "gramm gramme schmerz schmerzen befund befunde wert werte katheter drainage erguss infarkt fraktur frakturen "
        "klinik klinikum krankenhaus arzt ärztin ärzte zeichen test phase druck bereich seite gefäß gefäße muskel "
        "knochen gelenk nerv arterie vene säure spiegel zyten mittel tablette tabletten pflichtig bericht brief "
        "dienst dauer gabe menge vertretung weise maßnahme maßnahmen zeit zeiten rate grad schnitt lappen höhle "
        "leiter leiterin praxis zentrum direktor direktorin blocker hemmer fistel wirbel körper raum rand wand zone "
        "region verlauf plastik naht implantat frau prothese beschwerden insuffizienz stenose läsion lymphknoten "
        "schatten"
    ).split()
)
_LONGEST = 40  # letters of a word that may be a name


@cache
def _lines(name: str) -> tuple[str, ...]:
    lines = (_FOLDER / name).read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))


@cache
def _words(name: str) -> frozenset[str]:
    return frozenset(word.casefold() for line in _lines(name) for word in line.split())


@cache
def towns() -> dict[str, tuple[tuple[str, ...], ...]]:
    """The towns by their first word: each as its words, the longest first; names that need a cue are left out."""
    return _towns(doubtful=False)


@cache
def _towns(*, doubtful: bool) -> dict[str, tuple[tuple[str, ...], ...]]:
    found: dict[str, list[tuple[str, ...]]] = {}
    for name in (piece.strip() for line in _lines("cities.txt") for piece in line.split(",")):
        if name and name.startswith("?") == doubtful:
            parts = tuple(re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*|[^\w\s]", name.lstrip("?")))
            found.setdefault(parts[0], []).append(parts)
    return {first: tuple(sorted(names, key=len, reverse=True)) for first, names in found.items()}


@cache
def first_names() -> tuple[str, ...]:
    """The given names of the list."""
    return tuple(word for line in _lines("first_names.txt") for word in line.split())


@cache
def surnames() -> tuple[str, ...]:
    """The family names of the list."""
    return tuple(word for line in _lines("surnames.txt") for word in line.split())


def is_town(word: str) -> bool:
    """Whether a one-word town has this name, doubtful ones included.

    >>> is_town("Essen"), is_town("Husten")
    (True, False)
    """
    return any((word,) in _towns(doubtful=doubtful).get(word, ()) for doubtful in (False, True))


def is_first_name(word: str) -> bool:
    """Whether a word, or every part of a hyphenated one, is a given name.

    >>> is_first_name("Karl-Heinz"), is_first_name("Befund")
    (True, False)
    """
    known = _words("first_names.txt")
    return all(part in known for part in word.casefold().split("-")) if "-" in word else word.casefold() in known


def is_surname(word: str) -> bool:
    """Whether a word is a listed family name."""
    return word.casefold() in _words("surnames.txt")


def is_name(word: str) -> bool:
    """Whether a word is a listed given or family name."""
    return is_first_name(word) or is_surname(word)


def is_eponym(word: str) -> bool:
    """Whether a word is known as part of a medical term (Crohn, Foley)."""
    return word.casefold() in _words("eponyms.txt")


def is_drug(word: str) -> bool:
    """Whether a word is a drug or a brand of one."""
    return word.casefold() in _words("drugs.txt")


def is_everyday(word: str) -> bool:
    """Whether a word of letters and charts (Kollege, Befund) that no salutation turns into a name."""
    return word.casefold() in _words("common_words.txt") and not is_name(word)


def is_common(word: str) -> bool:
    """Whether a capitalised word is more likely no name: listed, a drug, built like a noun, or an acronym.

    >>> [is_common(word) for word in ("Metoprolol", "Gewichtsverlust", "ITN", "Kasulke", "Müller", "Mamma-Ca")]
    [True, True, True, False, False, True]
    """
    if len(word) > _LONGEST:
        return True
    if "-" in word:
        return not is_first_name(word) and any(is_common(part) for part in _LETTERS.findall(word))
    key = word.casefold()
    if key in _listed_as_common():
        return True
    if is_name(word):
        return False
    is_acronym = len(word) < 5 and sum(map(str.isupper, word)) > 1
    return is_acronym or len(word) < 3 or (len(word) > 5 and key.endswith(_NOUN_ENDS))


@cache
def _listed_as_common() -> frozenset[str]:
    """Everyday words and drugs, also those that are names too, and the other words of clinical texts without names."""
    names = _words("first_names.txt") | _words("surnames.txt")
    return _words("common_words.txt") | _words("drugs.txt") | (_words("clinic_words.txt") - names)
