"""The words that announce a name: Herr, Dr., Patient:, Tochter, geb., gez., and the names of the lists themselves.

Each function reads what stands behind (or before) one token and keeps the name on the sheet. Knows no layout.
"""

from __future__ import annotations

from medbertde.privacy.kinds import Kind
from medbertde.privacy.name_reading import (
    ACRONYM_ROLES,
    PARTICLES,
    ROLES,
    SALUTATIONS,
    STRONG_TITLES,
    TITLES,
    Run,
    Sheet,
    is_initial,
    is_name_part,
    is_word,
    past_titles,
    read_lower_case,
    read_name,
)
from medbertde.privacy.reading import BLANK
from medbertde.privacy.words import is_common, is_drug, is_eponym, is_everyday, is_first_name, is_name, is_surname

_ABBREVIATED = {"hr", "hrn", "fr", "fam"}
_STOPPED_ROLES = (ACRONYM_ROLES - {"DM", "NA", "RA"}) | frozenset("Prim Ass Sr Instr Gyn Sekr".split())
_RELATIVES = frozenset(
    "ehefrau ehemann ehegatte tochter töchter sohn söhne mutter vater bruder schwester mann gattin gatte partner "
    "partnerin lebensgefährte lebensgefährten lebensgefährtin enkel enkelin enkeltochter neffe nichte nachbar "
    "nachbarin schwiegersohn schwiegertochter betreuer betreuerin angehörige angehöriger angehörigen freund "
    "freundin oma opa großmutter tante onkel cousin cousine pflegemutter kindsmutter kindsvater verlobte "
    "verlobter bevollmächtigte bevollmächtigter zwillingsbruder angeh kontaktperson".split()
)
_PATIENT = frozenset(
    "patient patientin patienten pat name vorname vornamen nachname familienname zuname geburtsname patientenname "
    "versicherter versicherte betreff betr betrifft kläger klägerin bewohner bewohnerin klient klientin "
    "betroffener mutter kind pt probandin proband".split()
)
_PLAIN_PATIENT = frozenset(
    "patient patientin patienten pat betr betrifft betreff kläger klägerin bewohner bewohnerin".split()
)
_SIGNS = frozenset(
    "gez freigegeben freigabe validiert vidiert befundet erstellt diktiert signiert unterschrieben geschrieben "
    "unterzeichnet verantwortlich übergabe durchgeführt verfasst anwesend dokumentiert unterschrift ärztl".split()
)
_BORN = frozenset("geb geborene geborener née verw".split())
_DEAR = frozenset("liebe lieber hallo servus hi moin grüezi".split())
_ANNOUNCING = frozenset().union(
    SALUTATIONS, STRONG_TITLES, map(str.casefold, ACRONYM_ROLES), ROLES, _PATIENT, _RELATIVES, _BORN, _DEAR, _SIGNS
)


def by_cue(sheet: Sheet, index: int) -> None:
    """Read the name that the token at `index` announces, if it announces one, or that it begins itself."""
    text = sheet.tokens[index].text
    if sheet.keys[index] in _ANNOUNCING:
        _announced(sheet, index, sheet.keys[index], text)
    if text[0].isupper() and not is_common(text):
        _listed(sheet, index)
        _given(sheet, index)


def _announced(sheet: Sheet, index: int, key: str, text: str) -> None:
    if key in SALUTATIONS:
        _salutation(sheet, index)
    elif key in STRONG_TITLES and (text[0].isupper() or sheet.text(index + 1) == "."):
        _title(sheet, index)
    elif text in ACRONYM_ROLES or (key in ROLES and text[0].isupper()):
        _role(sheet, index)
    if key in _PATIENT:
        _patient_label(sheet, index)
    if key in _RELATIVES:
        _relative(sheet, index)
    if key in _BORN:
        _birth_name(sheet, index)
    if key in _DEAR and text[0].isupper():
        _dear(sheet, index)
    if key in _SIGNS:
        _signed(sheet, index)


def _salutation(sheet: Sheet, index: int) -> None:
    place = index + 1
    bare = sheet.key(index) in _ABBREVIATED and sheet.text(place) != "."
    if bare and sheet.text(index) not in ("Hr", "Hrn", "Fam"):  # „Fr“ is Friday or a fracture, „HR“ the heart rate
        return
    place += sheet.key(index) in _ABBREVIATED and not bare
    if sheet.text(place) == "/" or sheet.key(place) == "und":
        place += 1
        place += sheet.key(place) in SALUTATIONS
    begin, titled = past_titles(sheet, place)
    if begin >= len(sheet.tokens) or sheet.tokens[begin].line > sheet.tokens[index].line + 1:
        return
    wraps = sheet.tokens[begin].line != sheet.tokens[index].line
    if bare and (wraps or (is_common(sheet.text(begin)) and not is_name(sheet.text(begin)))):
        return
    if wraps and ((is_common(sheet.text(begin)) and not is_surname(sheet.text(begin))) or _is_heading(sheet, begin)):
        return
    run = read_name(sheet, begin, sure=True, comma=True) or read_lower_case(sheet, begin)
    kind = Kind.DOCTOR if titled else None
    sheet.add(run, kind, place if titled else None)


def _is_heading(sheet: Sheet, place: int) -> bool:
    return sheet.text(place + 1) == ":" or sheet.text(place + 2) == ":"


def _title(sheet: Sheet, index: int) -> None:
    if index and sheet.key(index - 1) in ("-", ".") and sheet.key(index - 2) in TITLES:
        return
    place, _ = past_titles(sheet, index)
    run = read_name(sheet, place, sure=True) or read_lower_case(sheet, place)
    if not run or (run.first > 0 and sheet.tokens[run.first].line != sheet.tokens[index].line):
        return
    if sheet.text(index) == "PD" and not (sheet.key(index + 1) in TITLES or is_name(sheet.text(place))):
        return
    while run:
        sheet.add(run, Kind.DOCTOR, index)
        index = run.last + 1
        step = index + 1
        many = sheet.text(index) in ("/", "&", "und", ",") and sheet.same_line(index, step)
        is_list = (
            sheet.text(step)[:1].isupper() and not is_everyday(sheet.text(step)) and not is_common(sheet.text(step))
        )
        listing = many and is_list and sheet.key(step) not in (*TITLES, *SALUTATIONS) and _many(sheet, run.first)
        run = read_name(sheet, step) if listing else None
        index = step


def _many(sheet: Sheet, first: int) -> bool:
    """Whether „Dres.“ stands on the line: more names follow."""
    start = sheet.line_starts[sheet.tokens[first].line]
    return any(sheet.key(step) in ("dres", "drs") for step in range(max(start, first - 14), first))


def _role(sheet: Sheet, index: int) -> None:
    place = index + 1
    labelled = False
    place += sheet.text(place) == "." and sheet.text(index) in _STOPPED_ROLES
    while sheet.text(place) in (":", "(") and place < index + 4:
        labelled = labelled or sheet.text(place) == ":"
        place += 1
    begin, titled = past_titles(sheet, place)
    if sheet.key(begin) in SALUTATIONS or not sheet.same_line(index, begin):
        return
    run = read_name(sheet, begin, sure=titled, lead=labelled or sheet.text(index) in ACRONYM_ROLES)
    if run and sheet.key(index) == "schwester" and not is_first_name(sheet.text(run.first)):
        run = run if labelled and is_name(sheet.text(run.first)) else None
    if not run or not (run.words or titled):
        return
    text = sheet.text(run.first)
    if not titled and not labelled and sheet.tokens[run.first].wide:
        return
    if is_eponym(text) and not is_name(text):
        return
    sheet.add(run, Kind.DOCTOR, place if titled else None)
    while labelled and sheet.text(run.last + 1) in (",", "/", "und", "&"):
        step, is_titled = past_titles(sheet, run.last + 2)
        more = read_name(sheet, step, sure=is_titled) if sheet.same_line(index, step) else None
        if not more:
            break
        sheet.add(more, Kind.DOCTOR)
        run = more


def _patient_label(sheet: Sheet, index: int) -> None:
    place, labelled = index + 1, False
    while sheet.text(place) in (".", ":", "/", "in", ")", "(", "-") and place < index + 6:
        labelled = labelled or sheet.text(place) == ":"
        place += 1
    begin, titled = past_titles(sheet, place)
    if sheet.key(begin) in SALUTATIONS or not sheet.same_line(index, begin):
        return
    key = sheet.key(index)
    upper = sheet.tokens[index].line in sheet.upper_lines
    bare = read_name(sheet, begin, sure=labelled, comma=True, most=5)
    if not bare or not bare.words:
        return
    evident = any(is_name(sheet.text(word)) for word in bare.words) and not is_drug(sheet.text(bare.words[0]))
    closed = labelled and _is_closed(sheet, bare) and not is_common(sheet.text(bare.words[0]))
    named = key not in _PLAIN_PATIENT and labelled and key not in ("mutter", "kind")
    first_known = is_name(sheet.text(bare.words[0])) or any(is_first_name(sheet.text(word)) for word in bare.words)
    accepted = closed or (evident and (labelled or first_known)) if not named else (evident or closed)
    if accepted and not (upper and not evident):
        sheet.add(bare, Kind.PERSON if key in ("mutter", "kind") else Kind.PATIENT, place if titled else None)


def _is_closed(sheet: Sheet, run: Run) -> bool:
    """Whether what follows a name is the end of its field: a line end, a gap, a number, a bracket, geb."""
    after = run.last + 1
    if after >= len(sheet.tokens) or not sheet.same_line(run.last, after) or sheet.tokens[after].wide:
        return True
    return (
        sheet.text(after) in (",", "(", "*", "/", "|", ";", "–", "-")
        or sheet.taken[after]
        or sheet.key(after) in ("geb", "geboren", "pid")
    )


def _relative(sheet: Sheet, index: int) -> None:
    place = index + 1
    bracket = False
    while sheet.text(place) in (".", ":", "(", ",", "Frau", "Herr", "Herrn", "u") and place < index + 5:
        bracket = bracket or sheet.text(place) in ("(", "Frau", "Herr", "Herrn", ":")
        place += 1
    if not sheet.same_line(index, place):
        return
    salutation = sheet.text(place - 1) in ("Frau", "Herr", "Herrn")
    begin = past_titles(sheet, place)[0] if salutation else place
    run = read_name(sheet, begin, sure=salutation)
    if not run or not run.words:
        return
    head = sheet.text(run.words[0])
    plain = bracket or ((is_name(head) or is_name_part(head)) and sheet.text(place - 1) not in (",", "."))
    strong = (
        is_first_name(head)
        or salutation
        or (bracket and sheet.text(run.last + 1) in (")", ",") and not is_eponym(head))
    )
    if strong or (plain and not is_eponym(head) and len(head) > 3):
        sheet.add(_with_letter(sheet, run), Kind.PERSON)
        _more_relatives(sheet, run)


def _with_letter(sheet: Sheet, run: Run) -> Run:
    """The name with an initial behind it („Danuta K.“)."""
    if is_initial(sheet, run.last + 1) and sheet.same_line(run.last, run.last + 1):
        return Run(run.first, run.last + 2, run.words)
    return run


def _more_relatives(sheet: Sheet, run: Run) -> None:
    """Further given names of a list („Mila, 6, und Luka, 3“)."""
    for step in range(run.last + 1, min(run.last + 9, len(sheet.tokens))):
        if not sheet.same_line(run.last, step) or sheet.text(step) in (".", ")"):
            return
        if is_first_name(sheet.text(step)) and sheet.text(step)[0].isupper() and not is_common(sheet.text(step)):
            sheet.add(read_name(sheet, step), Kind.PERSON)
            return


def _birth_name(sheet: Sheet, index: int) -> None:
    place = index + 1 + (sheet.text(index + 1) == ".")
    run = read_name(sheet, place, lead=True, most=2) if sheet.same_line(index, place) else None
    sheet.add(run, Kind.PATIENT)


def _dear(sheet: Sheet, index: int) -> None:
    run = read_name(sheet, index + 1) if sheet.same_line(index, index + 1) else None
    if run and sheet.text(run.last + 1) in (",", "!") and sheet.key(index + 1) not in SALUTATIONS:
        sheet.add(run, Kind.DOCTOR)


def _signed(sheet: Sheet, index: int) -> None:
    """„gez. Müller“, „befundet von Müller“, „Diktat: Müller“."""
    for place in range(index + 1, min(index + 12, len(sheet.tokens))):
        if not sheet.same_line(index, place):
            return
        follows = place == index + 1 + (sheet.text(index + 1) == ":" or sheet.key(index) == "gez")
        if follows or sheet.key(place - 1) in ("von", "durch", "an"):
            begin, titled = past_titles(sheet, place)
            run = read_name(sheet, begin, sure=titled, lead=place > index + 1)
            if run and sheet.same_line(index, run.first) and not is_eponym(sheet.text(run.first)):
                sheet.add(run, Kind.DOCTOR, place if titled else None)
                return


def before_birth(sheet: Sheet, index: int) -> None:
    """The name that stands before a date of birth: „Yilmaz Ayşe, geb. 12.03.1956“, „Anna Müller *12.03.1956“."""
    place = index - 1
    while place >= 0 and index - place < 8 and _is_birth_cue(sheet, place):
        place -= 1
    line, last = sheet.tokens[max(place, 0)].line, place
    if place < 0 or sheet.tokens[index].line - line > 1:
        return
    words: list[int] = []
    while place >= 0 and sheet.tokens[place].line == line and len(words) < 5 and last - place < 9:
        text = sheet.text(place)
        initial = is_initial(sheet, place) or (text == "." and is_initial(sheet, place - 1))
        if is_word(sheet, place, sure=False, after=()) or (
            text[0].isupper() and is_surname(text) and not sheet.taken[place]
        ):
            words.insert(0, place)
        elif not (
            (words and _trails(sheet, place))
            or initial
            or (text == "," and words and sheet.same_line(place - 1, place))
        ):
            break
        if sheet.tokens[place].wide and place != last and len(words) > 1:
            break
        place -= 1
    own_line = sheet.tokens[index].line == line
    evident = any(is_name(sheet.text(word)) for word in words)
    if words and (evident or (own_line and len(words) > 1) or (own_line and sheet.key(words[0] - 1) in SALUTATIONS)):
        sheet.add(Run(words[0], max(words[-1], words[0]), tuple(words)), Kind.PATIENT)


def _trails(sheet: Sheet, place: int) -> bool:
    """Whether a particle belongs to the name behind it: a given name or another particle stands before it."""
    if sheet.key(place) not in PARTICLES:
        return False
    around = (sheet.key(place - 1), sheet.key(place + 1))
    return is_first_name(sheet.text(place - 1)) or any(key in PARTICLES and key != "und" for key in around)


def _is_birth_cue(sheet: Sheet, place: int) -> bool:
    key = sheet.key(place)
    return key in (
        "geb",
        "geboren",
        "geburtsdatum",
        "am",
        "gd",
        "dob",
        "jg",
        "jahrgang",
        "datum",
        "dat",
        "pat",
        "patient",
    ) or (not key[:1].isalnum() and key != BLANK)


def _listed(sheet: Sheet, index: int) -> None:
    """A given name of the list beside another name, „Müller, Anna“, „Huber Korbinian“, or „A. Schmidt“.

    As for `_given`, the word itself is none of the common ones.
    """
    text = sheet.text(index)
    if not sheet.same_line(index, index + 1):
        return
    if is_initial(sheet, index) and index + 2 < len(sheet.tokens):
        family = sheet.text(index + 2)
        known = is_surname(family) and not is_common(family) and not (text in "MVAN" and is_eponym(family))
        if known and sheet.same_line(index, index + 2) and not sheet.taken[index + 2] and sheet.text(index - 1) != ".":
            sheet.add(read_name(sheet, index), Kind.DOCTOR)
        return
    if not is_word(sheet, index, sure=False, after=()):
        return
    swapped = index + 1 + (sheet.text(index + 1) == ",")
    other = sheet.text(swapped)
    if is_first_name(text) and not sheet.taken[index]:
        run = read_name(sheet, index)
        if run and len(run.words) > 1 and not all(is_eponym(sheet.text(word)) for word in run.words):
            sheet.add(run, None)
            return
    gap = sheet.same_line(index, swapped) and sheet.tokens[swapped].wide
    given = is_first_name(other) and other[:1].isupper() and not is_common(other) and len(other) > 2
    if given and not gap and sheet.same_line(index, swapped) and not sheet.taken[swapped] and not is_eponym(other):
        sheet.add(read_name(sheet, index, comma=True), None)


def _given(sheet: Sheet, index: int) -> None:
    """A given name that stands alone („verheiratet mit Nadja“)."""
    text = sheet.text(index)
    plain = len(text) > 3 and not text.isupper() and not is_eponym(text) and not is_surname(text)
    if plain and is_first_name(text) and not sheet.taken[index]:
        sheet.runs.append((Run(index, index, (index,)), None))
