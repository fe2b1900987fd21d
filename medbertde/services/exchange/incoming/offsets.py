"""Positions of spans, followed through the cleaning of their text.

A span comes from another tool, in code points of the text as that tool had it. Stored is the cleaned text (NFC, one
kind of line end, no outer space). A span that cannot be followed for certain is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medbertde.text import unify
from medbertde.types import InvalidFile


def follow(given: str, spans: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The spans with `start` and `end` in the cleaned text; those in UTF-16 units are told by their `quote`.

    >>> follow(" Kein Pneu.", [{"label": "Pneumothorax", "start": 6, "end": 10}])
    [{'label': 'Pneumothorax', 'start': 5, 'end': 9}]
    """
    unified = unify(given)
    lead = len(unified) - len(unified.lstrip())
    same = unified == given
    found = []
    for span in spans:
        start, end = _in_code_points(given, span)
        if not same:
            start, end = (len(_prefix(given, unified, place)) for place in (start, end))
        rest = {name: value for name, value in span.items() if name != "quote"}
        found.append({**rest, "start": max(0, start - lead), "end": min(end, len(unified.rstrip())) - lead})
    return found


def _in_code_points(text: str, span: Mapping[str, Any]) -> tuple[int, int]:
    """Start and end; a quoted span that stands elsewhere must match when counted in UTF-16 units."""
    start, end = span.get("start"), span.get("end")
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end:
        raise InvalidFile(
            "Eine Textstelle hat keine gültigen Positionen. Erwartet werden „start“ und „end“ als ganze Zahlen, das "
            "Ende nach dem Anfang.",
            "A span has no valid positions. “start” and “end” are expected as whole numbers, the end after the start.",
        )
    quote = span.get("quote")
    if text[start:end] == quote or (not isinstance(quote, str) and end <= len(text)):
        return start, end
    if not isinstance(quote, str):
        raise InvalidFile(
            f"Die Textstelle {start}–{end} liegt außerhalb des Textes ({len(text)} Zeichen).",
            f"The span {start}–{end} lies outside the text ({len(text)} characters).",
        )
    units = text.encode("utf-16-le", "surrogatepass")
    before, inside = (units[2 * a : 2 * b].decode("utf-16-le", "replace") for a, b in ((0, start), (start, end)))
    if inside != quote:
        raise InvalidFile(
            f"Die Textstelle {start}–{end} ist nicht die, die im Export dazu steht. Bitte Text und Positionen aus "
            "demselben Export nehmen.",
            f"The span {start}–{end} is not the one that the export quotes. Please take text and positions from the "
            "same export.",
        )
    return len(before), len(before) + len(inside)


def _prefix(given: str, unified: str, place: int) -> str:
    prefix = unify(given[:place])
    if not unified.startswith(prefix):  # inside of a composed character
        raise InvalidFile(
            f"Eine Textstelle beginnt oder endet mitten in einem Zeichen (Position {place}). Bitte die Positionen "
            "prüfen.",
            f"A span begins or ends within a character (position {place}). Please check the positions.",
        )
    return prefix
