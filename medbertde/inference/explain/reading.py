"""A report as explanations read it: its words and sentences, and its passages as rows of word embeddings.

Owns the way from text to rows and units. Equal passages are one row.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.explain.methods import Baseline, Unit
from medbertde.inference.explain.row import Row
from medbertde.inference.explain.words import place_pieces, word_spans
from medbertde.inference.tokens import Pieces, visible_start
from medbertde.passages import passages
from medbertde.text import sentences
from medbertde.types import ModelUnavailable, Reading

Span = tuple[int, int]


@dataclass(frozen=True, eq=False)
class ReadReport:
    """A text with its pieces, words and passages.

    `windows` are the indices of each passage's pieces, `row_of` says which of the `rows` each passage is; `units` are
    those of `work.Work`, `first` is the number of control tokens before the pieces of a row.
    """

    text: str
    pieces: Pieces
    words: list[Span]
    word_of: list[int]
    windows: list[tuple[int, ...]]
    row_of: list[int]
    rows: tuple[Row, ...]
    units: tuple[tuple[int, ...], ...]
    first: int

    def of_pieces(self, passage: int, scores: Tensor) -> list[float]:
        """The scores ``[length]`` of a passage's row without its control tokens."""
        window = self.windows[passage]
        found: list[float] = scores[self.first : self.first + len(window)].tolist()
        return found


def read_report(model: LoadedModel, text: str, baseline: Baseline, unit: Unit = Unit.WORD) -> ReadReport:
    """Cut a clean text into the passages that `model` reads."""
    [pieces] = model.encoder.pieces([text])
    windows = model.windows(text, pieces)
    words = word_spans(text)
    word_of = place_pieces(text, words, pieces.offsets)
    unit_of = word_of if unit is Unit.WORD else place_pieces(text, sentences(text), pieces.offsets)
    keys = [(pieces.at(window), numbered([unit_of[index] for index in window])) for window in windows]
    kinds: dict[tuple[object, ...], int] = {}
    row_of = [kinds.setdefault((tuple(ids), tuple(units)), len(kinds)) for ids, units in keys]
    distinct = [keys[row_of.index(kind)] for kind in range(len(kinds))]
    before, after = len(model.encoder.prefix), len(model.encoder.suffix)
    return ReadReport(
        text=text,
        pieces=pieces,
        words=words,
        word_of=word_of,
        windows=windows,
        row_of=row_of,
        rows=tuple(classifier_row(model, ids, baseline) for ids, _ in distinct),
        units=tuple((*[-1] * before, *units, *[-1] * after) for _, units in distinct),
        first=before,
    )


def classifier_row(model: LoadedModel, ids: Sequence[int], baseline: Baseline) -> Row:
    """The row of these pieces with the control tokens around them."""
    tokens = model.encoder.model_ids(ids)
    before = len(model.encoder.prefix)
    return row_of_tokens(model, tokens, range(before, before + len(ids)), baseline)


def row_of_tokens(
    model: LoadedModel, tokens: Sequence[int], free: Sequence[int], baseline: Baseline, **asked: int
) -> Row:
    """The row of model input `tokens` whose positions `free` are explained."""
    is_free = torch.zeros(len(tokens), dtype=torch.bool)
    is_free[list(free)] = True
    text = torch.tensor(tokens)
    blank = torch.where(is_free, blank_id(model, baseline), text)
    with torch.no_grad():
        embedded = model.model.get_input_embeddings()(
            torch.stack([text, blank]).to(model.device)
        )  # [2, length, hidden]
    return Row(embedded[0].float(), embedded[1].float(), is_free, **asked)


def blank_id(model: LoadedModel, baseline: Baseline) -> int:
    """The id that stands for every piece of a blank text; `ModelUnavailable` where the tokenizer has no mask token."""
    if baseline is Baseline.PAD:
        return model.encoder.pad_id
    if model.encoder.mask_id is None:
        raise ModelUnavailable(
            f"Der Tokenizer des Modells {model.version} hat kein Maskenzeichen. Bitte den Ausgangspunkt pad wählen.",
            f"The tokenizer of the model {model.version} has no mask token. Please choose the baseline pad.",
        )
    return model.encoder.mask_id


def numbered(units: Sequence[int]) -> list[int]:
    """The units of one row counted from 0 in the order they appear.

    >>> numbered([7, 7, 3, 9])
    [0, 0, 1, 2]
    """
    numbers: dict[int, int] = {}
    return [numbers.setdefault(unit, len(numbers)) for unit in units]


def passage_spans(model: LoadedModel, report: ReadReport) -> list[tuple[int, int, Span | None]]:
    """Start, end and heading of each passage."""
    offsets = [(visible_start(report.text, *offset), offset[1]) for offset in report.pieces.offsets]
    if model.facts.reads is Reading.WINDOWS:
        return [(offsets[window[0]][0], offsets[window[-1]][1], None) for window in report.windows if window]
    parts = passages(report.text)
    starts = [part.start for part in parts]
    found = []
    for window in report.windows:
        part = parts[max(0, bisect_right(starts, offsets[window[-1]][0]) - 1)]
        own = [index for index in window if part.start <= offsets[index][0] < part.end]
        found.append((offsets[own[0]][0] if own else part.start, offsets[window[-1]][1], part.heading))
    return found
