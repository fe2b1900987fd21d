"""From the scores of passages to those of a report: what each passage adds, and its words in proportion.

Owns which passages need scores at all. A passage that adds exactly nothing to the report's logit has words that add
exactly nothing to it either, whatever they say within the passage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.explain.reading import ReadReport, passage_spans
from medbertde.inference.explain.shares import shapley_of_maximum
from medbertde.inference.explain.words import scored_words
from medbertde.inference.explain.work import Scores
from medbertde.types import AttributedPassage, AttributedWord, Attribution


@dataclass(frozen=True, eq=False)
class Logits:
    """The logits of text and blank ``[rows, columns]``, in float32, and what follows from them alone.

    `scale` ``[columns]`` is the change of the report's logits, `contributions` ``[passages, columns]`` what each
    passage has of it.
    """

    text: Tensor
    blank: Tensor
    scale: Tensor
    contributions: Tensor


def logits_of(report: ReadReport, text: Tensor, blank: Tensor) -> Logits:
    """From the logits of the rows ``[rows, columns]``."""
    of_passages = zip(text[report.row_of].T.tolist(), blank[report.row_of].T.tolist(), strict=True)
    found = [shapley_of_maximum(*both) for both in of_passages]
    scale = text.amax(dim=0) - blank.amax(dim=0)
    return Logits(text, blank, scale, torch.tensor(found, dtype=torch.float64).T)


def logits_as_explained(report: ReadReport, attribution: Attribution) -> Logits:
    """From an attribution: the differences are known, and nothing but differences is asked for."""
    text = torch.zeros(len(report.rows), 1)
    text[report.row_of, 0] = torch.tensor([each.score for each in attribution.passages])
    contributions = torch.tensor([[each.contribution] for each in attribution.passages], dtype=torch.float64)
    scale = torch.tensor([attribution.logit - attribution.baseline_logit])
    return Logits(text, torch.zeros_like(text), scale, contributions)


def added_by_rows(report: ReadReport, logits: Logits) -> Tensor:
    """What the passages of each row add to the report, unsigned ``[rows, columns]``."""
    added = torch.zeros(logits.text.shape, dtype=torch.float64)
    return added.index_add(0, torch.tensor(report.row_of), logits.contributions.abs())


def contributing(report: ReadReport, logits: Logits) -> Tensor:
    """Which rows and outputs ``[rows, columns]`` have something of the report's score; the others need no words."""
    return added_by_rows(report, logits) > 0


@dataclass(frozen=True, eq=False)
class Merged:
    """The passages with their own scores, and the scores of all pieces of the report."""

    passages: tuple[AttributedPassage, ...]
    of_pieces: list[float]


def merged(
    model: LoadedModel,
    report: ReadReport,
    logits: Logits,
    needed: Tensor,
    scores: Scores,
    column: int,
    temperature: float,
) -> Merged:
    """Each passage's scores by themselves, and what they are in the report: in proportion to its contribution."""
    passages, of_pieces = [], [0.0] * len(report.pieces.ids)
    contributions = logits.contributions[:, column].tolist()
    for number, (span, contribution) in enumerate(zip(passage_spans(model, report), contributions, strict=True)):
        row = report.row_of[number]
        logit = float(logits.text[row, column])
        change = logit - float(logits.blank[row, column])
        passage = AttributedPassage(*span, change, contribution, probability_of(logit, temperature), None, 0.0)
        if needed[row, column]:
            own = scores.by_row[row][column]
            share = contribution / change if change else 0.0  # between 0 and 1
            for piece, score in zip(report.windows[number], report.of_pieces(number, own), strict=True):
                of_pieces[piece] += share * score
            passage = worded(report, number, passage, own)
        passages.append(passage)
    return Merged(tuple(passages), of_pieces)


def worded(report: ReadReport, number: int, passage: AttributedPassage, scores: Tensor) -> AttributedPassage:
    """The passage with its words, from the scores ``[length]`` of its row."""
    own = report.of_pieces(number, scores)
    return replace(passage, words=_words_of(report, report.windows[number], own), delta=sum(own) - passage.score)


def _words_of(report: ReadReport, window: Sequence[int], scores: Sequence[float]) -> tuple[AttributedWord, ...]:
    """The words of one passage with their scores in it alone."""
    numbers = sorted({report.word_of[index] for index in window})
    place = {word: at for at, word in enumerate(numbers)}
    return scored_words(
        report.text,
        [report.words[word] for word in numbers],
        [place[report.word_of[index]] for index in window],
        scores,
    )


def probability_of(logit: float, temperature: float) -> float:
    """The calibrated probability."""
    return float(torch.sigmoid(torch.tensor(logit / temperature)))
