"""Whether an attribution says what the model does: measured on the one report it belongs to.

Owns four figures (see `types.Faithfulness`). Comprehensiveness and sufficiency are those of ERASER (DeYoung et al.
2020), averaged over the shares of words in `SHARES` (AOPC). Infidelity and sensitivity-max are those of Yeh et al.
(2019), the former with the best common factor for the scores and divided by the size of the changes, so that methods in
different units can be compared. Words are removed by leaving their pieces out of the passages the report was cut into;
this is no method's own way of blanking, so none is favoured.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from math import ceil, sqrt

import torch

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.explain.asked import Asked, as_explained
from medbertde.inference.explain.methods import Baseline
from medbertde.inference.explain.reading import ReadReport
from medbertde.inference.explain.report import Options, attributions
from medbertde.inference.explain.row import Row
from medbertde.inference.rows import Stop, never, row_logits
from medbertde.types import (
    AgainstChance,
    AttributedWord,
    Attribution,
    Erasure,
    Faithfulness,
    Progress,
)

SHARES = (0.05, 0.1, 0.2, 0.5)
REMOVALS = 48  # random ones, for infidelity
NEIGHBOURS = 3  # of the input, for sensitivity
ORDERINGS = 20  # of the words at random, to compare with
RADIUS = 0.1  # of a neighbour, in standard deviations of the word embeddings


def faithfulness(model: LoadedModel, attribution: Attribution, *, seed: int = 0, stop: Stop = never) -> Faithfulness:
    """Measure an attribution of a finding; `Conflict` if it was not this model that was explained."""
    report, asked, baseline = as_explained(model, attribution)
    _, erasure = _erasure(model, report, asked, _ranked(attribution), stop)
    return Faithfulness(
        erasure.comprehensiveness,
        erasure.sufficiency,
        _infidelity(model, report, asked, attribution, seed, stop),
        _sensitivity(model, report, asked, attribution, baseline, seed, stop),
    )


def against_chance(
    model: LoadedModel,
    attribution: Attribution,
    *,
    seed: int = 0,
    on_progress: Callable[[Progress], None] | None = None,
    stop: Stop = never,
) -> AgainstChance:
    """Comprehensiveness and sufficiency of an attribution of a finding, beside those of `ORDERINGS` random orders.

    A random order of the words is what an explanation without any knowledge of the model would be. `Conflict` as above.
    """
    report, asked, _ = as_explained(model, attribution)
    generator = torch.Generator().manual_seed(seed)
    probability, explained = _erasure(model, report, asked, _ranked(attribution), stop)
    drawn = []
    for done in range(ORDERINGS):
        if on_progress:
            on_progress(Progress(done + 1, ORDERINGS + 1))
        order: list[int] = torch.randperm(len(report.words), generator=generator).tolist()
        drawn.append(_erasure(model, report, asked, order, stop)[1])
    return AgainstChance(
        probability=probability,
        words=len(report.words),
        explained=explained,
        chance=Erasure(
            sum(each.comprehensiveness for each in drawn) / ORDERINGS,
            sum(each.sufficiency for each in drawn) / ORDERINGS,
        ),
        more_comprehensive=sum(each.comprehensiveness < explained.comprehensiveness for each in drawn),
        more_sufficient=sum(each.sufficiency > explained.sufficiency for each in drawn),
        orderings=ORDERINGS,
    )


def _ranked(attribution: Attribution) -> list[int]:
    """The words from the one that speaks most for the finding on."""
    return sorted(range(len(attribution.words)), key=lambda word: -attribution.words[word].score)


def _erasure(
    model: LoadedModel, report: ReadReport, asked: Asked, ranked: Sequence[int], stop: Stop
) -> tuple[float, Erasure]:
    """The probability of the whole report, and the means over `SHARES` of what it loses."""
    tops = [set(ranked[: max(1, ceil(share * len(ranked)))]) for share in SHARES]
    removed = [set(), *tops, *(set(ranked) - top for top in tops)]
    temperature = model.temperatures[asked.column]
    whole, *rest = torch.sigmoid(torch.tensor(_without(model, report, asked, removed, stop)) / temperature).tolist()
    losses = [whole - left for left in rest]
    return whole, Erasure(sum(losses[: len(tops)]) / len(tops), sum(losses[len(tops) :]) / len(tops))


def _infidelity(
    model: LoadedModel, report: ReadReport, asked: Asked, attribution: Attribution, seed: int, stop: Stop
) -> float:
    """1 − the squared cosine between what random removals change and what the removed words' scores add up to."""
    generator = torch.Generator().manual_seed(seed)
    chances = torch.rand(REMOVALS, 1, generator=generator)
    drawn = torch.rand(REMOVALS, len(report.words), generator=generator) < chances  # [removals, words]
    removed = [set(each.nonzero().flatten().tolist()) for each in drawn]
    whole, *rest = _without(model, report, asked, [set(), *removed], stop)
    changes = torch.tensor([whole - left for left in rest], dtype=torch.float64)
    foretold = drawn.double() @ torch.tensor([word.score for word in attribution.words], dtype=torch.float64)
    sizes = changes.square().sum() * foretold.square().sum()
    return 1 - float((changes @ foretold) ** 2 / sizes) if sizes > 0 else float(bool(changes.any()))


def _sensitivity(
    model: LoadedModel,
    report: ReadReport,
    asked: Asked,
    attribution: Attribution,
    baseline: Baseline,
    seed: int,
    stop: Stop,
) -> float:
    """The largest relative change of the scores among neighbours of the input."""
    generator = torch.Generator().manual_seed(seed)
    options = Options(attribution.method, baseline, attribution.steps, 0, stop)
    before = _values(attribution.words)
    size = before.norm()
    if size == 0:
        return 0.0
    moved = []
    for _ in range(NEIGHBOURS):
        near = replace(report, rows=tuple(_near(row, generator) for row in report.rows))
        found = attributions(model, near, [asked], options)[asked.label]
        moved.append(float((_values(found.words) - before).norm() / size))
    return max(moved)


def _values(words: Sequence[AttributedWord]) -> torch.Tensor:
    return torch.tensor([word.score for word in words], dtype=torch.float64)


def _near(row: Row, generator: torch.Generator) -> Row:
    """The row with uniform noise on what is explained."""
    noise = torch.rand(row.text.shape, generator=generator).mul(2).sub(1).to(row.text.device)
    spread = float(row.text[row.free.to(row.text.device)].std())
    size = RADIUS * (spread if row.free.any() else 0.0)
    return replace(row, text=row.text + size * sqrt(3) * noise * row.free[:, None].to(row.text.device))


def _without(
    model: LoadedModel, report: ReadReport, asked: Asked, removed: Sequence[Collection[int]], stop: Stop
) -> list[float]:
    """The report's logit without each of these sets of words."""
    rows, counts = [], []
    for words in removed:
        left = [
            [report.pieces.ids[index] for index in window if report.word_of[index] not in words]
            for window in report.windows
        ]
        kept = [ids for ids in left if ids] or [[]]
        rows += [model.encoder.model_ids(ids) for ids in kept]
        counts.append(len(kept))
    logits = row_logits(model, rows, stop=stop)[:, asked.column]
    return [float(part.max()) for part in logits.split(counts)]
