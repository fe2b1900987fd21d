"""Numbers and addresses with a fixed form: phone, fax, e-mail, web, ids, streets, zip codes with towns, wards, ages.

Every pattern is bounded, so a text is read in linear time. Knows no names and no dates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from medbertde.privacy.kinds import Found, Kind
from medbertde.privacy.reading import Page
from medbertde.privacy.words import is_common, is_town, towns

_CAP = r"[A-ZÄÖÜ][\wäöüß.’'-]{0,40}"
_SEP = r"[ \t()/.–-]{0,3}"
_NUMBER = rf"[+(-]?[ ]?\d(?:{_SEP}\d){{2,18}}"
_FAX = re.compile(rf"(?<!\w)(?:Tele)?[Ff]ax(?:-?[Nn]r\.?|nummer)?[ \t:./]{{0,6}}(?P<x>{_NUMBER})")
_PHONE = re.compile(
    r"(?<!\w)(?:[Tt]el(?:efon)?|TEL|Fon|[Mm]obil|[Hh]andy|Durchwahl|DW|Rufnummer|Rückruf|Pieper|Piepser|Funk|"
    r"Notruf|DECT|App"
    r"|Apparat|Nst|Festnetz|Phone|[Tt]elefonisch(?: unter)?|Rückfragen(?: unter)?|"
    r"[TM](?=[ :]{1,2}[+0]))\.?[ -]?(?:[Nn]r\.?|nummer)?[ \t:./]{0,6}"
    rf"(?P<x>{_NUMBER})"
)
_BARE_PHONE = re.compile(
    r"(?<![\d.,/+-])(?P<x>(?:\+|00)(?:49|4[13])[ \t()/–-]{0,3}\d(?:[ \t()/–-]{0,3}\d){5,14}"
    r"|\+4[139]\.\d{2,5}\.\d{3,10}"
    r"|01[567]\d[ \t./–-]{0,3}\d(?:[ ]?\d){5,9}"
    r"|\(0[\d ]{2,7}\)[ /–-]{0,3}\d(?:[ –-]{0,2}\d){2,9}"
    r"|0[1-9]\d{1,4}[ ]?[/–-][ ]?\d(?:[ –-]{0,2}\d){2,10}"
    r"|01[ ]?[/–-][ ]?\d{3}(?:[ –-]?\d){3,8}"
    r"|0[1-9]\d{1,4}[ ]\d(?:[ –-]?\d){3,9})(?!\d|[.,]\d)"
)
_AT = r"(?:@|[ ]?[(\[{](?:at|AT|ät)[)\]}][ ]?)"
_EMAIL = re.compile(rf"(?<![\w.+-])(?P<x>[\w.+-]{{1,64}}{_AT}[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{1,4}})")
_URL = re.compile(
    r"(?<![\w.@/-])(?P<x>(?:https?://|www\.)[^\s<>\"]{1,300}[^\s<>\".,;:)]"
    r"|[a-z0-9][a-z0-9-]{2,40}(?:\.[a-z0-9-]{2,40}){0,2}\.(?:de|at|ch|com|org|net|eu|"
    r"info)(?![\w.@-])(?:/[^\s]{0,200})?)"
)
_VALUE = (
    r"(?P<x>(?=[^\n]{0,18}\d[^\n]{0,12}\d)(?:[A-Z]{1,4}[-/ ]?)?\d[\w./-]{2,24}(?:[ ]\d{2,7}(?!\d|[./]\d)|"
    r"[ ][A-Z][ ]\d{2,4})"
    r"{0,3}(?<![./-]))"
)
_LABELLED = re.compile(
    r"(?<!\w)(?:(?:Fall|Pat(?:ienten)?|Aufnahme|Aufn|Auftrags?|Untersuchungs?|Befund|Vers(?:icherten|icherungs)?|"
    r"Versich|Kassen|KV|SV"
    r"|Sozialversicherungs|Mitglieds?|Journal|Histologie|Histo|Eingangs?|Labor|Proben?|Einsatz|Chargen|Serien|"
    r"Geräte|Ausweis|Personalausweis|Pass"
    r"|Konto|Vorgangs?|Akten|Bericht|OP-Bericht|Protokoll|Studien|Kunden|Rechnungs?|Röntgen|Archiv|Zugangs?|"
    r"Bewohner|Arzt|Betriebsstätten"
    r"|Kranken(?:kassen|versicherten|versicherungs|akten)?|Identifikations|E|H|Rezept|Identitäts|Dokument|"
    r"Steuer)?\.?[ -]?"
    r"(?:[Nn]r|[Nn]ummer|NR|NUMMER|No|ID|[Zz]ahl|[Zz]eichen|[Kk]ennung)"
    r"|KVNR|KVNr|LANR|BSNR|IK|IKNR|SVNR|SVNr|SV-Nr|AHV(?:-Nr)?|AHVN13|PID|MRN|Fall|SN|S/N|IBAN|Az|Aktenzeichen|"
    r"GKZ|ET|Institutionskennzeichen|Personalausweis|Reisepass"
    rf"|BARMER|Barmer|AOK|TK|DAK|IKK|KKH|BKK)\.?[ \t:#.№]{{0,5}}{_VALUE}"
)
_BARE_IDS = (  # with the digits without which a text need not be searched
    (r"(?<!\w)(?P<x>[A-Z]\d{9})(?!\w)", r"\d{9}"),
    (r"(?<!\d)(?P<x>756\.\d{4}\.\d{4}\.\d{2})(?!\d)", r"756\."),
    (
        r"(?<![\w.,])(?P<x>\d{4}[ ]?(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])\d\d)(?![\w]|[.,]\d)",
        r"\d{4}[ ]?\d{6}",
    ),
    (r"(?<![\w.,])(?P<x>\d{2}[ ]?\d{6}[ ]?[A-Z][ ]?\d{3})(?!\w)", r"\d{6}[ ]?[A-Z]"),
    (r"(?<!\w)(?P<x>(?:DE|AT|CH)\d{2}(?:[ ]?\w{2,4}){3,6})(?!\w)", r"[ETH]\d\d"),
    (r"(?<![\w.,/+-])(?P<x>\d{7,14})(?![\w]|[.,/]\d)", r"\d{7}"),
    (r"(?<![\w-])(?P<x>[A-Z]{1,2}[-/]?\d{2,4}[-/]\d{4,8})(?!\w)", r"\d[-/]\d{4}"),
    (
        r"(?<![\w.,/-])(?P<x>(?:19|20)\d\d[-/](?!(?:19|20)\d\d(?!\d))\d{4,8}(?:-\d{2,6})?|(?:19|"
        r"20)?\d\d-\d{5,8})(?!\w|[.,]\d)",
        r"\d[-/]\d{4}",
    ),
    (r"(?<!\w)(?P<x>S[ ]\d{1,3}[ ][A-Z]{1,3}[ ]\d{1,5}/\d\d)(?!\d)", r"S[ ]\d"),
    (
        r"(?<!\w)(?:Az|Aktenzeichen)[.: ]{1,3}(?P<x>\d{1,4}[ ][A-Z][A-Za-z]{0,3}[ ]\d{1,5}/(?:\d\d){1,2})(?!\d)",
        r"Az|Aktenzeichen",
    ),
)
_AGE = re.compile(
    r"(?<![\d.,/-])(?P<x>9\d|1[0-2]\d)(?=[ ]?[-–]?[ ]?(?:[Jj]ährig|[Jj]\.|Jahre[n]?(?!\w)|LJ(?!\w)|Lj\.))"
    r"|(?<!\w)Alter[: ]{1,3}(?P<y>9\d|1[0-2]\d)(?![\d.,%])"
)
_WARD = re.compile(
    r"(?<![\w-])(?P<x>(?:(?:Intensiv|Normal|Privat|Überwach(?:ungs)?|Wach|Aufnahme|Pflege)?[Ss]tation|STATION|"
    r"Stat\.|Stn\.|Wohnbereich|WB|Zimmer"
    r"|Zi\.|Bett|Haus|ITS|IMC|Intensiv)(?:(?<=\.)[: ]{0,3}|[: ]{1,3})(?!(?:GCS|NRS|VAS|CRP|RR|HF|AF)[ :])"
    r"(?:(?:Innere|Herz|Chirurgie|Kardiologie)[ -]?|[A-ZÄÖÜ]{1,3}(?:[ -]|(?=\d)))?"
    r"(?!\d{1,2}[RL](?!\w))(?!\d[\d.:/-]{0,6}(?:[ ]?(?:°|Uhr|(?:Stunde|Tag|Woche|Monat|Minute)(?:e?[ns]|e)?|Grad|"
    r"Std\.?|min)|[ ][hd])(?!\w))(?:\d{1,3}(?:[./-]\d{1,2})?[A-Za-z]?(?![\w%])|[A-Z]{1,2}[ -]?\d{1,3}[a-z]?(?!\w)|"
    r"[IVX]{1,4}(?!\w))(?:[ ](?:Nord|Süd|Ost|West)(?!\w))?)"
)
_NODES = re.compile(r"(?:LK|Lymphknoten|Lymph\w{0,20}|nodal\w{0,4}|IASLC)[^.;\n]{0,60}$")
_LENGTH = r"(?:[ ]?[-–/x×][ ]?\d{1,4})?(?:[ ]?[ckm]m|[ ]m)(?!\w)"  # Ergussstraße 2 x 3 cm
_HOUSE = (
    rf"[ ]{{0,2}}\d{{1,4}}(?!\d|{_LENGTH})"
    r"(?:[ ]?[a-zA-Z](?!\w))?(?:[ ]?[-–/][ ]?\d{1,4}[a-z]?(?!\w)){0,3}(?!\d|[.,]\d)"
)
_STREET_END = (
    r"(?:straße|strasse|str\.|str(?=[ ]\d)|Straße|Strasse|Str\.|weg|Weg|gasse|Gasse|allee|Allee|platz|Platz|ring|"
    r"Ring|damm|Damm|ufer|Ufer|chaussee)"
)
_STREET = re.compile(
    rf"(?<![\w-])(?P<x>(?:[A-ZÄÖÜ][\wäöüß.-]{{1,24}}[ ])?(?:[A-ZÄÖÜ][\wäöüß.-]{{0,30}}?)?{_STREET_END}{_HOUSE})"
)
_NAMED_STREET = re.compile(
    rf"(?<![\w-])(?P<x>(?:Straße|Strasse|Platz)[ ](?:der|des|am|zum|"
    rf"zur)[ ](?:\d{{1,2}}\.[ ])?{_CAP}(?:[ ]{_CAP})?{_HOUSE}|Postfach[ ]\d[\d ]{{1,8}}"
    rf"|(?:Rue|Avenue|Boulevard|Chemin)[ ](?:(?:de|de la|du|des)[ ])?{_CAP}(?:[ ]{_CAP})?{_HOUSE})"
)
_STREET_NAME = r"[A-ZÄÖÜ][\wäöüß-]{2,40}"
_STREET_BEHIND = r"(?=[ \t]*(?:[,;·•|]|$|(?:[ADCH]{1,2}-)?\d{4,5}[ ][A-ZÄÖÜ]))"
_LOOSE_STREET = re.compile(
    r"(?<![\w-])(?P<x>(?:(?:Am|An der|An den|An dem|Im|In der|In den|In dem|Auf der|Auf dem|Auf den|Zum|Zur|"
    r"Unter den|Hinter der|Hinter dem|Vor dem|"
    rf"Beim|Bei der|Bei den|Zu den|Ober|"
    rf"Unterm)[ ])?(?:[A-ZÄÖÜ][\wäöüß-]{{1,30}}[ ]){{0,2}}(?P<last>{_STREET_NAME}){_HOUSE}){_STREET_BEHIND}"
)
_BARE_STREET = re.compile(
    r"(?<![\w-])(?P<x>[A-ZÄÖÜ][\wäöüß-]{2,40}(?:straße|strasse|gasse|allee))(?!\w)"
    rf"(?![ ]{{1,2}}\d{{1,4}}{_LENGTH})"
)
_STREET_LIKE = re.compile(
    r"(?:hof|berg|feld|matt|gässchen|pfad|redder|kamp|twiete|halde|rain|zeile|park|garten|anger|aue?n?|winkel|"
    r"heide|bruch|acker|wiesen?|höhe|hang|tor|see|"
    r"markt|graben|stieg|steig|promenade|kai|brücke|wall|tal|grund|bach|berge|hölzchen|holz|busch|moos|gut|"
    r"brunnen|mühle|kirche|dorf|siedlung|terrasse|wald|eck|stein|linden|zauche|kirchhof|mark)$"
)
_NO_STREET = re.compile(
    r"(?:Bett|Stell|Sitz|Warte|Liege|Arbeits|Intensiv|Reha|Schlaf)platz|^(?:Platz|Weg|Ring|Straße) |(?:Atem|"
    r"(?<!\w)Harn|Gallen|Luft|(?<!\w)Um|Erguss|Lymph|Reiz|Verdauungs|Ausfluss|Einfluss|Speise|Seh|Schluck|Schritt|"
    r"Behandlungs|Nerven|Zugangs)"
    r"(?:weg|straße|strasse)|Schatzki|^(?:Bundes|Land)stra(?:ß|ss)e$", re.IGNORECASE)  # fmt: skip
_JOIN = (
    r"(?:[ ](?:am|an der|im|in der|in|ob der|vor der|bei|a\.[ ]?d\.|v\.[ ]?d\.|b\.|a\.|"
    r"i\.)[ ][A-ZÄÖÜ][\wäöüß-]{1,30}|[ ]\([A-ZÄÖÜ][a-zäöü.]{1,15}\))"
)
_TOWN = (
    rf"(?:(?:Bad|Sankt|St\.|Neu|Alt|Groß|Klein|Hohen|Königs|Markt|Schwäbisch|Bergisch|Wiener|"
    rf"Hall)[ ])?[A-ZÄÖÜ][\wäöüß-]{{1,30}}{_JOIN}?(?:[ ]Höhe)?"
)
_ZIP = re.compile(
    rf"(?<![\w.,/+-])(?:(?P<land>D|A|CH|AT|"
    rf"DE)[- ]{{1,2}})?(?P<zip>\d{{4,5}})[ ]{{1,3}}(?P<city>{_TOWN})"
)
_DATELINE = re.compile(
    rf"^[ \t]*(?P<x>{_TOWN}),[ ](?:(?:den|am|im|d\.)[ ])?(?=\d{{1,2}}\.[ ]?(?:\d{{1,2}}\.|"
    rf"[A-ZJ][a-zä]{{2,9}}[ ]\d{{4}}))"
)

_DIGIT = re.compile(r"\d")
_ID_DIGITS = 4  # fewer are no id
_URL_HINT = re.compile(r"://|www\.|\.(?:de|at|ch|com|org|net|eu|info)")
_LABEL_HINT = re.compile(
    r"[Nn]r|[Nn]ummer|NR|NUMMER|No|ID|[Zz]ahl|[Zz]eichen|[Kk]ennung|IK|AHV|MRN|Fall|S/?N|IBAN|Az|GKZ|ET|BARMER|Barmer|"
    r"AOK|TK|DAK|KKH|BKK|Personalausweis|Reisepass"
)
_WARD_HINT = re.compile(r"tation|STATION|Stat\.|Stn\.|Wohnbereich|WB|Zi|Bett|Haus|ITS|IMC|Intensiv")
_AGE_HINT = re.compile(r"\d[ ]?[-–]?[ ]?[JjL]|Alter")
_STREET_HINT = re.compile(rf"{_STREET_END}[ ]{{0,2}}\d")
_BARE_STREET_HINT = re.compile("straße|strasse|gasse|allee")
_LOOSE_STREET_HINT = re.compile(_STREET_NAME + _HOUSE + _STREET_BEHIND)
_ZIP_HINT = re.compile(r"\d[ ]{1,3}[A-ZÄÖÜ]")

# What is searched for, and without what it need not be: so many digits, and something that the hint finds.
_SIMPLE: tuple[tuple[Kind, re.Pattern[str], int, re.Pattern[str]], ...] = (
    (Kind.EMAIL, _EMAIL, 0, re.compile(_AT)),
    (Kind.URL, _URL, 0, _URL_HINT),
    (Kind.FAX, _FAX, 3, re.compile("[Ff]ax")),
    (Kind.PHONE, _PHONE, 3, _DIGIT),
    (Kind.ID, _LABELLED, _ID_DIGITS, _LABEL_HINT),
    (Kind.PHONE, _BARE_PHONE, 4, re.compile("[0+]")),
    *((Kind.ID, re.compile(pattern), _ID_DIGITS, re.compile(hint)) for pattern, hint in _BARE_IDS),
    (Kind.STREET, _NAMED_STREET, 1, re.compile("Stra|Platz|Postfach|Rue|Avenue|Boulevard|Chemin")),
)


def find_contacts(page: Page) -> list[Found]:
    """Every span with a fixed form; spans may overlap, the first found is the surest."""
    return [
        Found(found.start + offset, found.end + offset, found.kind)
        for offset, piece in page.pieces()
        for found in _in_piece(piece)
    ]


def _in_piece(piece: str) -> Iterator[Found]:
    digits = len(_DIGIT.findall(piece))
    if 1 < digits < _ID_DIGITS:
        digits = sum(map(str.isdigit, piece))  # as the digits of an id are counted: ² is one
    yield from _simple(piece, digits)
    if digits >= 4 and _ZIP_HINT.search(piece):
        yield from _zips(piece)
    yield from _streets(piece, digits)
    if _WARD_HINT.search(piece):
        yield from _wards(piece)
    if digits >= 2 and _AGE_HINT.search(piece):
        yield from _ages(piece)
    if digits and ", " in piece:
        yield from _datelines(piece)


def _simple(piece: str, digits: int) -> Iterator[Found]:
    for kind, pattern, least, hint in _SIMPLE:
        if digits < least or not hint.search(piece):
            continue
        for match in pattern.finditer(piece):
            if kind is not Kind.ID or sum(map(str.isdigit, match.group("x"))) >= _ID_DIGITS:
                yield Found(*match.span("x"), kind)


def _streets(piece: str, digits: int) -> Iterator[Found]:
    if digits and _STREET_HINT.search(piece):
        yield from _known_streets(_STREET, piece)
    if _BARE_STREET_HINT.search(piece):
        yield from _known_streets(_BARE_STREET, piece)
    if digits and _LOOSE_STREET_HINT.search(piece):
        yield from _loose_streets(piece)


def _known_streets(pattern: re.Pattern[str], piece: str) -> Iterator[Found]:
    for match in pattern.finditer(piece):
        if not _NO_STREET.search(match.group("x")):
            yield Found(_without_lead(match), match.end("x"), Kind.STREET)


def _loose_streets(piece: str) -> Iterator[Found]:
    for match in _LOOSE_STREET.finditer(piece):
        last = match.group("last")
        cued = match.group("x").startswith(_PLACE_WORDS) or _STREET_LIKE.search(last.casefold())
        if cued and (not is_common(last) or _STREET_LIKE.search(last.casefold())):
            yield Found(_without_lead(match), match.end("x"), Kind.STREET)


_PLACE_WORDS = ("Am ", "An ", "Im ", "In ", "Auf ", "Zum ", "Zur ", "Unter ", "Hinter ", "Vor ", "Beim ", "Bei ", "Zu ")


def _without_lead(match: re.Match[str]) -> int:
    """The start of a street, without a word before it that belongs to no street (Anschrift, wohnhaft)."""
    first, _, rest = match.group("x").partition(" ")
    is_lead = rest and rest[0].isupper() and is_common(first) and first not in _STREET_LEADS
    return match.start("x") + (len(first) + 1 if is_lead else 0)


_STREET_LEADS = frozenset(
    "Am Im Zum Zur Alte Alter Neue Neuer Lange Langer Kurze Große Kleine Obere Untere Hohe An In Auf Unter Breite "
    "Bei Vor".split()
)


def _zips(piece: str) -> Iterator[Found]:
    for match in _ZIP.finditer(piece):
        city, code = match.group("city"), match.group("zip")
        first = city.split()[0].rstrip(".")
        known = is_town(first) or first in towns() or first in ("Bad", "Sankt", "St")
        address = bool(match.group("land")) or bool(_ADDRESS_BEFORE.search(piece[: match.start()][-40:]))
        if known or ((len(code) == 5 or address) and not is_common(first)):
            yield Found(*match.span("zip"), Kind.ZIP)
            yield Found(*match.span("city"), Kind.CITY)


_ADDRESS_BEFORE = re.compile(r"(?:\d[ ]?[a-z]?[,;·•|]?[ ]|PLZ[^\n]{0,12}|Ort[: ]{1,3}|^[ \t]*)$")


def _wards(piece: str) -> Iterator[Found]:
    for match in _WARD.finditer(piece):
        if not _NODES.search(piece[max(0, match.start() - 80) : match.start()]):
            yield Found(*match.span("x"), Kind.WARD)


def _ages(piece: str) -> Iterator[Found]:
    for match in _AGE.finditer(piece):
        yield Found(*match.span("x" if match.group("x") else "y"), Kind.AGE)


def _datelines(piece: str) -> Iterator[Found]:
    match = _DATELINE.match(piece)
    if match and (is_town(match.group("x")) or not is_common(match.group("x").split()[-1])):
        yield Found(*match.span("x"), Kind.CITY)
