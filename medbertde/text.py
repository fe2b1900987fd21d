"""German report text: cleaning at the edge, sentence and word spans.

Core: pure functions over strings. Offsets are Unicode code points of the NFC text that `clean` returns.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import unicodedata
from collections.abc import Iterator

from medbertde.types import InvalidFile, InvalidText

MAX_CHARS = 20_000
MASK = "[MASK]"

_WORD = re.compile(r"\w+(?:[-./'’]\w+)*|[^\w\s]")
_INVISIBLE = re.compile("[\x01-\x08\x0e-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_BROKEN = re.compile("[\x00\ud800-\udfff]")
_SPACE = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")  # from Word, PDF and HTML
_LINE_END = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")  # \x0b: a line break within a paragraph, from Word
_NAME = re.compile(r"[\w:.?+-]{1,40}")
_SENTENCE_END = re.compile(r"(?<![.!?:])[.!?:]++[\"“”)]*+(?=\s+\S)|\n+")
_SHORTENED = (  # a capital letter in front only where a sentence begins: "Evtl. Infiltrat", but "Bronchial-Ca."
    "akut|anamn|ant|apik|asc|atyp|ausged|ausgepr|Ausschl|axill|beg|beids|bek|bes|bzgl|bzw|bds|ca|caud|chir|chron|cran|"
    "desc|deutl|diff|dist|dors|dtl|ehem|einschl|entspr|entz|ev|evtl|exkl|ext|fragl|geb|ger|gering|ggf|größ|gröss|"
    "hil|histolog|infrahil|inf|inkl|insb|insbes|int|interst|intraop|jähr|kaud|kl|klin|kontralat|konfl|kran|lat|li|"
    "linkss|lok|lt|Lungenf|max|med|mediast|mediastin|min|mind|mögl|nennensw|neoadj|osteolyt|parapneum|path|pathol|"
    "patholog|perihil|plötzl|pneum|pneumon|post|postop|postst|präop|progr|prox|pulm|radiol|re|rechtss|relev|resp|"
    "retrokard|rez|rezid|sämtl|segm|seitl|sign|signif|sog|subpl|subsegm|sup|susp|techn|tel|umschr|unauff|uräm|"
    "ventr|vereinz|vermutl|vgl|vorbek|wahrsch|wesentl|wg|zentr|zentrilob|zusätzl|zw|zyl|zylindr"
)
_NAMED = "Aa|Abb|BWK|Dig|Dr|Fr|Hr|HWK|Lig|Lj|LWK|Nr|Pat|Proc|Prof|Seg|St|Stad|Str|Tab|Va|Vd|Vgl|Vv|etc|usw"
_SPACED = r"m\.\s?E|[ZS]t?\.\s?[np]|[VD]\.\s?[ad]|i\.\s?[RS]\.\s?[devm]|[aoidzu]\.\s?[A-Za-zÄÖÜäöü]|[A-Za-zÄÖÜäöü]"
_ABBREVIATION = re.compile(
    rf"(?:(?:^|[\s(/])(?:{_SPACED}|{_NAMED}|{_SHORTENED})|(?:^\W*|[:|•]\s*)(?i:{_SHORTENED}))\.$"
)
_UNFINISHED = re.compile(r"\s*(?:Kein\w*|Ohne)(?:[\s,./]+[a-zäöüß]\w*)+\.")  # as long as no noun has come
_GOOD = re.compile(r"[A-ZÄÖÜ][\w-]+\s+o\.\s?(?:p\.\s?)?B\.$")
_DENIED_SIDE = re.compile(  # ends a sentence ("Kein Erguss re. Pneu li.") unless a place or the like comes next
    r"\b(?:[Kk]ein(?:e[nmrs]?)?|[Oo]hne)(?:\s+[\w-]+){0,4}?\s+[A-ZÄÖÜ][\w-]+\s+(?:re|li|bds|beids|i\.\s?v)\.$"
)
_AFTER_SIDE = re.compile(
    r"\s*(?:\d|[OUM][LFG]\b|MOF\b|S\s?\d|[IVX]+\b(?!\.)|DD\b|[A-Z]\.(?!\s?[an]\.)|KM\b|Kontrastm|Vena|Arteria|"
    r"V[JSC][ICS]|OK\b|Ø|Mittel-|Jug|Subcl|"
    r"\w*(?:lappens?|feld(?:er|es)?|lunge|hilus|hemithorax|segments?|sinus|winkels?|recessus|zwerchfells?|ventrikels?|"
    r"vorhofs?|nieren?|mamma|brust|seite|hälfte|arm|schulter|axilla|[ck]lavi[ck]ula|rippen?|bronchus|randes|rand|spitze|"
    r"apex|hals|hüfte|femur|humerus|s[ck]apula|spalt|lingula|basis)\b)",
    re.IGNORECASE,
)
_DENIAL = re.compile(r"\s+(?:Kein(?:e[nmrs]?)?|Ohne)\b")
_NUMBER = re.compile(r"(?:^|\W)\d{1,2}\.$")
_LIST_NUMBER = re.compile(r"\W*\d{1,2}\.")
_VISIBLE = re.compile(r"\S")
_LOOKED_AT = 48  # characters before a stop: an abbreviation and what it stands with; keeps long texts linear
_COUNTED = re.compile(
    r"\s*(?:\d|und\b|bis\b|Rippe|ICR|BWK|LWK|HWK|Interkostal|Lebens|Tag|Woche|Monat|Januar|Februar|März|April|"
    r"Mai|Juni|Juli|August|September|Oktober|November|Dezember|Jänner|postoperativ)"
)


def clean(text: str, max_chars: int = MAX_CHARS) -> str:
    r"""The text as it is read and stored: NFC, ``\n`` line ends, no invisible control characters, outer space cut.

    Raises `InvalidText` for empty and over-long texts and for NUL or broken characters (lone surrogates), which point
    to a damaged or binary source.

    >>> clean("  Lungeno\u0308dem.\r\nKein Pneu.\u200b ")
    'Lungenödem.\nKein Pneu.'
    """
    if len(text) > 4 * max_chars:
        raise _too_long(len(text), max_chars)
    text = normalise(text)
    if not text:
        raise InvalidText(
            "Der Text ist leer. Bitte einen Befundtext eingeben.", "The text is empty. Please enter a report."
        )
    if len(text) > max_chars:
        raise _too_long(len(text), max_chars)
    return text


def normalise(text: str) -> str:
    """What `clean` does to the characters, for short fields too; may come out empty. `InvalidText` as there."""
    return unify(text).strip()


def unify(text: str) -> str:
    """`normalise` with the outer space left in place, for whoever follows a position through it."""
    if text.isascii() and text.isprintable():  # most ids and names: nothing below would change them
        return text
    if _BROKEN.search(text):
        raise InvalidText(
            "Der Text enthält unlesbare Zeichen (Nullbyte oder beschädigte Zeichen). Bitte aus der Quelle neu kopieren "
            "oder als UTF-8 speichern.",
            "The text contains unreadable characters (a null byte or broken characters). Please copy it again from its "
            "source or save it as UTF-8.",
        )
    text = _SPACE.sub(" ", _INVISIBLE.sub("", _LINE_END.sub("\n", text)))
    return unicodedata.normalize("NFC", text)


def _too_long(found: int, allowed: int) -> InvalidText:
    found_de, allowed_de = (f"{number:,}".replace(",", ".") for number in (found, allowed))
    return InvalidText(
        f"Der Text hat {found_de} Zeichen, erlaubt sind {allowed_de}. Bitte den Text kürzen oder aufteilen.",
        f"The text has {found:,} characters, {allowed:,} are allowed. Please shorten or split it.",
    )


def decode(data: bytes, name: str = "") -> str:
    """The text of an uploaded file; `InvalidFile` unless it is UTF-8 (a byte-order mark is fine) and not binary."""
    where = f" {name}" if name else ""
    if b"\x00" in data and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InvalidFile(
            f"Die Datei{where} enthält Nullbytes und ist keine Textdatei in UTF-8. Bitte sie als Textdatei mit der "
            "Kodierung UTF-8 speichern.",
            f"The file{where} contains null bytes and is no text file in UTF-8. Please save it as a text file with "
            "the encoding UTF-8.",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidFile(
            f"Die Datei{where} ist nicht in UTF-8 gespeichert (Byte {error.start + 1} ist nicht lesbar). Bitte sie "
            "noch einmal speichern und als Kodierung UTF-8 wählen (in Excel: „CSV UTF-8“).",
            f"The file{where} is not saved as UTF-8 (byte {error.start + 1} cannot be read). Please save it again with "
            "the encoding UTF-8 (in Excel: “CSV UTF-8”).",
        ) from error


def shown(value: object) -> str:
    """A name found in a file, as a message may repeat it: one word as it is, anything else could be report text.

    >>> shown("Pneu"), shown("Kein Pneu, kein Erguss.")
    ('Pneu', '…')
    """
    return str(value) if _NAME.fullmatch(str(value)) else "…"


def content_hash(text: str) -> str:
    r"""SHA-256 of the text with white space collapsed: equal for copies that differ only in layout.

    >>> content_hash("Kein Pneu.") == content_hash(" Kein  Pneu.\n")
    True
    """
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()


def words(text: str) -> Iterator[tuple[int, int]]:
    """Spans of the words and single punctuation marks.

    >>> [text[a:b] for text in ["V. a. Infiltrat, <5 mm."] for a, b in words(text)]
    ['V', '.', 'a', '.', 'Infiltrat', ',', '<', '5', 'mm', '.']
    """
    for match in _WORD.finditer(text):
        yield match.span()


def sentences(text: str) -> list[tuple[int, int]]:
    """Spans of the sentences; line breaks end one, German abbreviations and ordinals ("8. Rippe") do not.

    >>> text = "Z. n. ZVK-Anlage re. Kein Pneu. Evtl. Infiltrat bds. basal. Keine pulm. Rundherde."
    >>> [text[a:b] for a, b in sentences(text)]
    ['Z. n. ZVK-Anlage re.', 'Kein Pneu.', 'Evtl. Infiltrat bds. basal.', 'Keine pulm. Rundherde.']
    """
    spans, start = [], 0
    for match in _SENTENCE_END.finditer(text):
        if not match.group().startswith("\n") and _continues(text, start, match.end()):
            continue
        spans.append((start, match.end()))
        start = match.end()
    spans.append((start, len(text)))
    return [span for span in (_trim(text, *span) for span in spans) if span[0] < span[1]]


def _continues(text: str, start: int, end: int) -> bool:
    """Whether the stop before `end` belongs to an abbreviation, a number or a lower-case continuation."""
    head = text[max(start, end - _LOOKED_AT) : end]
    if text[end - 1] == ":" or (len(head) == end - start and _LIST_NUMBER.fullmatch(head)):
        return True
    following = _VISIBLE.search(text, end)
    if following is None or following.group().islower() or following.group() in ",;)":
        return True
    if _DENIAL.match(text, end) or (following.group().isupper() and _closes(head, text, end)):
        return False
    if _ABBREVIATION.search(head) or _UNFINISHED.fullmatch(head):
        return True
    return bool(_NUMBER.search(head) and _COUNTED.match(text, end))


def _closes(head: str, text: str, end: int) -> bool:
    """Whether the abbreviation that ends `head` stands last: "Herz o. B. Lunge frei", "Kein Erguss re. Pneu li."."""
    return bool(_GOOD.search(head) or (_DENIED_SIDE.search(head) and not _AFTER_SIDE.match(text, end)))


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - (len(piece) - len(piece.rstrip()))
