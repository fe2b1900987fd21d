"""Another vocabulary for a language model that has learnt already, so that it need not start anew.

Fast vocabulary transfer (Gee L. et al., Fast Vocabulary Transfer for Language Model Compression, EMNLP 2022 industry
track): an entry that both vocabularies have keeps its vector; a new one begins with the mean of the vectors of the
pieces that the old vocabulary cuts it into. For WordPiece vocabularies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from medbertde.types import TrainingRefused

_INSIDE = "##"  # how WordPiece writes a piece that does not begin a word


def transfer(model: PreTrainedModel, old: PreTrainedTokenizerBase, new: PreTrainedTokenizerBase) -> PreTrainedModel:
    """`model`, changed in place to read and predict the entries of `new`; its encoder stays as it is.

    `TrainingRefused` when a vocabulary is no WordPiece vocabulary.
    """
    known, wanted = _word_pieces(old), _word_pieces(new)
    rows = [pieces_of(entry, known) for entry in sorted(wanted, key=lambda entry: wanted[entry])]
    begun = {name: _means(table.data, rows) for name, table in _tables(model).items()}
    model.resize_token_embeddings(len(rows), mean_resizing=False)
    for name, table in _tables(model).items():
        table.data.copy_(begun[name])
    model.config.pad_token_id = new.pad_token_id
    return model


def _tables(model: PreTrainedModel) -> dict[str, Tensor]:
    """What has a line for each entry: the vectors, which the output shares, and the bias of the output."""
    embeddings: Any = model.get_input_embeddings()
    output: Any = model.get_output_embeddings()
    return {"vectors": embeddings.weight, "bias": output.bias}


def pieces_of(entry: str, known: Mapping[str, int]) -> list[int]:
    """The ids of the longest known pieces that make up an entry, from its beginning; the unknown token's where none do.

    >>> pieces_of("##zeit", {"[UNK]": 0, "ze": 1, "##ze": 2, "##it": 3})
    [2, 3]
    """
    rest, found = entry.removeprefix(_INSIDE), list[int]()
    while rest:
        mark = _INSIDE if found or entry.startswith(_INSIDE) else ""
        size = next((size for size in range(len(rest), 0, -1) if mark + rest[:size] in known), 0)
        if not size:
            return [known["[UNK]"]]
        found.append(known[mark + rest[:size]])
        rest = rest[size:]
    return found or [known["[UNK]"]]


def _means(table: Tensor, rows: list[list[int]]) -> Tensor:
    """Per row the mean of its lines of `table`, `[rows, …]`."""
    return torch.stack([table[row].mean(0) for row in rows])


def _word_pieces(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    entries: dict[str, int] = tokenizer.get_vocab()
    if "[UNK]" not in entries or not any(entry.startswith(_INSIDE) for entry in entries):
        raise TrainingRefused(
            "Ein anderes Vokabular lässt sich nur zwischen WordPiece-Vokabularen (BERT) übertragen. Bitte --transfer "
            "weglassen.",
            "Another vocabulary can be transferred between WordPiece vocabularies (BERT) only. Please leave out "
            "--transfer.",
        )
    return entries
