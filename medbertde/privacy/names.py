"""Names of patients, staff and others.

A name is found by a cue or by its place and then everywhere in the document. Every token is looked at once and each cue
reads a bounded number of them ahead, so a text is read in linear time. Knows the spans that other rules have taken: a
street is no name.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from operator import attrgetter

from medbertde.privacy.kinds import Found, Kind
from medbertde.privacy.name_cues import before_birth, by_cue
from medbertde.privacy.name_layout import by_signature, by_table
from medbertde.privacy.name_reading import ADJECTIVES, SALUTATIONS, Run, Sheet, is_initial
from medbertde.privacy.reading import Page
from medbertde.privacy.words import is_common, is_eponym, is_first_name

_MEDICAL_BEFORE = frozenset("morbus m nach n typ zeichen bei index score versus klassifikation stadium grad".split())
_MEDICAL_AFTER = re.compile(
    r"(?:[A-Z]|[IVX]{1,4}|\d{1,2}|negativ|positiv|neg|pos|zeichen|syndrom|fraktur|klassifikation|katheter|nach|"
    r"test|score|index)",
    re.IGNORECASE,
)
_SENTENCE_ENDS = frozenset(". : ! ? - – • ; |".split())


def find_names(page: Page, taken: Iterable[Found], births: Iterable[Found]) -> list[Found]:
    """The names on a page. `taken` are spans that are no names, `births` the dates of birth among them."""
    sheet = _sheet(page, list(taken), list(births))
    for index in range(len(sheet.tokens)):
        if index % 200 == 199:
            page.budget.check()
        if not sheet.taken[index]:
            by_cue(sheet, index)
        elif index in sheet.births and index - 1 not in sheet.births:
            before_birth(sheet, index)
    by_signature(sheet, page)
    by_table(sheet, page)
    known = _settled(sheet)
    spans = [_span(sheet, run, kind or _kind_of(sheet, run, known)) for run, kind in sheet.runs]
    page.budget.check()
    return spans + (list(_everywhere(sheet, known)) if known else [])


def _sheet(page: Page, taken: list[Found], births: list[Found]) -> Sheet:
    tokens = page.tokens
    flags, born = [False] * len(tokens), set()
    for spans, is_birth in ((taken, False), (births, True)):
        for found in spans:
            first = max(0, bisect_right(tokens, found.start, key=attrgetter("start")) - 1)
            for index in range(first, len(tokens)):
                if tokens[index].start >= found.end:
                    break
                if tokens[index].end > found.start:
                    flags[index] = True
                    if is_birth:
                        born.add(index)

    line_starts, lower = [0] * (tokens[-1].line + 2 if tokens else 1), set()
    for index in range(len(tokens) - 1, -1, -1):
        line_starts[tokens[index].line] = index
        if tokens[index].text[-1].islower():
            lower.add(tokens[index].line)
    upper = frozenset(token.line for token in tokens if len(token.text) > 3 and token.text.isupper()) - lower
    return Sheet(tokens, page.keys, flags, line_starts, frozenset(upper), births=frozenset(born))


# ---------------------------------------------------------------------------------------------- the whole document


def _settled(sheet: Sheet) -> dict[str, Kind]:
    """Every word of a name that was found, with whose it is; patients come before staff, staff before others."""
    known: dict[str, Kind] = {}
    for kind in (Kind.PATIENT, Kind.DOCTOR, Kind.PERSON, None):
        for run, found in sheet.runs:
            if found is kind:
                own = kind or _kind_of(sheet, run, known)
                for word in run.words:
                    for part in {sheet.key(word), *sheet.key(word).split("-")}:
                        if len(part) > 2 and not (kind is None and part in known):
                            known.setdefault(part, own)
    return known


def _kind_of(sheet: Sheet, run: Run, known: dict[str, Kind]) -> Kind:
    """Whose name an unspecific cue announced: of someone known by its last word, else the patient's."""
    for word in reversed(run.words):
        found = known.get(sheet.key(word)) or known.get(sheet.key(word).removesuffix("s"))
        if found:
            return found
    return Kind.PATIENT


def _span(sheet: Sheet, run: Run, kind: Kind) -> Found:
    return Found(sheet.tokens[run.first].start, sheet.tokens[run.last].end, kind)


def _everywhere(sheet: Sheet, known: dict[str, Kind]) -> Iterator[Found]:
    """Every further place of a name that was found, with the initial before it."""
    for index, token in enumerate(sheet.tokens):
        if sheet.taken[index] or len(token.text) < 3:
            continue
        kind = _known_kind(sheet.keys[index], known)
        is_name = kind and (token.text[0].isupper() or _is_lower_name(sheet, index)) and _may_stand_alone(sheet, index)
        if kind and is_name:
            first = (
                index - 2 if index > 1 and is_initial(sheet, index - 2) and sheet.same_line(index - 2, index) else index
            )
            yield Found(sheet.tokens[first].start, token.end, kind)


def _is_lower_name(sheet: Sheet, index: int) -> bool:
    """Whether a word in lower case may be a known name: behind a salutation, or too long and rare for another word."""
    text = sheet.text(index)
    rare = len(text) > 4 and not is_common(text) and text not in ADJECTIVES and not is_eponym(text)
    return text.islower() and (rare or sheet.key(index - 1) in SALUTATIONS)


def _known_kind(key: str, known: dict[str, Kind]) -> Kind | None:
    for form in (key, key.removesuffix("s"), key.removesuffix("’s"), key.removesuffix("'s")):
        if form in known:
            return known[form]
    parts = key.split("-")
    if len(parts) > 1 and all(len(part) > 2 for part in parts) and not any(is_common(part) for part in parts):
        return next((known[part] for part in parts if part in known), None)
    return None


def _may_stand_alone(sheet: Sheet, index: int) -> bool:
    """Whether a word that is someone's name on this page is a name here too, and no everyday word or eponym."""
    text, before, after = sheet.text(index), sheet.key(index - 1), sheet.text(index + 1)
    if is_eponym(text) and (before in _MEDICAL_BEFORE or _MEDICAL_AFTER.fullmatch(after or "-")):
        return False
    stem = text.casefold()
    if not is_common(text) or is_first_name(text):
        return True
    mid_sentence = index > 0 and sheet.same_line(index - 1, index) and before not in _SENTENCE_ENDS
    return stem in ADJECTIVES and mid_sentence
