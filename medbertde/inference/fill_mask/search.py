"""The search for the likeliest fillings: over the pieces of a word, over word lengths, over several gaps.

A gap of unknown length is tried with 1 to `MAX_PIECES` mask tokens. A word's score is the product of the probabilities
of its pieces from left to right, the rest of the word still masked: the corrected pseudo-log-likelihood of Kauf and
Ivanova (ACL 2023, "within_word_l2r"). It is a probability among all that could fill as many mask tokens, other words
included, so a length that fits no single word is punished by itself. The mean per piece is not used here: the pieces
behind the first are nearly certain (`Pneu|##moth|##orax`), so a mean lifts long words above every short one. And the
product only falls with each piece, so a beginning that is worse than the last candidate is given up without loss.

What the search leaves out is not what a small model lacks: of 90 gaps in held-out reports whose word has two or three
pieces, the embedded model scored that word above its tenth candidate in one, and it was found. Dividing by the length
(to the power of 0.3 to 1) or by what all words of a length have together ranked no more of them among the first five,
and let in two to four times as many pieces that are no word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import log

import torch
from torch import Tensor

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.fill_mask.gaps import Gaps
from medbertde.inference.fill_mask.inside import Inside
from medbertde.inference.fill_mask.scores import log_probabilities, piece_log_probabilities
from medbertde.inference.fill_mask.vocabulary import Vocabulary, vocabulary
from medbertde.inference.fill_mask.whole import beginning_odds, odds_of_going_on, togetherness
from medbertde.notices.language import ends_like_german

MAX_PIECES = 4
LONG_BEAMS = 3  # fillings of earlier gaps that are also continued with words of several pieces
UNFINISHED_WORDS = 16  # beginnings of words that are followed at once
BRANCHES = 3  # continuations of one beginning
UNLIKELY = 1e-3  # up to this probability a candidate that rather begins a word is dropped, see `_no_beginnings`
PUT_TOGETHER = -5.0  # least sum of `togetherness` and the least log-probability of a piece before those behind it
UNENDED = (
    -0.7
)  # most log odds, by itself and in the sentence together, that such a word goes on: `bas|o` is a beginning
UNGERMAN = 6.0  # taken off for an ending that German does not have; terms that the model is sure of stay
EXPECTED = 0.25  # least probability of all continuations together: below it a word has ended, `cava|ica` is none
MIN_BEAM = 10


@dataclass(frozen=True)
class Filling:
    """The pieces of the words in the first gaps, the logarithm of their joint probability and of the last one's."""

    log_probability: float
    words: tuple[tuple[int, ...], ...]
    last: float = 0.0


@dataclass(frozen=True)
class _Begun:
    """The first pieces of a word of `length` pieces in the gap after `words`."""

    log_probability: float
    words: tuple[tuple[int, ...], ...]
    pieces: tuple[int, ...]
    length: int
    before: float  # the logarithm of the joint probability of `words`

    @property
    def missing(self) -> int:
        """How many pieces are still masked."""
        return self.length - len(self.pieces)

    def followed_by(self, piece: int, log_probability: float) -> _Begun:
        """One piece more."""
        return replace(self, log_probability=log_probability, pieces=(*self.pieces, piece))


def best_fillings(model: LoadedModel, gaps: Gaps, count: int, *, whole: bool) -> list[Filling]:
    """The `count` likeliest fillings of all gaps, best first: whole words, or single pieces of any kind.

    Gaps are filled from left to right with a beam; a later gap is one mask token until its turn.
    """
    width = count if gaps.count == 1 else max(count, MIN_BEAM)
    beams = [Filling(0.0, ())]
    for step in range(gaps.count):
        if not whole:
            beams = _fill_with_pieces(model, gaps, beams, width)
            continue
        found = _fill_with_words(model, gaps, beams, step, width)
        beams = _only_whole(model, gaps, found, width)
    return beams


def _fill_with_pieces(model: LoadedModel, gaps: Gaps, beams: Sequence[Filling], width: int) -> list[Filling]:
    """The best continuations of the beams by one piece."""
    begun = [_begin(beam, 1) for beam in beams]
    allowed = vocabulary(model).written.expand(len(begun), -1)
    done = [extended for row in _extend(model, gaps, begun, allowed, width, [True] * len(begun)) for extended in row]
    return _fillings(done)[:width]


def _fill_with_words(model: LoadedModel, gaps: Gaps, beams: Sequence[Filling], step: int, width: int) -> list[Filling]:
    """More than `width` continuations of the beams by one word of up to `MAX_PIECES` pieces, best first."""
    known = vocabulary(model)
    inside = Inside(known, gaps.begun[step], gaps.ended[step])
    begins = known.behind_letters if gaps.behind_letter(step) else known.begins(gaps.after_space(step))
    begun = [_begin(beam, 1) for beam in beams]
    begun += [_begin(beam, length) for beam in beams[:LONG_BEAMS] for length in range(2, MAX_PIECES + 1)]
    depth = 2 * width + 20  # some are dropped: fragments, and words that exist with and without a space
    done: list[_Begun] = []
    while begun:
        allowed = torch.stack([_allowed(known, each, begins, inside) for each in begun])  # [begun, vocabulary]
        is_open = [inside.is_open(known.word(each.pieces)) for each in begun]
        longer: list[_Begun] = []
        extended = _extend(model, gaps, begun, allowed, depth, is_open)
        for before, still, after in zip(begun, is_open, extended, strict=True):
            branches = UNFINISHED_WORDS if still else BRANCHES
            if before.missing == 1:
                done += after if before.length == 1 else after[:branches]
            else:
                longer += after[:branches]
        ranked = sorted((each.log_probability for each in done), reverse=True)
        bound = ranked[width - 1] if len(ranked) >= width else float("-inf")
        longer = [each for each in longer if each.log_probability > bound]
        begun = sorted(longer, key=lambda each: -each.log_probability)[:UNFINISHED_WORDS]
    return [filling for filling in _fillings(done) if inside.allows(known.word(filling.words[-1]))]


def _begin(beam: Filling, length: int) -> _Begun:
    return _Begun(beam.log_probability, beam.words, (), length, beam.log_probability)


def _allowed(known: Vocabulary, begun: _Begun, begins: Tensor, inside: Inside) -> Tensor:
    """The ids that may come next: a word, the beginning of one, or a continuation.

    Behind letters of the text that are a word already also a mark: "Pneumothorax[MASK] kein Erguss".
    """
    written, last = known.word(begun.pieces), begun.missing == 1
    if not begun.pieces:
        able = begins if last else begins & (known.letters | known.continues)
    elif last and written == inside.begun and not inside.ended:
        able = known.continues | known.closes
    else:
        able = known.continues
    return able & inside.next(written, last=last)


def _extend(
    model: LoadedModel, gaps: Gaps, begun: Sequence[_Begun], allowed: Tensor, depth: int, is_open: Sequence[bool]
) -> list[list[_Begun]]:
    """For each beginning the `depth` best by one allowed piece more, best first; none where the word has ended.

    A word that `is_open` goes on whatever the model expects: it has not yet all letters that the text has of it.
    """
    rows = [gaps.row(each.words, each.pieces, each.missing) for each in begun]
    scores = log_probabilities(model, rows)  # [begun, vocabulary]
    goes_on = scores[:, vocabulary(model).continues].exp().sum(dim=-1) >= EXPECTED  # [begun]
    goes_on |= torch.tensor(is_open)
    scores = scores + torch.tensor([[each.log_probability] for each in begun])
    scores = scores.masked_fill(~(allowed & goes_on[:, None]), float("-inf"))
    best = scores.topk(min(depth, scores.shape[1]))
    return [
        [each.followed_by(piece, value) for value, piece in zip(values, pieces, strict=True) if value > float("-inf")]
        for each, values, pieces in zip(begun, best.values.tolist(), best.indices.tolist(), strict=True)
    ]


def _fillings(done: Iterable[_Begun]) -> list[Filling]:
    return _sorted(
        Filling(each.log_probability, (*each.words, each.pieces), each.log_probability - each.before) for each in done
    )


def _sorted(found: Iterable[Filling]) -> list[Filling]:
    return sorted(found, key=lambda filling: -filling.log_probability)


def _only_whole(model: LoadedModel, gaps: Gaps, found: Sequence[Filling], width: int) -> list[Filling]:
    """The first `width` whose last word is whole and different; the model is asked about few at a time."""
    known = vocabulary(model)
    kept: dict[tuple[str, ...], Filling] = {}  # "Kein" exists with and without a space before it, once is enough
    for start in range(0, len(found), width + 5):
        part = [filling for filling in found[start : start + width + 5] if _as_the_tokenizer_cuts(model, filling)]
        single = [filling for filling in part if len(filling.words[-1]) == 1]
        marked = [filling for filling in part if len(filling.words[-1]) > 1 and known.closes[filling.words[-1][-1]]]
        several = [filling for filling in part if len(filling.words[-1]) > 1 and filling not in marked]
        for filling in _sorted([*_no_beginnings(model, single), *_no_inventions(model, gaps, several), *marked]):
            kept.setdefault(tuple(known.word(word) for word in filling.words), filling)
        if len(kept) >= width:
            break
    return list(kept.values())[:width]


def _no_beginnings(model: LoadedModel, found: Sequence[Filling]) -> list[Filling]:
    """Those of the words of one piece that are whole.

    ``Wand`` is mostly a beginning, and still the right word where a gap asks for it: the gap ends with its word, so the
    likelier a candidate is there, the more must speak against it (1 for each factor of 10 above `UNLIKELY`).
    """
    odds = beginning_odds(model, [filling.words[-1] for filling in found])
    return [
        filling
        for filling, beginning in zip(found, odds, strict=True)
        if beginning <= max(0.0, (filling.last - log(UNLIKELY)) / log(10))
    ]


def _no_inventions(model: LoadedModel, gaps: Gaps, found: Sequence[Filling]) -> list[Filling]:
    """Those of the words of several pieces that the model seems to have read, see `PUT_TOGETHER` and `UNENDED`."""
    together = togetherness(model, [filling.words[-1] for filling in found])
    inside = odds_of_going_on(model, [gaps.row(filling.words[:-1], filling.words[-1], 1) for filling in found])
    places = [(filling, place) for filling in found for place in range(len(filling.words[-1]) - 1)]
    asked = [
        (gaps.row(filling.words[:-1], pieces[:place], 1, pieces[place + 1 :]), pieces[place])
        for filling, place in places
        for pieces in [filling.words[-1]]
    ]
    least = dict.fromkeys(found, 0.0)
    for (filling, _), backwards in zip(places, piece_log_probabilities(model, asked), strict=True):
        least[filling] = min(least[filling], backwards)
    known = vocabulary(model)
    foreign = [UNGERMAN * _ends_ungerman(known, filling.words[-1]) for filling in found]
    return [
        filling
        for filling, (like, goes_on), here, taken_off in zip(found, together, inside, foreign, strict=True)
        if like - goes_on + least[filling] - taken_off >= PUT_TOGETHER and goes_on + here <= UNENDED
    ]


def _ends_ungerman(known: Vocabulary, pieces: tuple[int, ...]) -> bool:
    """Whether a word ends as no German one does: ``Blutungn``, or in a letter behind its like, ``Blutungen|n``."""
    word, last = known.word(pieces), known.texts[pieces[-1]]
    return not ends_like_german(word) or (len(last) == 1 and word.endswith(2 * last))


def _as_the_tokenizer_cuts(model: LoadedModel, filling: Filling) -> bool:
    """Whether a word of several pieces is what the tokenizer makes of it; other cuts were never seen in training."""
    pieces = filling.words[-1]
    if len(pieces) == 1:
        return True
    word = vocabulary(model).word(pieces)
    return any(cut.ids == pieces for cut in model.encoder.pieces([f" {word}", word]))
