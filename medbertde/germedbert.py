"""Whether a model folder holds the weights of GerMedBERT (medBERT.de), or weights that were made from them.

Their terms forbid attacks on them and the retrieval of training data, and an audit is both. Core: reads the folder's
own JSON files and nothing else. A copy under another name is known by its shape.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_NAMES = re.compile(r"germedbert|medbert[-_ ]?512|medbert\.de\b", re.IGNORECASE)
_SHAPE = {  # no other published BERT has 8 heads at this width
    "model_type": "bert",
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "vocab_size": 30_000,
}
_LONGEST_LINE = 8  # models that were made from each other


def is_named(name: str) -> bool:
    """Whether a Hub id, a name or a version is one of theirs.

    >>> is_named("GerMedBERT/medbert-512"), is_named("medbert-512-no-duplicates@1234abcd"), is_named("medBERT.de")
    (True, True, True)
    >>> is_named("medbertde-mini"), is_named("smanjil/German-MedBERT")
    (False, False)
    """
    return bool(_NAMES.search(name))


def comes_from(folder: Path) -> bool:
    """Whether the model in a folder is one of theirs by its name, its lineage or, where that is unknown, its shape."""
    return any(_is_theirs(each) for each in _line(folder.resolve(), _LONGEST_LINE))


def _line(folder: Path, left: int) -> Iterator[Path]:
    """The folder and those of the models it was made from, as far as they are on this machine."""
    yield folder
    if not left:
        return
    for base in _bases(folder):
        path = Path(base)
        if base and path.is_dir() and path.resolve() != folder:
            yield from _line(path.resolve(), left - 1)


def _is_theirs(folder: Path) -> bool:
    config, lineage = _read(folder / "config.json"), _lineage(folder)
    names = [
        str(folder),
        *_bases(folder),
        *(lineage.get("ancestors") or ()),
        _read(folder / "medbertde.json").get("name"),
        config.get("_name_or_path"),
    ]
    if any(is_named(part) for name in names if name for part in _telling(str(name))):
        return True
    made_here = bool(lineage.get("data_hash")) and not lineage.get("base_model")
    return not made_here and all(config.get(key) == value for key, value in _SHAPE.items())


def _telling(name: str) -> list[str]:
    """What of a name counts: of a path only its last part and, in the Hub's cache, that of the repository.

    >>> _telling("/data/medbert-512-study/own"), _telling("GerMedBERT/any")
    (['own'], ['GerMedBERT/any'])
    """
    path = Path(name)
    return [path.name, *(part for part in path.parts if part.startswith("models--"))] if path.is_absolute() else [name]


def _bases(folder: Path) -> list[str]:
    """What the folder, and the run folder around it, say the model was made from."""
    run = _read(folder.parent / "config.json") if folder.name == "checkpoint" else {}
    return [str(base) for base in (_lineage(folder).get("base_model"), run.get("base_model")) if base]


def _lineage(folder: Path) -> dict[str, Any]:
    found = _read(folder / "medbertde.json").get("lineage")
    return found if isinstance(found, dict) else {}


def _read(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return raw if isinstance(raw, dict) else {}
