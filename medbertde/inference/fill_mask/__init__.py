"""Fill-mask: the words a language model would write for `[MASK]`.

Owns the answer as others see it. A gap is explained in `gaps`, the search in `search`, what a vocabulary writes in
`vocabulary`, what counts as a whole word in `whole`, and a gap inside a word in `inside`; `own_words` ranks words that
the user brings, `second` keeps a model to compare with.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.classify import require
from medbertde.inference.fill_mask.gaps import Gaps, read_gaps
from medbertde.inference.fill_mask.search import MAX_PIECES, Filling, best_fillings
from medbertde.inference.fill_mask.vocabulary import CONTINUATION, vocabulary
from medbertde.text import MAX_CHARS
from medbertde.types import Candidate, Notice, Task, UserError

MAX_CANDIDATES = 100
BETWEEN = " … "  # of the words of several gaps


@dataclass(frozen=True)
class Fillings:
    """The candidates, best first, and what to say about the text they are for."""

    candidates: tuple[Candidate, ...]
    warnings: tuple[Notice, ...] = ()


def fill_mask(model: LoadedModel, text: str, top_k: int = 10, *, max_chars: int = MAX_CHARS) -> list[Candidate]:
    """The `top_k` likeliest whole words for `[MASK]`, best first; see `fillings`."""
    return list(fillings(model, text, top_k, max_chars=max_chars).candidates)


def fillings(
    model: LoadedModel, text: str, top_k: int = 10, *, max_chars: int = MAX_CHARS, whole: bool = True
) -> Fillings:
    """The `top_k` likeliest whole words for `[MASK]`; with `whole=False` single pieces of any kind.

    The probability of a word that is one piece is the model's own softmax probability; of several pieces see `search`.
    In a gap inside a word ("Pneumo[MASK]") it is that of the whole word, `word` is what is missing of it.
    Several gaps give one candidate per combination: `word` joins the words with `` … ``, `probability` is joint. There
    are fewer than `top_k` where the vocabulary holds fewer. Of a text longer than the model's input, the part around
    the gaps is read, and a notice says so.
    """
    require(model, Task.FILL_MASK)
    if not 1 <= top_k <= MAX_CANDIDATES:
        raise UserError(
            f"Es können 1 bis {MAX_CANDIDATES} Vorschläge berechnet werden, verlangt sind {top_k}.",
            f"Between 1 and {MAX_CANDIDATES} candidates can be computed, asked for are {top_k}.",
        )
    gaps = read_gaps(model, text, MAX_PIECES, max_chars, inside=whole)
    found = best_fillings(model, gaps, top_k, whole=whole)
    if not found:  # no word that the model knows has these letters around the gap
        gaps = read_gaps(model, text, MAX_PIECES, max_chars, inside=False)
        found = best_fillings(model, gaps, top_k, whole=whole)
    candidate = _of_words if whole else _of_pieces
    return Fillings(tuple(candidate(model, gaps, filling) for filling in found[:top_k]), gaps.notices)


def _of_words(model: LoadedModel, gaps: Gaps, filling: Filling) -> Candidate:
    known = vocabulary(model)
    words = [gaps.filled(step, known.word(pieces)) for step, pieces in enumerate(filling.words)]
    return Candidate(BETWEEN.join(words), exp(filling.log_probability), gaps.join(words))


def _of_pieces(model: LoadedModel, gaps: Gaps, filling: Filling) -> Candidate:
    """A piece that continues a word is shown with a mark, whatever the tokenizer's kind."""
    known = vocabulary(model)
    pieces = [piece for (piece,) in filling.words]
    texts = [known.texts[piece] for piece in pieces]
    glued = [bool(known.continues[piece]) and gaps.segments[step] != "" for step, piece in enumerate(pieces)]
    shown = [CONTINUATION + text if close else text for text, close in zip(texts, glued, strict=True)]
    return Candidate(BETWEEN.join(shown), exp(filling.log_probability), gaps.join(texts, glued))
