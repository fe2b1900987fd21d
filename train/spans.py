"""Spans as what a fine-tuning learns (token classification): examples, loss, predictions, and the figure of an epoch.

Shapes: `(rows, tokens)` for ids and tags, `(rows, tokens, tags)` for logits. A report longer than the model's input has
several rows; every word is learnt from, and read, in the one window that shows most of the text around it. Only the
first piece of a word has a target. The best epoch is the one with the highest strict F1 of the validation reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForTokenClassification, PreTrainedModel

from medbertde.inference.checkpoint import LoadedModel
from medbertde.schema import Schema
from medbertde.span_tags import Scores, Word, found_spans, gather, places, tag_names, tags_of, words_of
from medbertde.types import Reading, ReportRecord, Task, TrainingRefused
from train.dataset import pad
from train.objective import Quality
from train.run_folder import FinetuneConfig
from train.span_figures import Spans, micro_f1, spans_of

NO_TARGET = -100
PREDICTED_AT_ONCE = 16  # reports
_FINDINGS_ONLY = "statements positive_weight whole_reports run_together cues uncertain class_weights".split()


@dataclass(frozen=True)
class SpanExample:
    """One report: its windows of token ids with the tag of each token, and what is needed to read spans out of it.

    `windows` and `targets` count the control tokens, `pieces` (the windows by the pieces' indices) does not.
    """

    windows: tuple[tuple[int, ...], ...]
    targets: tuple[tuple[int, ...], ...]
    pieces: tuple[tuple[int, ...], ...]
    words: tuple[Word, ...]
    tags: tuple[int, ...]  # of the words
    spans: Spans  # as annotated, overlapping ones included

    @property
    def tokens(self) -> int:
        """All tokens of all windows."""
        return sum(map(len, self.windows))


@dataclass(frozen=True)
class SpanBatch:
    """Windows of several reports."""

    ids: Tensor  # (rows, tokens)
    attention: Tensor  # (rows, tokens)
    tags: Tensor  # (rows, tokens), NO_TARGET where nothing is learnt

    def to(self, device: torch.device) -> SpanBatch:
        """The same batch on a device."""
        return SpanBatch(*(tensor.to(device) for tensor in (self.ids, self.attention, self.tags)))


@dataclass(frozen=True)
class SpanObjective:
    """The objective of a schema of spans."""

    schema: Schema
    base: LoadedModel

    def examples(self, records: Sequence[ReportRecord]) -> list[SpanExample]:
        """Windows and one target per word for each report."""
        all_pieces = self.base.encoder.pieces([record.text for record in records])
        found = []
        for record, pieces in zip(records, all_pieces, strict=True):
            windows = tuple(self.base.windows(record.text, pieces))
            words = words_of(record.text, pieces.offsets)
            tags = tags_of(words, record.rationales, self.schema.label_ids)
            found.append(
                SpanExample(
                    windows=tuple(tuple(self.base.encoder.model_ids(pieces.at(window))) for window in windows),
                    targets=self._targets(windows, words, tags, len(pieces.ids)),
                    pieces=windows,
                    words=tuple(words),
                    tags=tuple(tags),
                    spans=spans_of(record.rationales),
                )
            )
        return found

    def _targets(
        self, windows: Sequence[Sequence[int]], words: Sequence[Word], tags: Sequence[int], pieces: int
    ) -> tuple[tuple[int, ...], ...]:
        """For each window the tag of each token."""
        before, behind = len(self.base.encoder.prefix), len(self.base.encoder.suffix)
        rows = [[NO_TARGET] * (before + len(window) + behind) for window in windows]
        where = places(windows, pieces)
        for word, tag in zip(words, tags, strict=True):
            at = where[word.piece]
            if at:
                rows[at[0]][before + at[1]] = tag
        return tuple(map(tuple, rows))

    def weights(self, pool: Sequence[SpanExample]) -> Tensor:
        """All tags weigh the same."""
        return torch.ones(1)

    def targets(self, batch: Sequence[SpanExample]) -> int:
        """Words."""
        return sum(tag != NO_TARGET for example in batch for row in example.targets for tag in row)

    def collate(self, chosen: Sequence[SpanExample]) -> SpanBatch:
        """Several reports as one batch."""
        rows = [row for example in chosen for row in example.windows]
        ids = pad(rows, self.base.encoder.pad_id)
        tags = pad([row for example in chosen for row in example.targets], NO_TARGET)
        return SpanBatch(ids, pad([[1] * len(row) for row in rows], 0), tags)

    def loss(self, model: nn.Module, batch: SpanBatch, weights: Tensor) -> Tensor:
        """Cross-entropy of the words' tags, summed."""
        logits = model(input_ids=batch.ids, attention_mask=batch.attention).logits.float()
        return cross_entropy(logits.flatten(0, 1), batch.tags.flatten(), ignore_index=NO_TARGET, reduction="sum")

    @torch.no_grad()
    def predict(self, model: PreTrainedModel, pool: Sequence[SpanExample]) -> Sequence[Scores]:
        """Scores `(words, tags)` of each report, computed in the order of length."""
        model.eval()
        order = sorted(range(len(pool)), key=lambda index: pool[index].tokens)
        found: dict[int, Scores] = {}
        for start in range(0, len(order), PREDICTED_AT_ONCE):
            chosen = order[start : start + PREDICTED_AT_ONCE]
            batch = self.collate([pool[index] for index in chosen]).to(model.device)
            logits = model(input_ids=batch.ids, attention_mask=batch.attention).logits.float().cpu().numpy()
            row = 0
            for index in chosen:
                found[index] = self._of_report(pool[index], logits[row : row + len(pool[index].windows)])
                row += len(pool[index].windows)
        return [found[index] for index in range(len(pool))]

    def _of_report(self, example: SpanExample, logits: np.ndarray) -> Scores:
        """Scores `(words, tags)` from the logits `(windows, tokens, tags)` of a report."""
        first = len(self.base.encoder.prefix)
        pairs = zip(logits, example.pieces, strict=True)
        return gather(example.words, example.pieces, [row[first : first + len(window)] for row, window in pairs])

    def quality(self, predicted: Sequence[Scores], pool: Sequence[SpanExample]) -> Quality:
        """The mean cross-entropy of the words, and strict F1 of the spans, which decides."""
        labels = self.schema.label_ids
        said = [spans_of(found_spans(each.words, scores, labels)) for each, scores in _both(pool, predicted)]
        f1 = micro_f1([each.spans for each in pool], said, labels)
        loss = round(mean_loss(predicted, pool), 5)
        return Quality(loss, round(f1, 4), rank=(round(f1, 4), -loss))


def _both(pool: Sequence[SpanExample], predicted: Sequence[Scores]) -> list[tuple[SpanExample, Scores]]:
    return list(zip(pool, predicted, strict=True))


def mean_loss(predicted: Sequence[Scores], pool: Sequence[SpanExample], temperature: float = 1.0) -> float:
    """The mean cross-entropy of the words' tags, their scores divided by the temperature."""
    total, words = 0.0, 0
    for example, scores in _both(pool, predicted):
        if not example.tags:
            continue
        logits = torch.from_numpy(scores / temperature)
        total += float(cross_entropy(logits, torch.tensor(example.tags), reduction="sum"))
        words += len(example.tags)
    return total / max(1, words)


def best_temperature(predicted: Sequence[Scores], pool: Sequence[SpanExample]) -> float:
    """The divisor of the scores (0.5…4) with the lowest cross-entropy, so that confidences can be believed."""
    grid = np.exp(np.linspace(np.log(0.5), np.log(4.0), 43))
    return round(float(min(grid, key=lambda at: mean_loss(predicted, pool, float(at)))), 3)


def build_span_model(base: LoadedModel, schema: Schema) -> PreTrainedModel:
    """A tagger on the base's encoder; a base that already marks the spans of this schema keeps its head."""
    names = tag_names(schema.label_ids)
    if base.task is Task.NER and base.outputs == names:
        return base.model.requires_grad_(True)
    config = AutoConfig.from_pretrained(
        base.folder,
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
        problem_type=None,
        local_files_only=True,
    )
    model = AutoModelForTokenClassification.from_config(config, dtype=torch.float32)
    model.base_model.load_state_dict(base.model.base_model.state_dict(), strict=False)  # a tagger has no pooler
    return model


def require_for_spans(config: FinetuneConfig) -> None:
    """Refuse settings that have a meaning for findings only, rather than passing over them."""
    usual = FinetuneConfig(config.schema_id, config.base_model, config.name)
    set_here = [name for name in _FINDINGS_ONLY if getattr(config, name) != getattr(usual, name)]
    set_here += ["reads"] if config.reads is Reading.SENTENCES else []
    if set_here:
        names = ", ".join(set_here)
        raise TrainingRefused(
            f"Das Schema {config.schema_id} markiert Textstellen; diese Einstellungen gelten nur für Befunde: {names}. "
            "Bitte aus der config.json entfernen.",
            f"The schema {config.schema_id} marks spans; these settings are for findings only: {names}. Please remove "
            "them from config.json.",
        )
