"""Report text as word pieces: encoding with offsets, windows over long texts, padded batches.

Owns the one way text becomes model input. Knows nothing of tasks or labels. It works on a private copy of the
checkpoint's Rust tokenizer, which is safe to call from several threads and reads a literal ``[SEP]`` or ``<mask>`` in
a report as ordinary characters, never as a control token.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from medbertde.notices.remarks import Cut
from medbertde.passages import passages
from medbertde.text import words

OVERLAP = 0.25  # share of a window that the next one reads again, so that no statement is only seen cut in two


@dataclass(frozen=True)
class Pieces:
    """The word pieces of one text without control tokens; a piece stands for ``text[start:end]`` of its offset."""

    ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]

    def at(self, window: Sequence[int]) -> list[int]:
        """The ids at these indices."""
        return [self.ids[index] for index in window]


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """Turns text into piece ids and piece ids into model input.

    `prefix` and `suffix` are the control tokens around every window, `room` the pieces that fit between them.
    """

    backend: Tokenizer
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    room: int
    pad_id: int
    unknown_id: int | None
    mask_id: int | None
    special_ids: frozenset[int]

    def pieces(self, texts: Sequence[str]) -> list[Pieces]:
        """The pieces of each text, however long it is."""
        encodings = self.backend.encode_batch(list(texts), add_special_tokens=False)
        return [Pieces(tuple(encoding.ids), tuple(encoding.offsets)) for encoding in encodings]

    def windows(self, text: str, pieces: Pieces) -> list[tuple[int, ...]]:
        """Indices of the pieces, at most `room` at once, overlapping by a quarter."""
        return [tuple(range(start, end)) for start, end in windows(len(pieces.ids), self.room)]

    def sentence_windows(self, text: str, pieces: Pieces) -> list[tuple[int, ...]]:
        """Indices of the pieces of each sentence, those of its heading before them; long sentences in several parts."""
        begin = [visible_start(text, *offset) for offset in pieces.offsets]
        found = []
        for passage in passages(text):
            heading = _within(begin, *passage.heading)[: self.room // 2] if passage.heading else range(0)
            sentence = _within(begin, passage.start, passage.end)
            parts = windows(len(sentence), self.room - len(heading)) if sentence else ()
            found += [(*heading, *sentence[start:end]) for start, end in parts]
        return found or self.windows(text, pieces)

    def model_ids(self, ids: Sequence[int]) -> list[int]:
        """Piece ids with the control tokens around them."""
        return [*self.prefix, *ids, *self.suffix]

    def cut(self, text: str, pieces: Pieces) -> Cut:
        """How the text falls into these pieces of it, in numbers."""
        unknown = pieces.ids.count(self.unknown_id) if self.unknown_id is not None else 0
        return Cut(words=sum(1 for _ in words(text)), pieces=len(pieces.ids), unknown=unknown)


def _within(begin: Sequence[int], start: int, end: int) -> range:
    """The indices of the pieces that begin in `[start, end)` of the text; `begin`: where each of them does."""
    return range(bisect_left(begin, start), bisect_left(begin, end))


def visible_start(text: str, start: int, end: int) -> int:
    """Where a piece begins behind the spaces before it: SentencePiece counts the space before a word as the word's."""
    while start < end and text[start].isspace():
        start += 1
    return start


def text_encoder(tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> TextEncoder:
    """The encoder of a checkpoint's tokenizer for a model that reads `max_tokens` tokens at once.

    Raises `ValueError` where the tokenizer cannot report offsets or has no padding token.
    """
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise ValueError("the tokenizer must be a fast one with a padding token")
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = True
    prefix, suffix = _control_tokens(backend.encode("a"))
    return TextEncoder(
        backend=backend,
        prefix=prefix,
        suffix=suffix,
        room=max_tokens - len(prefix) - len(suffix),
        pad_id=tokenizer.pad_token_id,
        unknown_id=tokenizer.unk_token_id,
        mask_id=tokenizer.mask_token_id,
        special_ids=frozenset(tokenizer.all_special_ids),
    )


def _control_tokens(encoding: Encoding) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids before and after the text pieces, as the checkpoint's own post-processor sets them."""
    special = encoding.special_tokens_mask
    first = special.index(0)
    last = len(special) - special[::-1].index(0)
    return tuple(encoding.ids[:first]), tuple(encoding.ids[last:])


def windows(count: int, size: int) -> list[tuple[int, int]]:
    """Ranges ``[start, end)`` of at most `size` that cover `count`, overlapping by a quarter; the last one is full.

    >>> windows(3, 8), windows(10, 8)
    ([(0, 3)], [(0, 8), (2, 10)])
    """
    if count <= size:
        return [(0, count)]
    stride = max(1, size - int(size * OVERLAP))
    starts = [*range(0, count - size, stride), count - size]
    return [(start, start + size) for start in starts]


def pad(sequences: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, both ``[batch, longest]``, padded on the right."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    longest = int(lengths.max())
    ids = torch.tensor([[*sequence, *[pad_id] * (longest - len(sequence))] for sequence in sequences])
    mask = (torch.arange(longest) < lengths[:, None]).long()
    return ids.to(device), mask.to(device)
