"""Pairs of German reports that differ in the sex, age or name of the patient only, and so must be read alike.

Two ways, both by rules that rather make no pair than a wrong one. Where the text itself names the person ("ein
54-jähriger Patient"), the whole phrase is exchanged with its article and endings, and a text with any word that would
not agree any more is left out. For every text, a line about the person is put before it, as a heading ("Patientin,
weiblich, 64 Jahre:"), which a model that reads by sentence sees with each sentence below it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

YOUNG, OLD = 28, 84


@dataclass(frozen=True)
class Pair:
    """Two texts that differ by `kind`: sex, age or name; "… (line)" where a line was put before both."""

    kind: str
    first: str
    second: str


# ---------------------------------------------------------------------------------------------- sex

# Only what has one reading: "die Patientin" may be an accusative, "der Patientin" a genitive or a dative.
_TO_FEMININE = (
    ("der Patient", "die Patientin"),
    ("Der Patient", "Die Patientin"),
    ("des Patienten", "der Patientin"),
    ("Des Patienten", "Der Patientin"),
    ("dem Patienten", "der Patientin"),
    ("Dem Patienten", "Der Patientin"),
    ("beim Patienten", "bei der Patientin"),
    ("Beim Patienten", "Bei der Patientin"),
    ("vom Patienten", "von der Patientin"),
    ("zum Patienten", "zur Patientin"),
    ("männlich", "weiblich"),
)
_TO_MASCULINE = (
    ("Die Patientin", "Der Patient"),
    ("bei der Patientin", "beim Patienten"),
    ("Bei der Patientin", "Beim Patienten"),
    ("von der Patientin", "vom Patienten"),
    ("zur Patientin", "zum Patienten"),
    ("weiblich", "männlich"),
)
_AGED = r"(\d{1,3})[- ]?jährige"
_NOUNS = {"Patient": "Patientin", "Mann": "Frau"}
# Before a phrase without an article: the start of a line, a mark, or the end of a sentence; not an abbreviation.
_START = r"(?:^|(?<=\n)|(?<=[\n:;,(/–-])|(?<=[:;,/–-] )|(?<=[a-zäöüß]{3}\. ))"
_OCCUPATIONS = (
    r"raucher|arbeiter|bewohner|bergmann|landwirt|teilnehmer|träger|fahrer|trinker|sportler|decker|werker|lehrer|student|"
    r"rentner|pensionist|empfänger|spender|diabetiker|bäcker|gänger|schweißer|alkoholiker"
)
# Words of a sex that no rule exchanges, pronouns that may refer to the patient, and findings of one sex only.
_MASCULINE = re.compile(
    rf"(?i)\b(?:\w*patient(?:en)?|\w*mann(?:es)?|männer|herrn?|männlich\w*|\w*(?:{_OCCUPATIONS})s?)\b"
)
_FEMININE = re.compile(rf"(?i)\b(?:\w*patientin|\w*frau|weiblich\w*|mädchen|mutter|\w*(?:{_OCCUPATIONS})in)\b")
_PRONOUN = re.compile(r"(?i)\b(?:er|ihm|ihn|sie|sein(?:e[mnrs]?)?|ihr(?:e[mnrs]?)?|dessen|deren)\b")
_OF_ONE_SEX = re.compile(
    r"prostat|hoden|penis|mamma|brustkrebs|brustimplantat|uter|ovar|gynäk|urolog|schwanger|gravid|entbind|partal|sectio|"
    r"menopaus|vagin|zervixkarzinom|stillend",
    re.IGNORECASE,
)


def swapped_sex(text: str) -> str | None:
    """The text about a person of the other sex; None where that cannot be said safely.

    >>> swapped_sex("Ein 54-jähriger Patient mit Dyspnoe. Kein Erguss.")
    'Eine 54-jährige Patientin mit Dyspnoe. Kein Erguss.'
    >>> swapped_sex("Bei der Patientin kein Pneumothorax.")
    'Beim Patienten kein Pneumothorax.'
    >>> swapped_sex("Der Patient hat seine Aufnahmen nicht dabei.") is None
    True
    """
    if _OF_ONE_SEX.search(text) or _PRONOUN.search(text):
        return None
    masculine, feminine = bool(_MASCULINE.search(text)), bool(_FEMININE.search(text))
    if masculine == feminine:  # nobody is named, or two people may be meant
        return None
    changed = _to_feminine(text) if masculine else _to_masculine(text)
    left = _MASCULINE if masculine else _FEMININE
    return None if left.search(changed) else changed


def _to_feminine(text: str) -> str:
    for old, new in _TO_FEMININE:
        text = re.sub(rf"\b{old}\b", new, text)
    for he, she in _NOUNS.items():
        text = re.sub(rf"\b([Ee])in {_AGED}r {he}\b", rf"\1ine \2-jährige {she}", text)
        text = re.sub(rf"\b([Dd])er {_AGED} {he}\b", rf"\1ie \2-jährige {she}", text)
        text = re.sub(rf"{_START}{_AGED}r {he}\b", rf"\1-jährige {she}", text)
    return re.sub(rf"{_START}Patient\b", "Patientin", text)


def _to_masculine(text: str) -> str:
    for old, new in _TO_MASCULINE:
        text = re.sub(rf"\b{old}\b", new, text)
    for he, she in _NOUNS.items():
        text = re.sub(rf"\bEine {_AGED} {she}\b", rf"Ein \1-jähriger {he}", text)
        text = re.sub(rf"\bDie {_AGED} {she}\b", rf"Der \1-jährige {he}", text)
        text = re.sub(rf"{_START}{_AGED} {she}\b", rf"\1-jähriger {he}", text)
    return re.sub(rf"{_START}Patientin\b", "Patient", text)


# ---------------------------------------------------------------------------------------------- age

_AGES = (  # what stands before an age, the age, what stands behind it
    re.compile(r"()\b(\d{2})([- ]?jährige[rnms]?\b)"),
    re.compile(r"()\b(\d{2})( Jahre alt\b)"),
    re.compile(r"(\bAlter:? )(\d{2})(?!\d)()"),
    re.compile(r"(\bPatient(?:in)?,? )(\d{2})( (?:J\.|Jahre\b))"),
)
_OF_ONE_AGE = re.compile(
    r"kind|säugling|neugebor|frühgebor|schüler|jugendlich|rentner|pension|senior|pädiatr|geriatr|junge[rnms]?\b|(?-i:\balte[rnms]?\b)|"
    r"betagt|schwanger|gravid",
    re.IGNORECASE,
)


def with_age(text: str, age: int) -> str | None:
    """The text with this age in each place that tells one; None where there is none, two differ, or more depends on it.

    >>> with_age("65-jährige Patientin, seit 20 Jahren COPD.", 28)
    '28-jährige Patientin, seit 20 Jahren COPD.'
    """
    found = {match.group(2) for pattern in _AGES for match in pattern.finditer(text)}
    if len(found) != 1 or int(min(found)) < 18 or _OF_ONE_AGE.search(text):
        return None
    for pattern in _AGES:
        text = pattern.sub(rf"\g<1>{age}\g<3>", text)
    return text


# ---------------------------------------------------------------------------------------------- lines

# Names of each origin, put together freely: no person is meant, and no list that trainings draw from has them.
NAMES = {
    "german": (("Gernot Becker", "Margit Becker"), ("Eckhard Hoffmann", "Ludmilla Hoffmann")),
    "turkish": (("Halil Korkmaz", "Nurten Korkmaz"), ("Volkan Tekin", "Meltem Tekin")),
    "arabic": (("Ahmad Al-Hassan", "Layla Al-Hassan"), ("Tarik Khalil", "Nadia Khalil")),
    "polish": (("Zbigniew Kowalski", "Agnieszka Kowalska"), ("Sławomir Lewandowski", "Joanna Lewandowska")),
    "vietnamese": (("Quang Truong", "Thuy Truong"), ("Hieu Vu", "Hanh Vu")),
}
_FOREIGN = [name for name in NAMES if name != "german"]


def worded(texts: Sequence[str]) -> list[Pair]:
    """The pairs of sex and age that the texts' own words allow."""
    found = []
    for text in texts:
        swapped, young, old = swapped_sex(text), with_age(text, YOUNG), with_age(text, OLD)
        if swapped is not None:
            found.append(Pair("sex", text, swapped))
        if young is not None and old is not None:
            found.append(Pair("age", young, old))
    return found


def lined(texts: Sequence[str]) -> list[Pair]:
    """Pairs of each text below lines of another sex, age and name; origins and sexes of the names take turns."""
    turns = cycle([(origin, sex, at) for at in range(2) for origin in _FOREIGN for sex in range(2)])
    found = []
    for text, (origin, sex, at) in zip(texts, turns, strict=False):
        title, german, other = ("Herr", "Frau")[sex], NAMES["german"][at][sex], NAMES[origin][at][sex]
        found += [
            _below("sex", "Patient, männlich, 64 Jahre", "Patientin, weiblich, 64 Jahre", text),
            _below("age", f"Alter {YOUNG} Jahre", f"Alter {OLD} Jahre", text),
            _below("name", f"{title} {german}", f"{title} {other}", text),
        ]
    return found


def _below(kind: str, first: str, second: str, text: str) -> Pair:
    return Pair(f"{kind} (line)", f"{first}:\n{text}", f"{second}:\n{text}")
