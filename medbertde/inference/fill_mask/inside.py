"""A gap inside a word: "Pneumo[MASK]", "[MASK]erguss", "Pleura[MASK]erguss".

Owns which pieces may make up a word that begins and ends with letters of the text. Such a word is searched as a whole,
in the cut that the model knows: it has read `Pneumothorax`, never `Pneum|##o|##thorax`.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from itertools import takewhile

import torch
from torch import Tensor

from medbertde.inference.fill_mask.vocabulary import Vocabulary


def last_letters(text: str) -> str:
    """The letters that a text ends with.

    >>> last_letters("V. a. Pneumo"), last_letters("Kein ")
    ('Pneumo', '')
    """
    return "".join(takewhile(str.isalpha, reversed(text)))[::-1]


def first_letters(text: str) -> str:
    """The letters that a text begins with.

    >>> first_letters("thorax rechts.")
    'thorax'
    """
    return "".join(takewhile(str.isalpha, text))


class Inside:
    """What may come next in a word that begins with `begun` and ends with `ended`; without either, anything."""

    def __init__(self, known: Vocabulary, begun: str, ended: str) -> None:
        self.begun, self.ended = begun, ended
        self._known = known
        self._towards = lru_cache(maxsize=None)(self._towards_begun)

    def is_open(self, written: str) -> bool:
        """Whether nothing but letters of the text stands yet."""
        return len(written) <= len(self.begun)

    def allows(self, word: str) -> bool:
        """Whether there is more to a word than the letters of the text."""
        return len(word) > len(self.begun) + len(self.ended)

    def next(self, written: str, *, last: bool) -> Tensor:
        """The ids ``[vocabulary]`` that may follow what is `written` of the word, as its `last` piece or before it."""
        allowed = self._towards(written, last) if len(written) < len(self.begun) else self._all
        if last and self.ended:
            allowed = allowed & self._endings(written)
        return allowed

    def _towards_begun(self, written: str, last: bool) -> Tensor:
        rest = self.begun[len(written) :]
        return torch.tensor(
            [text.startswith(rest) or (not last and rest.startswith(text)) for text in self._known.texts]
        )

    def _endings(self, written: str) -> Tensor:
        """The ids that end in the last letters, or in those of them that are still missing."""
        allowed = self._ending.clone()
        for place in range(1, len(self.ended)):
            if written.endswith(self.ended[:place]):
                allowed[self._known.writing(self.ended[place:])] = True
        return allowed

    @cached_property
    def _ending(self) -> Tensor:
        return torch.tensor([text.endswith(self.ended) for text in self._known.texts])

    @cached_property
    def _all(self) -> Tensor:
        return torch.ones(len(self._known.texts), dtype=torch.bool)
