"""Methods that follow the gradient: integrated gradients, expected gradients, and the gradient at the text itself.

A score is the gradient with respect to a token's word embedding times what the text changes there, summed over the
hidden dimension and averaged over the path from the blank row to the text (Sundararajan et al. 2017, arXiv:1703.01365).
All outputs share the forward passes: per place on the path there is one pass forwards and one backwards per output.
Sums are kept in float64, whatever the passes compute in. Captum's own `IntegratedGradients` gives the same numbers (a
test compares them), but runs everything once per output and throws evaluations away when more are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from medbertde.inference.explain.nodes import SIZES, added, weights
from medbertde.inference.explain.row import Row
from medbertde.inference.explain.work import FAINT, TOKENS_PER_CHUNK, Piece, Scores, Work, chunks
from medbertde.inference.rows import cancelled

OWN_TOLERANCE = 0.05  # largest gap of a row by itself, as a share of `Work.yardstick`
DRIFT = 0.35  # largest sum of the scores' changes since the smaller rule, as a share of their sum without signs
FIRST_LEVEL = 1  # seven nodes; rows that hardly matter begin with three
RANDOM_STEPS = 32
PASS = 40  # tokens that cost as much as beginning a pass

Read = Callable[[Row, Tensor], Tensor]  # a gradient [n, length, hidden] as scores [n, length]


def integrated_gradients(work: Work) -> Scores:
    """The integral over the path, with as many nodes (3, 7, 15, 31, 63) per row and output as it takes.

    A rule keeps the evaluations of the smaller one. A row's output has converged when its scores add up to the change
    of its logit within 5 % (of `Work.yardstick`), the smaller rule gave much the same, and what it leaves open in the
    whole is affordable: all rows together stay within 1 % there, so those that decide are computed most exactly. What
    half precision is too coarse for is done again in float32.
    """
    scores, missed, gaps = _integrated(work)
    again = missed.any(dim=1).nonzero().flatten().tolist()
    if again and work.network is not work.exact:
        left = work.budget - work.errors(torch.where(missed, 0.0, gaps)).sum(dim=0)
        exact, *_ = _integrated(work.exactly(again, missed, left))
        by_row = list(scores.by_row)
        for place, row in enumerate(again):
            by_row[row] = torch.where(missed[row, :, None], exact.by_row[place], by_row[row])
            scores.steps[row] = torch.where(missed[row], exact.steps[place], scores.steps[row])
        scores = Scores(tuple(by_row), scores.steps)
    work.report(missed.numel(), missed.numel())
    return scores


def _integrated(work: Work) -> tuple[Scores, Tensor, Tensor]:
    """The scores, which of them ``[rows, columns]`` do not add up, and by how much they all miss."""
    top = max((level for level, size in enumerate(SIZES) if size <= work.max_steps), default=0)
    lengths = [len(row.text) for row in work.rows]
    parts = [torch.zeros(0, len(work.columns), length, dtype=torch.float64) for length in lengths]
    level_of, missed = top * work.needed.long(), work.needed.clone()
    gaps = torch.full(work.text.shape, torch.inf, dtype=torch.float64).masked_fill(~missed, 0.0)
    first = (work.change.abs() > FAINT * work.scale.abs()).long() * min(FIRST_LEVEL, top)
    for level in range(top + 1):
        places = [added(level) if need.any() else () for need in missed]
        for row, found in _gradients(work, places, missed, _change).items():
            parts[row] = torch.cat([parts[row], found])
        for row, need in enumerate(missed):
            if need.any():
                gaps[row] = torch.where(need, _gap(work, row, parts[row], level), gaps[row])
        done = missed & _exact(work, gaps, parts, level) & work.affordable(gaps) & (level >= first)
        level_of[done] = level
        missed &= ~done
        work.report(int((~missed).sum()), missed.numel())
        if not missed.any():
            break
    integrals = tuple(_integral(part, level_of[row]) for row, part in enumerate(parts))
    return Scores(integrals, torch.where(work.needed, torch.tensor(SIZES)[level_of], 0)), missed, gaps


def _gap(work: Work, row: int, parts: Tensor, level: int) -> Tensor:
    """By how much the scores of a row miss the change of its logits ``[columns]``."""
    return (_rule(parts, level).sum(dim=1) - work.change[row]).abs()


def _exact(work: Work, gaps: Tensor, parts: Sequence[Tensor], level: int) -> Tensor:
    """Which scores add up by themselves ``[rows, columns]``, and not by chance: the smaller rule says much the same."""
    adds_up = gaps <= OWN_TOLERANCE * work.yardstick
    if level == 0:
        return adds_up
    steady = torch.zeros_like(adds_up)
    for row, part in enumerate(parts):
        if len(part) == SIZES[level]:
            now = _rule(part, level)
            drift = (now - _rule(part, level - 1)).abs().sum(dim=1)
            steady[row] = drift <= DRIFT * now.abs().sum(dim=1).maximum(work.yardstick[row].double())
    return adds_up & steady


def _rule(parts: Tensor, level: int) -> Tensor:
    """Scores ``[columns, length]`` by the rule of this level."""
    return torch.einsum("n,ncl->cl", weights(level), parts[: SIZES[level]])


def _integral(parts: Tensor, levels: Tensor) -> Tensor:
    """Scores ``[columns, length]`` from the evaluations ``[nodes, columns, length]``, each output at its own level."""
    if not len(parts):  # nothing of this row was needed
        return torch.zeros(parts.shape[1:], dtype=torch.float64)
    return torch.stack([_rule(parts[:, [column]], int(level))[0] for column, level in enumerate(levels)])


def expected_gradients(work: Work) -> Scores:
    """GradientSHAP: the mean over places drawn at random (Lundberg and Lee 2017), the same ones for every row.

    Captum's `GradientShap` draws from NumPy's global generator, so that answers would depend on what other threads do.
    """
    steps = min(RANDOM_STEPS, work.max_steps)
    places = torch.rand(steps, generator=torch.Generator().manual_seed(work.seed), dtype=torch.float64)
    return _mean(work, tuple(places.tolist()), _change)


def input_x_gradient(work: Work) -> Scores:
    """The gradient at the text times the word embedding itself."""
    return _mean(work, (1.0,), lambda row, gradient: gradient.mul(row.text).sum(dim=-1) * _moves(row))


def saliency(work: Work) -> Scores:
    """The length of the gradient at the text (Simonyan et al. 2014); says how much, not in which direction."""
    return _mean(work, (1.0,), lambda row, gradient: gradient.norm(dim=-1) * _moves(row))


def _mean(work: Work, places: tuple[float, ...], read: Read) -> Scores:
    found = _gradients(work, [places if need.any() else () for need in work.needed], work.needed, read)
    work.report(work.needed.numel(), work.needed.numel())
    nothing = [torch.zeros(1, len(work.columns), len(row.text), dtype=torch.float64) for row in work.rows]
    return Scores(
        tuple(found.get(row, zero).mean(dim=0) for row, zero in enumerate(nothing)),
        work.needed.long() * len(places),
    )


def _change(row: Row, gradient: Tensor) -> Tensor:
    return (gradient * row.change).sum(dim=-1)


def _moves(row: Row) -> Tensor:
    """1 where text and blank may differ, 0 at control tokens ``[length]``."""
    return row.free.to(row.text.device)


def _gradients(work: Work, places: Sequence[Sequence[float]], needed: Tensor, read: Read) -> dict[int, Tensor]:
    """The scores ``[places, columns, length]`` of each row that has places; zero where an output is not `needed`."""
    found: dict[int, list[Tensor]] = {}
    lengths = [len(row.text) for row in work.rows]
    for group in _alike([length * len(own) for length, own in zip(lengths, places, strict=True)], needed):
        own = [each if row in group else () for row, each in enumerate(places)]
        for chunk in chunks(lengths, own, TOKENS_PER_CHUNK * work.factor):
            if work.stop():
                raise cancelled()
            for piece, scores in zip(chunk, _chunk_gradients(work, chunk, needed, read), strict=True):
                found.setdefault(piece.row, []).append(scores)
    return {row: torch.cat(parts) for row, parts in found.items()}


def _alike(tokens: Sequence[int], needed: Tensor) -> list[set[int]]:
    """The rows that have `tokens` in groups that share their passes; what is needed of them is much the same.

    A pass backwards goes through all rows of a group. One more row in it is worth while as long as what it does not
    need itself, and what the others do not need, costs less than passes of its own.

    >>> _alike([90, 90, 90], torch.tensor([[True, False], [False, True], [True, False]]))
    [{1}, {0, 2}]
    """
    groups: list[tuple[set[int], int, Tensor]] = []
    patterns = [tuple(need) for need in needed.tolist()]
    for row in sorted((row for row, own in enumerate(tokens) if own), key=patterns.__getitem__):
        rows, before, columns = groups[-1] if groups else (set(), 0, needed[row])
        together = _cost(before + tokens[row], columns | needed[row])
        if rows and together <= _cost(before, columns) + _cost(tokens[row], needed[row]):
            groups[-1] = ({*rows, row}, before + tokens[row], columns | needed[row])
        else:
            groups.append(({row}, tokens[row], needed[row]))
    return [rows for rows, _, _ in groups]


def _cost(tokens: int, columns: Tensor) -> int:
    """Of the passes forwards and backwards, in tokens."""
    return (tokens + PASS) * (1 + int(columns.sum()))


@torch.enable_grad()
def _chunk_gradients(work: Work, chunk: Sequence[Piece], needed: Tensor, read: Read) -> list[Tensor]:
    """One pass forwards and one backwards per output that some row of the chunk still needs."""
    rows = [work.rows[piece.row] for piece in chunk]
    blocks = [_on_path(row, piece.places).requires_grad_() for row, piece in zip(rows, chunk, strict=True)]
    outputs = work.network(rows, blocks)[:, list(work.columns)]  # [rows of all blocks, columns]
    scores = [
        torch.zeros(len(piece.places), len(work.columns), len(row.text), dtype=torch.float64)
        for row, piece in zip(rows, chunk, strict=True)
    ]
    wanted = [column for column in range(len(work.columns)) if any(needed[piece.row, column] for piece in chunk)]
    for column in wanted:
        gradients = torch.autograd.grad(outputs[:, column].sum(), blocks, retain_graph=column != wanted[-1])
        for part, row, gradient in zip(scores, rows, gradients, strict=True):
            part[:, column] = read(row, gradient.detach()).double().cpu()
    return scores


def _on_path(row: Row, places: Sequence[float]) -> Tensor:
    """The row at these places between blank (0) and text (1): ``[places, length, hidden]``."""
    at = torch.tensor(places, dtype=row.text.dtype, device=row.text.device)[:, None, None]
    return torch.lerp(row.blank[None], row.text[None], at).detach()
