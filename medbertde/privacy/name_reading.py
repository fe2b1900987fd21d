"""One name, read from where a cue says that it begins.

Owns what a name is made of (titles, initials, particles, words) and the sheet on which names are collected. Looks a
bounded number of tokens ahead. Knows no cue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from medbertde.privacy.kinds import Kind
from medbertde.privacy.reading import Token
from medbertde.privacy.words import is_common, is_drug, is_everyday, is_first_name, is_name, is_surname, is_town

SALUTATIONS = frozenset("herr herrn hr hrn frau fr fräulein familie fam eheleute eheleuten herm".split())
TITLES = frozenset(
    "dr drs dres ddr prof professor professorin pd priv univ doz dipl mag ing psych med habil dent vet phil rer "
    "nat mult h c hc em apl lic hon theol soz päd biol msc mba doktor sportl jur pol hum biolog oec".split()
)
STRONG_TITLES = frozenset("dr drs dres ddr prof professor professorin pd priv dipl univ mag doktor doz".split())
ACRONYM_ROLES = frozenset("OA OÄ CA CÄ AA AÄ FA FÄ LOA LOÄ PJ PFK MFA MTA MTRA DM GKP RA RAin NA RS NFS".split())
_ROLE_HEADS = (
    "ober chef assistenz stations fach haus beleg not konsiliar kinder frauen haut augen zahn d- amts betriebs stabs "
    "physio ergo psycho kranken gesundheits- alten klinik hno-"
).split()
_ROLE_STEMS = (
    "ärztin arzt arztes schwester pfleger pflegerin hebamme direktor direktorin operateur operateurin therapeut "
    "therapeutin psychologe psychologin sekretärin"
).split()
ROLES = frozenset(head + stem for head in ("", *_ROLE_HEADS) for stem in _ROLE_STEMS) | frozenset(
    "kollege kollegen kollegin prim primar primaria primarius ass sr behandler untersucher assistenz assistent "
    "assistentin anästhesist anästhesie instr einsender zuweiser überweiser anforderer einweiser befunder "
    "sozialarbeiterin sozialarbeiter pflegekraft bezugspflege famulant famulantin internist internistin gyn urologe "
    "neurologe kardiologe logopädin diktat leiter leiterin verfasser verfasserin autor autorin prosektor arzthelferin "
    "ansprechpartner ansprechpartnerin sekretariat sekr schreibdienst bearbeiter ergotherapie".split()
)
PARTICLES = frozenset(
    "von van de der den zu zur zum vom da dos di del la le al el bin ben ten ter abu freiherr freifrau graf "
    "gräfin und 't ibn du des".split()
)
ARTICLES = frozenset("und der den des".split())  # in lower case they begin no name
MERGED = frozenset("zu zur zum vom".split())  # nor do these, but behind a salutation or title („Herr vom Hofe“)
ADJECTIVES = frozenset(
    "lang weiß groß klein stark kurz frei gut neu alt jung schön hart wild braun schwarz roth früh ganz link "
    "scharf".split()
)


@dataclass(frozen=True)
class Run:
    """A name: its first and last token, and the tokens that are its words."""

    first: int
    last: int
    words: tuple[int, ...]


@dataclass
class Sheet:
    """The page while its names are read: what is taken, and what was found. `keys`: the tokens in lower case."""

    tokens: Sequence[Token]
    keys: Sequence[str]
    taken: Sequence[bool]
    line_starts: Sequence[int]
    upper_lines: frozenset[int]
    runs: list[tuple[Run, Kind | None]] = field(default_factory=list)
    births: frozenset[int] = frozenset()

    def key(self, index: int) -> str:
        """The word at `index` in lower case, nothing beyond the ends."""
        return self.keys[index] if 0 <= index < len(self.keys) else ""

    def text(self, index: int) -> str:
        """The word at `index`, nothing beyond the ends."""
        return self.tokens[index].text if 0 <= index < len(self.tokens) else ""

    def same_line(self, left: int, right: int) -> bool:
        """Whether two tokens stand on one line."""
        return left >= 0 and right < len(self.tokens) and self.tokens[left].line == self.tokens[right].line

    def add(self, run: Run | None, kind: Kind | None, first: int | None = None) -> bool:
        """Keep a name, from its title at `first` on if there is one; says whether there was a name."""
        if run:
            self.runs.append((Run(run.first if first is None else first, run.last, run.words), kind))
        return run is not None


def read_name(
    sheet: Sheet, index: int, *, sure: bool = False, lead: bool = False, comma: bool = False, most: int = 4
) -> Run | None:
    """The name that begins at `index`, None where no name does.

    `sure`: a cue stands before it, so its first word may be any that is not everyday. `lead`: it may begin with „zur“
    or „vom“, as it may when `sure`. `comma`: the form „Müller, Anna“ is allowed. `most` words are read.
    """
    words: list[int] = []
    first = last = place = index
    initials = 0
    while len(words) < most and place < len(sheet.tokens):
        if place > first and not _goes_on(sheet, place, words):
            break
        if is_initial(sheet, place):
            initials, last, place = initials + 1, place + 1, place + 2
        elif _leads_on(sheet, place, sure=sure, lead=sure or lead, begins=not words):
            place += 1
        elif is_word(sheet, place, sure=(sure and not words) or _is_led(sheet, place, words), after=words):
            words.append(place)
            last, place = place, place + 1
        elif comma and sheet.text(place) == "," and words and _after_comma(sheet, place + 1):
            place += 1
            comma = False
        else:
            break
    if not words and not (initials and sure):
        return None
    return Run(first, last, tuple(words))


def _goes_on(sheet: Sheet, place: int, words: list[int]) -> bool:
    """Whether the token at `place` may belong to the name before it: same line, no gap; a given name may wrap."""
    token, before = sheet.tokens[place], sheet.tokens[place - 1]
    if token.line == before.line:
        return not (token.wide and words)
    wraps = token.line == before.line + 1 and bool(words) and is_first_name(before.text)
    return wraps and token.text[0].isupper() and not is_common(token.text) and sheet.text(place + 1) != ":"


def is_initial(sheet: Sheet, place: int) -> bool:
    """Whether an initial and its stop stand here."""
    text = sheet.text(place)
    short = len(text) == 1 or text in ("Ch", "Th", "St", "Fr", "Chr", "Sch")
    stop = sheet.text(place + 1) == "." and sheet.tokens[place + 1].start == sheet.tokens[place].end
    return short and text.isupper() | (len(text) > 1) and text.isalpha() and stop and not sheet.taken[place]


def _leads_on(sheet: Sheet, place: int, *, sure: bool, lead: bool, begins: bool) -> bool:
    """Whether a particle (von, van der, Freiherr) stands here and a name follows; `begins`: no word of it was read."""
    key, within = sheet.key(place), sheet.key(place - 1) in PARTICLES
    if key not in PARTICLES or (key == "und" and not within):
        return False
    unfit = key in ARTICLES or (key in MERGED and not lead)
    if begins and unfit and not within and sheet.text(place).islower():
        return False
    for step in range(place + 1, place + 4):
        if sheet.key(step) not in PARTICLES:
            follows = sheet.text(step)
            surely = sure and begins and key not in MERGED
            noun = is_everyday(follows) if surely else is_common(follows) and not is_name(follows)
            return follows[:1].isupper() and sheet.same_line(place, step) and not noun
    return False


def _is_led(sheet: Sheet, place: int, words: Sequence[int]) -> bool:
    """Whether a listed name stands behind the particles of the name before it („Anna von der Heide“)."""
    return bool(words) and sheet.key(place - 1) in PARTICLES and is_name(sheet.text(place))


def is_word(sheet: Sheet, place: int, *, sure: bool, after: Sequence[int]) -> bool:
    """Whether the token at `place` can be a word of a name."""
    text = sheet.tokens[place].text
    if sheet.taken[place] or len(text) < 2 or not text[0].isupper() or not text[0].isalpha() or len(text) > 40:
        return False
    if sheet.tokens[place].line in sheet.upper_lines and not sure and after:
        return is_name(text) or is_name_part(text)
    if sure:
        return (
            not is_everyday(text) and not is_drug(text) and not (text.isupper() and len(text) < 4 and not is_name(text))
        )
    if is_common(text):
        given_before = bool(after) and is_first_name(sheet.text(after[-1]))
        return given_before and is_surname(text)
    return True


def is_name_part(text: str) -> bool:
    """Whether a part of a hyphenated word is a listed name."""
    return "-" in text and any(is_name(part) for part in text.split("-"))


def _after_comma(sheet: Sheet, place: int) -> bool:
    text = sheet.text(place)
    return (
        bool(text)
        and sheet.same_line(place - 1, place)
        and text[0].isupper()
        and (is_first_name(text) or not (is_common(text) or is_town(text)))
    )


def past_titles(sheet: Sheet, index: int) -> tuple[int, bool]:
    """Past the titles and roles that begin at `index`: where they end, and whether there was one."""
    place, found = index, False
    while place < index + 16:
        key, text = sheet.key(place), sheet.text(place)
        if (
            key in TITLES
            and (text[0].isupper() or sheet.text(place + 1) == "." or found)
            and not _is_initial_of_name(sheet, place)
        ) or (
            text in ACRONYM_ROLES
            or (key in ROLES and text[0].isupper())
            or key in ("ltd", "leitender", "leitende", "stv")
        ):
            found = True
        elif not (found and text in (".", "-") and place > index):
            break
        place += 1
    return place, found


def _is_initial_of_name(sheet: Sheet, place: int) -> bool:
    """Whether „H.“ or „C.“ is an initial rather than part of „Dr. h. c.“."""
    return sheet.text(place) in ("H", "C")


def read_lower_case(sheet: Sheet, place: int) -> Run | None:
    """A name in lower case after a salutation or title, where it is in the lists or the text is all lower case."""
    text = sheet.text(place)
    if not text.islower() or len(text) < 4 or not text.isalpha() or sheet.taken[place]:
        return None
    titled = (
        sheet.text(place - 1) == "."
        and sheet.text(place - 2).islower()
        and sheet.key(place - 2) in (*STRONG_TITLES, "med", "hr")
    )
    return (
        Run(place, place, (place,))
        if (titled and not is_common(text)) or (is_surname(text) and not is_common(text))
        else None
    )
