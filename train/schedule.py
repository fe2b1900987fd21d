"""When a pretraining takes which step how large: phases, their learning rate, and which rows go into which step.

Knows lengths of rows, nothing of texts or models. The plan depends on seed, lengths and settings only, so that a
resumed run, and a run on another number of processes, sees the same rows in the same order.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Literal

import numpy as np

Decay = Literal["linear", "cosine"]
Step = list[np.ndarray]  # the micro-batches of one step, each the numbers of its rows


@dataclass(frozen=True)
class Phase:
    """One stretch of a pretraining with one sequence length and one schedule.

    It lasts `steps` steps, or `epochs` passes where `steps` is None. A step takes `sequences` rows over all processes,
    or `batch_tokens` tokens, padding included, where `sequences` is None.
    """

    max_tokens: int
    rate: float
    warmup: int
    decay: Decay = "linear"
    steps: int | None = None
    epochs: int = 1
    sequences: int | None = None
    batch_tokens: int = 4096


def learning_rate(step: int, total: int, warmup: int, peak: float, decay: Decay = "cosine") -> float:
    """The rate of update number `step` (from 0): linear warm-up to `peak`, then a decay that is zero at `total`.

    No update is wasted: the decay ends with the last one, number `total - 1`, whose rate is not zero yet. A warm-up of
    all updates leaves none for the decay, and a longer one never reaches `peak`; `warmup_notice` says so.

    >>> [round(learning_rate(step, 6, 2, 1.0, "linear"), 2) for step in range(7)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    return peak * (1 - done if decay == "linear" else 0.5 * (1 + math.cos(math.pi * done)))


def warmup_notice(total: int, warmup: int, peak: float) -> str:
    """What to tell of a warm-up that leaves no update for the decay; empty for any other.

    >>> warmup_notice(194, 200, 2e-3)
    'all 194 steps are warm-up (200): the rate climbs to 1.9e-03 of 2.0e-03 and does not fall; --warmup shortens it'
    >>> warmup_notice(400, 200, 2e-3)
    ''
    """
    if warmup < total:
        return ""
    highest = learning_rate(total - 1, total, warmup, peak)
    return (
        f"all {total} steps are warm-up ({warmup}): the rate climbs to {highest:.1e} of {peak:.1e} and does not fall; "
        "--warmup shortens it"
    )


def seed_of(*numbers: int) -> int:
    """One seed made of several numbers; neighbours give unrelated seeds.

    >>> seed_of(1, 2) == seed_of(1, 2) != seed_of(2, 1)
    True
    """
    return int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:7], "big")


def micro_batches(lengths: np.ndarray, limit: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Rows of similar length together so that rows × longest ≤ `limit`, in random order; each row once.

    >>> sorted(rows.tolist() for rows in micro_batches(np.array([5, 1, 4]), 8, np.random.default_rng(0)))
    [[0], [1, 2]]
    """
    order = np.lexsort((rng.random(len(lengths)), lengths))  # by length, equals in random order
    ordered = lengths[order]
    found, start = [], 0
    while start < len(order):
        rows = max(1, min(limit // int(ordered[start]), len(order) - start))
        while rows > 1 and rows * int(ordered[start + rows - 1]) > limit:
            rows = max(1, min(rows - 1, limit // int(ordered[start + rows - 1])))
        while start + rows < len(order) and (rows + 1) * int(ordered[start + rows]) <= limit:
            rows += 1
        found.append(order[start : start + rows])
        start += rows
    return [found[index] for index in rng.permutation(len(found))]


@dataclass(frozen=True)
class Plan:
    """Which rows each step of a phase takes; `micro_tokens` is what one process computes at once."""

    lengths: np.ndarray
    phase: Phase
    micro_tokens: int
    seed: int

    @property
    def per_epoch(self) -> int:
        """Steps in one pass over the rows, at least 1."""
        if self.phase.sequences:
            return max(1, len(self.lengths) // self.phase.sequences)
        return math.ceil(len(self._epoch(0)) / self._micro_per_step)

    @property
    def total(self) -> int:
        """Steps of the phase."""
        return self.phase.steps or self.phase.epochs * self.per_epoch

    def steps(self, start: int = 0) -> Iterator[Step]:
        """The steps from number `start` on."""
        epochs = (self._epoch(epoch) for epoch in count())
        if self.phase.sequences:
            found = _of_sequences(chain.from_iterable(epochs), self.phase.sequences)
        else:
            size = self._micro_per_step
            found = (epoch[at : at + size] for epoch in epochs for at in range(0, len(epoch), size))
        return islice(found, start, self.total)

    @property
    def _micro_per_step(self) -> int:
        return max(1, self.phase.batch_tokens // self.micro_tokens)

    def _epoch(self, epoch: int) -> list[np.ndarray]:
        return micro_batches(self.lengths, self.micro_tokens, np.random.default_rng(seed_of(self.seed, epoch)))


def _of_sequences(batches: Iterable[np.ndarray], size: int) -> Iterator[Step]:
    """Steps of exactly `size` rows; a micro-batch that reaches beyond is cut, its rest begins the next step.

    >>> steps = _of_sequences([np.array([1, 2]), np.array([3, 4]), np.array([5, 6])], 3)
    >>> [[rows.tolist() for rows in step] for step in steps]
    [[[1, 2], [3]], [[4], [5, 6]]]
    """
    step: Step = []
    missing = size
    for batch in batches:
        rest = batch
        while len(rest) >= missing:
            yield [*step, rest[:missing]]
            step, rest, missing = [], rest[missing:], size
        if len(rest):
            step.append(rest)
            missing -= len(rest)
