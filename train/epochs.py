"""The training texts of each epoch of a fine-tuning, drawn anew from reports, sentences and augmentation.

Knows no model. Nothing of the validation and test parts is ever drawn.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from medbertde.parts import Parts
from medbertde.schema import Kind, Schema
from medbertde.types import ReportRecord
from train.augment import below_heading, cue_sentence, load_lexicon, run_together, single_sentences, vary
from train.run_folder import FinetuneConfig

HEADINGS = 0.05  # share of the texts that stand below a line which says nothing, where there is a lexicon


class Epochs:
    """The training texts of each epoch: the reports as written, then varied, with the augmentation asked for.

    Reports with spans stay whole and as they are written in all epochs: their spans are places in this text.
    """

    def __init__(self, config: FinetuneConfig, parts: Parts, schema: Schema) -> None:
        self._config, self._as_written = config, schema.kind is Kind.SPANS
        self._own = self._texts(parts.own) * config.own_copies
        self._replay = self._texts(parts.replay)
        self._sentences = [part for record in parts.train for part in self._single(record)]
        self._lexicon = load_lexicon(schema.id) if config.cues else None

    def _texts(self, records: Sequence[ReportRecord]) -> list[ReportRecord]:
        """Whole reports and single sentences, as configured."""
        sentences = [part for record in records for part in self._single(record)] if self._config.sentences else []
        return [*(records if self._config.whole_reports else ()), *sentences]

    def _single(self, record: ReportRecord) -> list[ReportRecord]:
        return [] if self._as_written else single_sentences(record)

    def _below(self, record: ReportRecord, rng: random.Random) -> ReportRecord:
        """Some of the texts that have no heading yet below one that says nothing."""
        if self._lexicon is None or ":" in record.text or rng.random() >= HEADINGS:
            return record
        return below_heading(record, self._lexicon, rng)

    def draw(self, epoch: int) -> list[ReportRecord]:
        """The records of one epoch; equal for equal seeds."""
        rng = random.Random(self._config.seed * 1_000 + epoch)
        most = self._config.replay_texts
        replay = self._replay if most is None else rng.sample(self._replay, k=min(most, len(self._replay)))
        drawn = [*self._own, *replay]
        if len(self._sentences) >= 10:
            drawn += [run_together(self._sentences, rng) for _ in range(self._config.run_together)]
        if self._lexicon:
            drawn += [cue_sentence(self._lexicon, rng) for _ in range(self._config.cues)]
        if self._as_written or not epoch:
            return drawn
        drawn = [self._below(record, rng) for record in drawn]
        return [replace(record, text=vary(record.text, rng) or record.text) for record in drawn]
