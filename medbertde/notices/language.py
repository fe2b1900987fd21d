"""Whether a text is German: a count of words, no statistics of letters.

A word speaks for German when it is one of 3,000 common words of German clinical texts, or begins or ends with one of
five letters and more, as compounds do (``Pleura|punktat``). Every other word of four letters and more speaks against
it, and so do the short words of the neighbouring languages (``the``, ``het``, ``les``). Other short words are
abbreviations and units and say nothing, so telegraphic German passes. What is measured on this project's texts and on
sentences in other languages stands in docs/notices.md.
"""

from __future__ import annotations

import re
from functools import cache

from medbertde.settings import ROOT

WORDS_FILE = ROOT / "data" / "german_words.txt"
LEAST_FOREIGN = 3  # words that speak against German before anything is said
PART = 5  # letters of a common word that counts within a compound
_SHORT = 3  # letters of an abbreviation at most
_LONGEST = 24  # letters of a part that is looked up: no longer word is common, and the time stays linear
_WORD = re.compile(r"[^\W\d_]+")
_FOLDED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_FOREIGN = frozenset(
    "the of and with is are no not without there for from to by on at be this that has have or as we it she "  # en
    "de la les du et est une un pas sans au aux sur avec ni son sa ses pour par en ce ne se il "  # fr
    "het een van niet geen met zijn bij voor naar te aan deze dit zonder ook maar "  # nl
    "el los las una con sin lo gli di per che non si al del della dei nel "  # es, it
    "og ikke af eller aer inte som med paa nie sie do ve bir bu ile".split()  # da, sv, pl, tr
)


def letters_only(text: str) -> list[str]:
    """The words of a text in lower case, without digits and signs; umlauts and ß written out.

    >>> letters_only("Großer Erguss, 5 cm.")
    ['grosser', 'erguss', 'cm']
    """
    return _WORD.findall(text.lower().translate(_FOLDED))


@cache
def _common() -> frozenset[str]:
    return frozenset(WORDS_FILE.read_text(encoding="utf-8").split())


def is_foreign(words: list[str]) -> bool:
    """Whether these words, as `letters_only` gives them, are hardly German; few words never are.

    >>> is_foreign(letters_only("There is a new consolidation in the right lower lobe."))
    True
    >>> is_foreign(letters_only("Hz gr.-normal, kein PE, ZVK reg."))
    False
    """
    german = foreign = 0
    for word in words:
        if word in _common():
            german += len(word) > 1 and word not in _FOREIGN  # "of" is also short for Oberfeld
        elif word in _FOREIGN or (len(word) > _SHORT and not _is_compound(word)):
            foreign += 1
        else:
            german += len(word) > _SHORT
    return foreign >= LEAST_FOREIGN and foreign > german


def ends_like_german(word: str) -> bool:
    """Whether common German words end in the same two letters.

    >>> ends_like_german("Blutungen"), ends_like_german("Blutungn")
    (True, False)
    """
    return word.lower().translate(_FOLDED)[-2:] in _endings()


@cache
def _endings() -> frozenset[str]:
    return frozenset(word[-2:] for word in _common() if len(word) > _SHORT)


def _is_compound(word: str) -> bool:
    """Whether a common word of `PART` letters and more begins or ends it."""
    common, length = _common(), min(len(word), _LONGEST)
    starts = any(word[:end] in common for end in range(PART, length))
    return starts or any(word[-end:] in common for end in range(PART, length))
