"""What a method of explanation gets and gives: rows and outputs in, scores per token out.

Owns the chunks that bound memory, the end points every path and every removal is measured against, and how a caller
follows and stops the work. A method is a function from `Work` to `Scores`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medbertde.inference.explain.row import Network, Row
from medbertde.inference.rows import Stop, cancelled
from medbertde.types import Progress

TOKENS_PER_CHUNK = 1024  # bounds memory: embedded tokens in one pass forwards and backwards
GPU_FACTOR = 16  # how many times as many fill a GPU
FLAT = 0.05  # logit differences below this are noise
FAINT = 0.3  # a row that moves an output by less than this share of the whole report's change needs no better accuracy
TOLERANCE = 0.01  # largest relative completeness gap of the whole that counts as converged
SETTLED = 0.8  # of the budget that rows may use up while others are still computed


@dataclass(frozen=True, eq=False)
class Work:
    """Explain the `columns` of the network's outputs for `rows`; `exact` is the network in float32.

    `units` names per row and position what is removed together (a word or a sentence), -1 at control tokens. `text` and
    `blank` are the float32 logits ``[rows, columns]`` at both ends of the path. `scale` ``[columns]`` is the change of
    the whole report's logit, of which rows contribute `weight` ``[rows, columns]`` times their own change, unsigned.
    `budget` ``[columns]`` is the gap that the rows together may leave in the whole. Scores that are not `needed`
    ``[rows, columns]`` are left at zero.
    """

    network: Network
    exact: Network
    rows: tuple[Row, ...]
    units: tuple[tuple[int, ...], ...]
    columns: tuple[int, ...]
    text: Tensor
    blank: Tensor
    scale: Tensor
    weight: Tensor
    budget: Tensor
    needed: Tensor
    max_steps: int
    seed: int
    stop: Stop
    on_progress: Callable[[Progress], None] | None

    def exactly(self, rows: Sequence[int], needed: Tensor, budget: Tensor) -> Work:
        """The part of the work with these rows, in float32 throughout; `needed` is that of all rows."""
        at = list(rows)
        return replace(
            self,
            network=self.exact,
            rows=tuple(self.rows[row] for row in at),
            units=tuple(self.units[row] for row in at),
            text=self.text[at],
            blank=self.blank[at],
            weight=self.weight[at],
            budget=budget,
            needed=needed[at],
            on_progress=None,
        )

    @property
    def factor(self) -> int:
        """How many times the token budget of a CPU the device takes."""
        return 1 if self.rows[0].text.device.type == "cpu" else GPU_FACTOR

    @property
    def change(self) -> Tensor:
        """What each row's text changes ``[rows, columns]``."""
        return self.text - self.blank

    @property
    def yardstick(self) -> Tensor:
        """What the gap of a row by itself is measured against ``[rows, columns]``."""
        return self.change.abs().clamp(min=FLAT).maximum(FAINT * self.scale.abs())

    def affordable(self, gaps: Tensor) -> Tensor:
        """Which rows may keep their `gaps` ``[rows, columns]``: all of them where these fit into the budget together.

        Otherwise those that save the most work for the error they leave, up to `SETTLED` of the budget; the rest is for
        rows that are computed further.
        """
        errors = self.errors(gaps)
        lengths = torch.tensor([len(row.text) for row in self.rows])
        order = (errors / lengths[:, None]).argsort(dim=0)
        total = errors.gather(0, order).cumsum(dim=0)
        fits = (total <= SETTLED * self.budget) | (total[-1:] <= self.budget)
        return fits.gather(0, order.argsort(dim=0))

    def errors(self, gaps: Tensor) -> Tensor:
        """What the `gaps` of the rows are in the whole ``[rows, columns]``."""
        return torch.where(self.weight > 0, self.weight * gaps, 0.0)

    def report(self, done: int, total: int, note: str = "") -> None:
        """Tell whoever follows; `Cancelled` once nobody wants the answer."""
        if self.stop():
            raise cancelled()
        if self.on_progress:
            self.on_progress(Progress(done, total, note))


@dataclass(frozen=True, eq=False)
class Scores:
    """Per row the scores ``[columns, length]`` in float64, and the passes behind them ``[rows, columns]``."""

    by_row: tuple[Tensor, ...]
    steps: Tensor


@dataclass(frozen=True)
class Piece:
    """A part of a chunk: the places on the path of one row."""

    row: int
    places: tuple[float, ...]


def chunks(lengths: Sequence[int], places: Sequence[Sequence[float]], budget: int) -> Iterator[list[Piece]]:
    """The places of all rows in chunks of at most `budget` tokens (one place at least).

    >>> [[(piece.row, len(piece.places)) for piece in chunk] for chunk in chunks([4, 2], [(0.1, 0.5), (0.5,)], 6)]
    [[(0, 1)], [(0, 1), (1, 1)]]
    """
    chunk: list[Piece] = []
    room = budget
    for row, (length, wanted) in enumerate(zip(lengths, places, strict=True)):
        left = tuple(wanted)
        while left:
            fitting = room // length
            if not fitting and chunk:
                yield chunk
                chunk, room = [], budget
                continue
            fitting = max(1, fitting)
            chunk.append(Piece(row, left[:fitting]))
            room -= length * len(chunk[-1].places)
            left = left[fitting:]
    if chunk:
        yield chunk


def whole_budget(scale: Tensor) -> Tensor:
    """The gap that may be left in a whole whose logits change by `scale`."""
    return TOLERANCE * scale.abs().clamp(min=FLAT)


def ends(network: Network, rows: Sequence[Row], columns: Sequence[int], stop: Stop) -> tuple[Tensor, Tensor]:
    """The logits of text and blank ``[rows, columns]``; equal blanks are computed once."""
    text = logits(network, rows, [row.text for row in rows], stop)
    kinds: dict[tuple[object, ...], int] = {}
    of_row = [kinds.setdefault(_kind(row), len(kinds)) for row in rows]
    first = [rows[of_row.index(kind)] for kind in range(len(kinds))]
    blank = logits(network, first, [row.blank for row in first], stop)[of_row]
    return text[:, list(columns)], blank[:, list(columns)]


def _kind(row: Row) -> tuple[object, ...]:
    """Equal for rows with equal blanks."""
    return row.position, row.piece, row.blank.shape[0], row.blank.double().sum().item()


@torch.no_grad()
def logits(network: Network, rows: Sequence[Row], texts: Sequence[Tensor], stop: Stop) -> Tensor:
    """The logits ``[rows, outputs]`` on the CPU of embeddings ``[length, hidden]``, without a graph."""
    found = []
    order = sorted(range(len(rows)), key=lambda row: len(texts[row]))
    for chunk in chunks([len(texts[row]) for row in order], [(1.0,)] * len(order), 2 * TOKENS_PER_CHUNK):
        if stop():
            raise cancelled()
        at = [order[piece.row] for piece in chunk]
        found.append(network([rows[row] for row in at], [texts[row][None] for row in at]).cpu())
    ordered = torch.cat(found)
    return ordered[torch.tensor(order).argsort()]
