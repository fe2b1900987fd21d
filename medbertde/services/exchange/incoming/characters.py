"""From the bytes of a text file to its characters: UTF-8, UTF-16 or Windows-1252, and a note when it was not UTF-8."""

from __future__ import annotations

import codecs
import re

from medbertde.text import decode
from medbertde.types import InvalidFile, Notice

_CONTROL = re.compile("[\x00-\x08\x0e-\x1f]")
_DAMAGED_UTF8 = re.compile("Ã[¤¶¼Ÿ„–œ]")  # ä, ö, ü, ß, Ä, Ö, Ü in UTF-8 read as Windows-1252
_SAMPLE = 4096


def decode_any(data: bytes, name: str) -> tuple[str, Notice | None]:
    """The text, and what to tell when it was not UTF-8; `InvalidFile` where it is no text in a known encoding."""
    utf16 = _utf16(data)
    if utf16:
        return _decode_utf16(data, utf16, name), _note("UTF-16")
    try:
        return decode(data, name), None
    except InvalidFile:
        text = _windows_1252(data)
        if text is None:
            raise
        return text, _note("Windows-1252")


def _utf16(data: bytes) -> str:
    """The codec of a file in UTF-16, by its byte-order mark or because every second byte is null; else ''."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    sample = data[:_SAMPLE]
    half = len(sample) // 2
    if half >= 4 and sample[1::2].count(0) > 0.6 * half and not sample[::2].count(0):
        return "utf-16-le"
    return "utf-16-be" if half >= 4 and sample[::2].count(0) > 0.6 * half and not sample[1::2].count(0) else ""


def _decode_utf16(data: bytes, codec: str, name: str) -> str:
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        raise InvalidFile(
            f"Die Datei {name} ist in UTF-16 gespeichert, aber beschädigt (Byte {error.start + 1} ist nicht lesbar). "
            "Bitte sie noch einmal speichern, am besten in UTF-8.",
            f"The file {name} is saved as UTF-16, but damaged (byte {error.start + 1} cannot be read). Please save it "
            "again, best as UTF-8.",
        ) from error


def _windows_1252(data: bytes) -> str | None:
    """The text in Windows-1252 (with ISO 8859-1 and 8859-15 for German letters); None for binary or damaged UTF-8."""
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) or _DAMAGED_UTF8.search(text) else text


def _note(encoding: str) -> Notice:
    return Notice(
        "encoding",
        f"Die Datei ist nicht in UTF-8, sondern in {encoding} gespeichert und wurde so gelesen. Bitte in der Vorschau "
        "die Umlaute prüfen.",
        f"The file is not saved as UTF-8 but as {encoding} and was read so. Please check the umlauts in the preview.",
    )
