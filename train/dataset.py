"""From labelled reports to what a training step eats: targets, windows and length-bucketed batches.

Knows nothing of models beyond a checkpoint's encoder. Shapes: `(rows, tokens)` for ids, `(reports, outputs)` for
targets; a report longer than the model's input has several rows.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medbertde.inference.checkpoint import LoadedModel
from medbertde.schema import Schema
from medbertde.types import ReportRecord, State


@dataclass(frozen=True)
class Example:
    """One report: its windows of token ids, and one target per output: 1 holds, 0 does not, -1 unknown."""

    windows: tuple[tuple[int, ...], ...]
    targets: tuple[float, ...]

    @property
    def tokens(self) -> int:
        """All tokens of all windows."""
        return sum(map(len, self.windows))


@dataclass(frozen=True)
class Batch:
    """Windows of several reports; `report` says for each row which report of the batch it belongs to."""

    ids: Tensor  # (rows, tokens)
    attention: Tensor  # (rows, tokens)
    report: Tensor  # (rows,)
    targets: Tensor  # (reports, outputs)

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(*(tensor.to(device) for tensor in (self.ids, self.attention, self.report, self.targets)))


def targets(record: ReportRecord, schema: Schema, uncertain: str = "absent") -> tuple[float, ...]:
    """The target of each output in the order present, uncertain, absent × labels; "not mentioned" is all 0.

    `uncertain` says what an uncertain finding is for the output "present": `absent` 0, `present` 1, `ignore` -1.
    """
    found = [float(record.labels.get(label) is state) for state in State for label in schema.label_ids]
    for column, label in enumerate(schema.label_ids):
        if record.labels.get(label) is State.UNCERTAIN:
            found[column] = {"absent": 0.0, "present": 1.0, "ignore": -1.0}[uncertain]
    return tuple(found)


def encode(records: Sequence[ReportRecord], base: LoadedModel) -> list[tuple[tuple[int, ...], ...]]:
    """The windows of each report, special tokens included."""
    texts = [record.text for record in records]
    return [
        tuple(tuple(base.encoder.model_ids(pieces.at(window))) for window in base.windows(text, pieces))
        for text, pieces in zip(texts, base.encoder.pieces(texts), strict=True)
    ]


def examples(
    records: Sequence[ReportRecord], schema: Schema, base: LoadedModel, uncertain: str = "absent"
) -> list[Example]:
    """Reports ready for batching."""
    encoded = encode(records, base)
    return [Example(rows, targets(record, schema, uncertain)) for rows, record in zip(encoded, records, strict=True)]


def buckets(lengths: Sequence[int], batch_tokens: int, rng: random.Random) -> list[list[int]]:
    """Indices grouped by similar length so that rows × longest ≤ `batch_tokens`, in random order.

    >>> sorted(buckets([5, 1, 4], 8, random.Random(0)))
    [[0], [1, 2]]
    """
    order = sorted(range(len(lengths)), key=lambda index: (lengths[index], rng.random()))
    grouped: list[list[int]] = []
    for index in order:
        if grouped and (len(grouped[-1]) + 1) * lengths[index] <= batch_tokens:
            grouped[-1].append(index)
        else:
            grouped.append([index])
    rng.shuffle(grouped)
    return grouped


def pad(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """Rows as one `(rows, longest)` tensor, filled up with `value`."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])


def collate(chosen: Sequence[Example], pad_id: int) -> Batch:
    """Several reports as one batch."""
    rows = [row for example in chosen for row in example.windows]
    report = [index for index, example in enumerate(chosen) for _ in example.windows]
    ids = pad(rows, pad_id)
    attention = pad([[1] * len(row) for row in rows], 0)
    return Batch(ids, attention, torch.tensor(report), torch.tensor([example.targets for example in chosen]))
