"""How a search reads text: folding, the words of a report, the terms of a query, and the excerpt that shows the hits.

Core, plain Python. Folding makes "Ergüsse", "ERGUSS" and "Pleuraerguss" all contain "erguss": lower case, no diaeresis,
ß as ss. The databases fold with the same rules (`medbertde_fold`), so they find what is marked here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from medbertde.text import normalise
from medbertde.types import InvalidText

ACCENTED, PLAIN = "äöüéèêëáàâãåçíìîïñóòôõúùû", "aoueeeeaaaaaciiiinoooouuu"
MAX_QUERY_CHARS, MAX_TERMS, MIN_CHARS = 200, 8, 3
_FOLDED = str.maketrans(ACCENTED, PLAIN) | {ord("ß"): "ss"}
_SPACES = re.compile(r"\s+")
_WORD = re.compile(r"[^\W_]+")
_TERM = re.compile(r'["„“”«»]([^"„“”«»]*)["„“”«»]|([^\s"„“”«»]+)')


@dataclass(frozen=True)
class Piece:
    """A part of an excerpt; `hit` where the search found its term."""

    text: str
    hit: bool


def fold(text: str) -> str:
    r"""The text as searches compare it.

    >>> fold("Großer  Erguß,\nbeidseits ERGÜSSE")
    'grosser erguss, beidseits ergusse'
    """
    return _SPACES.sub(" ", text.lower().translate(_FOLDED))


def words(folded: str) -> list[str]:
    """The words of a folded text, each once.

    >>> words("v. a. erguss, kein erguss (5 mm)")
    ['5', 'a', 'erguss', 'kein', 'mm', 'v']
    """
    return sorted(set(_WORD.findall(folded)))


def terms(query: str) -> tuple[str, ...]:
    """The folded words and "phrases" of a query; empty for an empty query. `InvalidText` says what cannot work.

    The query is read like the reports (`text.normalise`), so it finds what they hold and no broken characters go on.

    >>> terms('Erguss „kein  Nachweis“')
    ('erguss', 'kein nachweis')
    """
    query = normalise(query)
    if len(query) > MAX_QUERY_CHARS:
        raise InvalidText(
            f"Die Suche hat {len(query)} Zeichen, erlaubt sind {MAX_QUERY_CHARS}. Bitte kürzer suchen.",
            f"The search has {len(query)} characters, {MAX_QUERY_CHARS} are allowed. Please search for less.",
        )
    found = (fold(phrase or word).strip() for phrase, word in _TERM.findall(query))
    kept = tuple(dict.fromkeys(term for term in found if _WORD.search(term)))[:MAX_TERMS]
    if kept and not any(len(word) >= MIN_CHARS for term in kept for word in words(term)):
        raise InvalidText(
            f"Bitte nach mindestens einem Wort mit {MIN_CHARS} Buchstaben suchen.",
            f"Please search for at least one word of {MIN_CHARS} letters.",
        )
    return kept


def excerpt(text: str, wanted: tuple[str, ...], *, max_chars: int = 240) -> tuple[Piece, ...]:
    """The part of the text around its first hit, with all hits in it marked; the beginning where there is none.

    >>> excerpt("Herz normal groß. Kleiner Pleuraerguß links.", ("erguss",), max_chars=30)
    (Piece(text='… Kleiner Pleura', hit=False), Piece(text='erguß', hit=True), Piece(text=' links.', hit=False))
    """
    spans = hit_spans(text, wanted)
    first = spans[0][0] if spans else 0
    start = _word_start(text, max(0, min(first - max_chars // 3, len(text) - max_chars)))
    end = min(len(text), start + max_chars)
    pieces: list[Piece] = [Piece("… ", hit=False)] if start else []
    at = start
    for hit_start, hit_end in spans:
        if hit_end > end:
            break
        pieces += [Piece(text[at:hit_start], hit=False), Piece(text[hit_start:hit_end], hit=True)]
        at = hit_end
    pieces.append(Piece(text[at:end] + (" …" if end < len(text) else ""), hit=False))
    return _joined(pieces)


def hit_spans(text: str, wanted: tuple[str, ...]) -> list[tuple[int, int]]:
    """Where the terms stand in the text: code points [start, end), in order, none over another."""
    folded, origin = _fold_with_origin(text)
    found = [
        (origin[start], origin[start + len(term) - 1] + 1) for term in wanted for start in _occurrences(folded, term)
    ]
    spans: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


def _occurrences(folded: str, term: str) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(term), folded)]


def _fold_with_origin(text: str) -> tuple[str, list[int]]:
    """The folded text, and for each of its characters the position it came from."""
    folded: list[str] = []
    origin: list[int] = []
    for position, char in enumerate(text):
        part = " " if char.isspace() else char.lower().translate(_FOLDED)
        if part == " " and folded and folded[-1] == " ":
            continue
        folded += part
        origin += [position] * len(part)
    return "".join(folded), origin


def _word_start(text: str, position: int) -> int:
    """The next beginning of a word at or after `position`, which an excerpt may start with."""
    if position == 0:
        return 0
    space = text.find(" ", position, position + 30)
    return position if space < 0 else space + 1


def _joined(pieces: list[Piece]) -> tuple[Piece, ...]:
    """Neighbours of the same kind as one, empty ones left out."""
    joined: list[Piece] = []
    for piece in pieces:
        if joined and joined[-1].hit == piece.hit:
            joined[-1] = Piece(joined[-1].text + piece.text, piece.hit)
        elif piece.text:
            joined.append(piece)
    return tuple(joined)
