"""Why this word: which words around a gap make a language model put a word there.

Owns the question to the language model. What is explained is the logit of the word at the gap; for a word of several
pieces the logarithm of its probability, piece by piece from left to right with the earlier ones in place and the later
ones masked, as `fill_mask.own_words` ranks words. The gap itself and the pieces in it are the same in the blank text,
so they are never a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.classify import require
from medbertde.inference.explain.methods import DEFAULT, Baseline, Unit, baseline_of, method_of
from medbertde.inference.explain.network import network_of
from medbertde.inference.explain.notices import method_notices
from medbertde.inference.explain.reading import Span, numbered, row_of_tokens
from medbertde.inference.explain.report import MAX_STEPS, OnProgress
from medbertde.inference.explain.row import Row
from medbertde.inference.explain.words import place_pieces, scored_words, word_spans
from medbertde.inference.explain.work import Work, ends, whole_budget
from medbertde.inference.fill_mask.gaps import Gaps, read_gaps, texts_between
from medbertde.inference.fill_mask.own_words import MAX_WORD_PIECES
from medbertde.inference.rows import Stop, never
from medbertde.text import MAX_CHARS, clean, normalise, sentences
from medbertde.types import Attribution, InvalidText, Task

_LOGIT, _LOG_PROBABILITY = 0, 1  # outputs of `network.GapNetwork`


@dataclass(frozen=True, eq=False)
class _Around:
    """The words around a gap and the pieces of them that the model reads: `word_of` each piece, `unit_of` likewise."""

    words: list[Span]
    word_of: list[int]
    unit_of: list[int]
    before: int  # pieces in front of the gap


def explain_word(
    model: LoadedModel,
    text: str,
    word: str,
    *,
    method: str = DEFAULT,
    baseline: Baseline | str = Baseline.PAD,
    max_steps: int = MAX_STEPS,
    max_chars: int = MAX_CHARS,
    seed: int = 0,
    on_progress: OnProgress | None = None,
    stop: Stop = never,
) -> Attribution:
    """Which words of `text` speak for or against `word` in its one `[MASK]`, in logits (of several pieces: in nats).

    `label` of the answer is empty and `target` the word. Arguments as for `explain`; `InvalidText` for a word that the
    vocabulary cannot write.
    """
    require(model, Task.FILL_MASK)
    chosen, start = method_of(method), baseline_of(baseline)
    text = clean(text, max_chars)
    gaps = read_gaps(model, text, MAX_WORD_PIECES, max_chars)
    if gaps.count != 1:
        raise InvalidText(
            f"Der Text enthält {gaps.count} Lücken. Erklärt werden kann ein Wort in genau einer Lücke.",
            f"The text contains {gaps.count} gaps. A word can be explained in exactly one gap.",
        )
    pieces = _pieces(model, gaps, word)
    around = _around(model, text, gaps, chosen.unit)
    rows, units = _rows(model, gaps, pieces, around, start)
    column = _LOGIT if len(pieces) == 1 else _LOG_PROBABILITY
    network = network_of(model)
    text_outputs, blank_outputs = ends(network, rows, (_LOGIT, _LOG_PROBABILITY), stop)  # each [rows, 2]
    there, gone = text_outputs[:, [column]], blank_outputs[:, [column]]
    scale = (there - gone).sum(dim=0)
    everything = torch.ones_like(there)
    asked = (rows, units, (column,), there, gone, scale, everything, whole_budget(scale), everything.bool())
    scores = chosen.compute(Work(network, network, *asked, max_steps, seed, stop, on_progress))
    total = torch.stack([each[0] for each in scores.by_row]).sum(dim=0)  # [length]
    own = total[rows[0].free].tolist()
    change = float(scale[0])
    delta = sum(own) - change
    steps = int(scores.steps.max())
    return Attribution(
        text=text,
        label="",
        words=scored_words(text, around.words, around.word_of, own),
        method=method,
        baseline=start.shown,
        steps=steps,
        delta=delta,
        relative_delta=abs(delta) / max(abs(change), 1e-6),
        model_version=model.version,
        warnings=(*gaps.notices, *method_notices(chosen, delta, change, steps)),
        target=" ".join(normalise(word).split()),
        logit=float(there.sum()),
        baseline_logit=float(gone.sum()),
        probability=float(text_outputs[:, _LOG_PROBABILITY].double().sum().exp()),
    )


def _pieces(model: LoadedModel, gaps: Gaps, word: str) -> tuple[int, ...]:
    """The pieces of the word in the gap."""
    [cut] = model.encoder.pieces([gaps.whole(0, " ".join(normalise(word).split()))])
    if not word.strip() or not cut.ids or len(cut.ids) > MAX_WORD_PIECES or model.encoder.unknown_id in cut.ids:
        raise InvalidText(
            f"Das Wort kann nicht erklärt werden: Erwartet werden 1 bis {MAX_WORD_PIECES} bekannte Wortteile, gefunden "
            f"wurden {len(cut.ids)}. Bitte ein anderes Wort wählen.",
            f"The word cannot be explained: expected are 1 to {MAX_WORD_PIECES} known word pieces, found were "
            f"{len(cut.ids)}. Please choose another word.",
        )
    return cut.ids


def _around(model: LoadedModel, text: str, gaps: Gaps, unit: Unit) -> _Around:
    """The pieces that are read on both sides, with the words of the whole text."""
    left, right = texts_between(gaps.segments, gaps.begun, gaps.ended)
    shift = len(text) - len(right)
    words = [*word_spans(left), *((start + shift, end + shift) for start, end in word_spans(right))]
    front, back = model.encoder.pieces([left, right])
    in_front = front.offsets[len(front.offsets) - len(gaps.parts[0]) :]
    behind = [(start + shift, end + shift) for start, end in back.offsets[: len(gaps.parts[1])]]
    offsets = [*in_front, *behind]
    word_of = place_pieces(text, words, offsets)
    units = word_of if unit is Unit.WORD else place_pieces(text, sentences(text), offsets)
    return _Around(words, word_of, units, len(in_front))


def _rows(
    model: LoadedModel, gaps: Gaps, pieces: Sequence[int], around: _Around, baseline: Baseline
) -> tuple[tuple[Row, ...], tuple[tuple[int, ...], ...]]:
    """One row per piece of the word, with the units of its positions."""
    rows, units = [], []
    for place, piece in enumerate(pieces):
        tokens, position = gaps.row((), pieces[:place], len(pieces) - place)
        first, gap = len(gaps.prefix), position - place
        last = len(tokens) - len(gaps.suffix)
        free = [*range(first, gap), *range(gap + len(pieces), last)]
        of_position = dict(zip(free, numbered(around.unit_of), strict=True))
        rows.append(row_of_tokens(model, tokens, free, baseline, position=position, piece=piece))
        units.append(tuple(of_position.get(at, -1) for at in range(len(tokens))))
    return tuple(rows), tuple(units)
