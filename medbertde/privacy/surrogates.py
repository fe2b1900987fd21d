"""Invented values in place of what was found: the same name gives the same name within one document.

Owns how a surrogate looks. Chooses at random, so that nothing leads back to the text; a `random.Random` with a seed
makes it repeatable. Reads the word lists, knows no rule.
"""

from __future__ import annotations

import random
import re

from medbertde.privacy.kinds import Kind
from medbertde.privacy.words import first_names, is_first_name, surnames

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_KEPT = frozenset(
    "von van der de zu und da freiherr graf prof dr med pd dipl priv doz univ habil psych ing dres drs h c oa oä "
    "ca aa aä fa fä mag prim rer nat dent phil sr station zimmer bett haus".split()
)
_TOWNS = ("Neuenbrück", "Altweiler", "Oberfelden", "Grünhausen", "Seetal", "Waldstetten", "Sonnenberg", "Lindenau")
_STREETS = ("Ahornweg", "Birkenweg", "Kastanienallee", "Lerchenweg", "Meisenweg", "Tulpenweg", "Wiesenweg")
_CLINICS = ("Klinikum Neuenbrück", "Krankenhaus Altweiler", "Klinik Waldstetten", "Klinikum Lindenau")


class Surrogates:
    """The surrogates of one document."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._words: dict[str, str] = {}
        self._wholes: dict[tuple[Kind, str], str] = {}

    def of(self, text: str, kind: Kind) -> str:
        """What stands for `text`; the same for the same text and kind."""
        if kind in (Kind.PATIENT, Kind.DOCTOR, Kind.PERSON):
            return _WORD.sub(lambda match: self._name(match.group()), text)
        key = (kind, text.casefold())
        if key not in self._wholes:
            self._wholes[key] = self._whole(text, kind)
        return self._wholes[key]

    def _name(self, word: str) -> str:
        key = word.casefold()
        if key in _KEPT:
            return word
        if len(word) == 1:
            return self._chance.choice("ABDEFGHKLMNPRSTW")
        if key.endswith("s") and key[:-1] in self._words:
            return self._words[key[:-1]] + "s"
        if key not in self._words:
            pool = first_names() if is_first_name(word) else surnames()
            self._words[key] = self._chance.choice(pool)
        chosen = self._words[key]
        return chosen.upper() if word.isupper() and len(word) > 2 else chosen

    def _whole(self, text: str, kind: Kind) -> str:
        if kind is Kind.CITY:
            return self._chance.choice(_TOWNS)
        if kind is Kind.STREET:
            return f"{self._chance.choice(_STREETS)} {self._chance.randint(1, 99)}"
        if kind is Kind.HOSPITAL:
            return self._chance.choice(_CLINICS)
        if kind is Kind.EMAIL:
            return "post@example.org"
        if kind is Kind.URL:
            return "www.example.org"
        if kind is Kind.AGE:
            return "90"
        return re.sub(r"\d", lambda _match: str(self._chance.randint(0, 9)), text)
