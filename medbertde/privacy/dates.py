"""Dates: where they stand, which are dates of birth, and how they read some days earlier or later.

Knows German ways to write a date (12.3.21, 12. März 2021, 12.-15.03., 03/2021, 2021-03-12, seit 2019) and the numbers
that look like one (RR 120/80, LWK 4/5, SUVmax 6.4.). Knows no names and no places.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain
from typing import NamedTuple

from medbertde.privacy.kinds import Found, Kind
from medbertde.privacy.reading import Page
from medbertde.privacy.words import is_common

_MONTHS = {
    "januar": 1, "jänner": 1, "jan": 1, "februar": 2, "feber": 2, "feb": 2, "märz": 3, "mär": 3, "mrz": 3, "april": 4,
    "apr": 4, "mai": 5, "juni": 6, "jun": 6, "juli": 7, "jul": 7, "august": 8, "aug": 8, "september": 9, "sept": 9,
    "sep": 9, "oktober": 10, "okt": 10, "november": 11, "nov": 11, "dezember": 12, "dez": 12,
}  # fmt: skip
_OTHER_SPELLINGS = {"maerz": 3, "jaenner": 1, "mar": 3, "may": 5, "oct": 10, "dec": 12}  # ASCII, and as devices write
_MONTH_OF = _MONTHS | _OTHER_SPELLINGS
_NAMES = (
    "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November",
    "Dezember",
)  # fmt: skip
_MEASURED = (
    r"(?![ \t]?(?:mm|cm|m|ml|l|mg|g|kg|µg|ug|mcg|HE|HU|IE|E|I\.E|kV|kv|mA|mAs|mGy|ms|s|min|h|mmHg|mmol|U|G|x|×|"
    r"fach|Bq"
    r"|MBq|Gy|kcal|ng|pg|Schritte|Watt|W|Stück|bar|dpt|Hz|Ch|Tbl|Gramm|Meter|Punkte)(?!\w)|[ \t]?[%‰°]|-?fach"
)
_UNIT = rf"{_MEASURED}|[ \t]?/)"
_UNIT_BUT_DATE = rf"{_MEASURED}|[ \t]?/(?![ \t]?\d{{1,2}}\.[ ]?\d))"  # the / of 12.03.24/15.03.24 is of no unit
_DAY, _MONTH, _YEAR = r"(?P<d>0?[1-9]|[12]\d|3[01])", r"(?P<m>0?[1-9]|1[0-2])", r"(?P<y>(?:19|20)\d\d)"


def _one_of(names: Iterable[str]) -> str:
    return r"(?P<name>" + "|".join(sorted(names, key=len, reverse=True)) + r")"


_TITLED = {name.title() for name in _MONTHS} | {"Maerz", "Jaenner"}
_CAPITALS = {name.upper() for name in _TITLED} - {"SEP", "OKT"}  # these two are examinations as well
_WORD, _WORD_OR_CAPITALS = _one_of(_TITLED), _one_of(_TITLED | _CAPITALS)
_ANY_WORD = f"(?i:{_one_of(_MONTH_OF)})"
_START, _NO_DIGIT = r"(?<!\d)(?<!\d[.,/])", r"(?!\d|[.,/]\d)"
_START_OR_SECOND = r"(?<!\d)(?<!\d[.,])(?:(?<!\d/)|(?<=\.\d\d/)|(?<=\.\d{4}/))"


class _Shape(NamedTuple):
    """A way to write a date, and without what a text need not be searched for it: a cheaper pattern, a month."""

    pattern: re.Pattern[str]
    hint: re.Pattern[str]
    month: bool


def _shape(pattern: str, hint: str, *, month: bool = False) -> _Shape:
    return _Shape(re.compile(pattern), re.compile(hint), month)


_POINT = r"\d[ ]?\.[ ]?\d"
_FULL = (
    _shape(rf"{_START_OR_SECOND}{_DAY}[ ]?\.[ ]?{_MONTH}[ ]?\.[ ]?{_YEAR}(?!\d)", _POINT),
    _shape(rf"{_START_OR_SECOND}{_DAY}\.[ ]?{_MONTH}\.[ ]?(?P<yy>\d\d)(?!\d|[.,]\d){_UNIT_BUT_DATE}", _POINT),
    _shape(rf"{_START}{_DAY}(?P<sep>[/-]){_MONTH}(?P=sep){_YEAR}{_NO_DIGIT}", r"\d[/-]\d"),
    _shape(rf"{_START}{_YEAR}(?P<sep>[-/.]){_MONTH}(?P=sep){_DAY}(?!\d|[.,]\d)", r"\d{4}[-/.]\d"),
    _shape(rf"(?<![\w.,/-]){_YEAR}(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|3[01])(?!\w|[.,]\d)", r"\d{8}"),
    _shape(rf"{_START}{_DAY}[ ]?[.-]?[ ]?{_ANY_WORD}[.-]?[ ]?{_YEAR}(?!\d)", r"[A-Za-z][.-]?[ ]?(?:19|20)\d\d"),
    _shape(rf"{_START}{_DAY}-{_ANY_WORD}-(?P<yy>\d\d)(?!\w|[.,/-]\d)", r"[A-Za-z]-\d\d"),
    _shape(
        rf"{_START}(?:{_DAY}[ ]?\.[ ]?){_WORD_OR_CAPITALS}(?!\w)\.?"
        rf"(?:[ ]?{_YEAR}(?!\d)|[ ]['’]?(?P<yy>\d\d)(?!\d|[.,:]\d){_UNIT})?",
        r"\d[ ]?\.",
        month=True,
    ),
)
_PARTIAL = (
    _shape(rf"{_START}{_DAY}\.[ ]?{_MONTH}\.(?!\d){_UNIT}", _POINT),
    _shape(rf"(?<!\w){_WORD_OR_CAPITALS}\.?[ ]{_YEAR}{_NO_DIGIT}{_UNIT}", r"\d{4}", month=True),
    _shape(rf"(?<![\w-]){_WORD}(?!\w|-\w)", "", month=True),
    _shape(rf"{_START}{_MONTH}[/.][ ]?{_YEAR}{_NO_DIGIT}{_UNIT}", r"\d[/.][ ]?\d{4}"),
    _shape(rf"{_START}{_MONTH}/(?P<yy>\d\d){_NO_DIGIT}{_UNIT}", r"\d/\d\d"),
    _shape(rf"(?<![\w.,-]){_DAY}\.{_MONTH}(?![\w.,]){_UNIT}", r"\d\.\d"),
    _shape(rf"(?<![\d.,])(?<!\w-){_YEAR}(?:/(?P<next>(?:19|20)?\d\d))?(?!\w|[.,]\d){_UNIT}", r"(?:19|20)\d\d"),
    _shape(rf"{_START}{_DAY}(?P<sep>[/-]){_MONTH}(?P=sep)(?P<yy>\d\d)(?!\w|[.,/-]\d)", r"\d[/-]\d"),
    _shape(
        r"(?:(?<=['’])|(?<=Jg )|(?<=Jg\. )|(?<=Jahrgang )|(?<=Jahrgangs ))"
        rf"(?P<yy>1[4-9]|[02-9]\d)(?!\w|[.,/-]\d){_UNIT}",  # Jahrgang 10 to 13 is a class at school
        r"Jg|Jahrgang|['’]\d",
    ),
)
_ANY_MONTH = re.compile("|".join(sorted({name[:3] for name in _TITLED | _CAPITALS})))
_DIGIT = re.compile(r"\d")
_DAY_MONTH, _, _MONTH_NAME, _, _MONTH_YEAR, _OPEN_DAY, _YEAR_ONLY, *_ONLY_OF_BIRTH = (
    shape.pattern for shape in _PARTIAL
)
_RANGE = re.compile(
    r"(?<![\d.,/-])(?P<d>[12]\d|3[01]|0?[1-9])(?:\.[ ]?(?P<m>1[0-2]|0?[1-9]))?\.?[ ]?"
    r"(?:[-–/]|bis(?: zum)?|und|u\.)[ ]?$"
)
_VALUE = re.compile(
    r"(?:SUV\w{0,6}|Hb|CRP|INR|PSA|PCT|max\.?|min\.?|Wert|Score|pH|Kalium|Natrium|Krea\w{0,6}|Leuko\w{0,6}|TSH|"
    r"LDL|BMI|Quick"
    r"|Version|RECIST|Kapitel|Abschnitt|Nr\.?|Serie|Bild|Schicht|Ery\w{0,12}|Index|Faktor|Ratio|Temp\.?|HbA1c|"
    r"Laktat|Bili\w{0,6}"
    r"|von|auf|ca\.?|um|<|>|=|≥|≤|~)[ :]{0,3}$",
    re.IGNORECASE,
)
_NO_FRACTION = re.compile(
    r"(?:WK|Th|BWK|L|C|S|RR|KG|Kraftgrade?n?|NRS|VAS|APGAR|Apgar|GCS|NYHA|Segmente?n?|ICR|Rippen?|Stadium|Grad|"
    r"SSW|MMST|Phase|ABI|"
    r"Visus|Score|Serie|Schober|Ott|Höhe|Lauenstein|Lee?vel)[ :.]{0,3}$"
)
_CUE = re.compile(
    r"(?:^|[ (,;])(?:am|vom|v\.|bis|bis zum|ab|seit|zum|den|der|und|dem|des|Mo|Di|Mi|Do|Fr|Sa|So|Montag|Dienstag|"
    r"Mittwoch|"
    r"Donnerstag|Freitag|Samstag|Sonntag|Datum|im|Im|in|Anfang|Mitte|Ende|ED|EM|Z\. ?n\.|OP|CT|MRT|PET|Rö|für|"
    r"Termin|Entl\.?|Aufn\.?|"
    r"vergangenen|letzten|diesen|nächsten|Frühjahr|Sommer|Herbst|Winter|[a-z]{2,12}ten|von|zwischen|Stand|"
    r"Kontrolle|Am|Vom|Seit|Bis|"
    r"ca\.|um|nach|post|Jahr|Jahre|Jahres|zuletzt|erneut|gegen)[:,. ]{0,3}$"
)
_BIRTH_HINTS = ("geb", "*", "gd", "dob", "jg", "jahrg")
_AT_START = re.compile(r"^\W*$")
_BEFORE_DATE = re.compile(r"[-–/(]\s?$")
_BIRTH = re.compile(
    r"(?:\bgeb(?:\.|oren|or\.)?|\bgeboren am|geburts(?:datum|tag)?\.?|\bgeb\.?[ -]?d(?:at)?\w{0,6}\.?|\*|\bGD|"
    r"\bDOB|\bJg\.?|\bJahrgangs?|"
    r"\bgeb\.?[ -]?am)[\s:.,;|(*]{0,6}(?:am|im)?[\s:]{0,4}(?:Mo|Di|Mi|Do|Fr|Sa|So)?[.,\s]{0,3}['’]?$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class DateFound(Found):
    """A date in the text. `groups` are the places of its day, month and year: name → (start, end)."""

    groups: tuple[tuple[str, int, int], ...] = ()
    month_of: int | None = None
    year_of: int | None = None
    full: bool = False


def find_dates(page: Page) -> list[DateFound]:
    """Every date of the page in order; overlapping readings are settled for the longer one."""
    found: list[DateFound] = []
    if not _DIGIT.search(page.text) and not _ANY_MONTH.search(page.text):
        return found
    for offset, piece in page.pieces():
        free = bytearray(b"\x01") * len(piece)
        taken = [match for match in chain.from_iterable(_candidates(piece)) if _take(free, match)]
        taken += [match for match in _openings(piece, taken) if _take(free, match)]
        found += [_at(match, offset) for match in taken]
    return _unique(found)


def _take(free: bytearray, match: DateFound) -> bool:
    """Mark the characters of a match as used; says whether all of them were free."""
    is_free = all(free[match.start : match.end])
    if is_free:
        free[match.start : match.end] = bytes(match.end - match.start)
    return is_free


def _candidates(piece: str) -> Iterator[Iterator[DateFound]]:
    month = bool(_ANY_MONTH.search(piece))
    if not month and not _DIGIT.search(piece):
        return
    for shape in _FULL + _PARTIAL:
        if month >= shape.month and shape.hint.search(piece):
            yield _read_as(shape, piece)


def _read_as(shape: _Shape, piece: str) -> Iterator[DateFound]:
    full = shape in _FULL
    for match in shape.pattern.finditer(piece):
        if full or _is_date(shape.pattern, match, piece):
            yield _dated(match, piece, full=full)


_PARTS = ("d", "m", "name", "y", "yy", "next")


def _dated(match: re.Match[str], piece: str, *, full: bool) -> DateFound:
    names = [name for name in _PARTS if name in match.re.groupindex and match.group(name)]
    kind = Kind.BIRTH if _is_after_birth_cue(piece[max(0, match.start() - 28) : match.start()]) else Kind.DATE
    has_day = any(name == "d" for name in names)
    return DateFound(
        match.start(), match.end(), kind, tuple((name, *match.span(name)) for name in names), full=full and has_day
    )


def _is_after_birth_cue(before: str) -> bool:
    lowered = before.lower()
    return any(hint in lowered for hint in _BIRTH_HINTS) and bool(_BIRTH.search(before))


def _is_date(pattern: re.Pattern[str], match: re.Match[str], piece: str) -> bool:
    """Whether an incomplete date is one, by the words before it."""
    before = piece[max(0, match.start() - 25) : match.start()]
    cued = bool(_CUE.search(before) or _is_after_birth_cue(before) or _AT_START.search(before))
    if pattern is _DAY_MONTH:
        day, month = match.group("d"), match.group("m")
        sure = len(month) == 2 and len(day) == 2
        likely = sure or bool(_BEFORE_DATE.search(before)) or _ends_with_name(before)
        return cued or (likely and not _VALUE.search(before))
    if pattern is _MONTH_NAME:
        return cued and len(match.group()) > 2 if match.group() in _DOUBTFUL_MONTHS else True
    if pattern is _MONTH_YEAR:
        year, padded = int(match.group("yy")), match.group("m").startswith("0")
        likely = padded or (year > 12 and len(match.group("m")) == 2)
        return not _NO_FRACTION.search(before) and (cued or before.endswith("(") or likely)
    if pattern is _OPEN_DAY:
        return bool(re.search(r"(?:^|\W)(?:am|vom)[ ]$", before))
    if pattern is _YEAR_ONLY:
        return int(match.group("y")) < 2050 and not _NOT_A_YEAR.search(before)
    return pattern not in _ONLY_OF_BIRTH or _is_after_birth_cue(before)


def _ends_with_name(before: str) -> bool:
    """Whether the word before is capitalised and no word of medicine: „Prof. Karahan 15.2.“, not „Troponin 6.4.“."""
    word = re.search(r"([A-ZÄÖÜ][^\W\d_]{3,20})[ \t]{1,3}$", before)
    return bool(word) and not is_common(word.group(1) if word else "")


_DOUBTFUL_MONTHS = frozenset(
    "Maerz Jaenner Mai August April Jan Feb Mär Mrz Apr Jun Jul Aug Sep Sept Okt Nov Dez".split()
)
_NOT_A_YEAR = re.compile(r"(?:Serie|Bild|Nr\.?|Nummer|Dichte|SUV\w*|Aktivität|Lösung|[<>=≥≤~+]|je|mal)[ :]{0,3}$")


def _openings(piece: str, dates: list[DateFound]) -> list[DateFound]:
    """The days that open a range (the 12. of „12.-15.03.2021“, with the month and year of its end)."""
    found = []
    for end in dates:
        match = _RANGE.search(piece[max(0, end.start - 25) : end.start])
        if match and match.group("d") and any(name == "d" for name, _, _ in end.groups):
            base = max(0, end.start - 25)
            groups = tuple(
                (name, base + match.start(name), base + match.end(name)) for name in "dm" if match.group(name)
            )
            stop = groups[-1][2]
            stop += piece[stop : stop + 1] == "."
            parts = _values(piece, end)
            found.append(DateFound(base + match.start("d"), stop, end.kind, groups, parts[1], parts[0]))
    return found


def _at(found: DateFound, offset: int) -> DateFound:
    groups = tuple((name, start + offset, end + offset) for name, start, end in found.groups)
    start, end = found.start + offset, found.end + offset
    return DateFound(start, end, found.kind, groups, found.month_of, found.year_of, found.full)


def _unique(found: list[DateFound]) -> list[DateFound]:
    """In order and without overlaps (two pieces of a long line may both have found a date)."""
    kept: list[DateFound] = []
    for one in sorted(found, key=lambda item: (item.start, -item.end)):
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
    return kept


# ---------------------------------------------------------------------------------------------- moving


def _values(text: str, found: DateFound) -> tuple[int | None, int | None, int | None]:
    """Year, month and day as far as they are written or known from the end of the range."""
    year, month, day = found.year_of, found.month_of, None
    for name, start, end in found.groups:
        part = text[start:end]
        if name == "d":
            day = int(part)
        elif name == "m":
            month = int(part)
        elif name == "name":
            month = _MONTH_OF[part.casefold()]
        elif name == "y":
            year = int(part)
        elif name == "yy":
            year = 2000 + int(part) if int(part) < 50 else 1900 + int(part)
    return year, month, day


def shifted(text: str, found: DateFound, days: int) -> str | None:
    """The date `days` later, written as it was; None when it is no day of the calendar.

    What is not written is taken as the middle: 2019 moves as 1 July 2019, 03/2019 as 15 March 2019. Of two years that
    do not follow each other (2019/12) it is not known what they say: None.
    """
    year, month, day = _values(text, found)
    try:
        moved = date(year or 2000, month or 7, day or (15 if month else 1)) + timedelta(days)
    except (ValueError, OverflowError):
        return None
    seconds = [int(text[start:end]) for name, start, end in found.groups if name == "next"]
    if any((second - (year or 0) - 1) % 100 for second in seconds):
        return None
    out, place = [], found.start
    for name, start, end in sorted(found.groups, key=lambda group: group[1]):
        out += [text[place:start], _written(text[start:end], name, moved)]
        place = end
    return "".join([*out, text[place : found.end]])


def _written(part: str, name: str, moved: date) -> str:
    if name == "name":
        written = _NAMES[moved.month - 1]
        written = written if len(part) > 4 or part.title() in _NAMES else written[:3]
        return written.upper() if part.isupper() else written
    if name == "y":
        return f"{moved.year:04}"
    if name == "next":
        return f"{moved.year + 1:04}"[-len(part) :]
    number = {"d": moved.day, "m": moved.month, "yy": moved.year % 100}[name]
    return f"{number:02}" if name == "yy" or part.startswith("0") or part == "10" else str(number)
