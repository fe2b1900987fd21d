"""Many letters from one: names, places, clinics, dates and numbers of a marked letter changed for others.

The model that learns from them must know how a name stands in a letter, not which names there are.

Owns the lists of `data/letters/recombination.yaml`, names drawn from them, and how each kind of mark is changed; the
same word becomes the same other word throughout a letter, with its case and its genitive -s. Knows nothing of typing
errors (`train.scuffed`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import yaml

from medbertde.privacy.kinds import Kind
from train.letters import FOLDER, Letter, joined, segments

LISTS = FOLDER / "recombination.yaml"
_COMMAS = ("towns", "streets", "proper", "clinics")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_TITLES = frozenset(
    "Dr Prof med Dipl Psych univ Univ PD Dres Drs habil jur h c Ing Priv Doz M Sc B cand Mag DDr MR OA OÄ Frau Fr Herr "
    "Hr Herrn jun sen und von van vom zu der de den da di du ten ter El Al Ben i V e u Soz Arb St DR PROF MED".split()
)
_MONTHS = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split()
_ALL_MONTHS = {*_MONTHS, "Jänner", "Feber"}
_FACILITY_END = re.compile(
    r"(?i)(klinik(?:um|en)?|krankenhaus(?:es)?|spital|hospital|zentrum|heim|stift|praxis|institut|station|apotheke|"
    r"dienst|haus|patholog\w*|radiologie|medicum|paedicum|werk)$"
)
_KEPT_IN_ADDRESSES = frozenset("example de at ch com www http https praxis klinik klinikum mail post info".split())
_SYLLABLES = (
    "ba da fe gi ha jo ka li ma ne o pi ra sa ti u wa xu ye za mir lan dor sel rin tash vik bur min sen".split()
)


@cache
def lists() -> dict[str, list[str]]:
    """The lists by name."""
    raw: dict[str, Any] = yaml.safe_load(LISTS.read_text(encoding="utf-8"))
    return {
        name: [item.strip() for item in (text.split(",") if name in _COMMAS else text.split())]
        for name, text in raw.items()
    }


def given_name(rng: random.Random) -> str:
    """A given name, now and then one of no language."""
    return rng.choice(lists()["given"]) if rng.random() < 0.9 else _foreign(rng)


def family_name(rng: random.Random) -> str:
    """A family name: of the list, put together from its parts, or of no language."""
    draw = rng.random()
    if draw < 0.45:
        return rng.choice(lists()["family"])
    if draw < 0.9:
        return rng.choice(lists()["family_fronts"]) + rng.choice(lists()["family_backs"])
    return _foreign(rng)


def _foreign(rng: random.Random) -> str:
    return "".join(rng.choices(_SYLLABLES, k=rng.randint(2, 3))).capitalize()


def recombined(letter: Letter, rng: random.Random) -> Letter:
    """The letter about somebody else."""
    change = _Change(rng)
    return joined(letter.name, [(change.of(text, kind) if kind else text, kind) for text, kind in segments(letter)])


class _Change:
    """What stands for what in one letter."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._words: dict[str, str] = {}
        self._given = frozenset(lists()["given"])
        self._facility = frozenset(lists()["facility"])
        names = self._names
        self._by_kind: dict[Kind, Callable[[str], str]] = {
            **dict.fromkeys((Kind.PATIENT, Kind.DOCTOR, Kind.PERSON), names),
            **dict.fromkeys((Kind.DATE, Kind.BIRTH), self._date),
            **dict.fromkeys((Kind.PHONE, Kind.FAX), self._phone),
            Kind.ZIP: self._digits,
            **dict.fromkeys((Kind.EMAIL, Kind.URL), self._address),
            **dict.fromkeys((Kind.ID, Kind.WARD), self._signs),
            Kind.AGE: lambda text: re.sub(r"\d+", lambda _: str(rng.randint(90, 104)), text),
            Kind.STREET: self._street,
            Kind.CITY: self._town,
            Kind.HOSPITAL: self._clinic,
        }

    def of(self, text: str, kind: Kind) -> str:
        """Another text of this kind."""
        return self._by_kind[kind](text)

    # ------------------------------------------------------------------------------------------ names

    def _names(self, text: str) -> str:
        return _WORD.sub(lambda match: self._name(match.group()), text)

    def _name(self, word: str) -> str:
        if word in _TITLES:
            return word
        if len(word) == 1:
            return self._rng.choice("ABCDEFGHIJKLMNOPRSTUVW") if word.isupper() else word
        stem = word[:-1]
        if word.endswith("s") and stem.casefold() in self._words:
            return self._as(word, self._words[stem.casefold()] + "s")
        known = self._words.get(word.casefold())
        if known is None:
            is_given = word.title() in self._given
            known = self._words[word.casefold()] = given_name(self._rng) if is_given else family_name(self._rng)
        return self._as(word, known)

    def _as(self, word: str, other: str) -> str:
        """The other word in capitals or small letters where the word was."""
        if word.isupper() and len(word) > 1:
            return other.upper()
        return other.lower() if word.islower() else other

    # ------------------------------------------------------------------------------------------ places

    def _new_town(self) -> str:
        if self._rng.random() < 0.5:
            return self._rng.choice(lists()["towns"])
        town = self._rng.choice(lists()["town_fronts"]) + self._rng.choice(lists()["town_backs"])
        return f"Bad {town}" if self._rng.random() < 0.06 else town

    def _town(self, text: str) -> str:
        key = text.casefold()
        if key not in self._words:
            self._words[key] = self._new_town()
        return self._as(text, self._words[key])

    def _street(self, text: str) -> str:
        number = re.search(r"[\s,]*\d.*$", text, re.DOTALL)
        return self._as(text, self._rng.choice(lists()["streets"])) + (self._digits(number.group()) if number else "")

    def _clinic(self, text: str) -> str:
        """Another name for the same sort of facility; now and then one that is called by a name only."""
        if self._rng.random() < 0.08:
            return self._rng.choice(lists()["clinics"])
        return re.sub(r"[^\W\d_][\w'’.]*", lambda match: self._clinic_word(match.group()), text)

    def _clinic_word(self, word: str) -> str:
        end = _FACILITY_END.search(word)
        front = word[: end.start()] if end else word
        if word[0].islower() or len(word) < 3 or word in self._facility or word.title() in self._facility or not front:
            return word
        key = word.casefold()
        if key not in self._words:
            proper = [one for one in lists()["proper"] if " " not in one] if end else lists()["proper"]
            fresh = self._rng.choice(proper) if self._rng.random() < 0.6 else self._new_town()
            self._words[key] = fresh + (end.group().lower() if end else "")
        return self._as(word, self._words[key])

    # ------------------------------------------------------------------------------------------ numbers

    def _digits(self, text: str) -> str:
        return re.sub(r"\d", lambda _: str(self._rng.randint(0, 9)), text)

    def _phone(self, text: str) -> str:
        return re.sub(r"[1-9]|(?<=\d)0", lambda _: str(self._rng.randint(1, 9)), text)

    def _signs(self, text: str) -> str:
        """Other digits, and other letters where they stand alone or beside digits."""
        changed = re.sub(r"\b[A-Z]\b|(?<=\d)[A-Z]|[A-Z](?=\d)", lambda _: self._rng.choice("ABCDEFGHKLMNPRST"), text)
        return self._digits(changed)

    def _address(self, text: str) -> str:
        def other(match: re.Match[str]) -> str:
            word = match.group()
            return word if word in _KEPT_IN_ADDRESSES or len(word) < 3 else family_name(self._rng).lower()

        return re.sub(r"[^\W\d_]+", other, text)

    def _date(self, text: str) -> str:
        changed = re.sub(r"[^\W\d_]+", lambda match: self._month(match.group()), text)
        numbers = list(re.finditer(r"\d+", changed))
        others = self._date_numbers([number.group() for number in numbers], changed)
        for number, other in reversed(list(zip(numbers, others, strict=True))):
            changed = changed[: number.start()] + other + changed[number.end() :]
        return changed

    def _month(self, word: str) -> str:
        return self._as(word, self._rng.choice(_MONTHS)) if word.title() in _ALL_MONTHS else word

    def _date_numbers(self, numbers: list[str], text: str) -> list[str]:
        """Other numbers of a date, of the same widths: days, months and years by their place."""
        is_month_first = re.fullmatch(r"\d\d?[/.]\s?\d{2,4}", text.strip(" .")) is not None and not text.endswith(".")
        places = ["m", "y"] if is_month_first else ["d", "m", "y", "d", "m", "y"]
        if len(numbers) > 1 and len(numbers[0]) == 4:
            places = ["y", "m", "d"]
        return [self._date_number(number, place) for number, place in zip(numbers, [*places, *"d" * 9], strict=False)]

    def _date_number(self, number: str, place: str) -> str:
        rng = self._rng
        if len(number) == 4:
            return str(rng.randint(1926, 2025))
        if len(number) > 4:
            return self._digits(number)
        value = {"d": rng.randint(1, 28), "m": rng.randint(1, 12), "y": rng.randint(0, 99)}[place]
        return f"{value:02}" if len(number) == 2 else str(value % 10 or 1)
