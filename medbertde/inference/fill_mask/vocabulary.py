"""What the pieces of a vocabulary write, and which of them begin or continue a word.

Owns the difference between tokenizer kinds: WordPiece marks the continuation of a word (``##en``), byte-level BPE and
SentencePiece mark the space before one (``Ġ``, ``▁``). Pieces are given in NFC: medBERT.de has some with decomposed
umlauts. Knows nothing of gaps and asks no model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from medbertde.inference.checkpoint import LoadedModel

CLOSING = frozenset(".,;:!?)]%“”")  # written without a space before
BEHIND_WORDS = CLOSING | {"-", "/"}  # written directly behind a word
CONTINUATION = "##"
_CONTROL = re.compile(r"\[.+\]|<.+>")  # [unused12], <unk> and their like
_SPACE_MARKS = ("Ġ", "▁")  # how byte-level and SentencePiece vocabularies write the space before a word


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What each token id writes, without marks, and where it may stand (masks of the shape ``[vocabulary]``)."""

    texts: tuple[str, ...]
    spaced: Tensor  # begins a word after a space
    glued: Tensor  # begins a word directly after a character
    continues: Tensor  # letters that go on with the word before
    letters: Tensor  # a beginning that a continuation can follow
    closes: Tensor  # a mark written right behind a word

    def begins(self, after_space: bool | None) -> Tensor:
        """The ids that may begin a word after a space, after a character, or (None) at the start of a text."""
        return self.either if after_space is None else self.spaced if after_space else self.glued

    @cached_property
    def behind_letters(self) -> Tensor:
        """The ids that may stand directly behind a letter: what goes on with its word, and what is no word."""
        return self.continues | (self.glued & ~self.letters)

    @cached_property
    def either(self) -> Tensor:
        """The ids that begin a word in one of the two places."""
        return self.spaced | self.glued

    @cached_property
    def written(self) -> Tensor:
        """All ids that write something, as words or as parts of one."""
        return self.either | self.continues

    def writing(self, text: str) -> list[int]:
        """The ids that write exactly this."""
        return self._ids.get(text, [])

    @cached_property
    def _ids(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for piece, text in enumerate(self.texts):
            found.setdefault(text, []).append(piece)
        return found

    def word(self, pieces: Sequence[int]) -> str:
        """The pieces as they are written, in one."""
        return "".join(self.texts[piece] for piece in pieces)


_vocabularies: WeakKeyDictionary[LoadedModel, Vocabulary] = WeakKeyDictionary()  # goes with its model


def vocabulary(model: LoadedModel) -> Vocabulary:
    """The vocabulary of a model, read once."""
    found = _vocabularies.get(model)
    if found is None:
        found = _vocabularies[model] = _read(model.tokenizer, model.model.config.vocab_size)
    return found


def _read(tokenizer: PreTrainedTokenizerBase, size: int) -> Vocabulary:
    tokens = [*tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))), *[""] * (size - len(tokenizer))]
    special = set(tokenizer.all_special_tokens)
    marks_space = any(token.startswith(_SPACE_MARKS) for token in tokens)
    texts, spaced, glued, continues, letters, closes = [], [], [], [], [], []
    for token in tokens:
        marked = token.startswith(CONTINUATION) and not marks_space and len(token) > len(CONTINUATION)
        text = tokenizer.convert_tokens_to_string([token]).strip() if marks_space else token
        text = unicodedata.normalize("NFC", text.removeprefix(CONTINUATION) if marked else text)
        usable = bool(text) and token not in special and not _CONTROL.fullmatch(text)
        usable = usable and text.isprintable() and "\ufffd" not in text
        after_space = token.startswith(_SPACE_MARKS) if marks_space else not marked
        texts.append(text)
        spaced.append(usable and (after_space or (marks_space and text in CLOSING)))
        glued.append(usable and not marked and not (marks_space and after_space))
        continues.append(usable and text.isalpha() and (not after_space if marks_space else marked))
        letters.append(usable and text.isalpha() and not marked)
        closes.append(glued[-1] and text in BEHIND_WORDS)
    return Vocabulary(
        tuple(texts),
        spaced=torch.tensor(spaced),
        glued=torch.tensor(glued),
        continues=torch.tensor(continues),
        letters=torch.tensor(letters),
        closes=torch.tensor(closes),
    )
