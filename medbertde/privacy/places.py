"""Clinics, practices, institutes and homes, and towns without a zip code.

A facility is a head word (Klinikum, Krankenhaus, Praxis, Institut …) with something that names it before or behind; a
bare „Klinik:“ or „ins Krankenhaus“ is none. Reads tokens; looks a bounded number of them ahead and back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from medbertde.privacy.kinds import Found, Kind
from medbertde.privacy.reading import Page, Token
from medbertde.privacy.words import is_common, is_eponym, is_first_name, is_surname, is_town, towns

_CLINICS = tuple(
    (
        "klinikum klinikums klinik kliniken krankenhaus krankenhauses krankenhause spital spitals hospital "
        "hospitals poliklinik sanatorium lazarett"
    ).split()
)
_OTHERS = tuple(
    (
        "zentrum zentrums institut instituts praxis abteilung ambulanz department apotheke gemeinschaftspraxis "
        "hochschule universität labor radiologie pathologie kardiologie neurologie nuklearmedizin strahlentherapie "
        "tagesklinik akademie sanitätshaus wachstation"
    ).split()
)
_HOMES = tuple(
    (
        "altenheim pflegeheim seniorenheim altersheim wohnheim pflegezentrum seniorenzentrum seniorenresidenz "
        "seniorenstift altenzentrum hospiz pflegestift wohnstift residenz pflegedienst sozialstation"
    ).split()
)
_HEADS = _CLINICS + _OTHERS + _HOMES
_CLINIC, _OTHER, _HOME = (re.compile(f"(?:{'|'.join(heads)})$") for heads in (_CLINICS, _OTHERS, _HOMES))
_SHORT = {"MVZ", "KH", "LKH", "BKH", "AKH", "UKH", "KKH", "UK", "LK", "PZ", "SPZ", "BWK"} - {"LK", "BWK"}
_KNOWN = frozenset(
    "charité charite uke mhh uksh inselspital kantonsspital universitätsklinikum universitätsklinik "
    "universitätsklinikums uniklinik uniklinikum universitätsspital universitätskrankenhaus kreiskrankenhaus "
    "landeskrankenhaus bezirkskrankenhaus bundeswehrkrankenhaus diakonissenkrankenhaus landesklinikum "
    "regionalspital stadtspital bürgerspital kreisklinik bezirksklinikum".split()
)
_OTHER_HEADS = _KNOWN | {"haus", "campus"} | frozenset(map(str.casefold, _SHORT))
_GENERIC = re.compile(
    r"^(?:augen|haut|frauen|kinder|reha|rehabilitations|tages|fach|herz|lungen|poli|zahn|akut|spezial|schmerz|"
    r"venen|nerven|heimat|privat|"
    r"hausarzt|arzt|gemeinschafts|gruppen|haupt|sucht|hno|uro|bauch|unfall|kur|entzugs|hautarzt|facharzt|not|"
    r"lehr|akademisches|vor|nach|"
    r"hautarztpraxis|eltern|beleg|zweit|psycho|raucher|gefäß|brust|darm|tumor|schlaf|dialyse|atem|sprach|"
    r"blut|mutter|geburts|wirbelsäulen|rücken|gelenk|hand|fuß|infektions|institut|spezialambulanz|onko|"
    r"stroke|trauma|intensiv|überwachungs|aufnahme|forschungs|diabetes|rheuma|nieren|leber|magen|thorax|schulter|"
    r"nachsorge|einweiser|zuweiser|ambulanz|schul|berg|senioren|alten|kranken|pflege|wohn|med|medizin|chirurgie|"
    r"universität|"
    r"herz-kreislauf-|hno-|reha-|psychosomatik|hochschul|notfall|neuro|kardio|gastro|radio|patho|nuklear|"
    r"strahlen|angio|"
    r"vor|stamm|portal|zentral|hämato|rehazentrum)(?:-|e|es)?$"
)
_ADJECTIVE = re.compile(r"^[A-ZÄÖÜ]\w+(?:isches|ische|ischen|ischer|ischem|liches|liche|lichen|isch|sches)$")
_BRAND = frozenset(
    "asklepios helios sana vivantes drk bg ameos alexianer agaplesion caritas mediclin paracelsus schön artemed "
    "rhön städt ev kath med univ st sankt westpfalz marien elisabeth johanniter malteser diakonie diakonissen lmu "
    "tum rkh nextcare alb oberlausitz".split()
)
_PLACES = frozenset(
    "dom park see stadtpark weinberg markt kirchplatz bahnhof ring wald rathaus berg brüder schwestern "
    "barmherzigen isar stadtgarten tor kanal rhein main hafen schloss elbe universität stadt landkreises "
    "bundeswehr diakonie marktplatz stadtwald rosengarten friedrichshain eck".split()
)
_WITH_ADJECTIVE = {"abteilung", "institut", "hochschule", "universität"}
_DEDICATIONS = frozenset(
    "rotes kreuz rotkreuz königin herz jesu maria hilf heilig geist dreifaltigkeit marien emmaus bethel zum links "
    "campus".split()
)
_DIRECTIONS = {"nord", "süd", "ost", "west", "mitte"}
_ROMAN = re.compile(r"(?:I{1,3}|IV|VI{0,3}|V|IX|X)")
_TITLES = frozenset("dr prof dres drs pd frau herr herrn geb tel fax".split())
_EPONYM_TOWN = re.compile(
    r"-(?:Definition|Score|Virus|Klassifikation|Kriterien|Horizontale|Schema|Coma|Test|Skala|Index)", re.IGNORECASE
)
_VILLAGE = re.compile(
    r"(?:burg|berg|heim|hausen|stadt|dorf|ingen|furt|kirchen|hagen|brück|münde|walde|leben|rode|bach|stetten|"
    r"hofen|weiler|tal|born|feld)$"
)
_HOME_BEFORE = re.compile(
    r"wohn|lebt|geboren|aufgewachsen|stammt|gebürtig|praxis in|klinik in|umzug|verzogen|umgezogen|ort :|arbeitet in"
)
_LIVES = frozenset("in aus nach bei wohnhaft geboren ort wohnort geburtsort unfallort einsatzort".split())
_BEFORE_TOWN = _LIVES | {",", ":"}


def find_facilities(page: Page) -> list[Found]:
    """The clinics, departments, practices and homes that are named."""
    tokens = page.tokens
    found = []
    for index, (token, key) in enumerate(zip(tokens, page.keys, strict=True)):
        if index % 1000 == 999:
            page.budget.check()
        may_be_head = key.endswith(_HEADS) or key in _OTHER_HEADS
        if may_be_head and token.text[0].isupper() and len(token.text) <= 60:
            first_last = _facility(tokens, index)
            if first_last:
                first, last = first_last
                found.append(Found(tokens[first].start, tokens[last].end, Kind.HOSPITAL))
    return found


def _facility(tokens: tuple[Token, ...], index: int) -> tuple[int, int] | None:
    """The first and last token of the facility whose head word stands at `index`."""
    word, key = tokens[index].text, tokens[index].text.casefold()
    if key in ("haus", "campus"):
        return _house(tokens, index)
    kind = _CLINIC.search(key) or _OTHER.search(key) or _HOME.search(key)
    short = word in _SHORT
    if not kind and not short and key not in _KNOWN:
        return None
    strong = bool(_CLINIC.search(key)) or bool(_HOME.search(key)) or short
    prefix = key[: kind.start()] if kind else ""
    named = key in _KNOWN or (strong and len(prefix.strip("-")) > 2 and not _GENERIC.match(prefix))
    last = _behind(tokens, index, strong=strong, exact=key in ("zentrum", "labor", "universität"))
    first = _before(tokens, index, strong=strong or last > index or key in _WITH_ADJECTIVE)
    if last == index and first == index and not named:
        return None
    if last == index and _text(tokens, index + 1, tokens[index].line) == ":" and first == index:
        return None
    return first, last


def _house(tokens: tuple[Token, ...], index: int) -> tuple[int, int] | None:
    word = _text(tokens, index + 1, tokens[index].line)
    named = word[:1].isupper() and len(word) > 3 and not is_common(word) and not tokens[index + 1].wide
    return (index, index + 1) if named else None


def _text(tokens: tuple[Token, ...], index: int, line: int) -> str:
    """The word at `index` if it stands on this line, else nothing."""
    return tokens[index].text if 0 <= index < len(tokens) and tokens[index].line == line else ""


def _behind(tokens: tuple[Token, ...], index: int, *, strong: bool, exact: bool) -> int:
    """The last token of what names a facility behind its head word; `index` where nothing does."""
    line, last = tokens[index].line, index
    place = index + 1
    if tokens[index].text == "MVZ" and _text(tokens, place, line)[:1].isupper() and not tokens[place].wide:
        last, place = place, place + 1
    if _text(tokens, place, line) in (",", "-", "–") and _text(tokens, place + 1, line) in (
        "Klinikum",
        "Universitätsklinikum",
    ):
        place += 2
        last = place - 1
    if _text(tokens, place, line) == "und" and _CLINIC.search(_text(tokens, place + 1, line).casefold() or "-"):
        place += 2
        last = place - 1
    for _ in range(4):
        end = _extension(tokens, place, line, strong=strong, exact=exact)
        if end is None:
            break
        last, place = end, end + 1
    return last


def _extension(tokens: tuple[Token, ...], place: int, line: int, *, strong: bool, exact: bool) -> int | None:
    """The last token of one more part of the name that begins at `place`."""
    word = _text(tokens, place, line)
    if not word or (tokens[place].wide and word != "für"):
        return None
    if word in ("für", "f", "fuer"):
        return _fields(tokens, place + (2 if word == "f" else 1), line)
    if exact:
        return None
    if word.casefold() in ("am", "an", "auf", "rechts", "links", "der", "des", "zum", "zur", "im", "vom", "bei", "in"):
        return _located(tokens, place, line, strong=strong)
    if word in ("St", "Sankt", "Bad", "Maria", "Zum"):
        step = place + 1 + (_text(tokens, place + 1, line) == ".")
        return step if _text(tokens, step, line)[:1].isupper() else (place if word == "Maria" else None)
    if word in ("gGmbH", "GmbH", "AG", "GbR", "mbH", "e.V") or _ROMAN.fullmatch(word) or word.casefold() in _DIRECTIONS:
        return place
    if word == "-" and strong:
        return None
    return place if _proper(tokens, place, line) else None


def _fields(tokens: tuple[Token, ...], place: int, line: int) -> int | None:
    """The last token of the specialties behind „Klinik für“."""
    last = None
    for step in range(place, min(place + 14, len(tokens))):
        word = _text(tokens, step, line)
        if not word or (tokens[step].wide and step > place) or word in "():;|.":
            break
        if word[0].isupper():
            if word.casefold() in _TITLES or (
                last is not None and _text(tokens, step - 1, line)[:1].isupper() and not _adjacent(word)
            ):
                break
            last = step
        elif word not in (",", "/", "&", "-", "und", "u", "sowie", "mit") and not re.search(
            r"(?:ische?|liche?|ive|elle)$", word
        ):
            break
    return last


def _adjacent(word: str) -> bool:
    """Whether a capitalised word may follow another one within a specialty (Innere Medizin II)."""
    return bool(_ROMAN.fullmatch(word)) or is_common(word)


def _located(tokens: tuple[Token, ...], place: int, line: int, *, strong: bool) -> int | None:
    """The last token of „am Weinberg“, „der Barmherzigen Brüder“, „rechts der Isar“."""
    step = place + 1
    if _text(tokens, step, line) in ("der", "dem", "den"):
        step += 1
    last = None
    while step < place + 5:
        word = _text(tokens, step, line)
        if not word[:1].isupper() or tokens[step].wide:
            break
        named = strong and tokens[place].text in ("am", "an", "der", "des", "zum", "zur", "rechts", "links")
        proper = word.casefold() in _PLACES or is_town(word) or (named and not is_common(word))
        if not proper:
            break
        last, step = step, step + 1
    return last


def _proper(tokens: tuple[Token, ...], place: int, line: int) -> bool:
    """Whether a word behind a head word names the facility (Klinikum Nürnberg, Klinik Weserbergland)."""
    word = tokens[place].text
    if not word[0].isalpha() or not word[0].isupper() or len(word) < 3 or word.casefold() in _TITLES:
        return False
    if is_common(word) and not is_town(word) and not _is_quarter(word) and word.casefold() not in _DEDICATIONS:
        return False
    before = tokens[place - 1].text
    return not (before in ".," and place > 0) or before == "."


def _abbreviates_brand(tokens: tuple[Token, ...], step: int, line: int) -> bool:
    """Whether the stop or hyphen at `step` ends „St.“ or „St.-“."""
    back = step - 1 - (tokens[step].text == "-" and _text(tokens, step - 1, line) == ".")
    return _text(tokens, back, line).casefold() in _BRAND


def _is_quarter(word: str) -> bool:
    """Whether a hyphenated word names a part of a town (Essen-Süd)."""
    head, _, tail = word.partition("-")
    return bool(tail) and (is_town(head) or tail.casefold() in _DIRECTIONS) and tail[0].isupper()


def _before(tokens: tuple[Token, ...], index: int, *, strong: bool) -> int:
    """The first token of what names a facility before its head word; `index` where nothing does."""
    line, first = tokens[index].line, index
    for step in range(index - 1, max(index - 6, -1), -1):
        word = _text(tokens, step, line)
        if not word or tokens[step + 1].wide:
            break
        key = word.casefold()
        brand = key in _BRAND and word[0].isupper()
        if (_ADJECTIVE.match(word) and strong) or brand or (word in "-." and _abbreviates_brand(tokens, step, line)):
            first = step if word not in "-." else first
        elif word in ("und", "-") and _half_word(tokens, step, line):
            first = step - (2 if word == "und" else 1)
        elif _numeral(tokens, step, line) and (first < index or strong):
            first = step - 1 if word == "." else step
            break
        elif strong and step == first - 1 and _names_before(tokens, step, line):
            first = step
        else:
            break
    return first


def _half_word(tokens: tuple[Token, ...], step: int, line: int) -> bool:
    """Whether „Kinder- und“ or its hyphen ends at `step`."""
    hyphen = step - 1 if tokens[step].text == "und" else step
    word = _text(tokens, hyphen - 1, line)
    return _text(tokens, hyphen, line) == "-" and word[:1].isupper() and tokens[hyphen].start == tokens[hyphen - 1].end


def _numeral(tokens: tuple[Token, ...], step: int, line: int) -> bool:
    """Whether „2.“ or „I.“ ends at `step`, not „0,2.“."""
    before = _text(tokens, step - 1, line)
    is_number = _text(tokens, step, line) == "." and bool(re.fullmatch(r"\d{1,2}|[IVX]{1,4}", before))
    return is_number and not _is_end_of_a_value(tokens, step - 1)


def _is_end_of_a_value(tokens: tuple[Token, ...], index: int) -> bool:
    """Whether the number at `index` is the end of a value or a date: the 82 of 0,82, the 1 of 1-0-1, the 2 of pT2."""
    before = tokens[index - 1] if index else None
    touches = before is not None and before.end == tokens[index].start
    return before is not None and touches and (before.text.isalnum() or before.text in ",.-–/:+")


def _names_before(tokens: tuple[Token, ...], step: int, line: int) -> bool:
    word = tokens[step].text
    return word[0].isupper() and len(word) > 3 and word.isalpha() and not is_common(word) and not is_surname(word)


# ---------------------------------------------------------------------------------------------- towns


def find_towns(page: Page) -> Iterator[Found]:
    """Towns of the list, and villages where a word before says that someone lives or comes from there."""
    tokens, keys, known = page.tokens, page.keys, towns()
    for index, token in enumerate(tokens):
        if index % 1000 == 999:
            page.budget.check()
        word = token.text
        if not word[0].isupper() or len(word) > 60:
            continue
        if word not in known and "-" not in word and (not index or keys[index - 1] not in _BEFORE_TOWN):
            continue
        end = _town(tokens, index)
        if end is not None:
            yield Found(token.start, tokens[end].end, Kind.CITY)


def _town(tokens: tuple[Token, ...], index: int) -> int | None:
    word, line = tokens[index].text, tokens[index].line
    for parts in towns().get(word, ()):
        if all(_text(tokens, index + step, line) == part for step, part in enumerate(parts)):
            return index + len(parts) - 1
    if "-" in word:
        head, _, tail = word.partition("-")
        known = (
            (head,) in towns().get(head, ())
            and not _EPONYM_TOWN.search(word)
            and tail[:1].isupper()
            and not is_common(tail)
        )
        return index if known else None
    before = tokens[index - 1].text.casefold() if index and tokens[index - 1].line == line else ""
    if before == "," and is_town(word) and _ends_line(tokens, index):
        return index if _is_name_like(tokens[index - 2].text) else None
    if before == ":" and index > 1:
        before = tokens[index - 2].text.casefold()
    if before not in _LIVES:
        return None
    if is_town(word) and _lives(tokens, index, before):
        return index
    if len(word) > 3 and not is_common(word) and _HOME_BEFORE.search(_earlier(tokens, index)):
        return index
    village = (
        len(word) > 5
        and _VILLAGE.search(word)
        and not is_common(word)
        and not is_eponym(word)
        and not is_first_name(word)
    )
    return index if village else None


def _ends_line(tokens: tuple[Token, ...], index: int) -> bool:
    after = _text(tokens, index + 1, tokens[index].line)
    return not after or (after == "." and not _text(tokens, index + 2, tokens[index].line))


def _is_name_like(word: str) -> bool:
    return word[0].isupper() and not is_common(word)


def _lives(tokens: tuple[Token, ...], index: int, before: str) -> bool:
    """Whether a doubtful town (Essen) is one: after „wohnhaft in“, „aus“, „Ort:“, not after „beim“ or „nach“."""
    return before not in ("nach", "bei", "in") or bool(_HOME_BEFORE.search(_earlier(tokens, index)))


def _earlier(tokens: tuple[Token, ...], index: int) -> str:
    return " ".join(token.text.casefold() for token in tokens[max(0, index - 5) : index])
