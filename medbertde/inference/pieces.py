"""How a tokenizer cuts a text: the pieces of each word with their ids, and how many there are per word.

Owns the view of one text and its figures. Works for every checkpoint, also for classifiers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.tokens import Pieces
from medbertde.text import MASK, MAX_CHARS, clean, words


@dataclass(frozen=True)
class Piece:
    """A piece as it stands in the text, and its id; `unknown` where the vocabulary has no piece for it."""

    text: str
    id: int
    unknown: bool = False


@dataclass(frozen=True)
class CutWord:
    """A word (or a punctuation mark, then not `counted`) and its pieces."""

    text: str
    pieces: tuple[Piece, ...]
    counted: bool


@dataclass(frozen=True)
class Tokenisation:
    """A text as a model reads it. Words are what stands between spaces and punctuation; gaps are not counted."""

    model_version: str
    words: tuple[CutWord, ...]
    vocabulary_size: int

    @property
    def counted(self) -> tuple[CutWord, ...]:
        """The words without punctuation and gaps."""
        return tuple(word for word in self.words if word.counted)

    @property
    def n_pieces(self) -> int:
        """The pieces of all words."""
        return sum(len(word.pieces) for word in self.counted)

    @property
    def fertility(self) -> float:
        """Pieces per word; 1 where every word is one piece, 0 where there is no word."""
        return self.n_pieces / len(self.counted) if self.counted else 0.0

    @property
    def whole(self) -> int:
        """How many words are one known piece."""
        return sum(len(word.pieces) == 1 and not word.pieces[0].unknown for word in self.counted)

    @property
    def unknown(self) -> int:
        """How many words hold something that the vocabulary does not have."""
        return sum(any(piece.unknown for piece in word.pieces) for word in self.counted)


def tokenise(model: LoadedModel, text: str, *, max_chars: int = MAX_CHARS) -> Tokenisation:
    """The pieces of `text`; a `[MASK]` in it is shown as the model's own mask token."""
    encoder = model.encoder
    gap = [] if encoder.mask_id is None else [CutWord(MASK, (Piece(MASK, encoder.mask_id),), counted=False)]
    found: list[CutWord] = []
    segments = clean(text, max_chars).split(MASK)
    for index, (segment, pieces) in enumerate(zip(segments, encoder.pieces(segments), strict=True)):
        found += [*(gap if index else ()), *_cut(segment, pieces, encoder.unknown_id)]
    return Tokenisation(model.version, tuple(found), len(model.tokenizer))


def _cut(text: str, pieces: Pieces, unknown_id: int | None) -> Iterator[CutWord]:
    """The words of a text with their pieces; a piece belongs to the word in which it ends."""
    place = 0
    for start, end in words(text):
        own = []
        while place < len(pieces.ids) and pieces.offsets[place][1] <= end:
            first, last = pieces.offsets[place]
            own.append(Piece(text[max(first, start) : last], pieces.ids[place], pieces.ids[place] == unknown_id))
            place += 1
        yield CutWord(text[start:end], tuple(own), any(char.isalnum() for char in text[start:end]))
