"""From labelled reports to what a training step eats: splits, targets, windows and length-bucketed batches.

Knows nothing of models beyond a checkpoint's encoder. Shapes: `(rows, tokens)` for ids, `(reports, outputs)` for
targets; a report longer than the model's input has several rows.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medbertde.inference.checkpoint import LoadedModel
from medbertde.schema import Schema
from medbertde.text import content_hash
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


@dataclass(frozen=True)
class Parts:
    """The reports of a run by use. `own` are those it was given, `replay` others that keep it from forgetting."""

    own: list[ReportRecord]
    replay: list[ReportRecord]
    validation: list[ReportRecord]
    test: list[ReportRecord]

    @property
    def train(self) -> list[ReportRecord]:
        """All reports to learn from."""
        return [*self.own, *self.replay]


def divide(
    own: Sequence[ReportRecord],
    *,
    replay: Sequence[ReportRecord] = (),
    statements: Sequence[ReportRecord] = (),
    test: Sequence[ReportRecord] | None = None,
    test_share: float,
    validation_share: float,
) -> Parts:
    """Divide reports by their hash; where `test` is given, it replaces the share that would be held out.

    Nothing is learnt from a report of the test part, nor from a copy of it or another report of its family, wherever
    it comes from. A report that is both own and replayed counts once, with its own labels. Statements are learnt from
    beside the replayed reports; thresholds are for reports, so validation is without them. Without any validation
    report the training reports take that part.
    """
    share = test_share if test is None else 0.0
    held_out = [record for record in own if part_of(record, share, 0.0) == "test"] if test is None else list(test)
    tested, given = _identities(held_out), _identities(own)
    known = [record for record in own if not _identities([record]) & tested]
    added = [record for record in replay if not _identities([record]) & (tested | given)]
    learnt, kept = _hold_back(known, share, validation_share)
    replayed, kept_too = _hold_back(added, 0.0, validation_share)
    validation = [*kept, *kept_too] or [*learnt, *replayed]
    stated = [record for record in statements if not _identities([record]) & tested]
    return Parts(learnt, [*replayed, *stated], validation, held_out)


def _hold_back(
    records: Sequence[ReportRecord], test_share: float, validation_share: float
) -> tuple[list[ReportRecord], list[ReportRecord]]:
    """The reports to learn from, and those of the validation part."""
    learnt: list[ReportRecord] = []
    validation: list[ReportRecord] = []
    for record in records:
        part = part_of(record, test_share, validation_share)
        (validation if part == "validation" else learnt).append(record)
    return learnt, validation


def part_of(record: ReportRecord, test_share: float, validation_share: float) -> str:
    """The part of a report (test, validation or train), fixed by the hash of its family (else of its text).

    The same report falls into the same part in every run, so a held-out report never becomes a training one. Reports
    of a project's fixed test part say so (`meta["split"]`).
    """
    if record.meta.get("split") == "test":
        return "test"
    family = record.meta.get("family") or content_hash(record.text)
    place = int(hashlib.sha256(family.encode()).hexdigest()[:8], 16) / 0x1_0000_0000
    if place < test_share:
        return "test"
    return "validation" if place < test_share + validation_share else "train"


def _identities(records: Sequence[ReportRecord]) -> set[str]:
    """What tells reports apart: their text without layout, and their family."""
    families = {record.meta["family"] for record in records if record.meta.get("family")}
    return families | {content_hash(record.text) for record in records}


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
