"""Reading a checkpoint's tokenizer from its files, old and new: `tokenizer.json`, `vocab.txt`, `merges.txt`, `*.model`.

Owns what is decided where the files leave it open. No foreign code, nothing from the network.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

CASED_SHARE = 0.05  # of pieces with a capital: none in lower-cased vocabularies, about 30 % in cased German ones


def read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer; the library raises all kinds of exceptions for broken files.

    An old `vocab.txt` without `do_lower_case` would be read as lower case, which shatters every German noun of a cased
    vocabulary; there the vocabulary itself decides.
    """
    own: dict[str, Any] = {}
    if _is_silent_on_case(folder) and _is_cased(folder / "vocab.txt"):
        own["do_lower_case"] = False
    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **own)


def _is_silent_on_case(folder: Path) -> bool:
    if (folder / "tokenizer.json").is_file() or not (folder / "vocab.txt").is_file():
        return False
    config = folder / "tokenizer_config.json"
    return not config.is_file() or "do_lower_case" not in json.loads(config.read_text(encoding="utf-8"))


def _is_cased(vocabulary: Path) -> bool:
    pieces = vocabulary.read_text(encoding="utf-8").split()
    return sum(piece[0].isupper() for piece in pieces) > CASED_SHARE * len(pieces)
