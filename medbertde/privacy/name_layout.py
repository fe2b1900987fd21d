"""Names that only their place gives away: under a greeting, above a role, at the end, in the column of a table."""

from __future__ import annotations

import re

from medbertde.privacy.kinds import Kind
from medbertde.privacy.name_reading import ARTICLES, MERGED, ROLES, Run, Sheet, is_initial, past_titles, read_name
from medbertde.privacy.reading import Page
from medbertde.privacy.words import is_eponym, is_first_name, is_surname

_GREETING = re.compile(
    r"^[ \t]*(?:mit (?:freundlich|kollegial|best|herzlich|viel|lieb|dank)\w*|mfg\b|hochachtungsvoll|"
    r"freundliche gr|beste gr|viele gr|herzliche gr|herzlich|danke und|liebe gr|"
    r"(?:mit )?kollegiale gr|vg\b|lg\b)",
    re.IGNORECASE,
)

_SHORT = 3  # lines of a text in which a family name signs only where it has a line of its own, or a role behind it


def by_signature(sheet: Sheet, page: Page) -> None:
    """Names that stand alone under a greeting, above a role, or at the end."""
    lines = page.text.split("\n")
    filled = [number for number, line in enumerate(lines) if line.strip()]
    under, last = 0, set(filled[-3:])
    short = len(filled) <= _SHORT
    for order, number in enumerate(filled):
        if order % 500 == 499:
            page.budget.check()
        greets = bool(_GREETING.match(lines[number][:60]))
        following = filled[order + 1] if order + 1 < len(filled) else -1
        above_role = following >= 0 and _begins_with_role(sheet, following)
        if under or above_role or number in last or greets:
            sure = bool(under or above_role)
            _segments(sheet, number, sure=sure, short=short)
        under = 7 if greets else max(0, under - 1)


def _begins_with_role(sheet: Sheet, line: int) -> bool:
    first = sheet.line_starts[line]
    if first >= len(sheet.tokens) or sheet.tokens[first].line != line:
        return False
    key, follows = sheet.key(first), sheet.text(first + 1)
    return (
        (key in ROLES or key in ("leitender", "leitende", "ltd")) and follows != ":" and sheet.text(first)[0].isupper()
    )


def _segments(sheet: Sheet, line: int, *, sure: bool, short: bool) -> None:
    """The names of a line that holds nothing else between its gaps, commas and slashes."""
    place = sheet.line_starts[line]
    if place >= len(sheet.tokens) or sheet.tokens[place].line != line:
        return
    begin = place
    for step in range(place, min(place + 60, len(sheet.tokens) + 1)):
        inside = step < len(sheet.tokens) and sheet.tokens[step].line == line
        if inside and not (sheet.tokens[step].wide and step > begin) and sheet.text(step) not in ",/|&()":
            continue
        if begin < step:
            alone = begin == place and not inside
            begins = begin == place and is_first_name(sheet.text(begin))  # „Paul, 6 Jahre“
            signs = alone or begins or not short or past_titles(sheet, step + 1)[1]
            _segment(sheet, begin, step, sure=sure, alone=alone, signs=signs)
        if not inside:
            return
        begin = step + (sheet.text(step) in ",/|&()")


def _segment(sheet: Sheet, begin: int, end: int, *, sure: bool, alone: bool, signs: bool) -> None:
    """The name between two places of a line; `alone`: nothing else stands there, `signs`: a family name is enough."""
    start, titled = past_titles(sheet, begin)
    run = read_name(sheet, start, lead=sure or titled) if start < end else None
    if not run or run.last + 1 < end - (sheet.text(end - 1) == "." and end - 1 > run.last) or not run.words:
        return
    words = [sheet.text(word) for word in run.words]
    below = alone and begin > 0  # „Müller“ as the last line; elsewhere it may be an eponym
    family = signs and any(is_surname(word) and (below or not is_eponym(word)) for word in words)
    known = family or titled or _is_led(sheet, run, alone=alone)
    if (sure or known) and not (len(words) == 1 and is_eponym(words[0]) and not (titled or sure or below)):
        sheet.add(run, Kind.DOCTOR, begin if titled else None)


def _is_led(sheet: Sheet, run: Run, *, alone: bool) -> bool:
    """Whether an initial, or a particle that is no article of a sentence, begins the name."""
    if run.first == run.words[0] or is_initial(sheet, run.first):
        return run.first < run.words[0]
    return sheet.key(run.first) not in ARTICLES | MERGED and (alone or not sheet.text(run.first).islower())


_COLUMNS = {
    "name": Kind.PATIENT,
    "vorname": Kind.PATIENT,
    "nachname": Kind.PATIENT,
    "patient": Kind.PATIENT,
    "patientin": Kind.PATIENT,
    "arzt": Kind.DOCTOR,
    "ärztin": Kind.DOCTOR,
    "operateur": Kind.DOCTOR,
}


def by_table(sheet: Sheet, page: Page) -> None:
    """Names in the columns of a table whose cells are parted by „|“."""
    if "|" not in page.text:
        return
    columns: list[Kind | None] = []
    bar_lines = sorted({token.line for token in sheet.tokens if token.text == "|"})
    before = -2
    for line in bar_lines:
        cells = _cells(sheet, line)
        heads = [_COLUMNS.get(sheet.key(first)) if first == last else None for first, last in cells]
        if any(heads):
            columns = heads
        elif line == before + 1 and len(cells) == len(columns):
            for (first, last), kind in zip(cells, columns, strict=True):
                run = read_name(sheet, first, sure=True, comma=True) if kind and first <= last else None
                if run and run.last <= last:
                    sheet.add(run, kind)
        before = line


def _cells(sheet: Sheet, line: int) -> list[tuple[int, int]]:
    """First and last token of each cell of a line; an empty cell has its last before its first."""
    cells: list[tuple[int, int]] = []
    begin = place = sheet.line_starts[line]
    while place < len(sheet.tokens) and sheet.tokens[place].line == line and len(cells) < 30:
        if sheet.text(place) == "|":
            cells.append((begin, place - 1))
            begin = place + 1
        place += 1
    return [*cells, (begin, place - 1)]
