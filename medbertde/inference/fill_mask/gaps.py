"""A text with gaps as model input: the pieces between the gaps, and what stands in them.

Owns the way from `[MASK]` in the page's text to the model's own mask token, the part of a long text that is read, and
the way back from words to a text with the right spacing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.fill_mask.inside import first_letters, last_letters
from medbertde.inference.fill_mask.scores import Row
from medbertde.inference.fill_mask.vocabulary import CLOSING
from medbertde.inference.tokens import Pieces, visible_start
from medbertde.notices.remarks import Cut, partly_read, remarks
from medbertde.text import MASK, MAX_CHARS, clean
from medbertde.types import InvalidText, ModelUnavailable, Notice

MAX_MASKS = 8


@dataclass(frozen=True)
class Gaps:
    """A text with `count` gaps: `segments` are the texts between them, `parts` the pieces of these that are read.

    `cut` counts the words and pieces of all segments, read or not. The letters right before and behind each gap,
    `begun` and `ended`, are part of the word that stands there: the `parts` are without them.
    """

    segments: tuple[str, ...]
    parts: tuple[tuple[int, ...], ...]
    mask_id: int
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    cut: Cut
    begun: tuple[str, ...]
    ended: tuple[str, ...]

    @property
    def count(self) -> int:
        """The number of gaps."""
        return len(self.segments) - 1

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What to say about the text, and about how much of it was read."""
        read = sum(map(len, self.parts))
        partly = (partly_read(read, self.cut.pieces),) if read < self.cut.pieces else ()
        return (*remarks(" ".join(self.segments), self.cut), *partly)

    def row(self, filled: Sequence[Sequence[int]], now: Sequence[int], masks: int, behind: Sequence[int] = ()) -> Row:
        """Model input and the position of the first of `masks` mask tokens in the gap after the `filled` ones.

        `now` and `behind` are the pieces before and after them in that gap; every later gap is one mask token.
        """
        ids = [*self.prefix, *self.parts[0]]
        for pieces, part in zip(filled, self.parts[1:], strict=False):
            ids += [*pieces, *part]
        position = len(ids) + len(now)
        ids += [*now, *[self.mask_id] * masks, *behind, *self.parts[len(filled) + 1]]
        for part in self.parts[len(filled) + 2 :]:
            ids += [self.mask_id, *part]
        return [*ids, *self.suffix], position

    def after_space(self, step: int) -> bool | None:
        """Whether a gap stands after a space (True), after a character (False) or at the start of the text (None)."""
        before = self.segments[step].removesuffix(self.begun[step])
        if not before:
            return None if step == 0 else False
        return before[-1].isspace()

    def behind_letter(self, step: int) -> bool:
        """Whether a letter stands right before a gap that is not read as part of the gap's word."""
        return self.segments[step][-1:].isalpha() and not self.begun[step]

    def whole(self, step: int, filled: str) -> str:
        """The word that `filled` makes together with the letters around the gap, behind the space before it if any."""
        return (" " if self.after_space(step) else "") + self.begun[step] + filled + self.ended[step]

    def filled(self, step: int, word: str) -> str:
        """What of a `whole` word stands in the gap."""
        return word[len(self.begun[step]) : len(word) - len(self.ended[step])]

    def join(self, words: Sequence[str], glued: Sequence[bool] = ()) -> str:
        """The text with the words in place; what is `glued` is written right behind what stands before.

        >>> Gaps(("Kein Erguss ", " Kein ", ""), (), 0, (), (), Cut(3, 3, 0), (), ()).join([".", "Pneu"])
        'Kein Erguss. Kein Pneu'
        """
        text = self.segments[0]
        for word, close, segment in zip_longest(words, glued, self.segments[1:]):
            text = (text.rstrip() if close or word in CLOSING else text) + word + segment
        return text


def read_gaps(
    model: LoadedModel, text: str, pieces_per_gap: int, max_chars: int = MAX_CHARS, *, inside: bool = True
) -> Gaps:
    """The gaps of a text, with room for `pieces_per_gap` pieces in each.

    Of a text longer than the model's input the part around the gaps is read; `InvalidText` where there is no gap, where
    there are too many, or where they lie too far apart to be read at once. Without `inside` the letters right before
    and behind a gap are read like all other text.
    """
    encoder = model.encoder
    if encoder.mask_id is None:
        raise ModelUnavailable(
            f"Der Tokenizer des Modells {model.version} hat kein Maskenzeichen. Bitte ein anderes Modell wählen.",
            f"The tokenizer of the model {model.version} has no mask token. Please choose another model.",
        )
    segments = _segments(clean(text, max_chars))
    begun, ended = _letters(segments) if inside else (("",) * (len(segments) - 1),) * 2
    between = texts_between(segments, begun, ended)
    pieces = encoder.pieces(between)
    parts = _around(between, pieces, encoder.room - pieces_per_gap * (len(segments) - 1))
    cuts = [encoder.cut(segment, part) for segment, part in zip(between, pieces, strict=True)]
    return Gaps(segments, parts, encoder.mask_id, encoder.prefix, encoder.suffix, sum(cuts, Cut(0, 0, 0)), begun, ended)


def _letters(segments: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The letters right before and right behind each gap; those of a word with two gaps belong to neither.

    >>> _letters(("Pneumo", " und Pleura", "erguss."))
    (('Pneumo', 'Pleura'), ('', 'erguss'))
    """
    shared = [0 < number < len(segments) - 1 and text.isalpha() for number, text in enumerate(segments)]
    before = ["" if own else last_letters(text) for text, own in zip(segments, shared, strict=True)]
    behind = ["" if own else first_letters(text) for text, own in zip(segments, shared, strict=True)]
    return tuple(before[:-1]), tuple(behind[1:])


def texts_between(segments: Sequence[str], begun: Sequence[str], ended: Sequence[str]) -> list[str]:
    """The segments without the letters that belong to the words in the gaps.

    A byte-level mask stands for the word and the space before it, so no space is left over in front of a gap.

    >>> texts_between(("Kein Pneumo", " links."), ("Pneumo",), ("",))
    ['Kein', ' links.']
    """
    found = [text.removesuffix(own).rstrip() for text, own in zip(segments, begun, strict=False)]
    found.append(segments[-1])
    return [text.removeprefix(own) for text, own in zip(found, ("", *ended), strict=True)]


def _segments(text: str) -> tuple[str, ...]:
    """The text between the gaps."""
    segments = tuple(text.split(MASK))
    if not 2 <= len(segments) <= MAX_MASKS + 1:
        raise InvalidText(
            f"Der Text enthält {len(segments) - 1} Lücken, erwartet werden 1 bis {MAX_MASKS}. Bitte {MASK} an die "
            "Stelle schreiben, an der ein Wort eingesetzt werden soll.",
            f"The text contains {len(segments) - 1} gaps, expected are 1 to {MAX_MASKS}. Please write {MASK} where a "
            "word should be filled in.",
        )
    return segments


def _around(texts: Sequence[str], pieces: Sequence[Pieces], room: int) -> tuple[tuple[int, ...], ...]:
    """The pieces of the texts cut to `room`: those between the gaps whole, the outer ones as far as whole words fit."""
    parts = [part.ids for part in pieces]
    left = room - sum(len(part) for part in parts[1:-1])
    if left < 0:
        raise InvalidText(
            "Die Lücken liegen weiter auseinander, als das Modell auf einmal lesen kann. Bitte den Text kürzen.",
            "The gaps are further apart than the model can read at once. Please shorten the text.",
        )
    before, after = parts[0], parts[-1]
    kept_after = min(len(after), max(left // 2, left - len(before)))
    kept_before = min(len(before), left - kept_after)
    cut = len(before) - kept_before
    first = next((at for at in range(cut, len(before)) if _between_words(texts[0], pieces[0], at)), cut)
    last = next((at for at in range(kept_after, 0, -1) if _between_words(texts[-1], pieces[-1], at)), kept_after)
    return (before[first:], *parts[1:-1], after[:last])


def _between_words(text: str, pieces: Pieces, at: int) -> bool:
    """Whether a cut before this piece, or behind the last one, tears no letters or digits apart."""
    if at == len(pieces.ids):
        return True
    start = visible_start(text, *pieces.offsets[at])
    return not (text[max(0, start - 1) : start].isalnum() and text[start : start + 1].isalnum())
