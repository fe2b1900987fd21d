"""Whether a text looks as if it held the name or the date of birth of somebody.

The rules of `medbertde.privacy` for dates and names decide; because they take as long as a small model, they are only
asked where a word or a date hints at a name. A study date, an age or an initial ("Frau K.") alone are none.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from medbertde.privacy.dates import find_dates
from medbertde.privacy.kinds import DeidentificationRefused, Kind
from medbertde.privacy.names import find_names
from medbertde.privacy.places import find_facilities
from medbertde.privacy.reading import Budget, read

BUDGET_S = 1.0  # of processor time; 20,000 hostile characters take far below it
_NAME = re.compile(r"[^\W\d_]{3}")  # at least one word that is no initial
_DATE = re.compile(r"(?<!\d)\d{1,2}\.[ ]?\d{1,2}\.[ ]?(?:19|20)\d\d(?!\d)|\*[ ]?\d")
_PATIENT = re.compile(r"\bPat(?:ient(?:in)?)?\b\.?:?\s+[A-ZÄÖÜ]\w")
_HINTS = frozenset(
    # folded as in `language`
    "herr herrn hr hrn frau fr dr prof pd priv professor professorin doktor dipl fam familie eheleute name vorname "
    "nachname zuname patientenname geb geboren geborene geborener geburtsdatum gebdat geburtstag jg jahrgang arzt "
    "aerztin oberarzt oberaerztin chefarzt chefaerztin assistenzarzt assistenzaerztin stationsarzt stationsaerztin "
    "hausarzt hausaerztin facharzt fachaerztin kollege kollegen kollegin oa oae ca cae aa aae fa fae loa lieber liebe "
    "hallo servus gez unterschrift mfg gruss gruesse sohn tochter ehefrau ehemann mutter vater bruder befunder "
    "untersucher ueberweiser zuweiser einsender verfasser ansprechpartner betreuer betreuerin".split()
)


def names_someone(text: str, words: Collection[str]) -> bool:
    """Whether the rules find a name or a date of birth in `text`; `words` as `language.letters_only` gives them.

    A text that they cannot read within `BUDGET_S` counts as holding one: nobody has looked at all of it.

    >>> from medbertde.notices.language import letters_only
    >>> [names_someone(text, letters_only(text)) for text in ("Befund an Dr. Wehmeier.", "CT vom 12.03.2024.")]
    [True, False]
    """
    if _HINTS.isdisjoint(words) and not _DATE.search(text) and not _PATIENT.search(text):
        return False
    try:
        _, page = read(text, Budget(BUDGET_S))
        dates = find_dates(page)
        births = [one for one in dates if one.kind is Kind.BIRTH]
        near_names = [one for one in dates if one.kind is Kind.BIRTH or one.full]
        names = find_names(page, [*dates, *find_facilities(page)], near_names)
    except DeidentificationRefused:
        return True
    return bool(births) or any(_NAME.search(page.text, one.start, one.end) for one in names)
