"""Words of the user's own, ranked by how well they fit a gap.

Owns the list as it is typed and its scores; words the model would never propose by itself are scored like all others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.classify import require
from medbertde.inference.fill_mask.gaps import Gaps, read_gaps
from medbertde.inference.fill_mask.scores import piece_log_probabilities
from medbertde.text import MASK, MAX_CHARS, normalise
from medbertde.types import InvalidText, Notice, Task

MAX_WORDS = 50
MAX_WORD_CHARS = 60
MAX_WORD_PIECES = 24
_SEPARATORS = re.compile(r"[,;\n]+")


@dataclass(frozen=True)
class RankedWord:
    """A word of the user's in the gap. `text` is the sentence with it.

    In a gap inside a word ("Pneumo[MASK]") all figures are those of the whole word.

    `log_likelihood` is the mean over the word's `pieces` of the logarithm of each piece's probability, those before it
    in place and those behind it masked (pseudo-log-likelihood, within_word_l2r); `probability` is the product. Both are
    None for a word with characters that the vocabulary does not have.
    """

    word: str
    text: str
    pieces: int
    log_likelihood: float | None
    probability: float | None

    @property
    def mean_probability(self) -> float:
        """The geometric mean of the pieces' probabilities, 0 where there is none."""
        return exp(self.log_likelihood) if self.log_likelihood is not None else 0.0


@dataclass(frozen=True)
class Ranking:
    """The words, best first, and what to say about the text they are for."""

    words: tuple[RankedWord, ...]
    warnings: tuple[Notice, ...]


def parse_words(typed: str) -> list[str]:
    """The words of a list with commas, semicolons or line ends between them, each once.

    >>> parse_words("Nachweis, Hinweis;Anhalt,, Hinweis")
    ['Nachweis', 'Hinweis', 'Anhalt']
    """
    words = [" ".join(word.split()) for word in _SEPARATORS.split(normalise(typed))]
    return list(dict.fromkeys(word for word in words if word))


def rank_words(model: LoadedModel, text: str, words: Sequence[str], *, max_chars: int = MAX_CHARS) -> Ranking:
    """The words by their mean log-likelihood in the one gap of `text`, best first; unknown ones at the end.

    The mean makes words of different length comparable when they are given; the search for new words uses the product
    (see `fill_mask.search`).
    """
    require(model, Task.FILL_MASK)
    _check(words)
    gaps = read_gaps(model, text, MAX_WORD_PIECES, max_chars)
    if gaps.count != 1:
        raise InvalidText(
            f"Der Text enthält {gaps.count} Lücken. Eigene Wörter lassen sich in genau einer Lücke vergleichen.",
            f"The text contains {gaps.count} gaps. Words of your own can be compared in exactly one gap.",
        )
    cut = [pieces.ids for pieces in model.encoder.pieces([gaps.whole(0, word) for word in words])]
    too_long = sum(len(pieces) > MAX_WORD_PIECES for pieces in cut)
    if too_long:
        raise InvalidText(
            f"{too_long} der Wörter haben mehr als {MAX_WORD_PIECES} Wortteile. Bitte kürzere Wörter eingeben.",
            f"{too_long} of the words have more than {MAX_WORD_PIECES} pieces. Please enter shorter ones.",
        )
    scores = _log_likelihoods(model, gaps, cut)
    ranked = [
        RankedWord(word, gaps.join([word]), len(pieces), *score)
        for word, pieces, score in zip(words, cut, scores, strict=True)
    ]
    return Ranking(tuple(sorted(ranked, key=lambda each: -each.mean_probability)), gaps.notices)


def _check(words: Sequence[str]) -> None:
    if not 1 <= len(words) <= MAX_WORDS:
        raise InvalidText(
            f"Die Liste enthält {len(words)} Wörter, erwartet werden 1 bis {MAX_WORDS}. Bitte die Wörter durch Kommas "
            "trennen.",
            f"The list contains {len(words)} words, expected are 1 to {MAX_WORDS}. Please put commas between them.",
        )
    longest = max(map(len, words))
    if longest > MAX_WORD_CHARS or any(MASK in word for word in words):
        raise InvalidText(
            f"Ein Wort darf höchstens {MAX_WORD_CHARS} Zeichen haben und kein {MASK} enthalten; das längste hat "
            f"{longest}. Bitte die Wörter durch Kommas trennen.",
            f"A word may have {MAX_WORD_CHARS} characters at most and no {MASK} in it; the longest has {longest}. "
            "Please put commas between the words.",
        )


def _log_likelihoods(
    model: LoadedModel, gaps: Gaps, cut: Sequence[tuple[int, ...]]
) -> list[tuple[float, float] | tuple[None, None]]:
    """Mean log-likelihood and probability of each word; one row per piece, with the pieces behind it masked."""
    unknown = model.encoder.unknown_id
    places = [
        (index, pieces, place)
        for index, pieces in enumerate(cut)
        if pieces and unknown not in pieces
        for place in range(len(pieces))
    ]
    asked = [(gaps.row((), pieces[:place], len(pieces) - place), pieces[place]) for _, pieces, place in places]
    totals = dict.fromkeys((index for index, _, _ in places), 0.0)
    for (index, _, _), found in zip(places, piece_log_probabilities(model, asked), strict=True):
        totals[index] += found
    return [
        (totals[index] / len(pieces), exp(totals[index])) if index in totals else (None, None)
        for index, pieces in enumerate(cut)
    ]
