"""How people write in tables what a report says of a finding: words, signs and number codes.

The default is the common one of radiology data sets: 1 present, 0 absent, -1 uncertain, empty not mentioned. The import
shows what it found and lets the user say otherwise.
"""

from __future__ import annotations

from medbertde.types import State

NOT_MENTIONED = ""
_WORDS = {
    State.PRESENT.value: "present vorhanden ja yes y j positiv positive pos + ++ 1 true wahr x nachgewiesen bestätigt",
    State.UNCERTAIN.value: "uncertain unsicher fraglich möglich possible unclear unklar ? -1 v.a. va verdacht maybe",
    State.ABSENT.value: "absent verneint nein no n negativ negative neg - 0 false falsch ausgeschlossen fehlt",
    NOT_MENTIONED: "nan none null na n/a k.a. nicht_erwähnt not_mentioned unmentioned not_mentioned leer blank",
}
DEFAULT_VALUES = {
    "": NOT_MENTIONED,
    **{word.replace("_", " "): value for value, words in _WORDS.items() for word in words.split()},
}


def word_of(value: object) -> str:
    """A cell's value as it is looked up: lower case, one space, whole numbers without a decimal part.

    >>> word_of(" V. a. "), word_of(1.0), word_of("-1.0"), word_of(True), word_of(None)
    ('v.a.', '1', '-1', 'true', '')
    """
    word = " ".join(str("" if value is None else value).lower().split()).replace(". ", ".")
    return word.removesuffix(".0") if word.lstrip("+-").replace(".", "", 1).isdigit() else word


def is_word(value: object) -> bool:
    """Whether a value stands for a state by itself."""
    return bool(DEFAULT_VALUES.get(word_of(value)))
