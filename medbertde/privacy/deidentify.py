"""The gate: a German clinical text in, the text without names, dates, places and numbers of persons out.

Rules, and beside them a token classifier where one is given (`union`). The order in which the rules run and which of
two overlapping spans wins is settled here. On error, timeout or an over-long text it refuses with
`DeidentificationRefused` and gives out nothing. It misses some identifying text (see `docs/deidentification.md`): what
comes out still has to be looked at.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from medbertde.privacy.contacts import find_contacts
from medbertde.privacy.dates import DateFound, find_dates, shifted
from medbertde.privacy.kinds import (
    PLACEHOLDERS,
    Dates,
    DeidentificationRefused,
    Deidentified,
    Found,
    Kind,
    Replace,
    Span,
    refused_as_failed,
    refused_as_too_long,
)
from medbertde.privacy.names import find_names
from medbertde.privacy.places import find_facilities, find_towns
from medbertde.privacy.reading import Budget, Page, read
from medbertde.privacy.surrogates import Surrogates
from medbertde.privacy.union import Classifier, union
from medbertde.text import normalise

MAX_CHARS = 200_000
BUDGET_S = 5.0  # of processor time; 100,000 hostile characters take below one
MAX_SHIFT_DAYS = 365
_NAMES = {Kind.PATIENT, Kind.DOCTOR, Kind.PERSON}
_DATES = {Kind.DATE, Kind.BIRTH}


def deidentify(
    text: str,
    *,
    dates: Dates | str = Dates.ALL,
    replace: Replace | str = Replace.PLACEHOLDER,
    seed: int | None = None,
    budget_s: float = BUDGET_S,
    classifier: Classifier | None = None,
) -> Deidentified:
    """The text with every identifying span replaced; offsets are code points of the NFC form of `text`.

    `dates`: ``birth`` replaces dates of birth only, ``all`` every date, ``shift`` moves all by one random number of
    days. `replace`: ``placeholder`` ([PATIENT], [ARZT], [DATUM], …) or ``surrogate`` (invented, the same for the same).
    `seed` makes the random choices repeatable: keep it as secret as the text. What `classifier` finds is replaced
    beside what the rules find; None: rules only. Raises `DeidentificationRefused`, and `InvalidText` for unreadable
    characters.

    >>> deidentify("Herr Max Kasulke, geb. 3.4.1956, kam am 12.03.2021. RR 120/80.").text
    'Herr [PATIENT], geb. [GEBURTSDATUM], kam am [DATUM]. RR 120/80.'
    """
    dates, replace = Dates(dates), Replace(replace)
    if len(text) > MAX_CHARS:
        raise refused_as_too_long(len(text), MAX_CHARS)
    normalise(text)  # refuses unreadable characters
    try:
        source, page = read(text, Budget(budget_s))
        found = [page.origin(one) for one in find(page, classifier)]
        moved = _moved_dates(page, dates, seed)
        result = _replaced(source, found, dates, replace, moved, seed)
    except (ArithmeticError, LookupError, ValueError, TypeError, RuntimeError, AttributeError, MemoryError, OSError):
        raise refused_as_failed() from None  # the chained error could hold the text
    return result


def find(page: Page, classifier: Classifier | None = None) -> list[Found]:
    """The identifying spans of a page: in order, without overlaps."""
    ruled = _find_by_rules(page)
    return union(ruled, page, classifier) if classifier else ruled


def _find_by_rules(page: Page) -> list[Found]:
    dates = find_dates(page)
    contacts = find_contacts(page)
    fixed = _settled([*contacts, *dates, *find_facilities(page)], page)
    births = [one for one in dates if one.kind is Kind.BIRTH or one.full]
    names = find_names(page, _no_names(fixed), births)
    towns = list(find_towns(page))
    everything = _settled([*fixed, *names, *towns], page)
    return list(_with_births(page, everything, dates))


def _no_names(fixed: list[Found]) -> list[Found]:
    """The spans that are surely no names: all but towns without a zip code before them."""
    zip_ends = {one.end for one in fixed if one.kind is Kind.ZIP}
    return [one for one in fixed if one.kind is not Kind.CITY or {one.start - gap for gap in (1, 2, 3)} & zip_ends]


_RANK = {Kind.EMAIL: 0, Kind.URL: 0, Kind.STREET: 1, Kind.FAX: 2, Kind.PHONE: 3}


def _settled(found: Iterable[Found], page: Page) -> list[Found]:
    """In order and without overlaps: of two spans the longer is kept, what is left of the other too."""
    kept: list[Found] = []
    for count, one in enumerate(sorted(found, key=lambda item: (item.start, -item.end))):
        if count % 1000 == 0:
            page.budget.check()
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
        elif one.end > kept[-1].end:
            kept[-1], one = _parted(kept[-1], one)
            kept.append(one)
        elif (one.start, one.end) == (kept[-1].start, kept[-1].end) and _is_surer(one, kept[-1]):
            kept[-1] = one
    return [one for one in kept if one.start < one.end]


def _parted(left: Found, right: Found) -> tuple[Found, Found]:
    """Two spans that overlap: the second gives way, so that nothing between them is left."""
    return left, Found(left.end, right.end, right.kind)


def _is_surer(one: Found, other: Found) -> bool:
    return one.kind in _RANK and _RANK[one.kind] < _RANK.get(other.kind, 9)


def _with_births(page: Page, found: list[Found], dates: list[DateFound]) -> Iterator[Found]:
    """The spans, with a whole date right behind a patient's name told as the date of birth."""
    full = {one.start for one in dates if one.full}
    before: Found | None = None
    for one in found:
        near = (
            before is not None
            and before.kind is Kind.PATIENT
            and not page.text[before.end : one.start].strip(" ,(*-/–\t|;")
        )
        is_birth = (
            one.kind is Kind.DATE
            and near
            and one.start in full
            and "\n" not in page.text[before.end if before else 0 : one.start]
        )
        yield Found(one.start, one.end, Kind.BIRTH) if is_birth else one
        before = one


# ---------------------------------------------------------------------------------------------- replacing


def _moved_dates(page: Page, dates: Dates, seed: int | None) -> dict[int, str]:
    """By their start in the NFC input, the dates as they read after the shift; empty unless they are shifted."""
    if dates is not Dates.SHIFT:
        return {}
    chance = _chance(seed)
    days = chance.choice((-1, 1)) * chance.randint(30, MAX_SHIFT_DAYS)
    written = ((page.origin(one).start, shifted(page.text, one, days)) for one in find_dates(page))
    return {start: text for start, text in written if text is not None}


def _chance(seed: int | None) -> random.Random:
    return random.SystemRandom() if seed is None else random.Random(seed)


def _replaced(
    source: str, found: list[Found], dates: Dates, replace: Replace, moved: dict[int, str], seed: int | None
) -> Deidentified:
    surrogates = Surrogates(_chance(seed))
    pieces, spans, place = [], [], 0
    for one in found:
        if one.kind is Kind.DATE and dates is Dates.BIRTH:
            continue
        if one.start < place:
            raise refused_as_failed()
        replacement = PLACEHOLDERS[one.kind]
        if one.kind in _DATES:
            replacement = moved.get(one.start, replacement)
        elif replace is Replace.SURROGATE:
            replacement = surrogates.of(source[one.start : one.end], one.kind)
        pieces += [source[place : one.start], replacement]
        spans.append(Span(one.start, one.end, one.kind, replacement))
        place = one.end
    return Deidentified("".join([*pieces, source[place:]]), tuple(spans))


__all__ = ["DeidentificationRefused", "deidentify", "find"]
