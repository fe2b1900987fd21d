"""Spans in clinical text: texts in, marked places with their label and how sure the model is out.

Owns windows over long texts and the reading of tags as spans, both as in training (`medbertde.span_tags`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.classify import require
from medbertde.inference.forward import CPU_TOKENS, GPU_TOKENS
from medbertde.inference.rows import Stop, batches, cancelled, in_parts, never
from medbertde.inference.tokens import pad
from medbertde.notices.remarks import long_text, remarks
from medbertde.span_tags import Scores, found_spans, gather, words_of
from medbertde.text import MAX_CHARS, clean
from medbertde.types import Marking, Task


def mark(model: LoadedModel, texts: Sequence[str], *, max_chars: int = MAX_CHARS, stop: Stop = never) -> list[Marking]:
    """The spans of each text, in the order of the texts; `InvalidText` for a text that cannot be read.

    Places are code points of the NFC text (`medbertde.text.clean`). A text longer than the model's input is read in
    overlapping windows, every word in the one that shows most of the text around it. `stop` as in `classify`.
    """
    require(model, Task.NER)
    assert model.schema is not None, "a model with labels has a schema"
    cleaned = [clean(text, max_chars) for text in texts]
    all_pieces = model.encoder.pieces(cleaned) if cleaned else []
    windows = [model.windows(text, pieces) for text, pieces in zip(cleaned, all_pieces, strict=True)]
    rows = [pieces.at(window) for pieces, own in zip(all_pieces, windows, strict=True) for window in own]
    scores = iter(_scores(model, rows, stop))
    found = []
    for text, pieces, own in zip(cleaned, all_pieces, windows, strict=True):
        words = words_of(text, pieces.offsets)
        of_words = gather(words, own, [next(scores) for _ in own])
        found.append(
            Marking(
                spans=found_spans(words, of_words, model.schema.label_ids, model.span_temperature),
                model_version=model.version,
                warnings=(
                    *remarks(text, model.encoder.cut(text, pieces)),
                    *([long_text(len(pieces.ids), model.encoder.room, len(own))] if len(own) > 1 else ()),
                ),
            )
        )
    return found


def _scores(model: LoadedModel, rows: Sequence[Sequence[int]], stop: Stop) -> list[Scores]:
    """The logits ``[pieces, tags]`` of each row of piece ids, computed in the order of length, in float32."""
    before = len(model.encoder.prefix)
    budget = CPU_TOKENS if model.device.type == "cpu" else GPU_TOKENS
    found: dict[int, Scores] = {}
    for batch in batches([len(row) for row in rows], budget):
        if stop():
            raise cancelled()
        parts = in_parts(partial(_logits, model), [model.encoder.model_ids(rows[index]) for index in batch])
        logits = (own for part in parts for own in part.numpy())
        for index, own in zip(batch, logits, strict=True):
            found[index] = own[before : before + len(rows[index])]
    return [found[index] for index in range(len(rows))]


@torch.inference_mode()
def _logits(model: LoadedModel, rows: Sequence[Sequence[int]]) -> Tensor:
    """Logits ``[rows, tokens, tags]`` of some rows on the CPU, control tokens included."""
    ids, mask = pad(rows, model.encoder.pad_id, model.device)
    logits: Tensor = model.model(input_ids=ids, attention_mask=mask).logits
    return logits.float().cpu()
