"""What there is to know of a model before it is loaded: where it is, how large, and how it cuts words.

Owns the states a model can be in on this machine and the reason for each. Reads headers and configurations only.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from medbertde.inference import hub
from medbertde.inference.catalogue import Entry
from medbertde.inference.checkpoint import WEIGHTS_FILE, read_folder
from medbertde.inference.weights_file import read_weights_file
from medbertde.types import CheckpointRefused, UserError

_KINDS = {"WordPiece": "WordPiece", "BPE": "Byte-BPE", "Unigram": "SentencePiece"}
_KINDS_BY_FILE = {"vocab.txt": "WordPiece", "merges.txt": "Byte-BPE"}
_MB = 1_000_000
_BYTES_PER_PARAMETER = 4  # how the models of the Hub are stored


class Where(StrEnum):
    """Where a model is, seen from this machine."""

    EMBEDDED = "embedded"
    HERE = "here"  # in a folder
    CACHED = "cached"  # in the Hub's cache
    DOWNLOAD = "download"
    GATED = "gated"  # needs terms and a token that are not there
    OFFLINE = "offline"  # not here, and the Hub cannot be reached
    BROKEN = "broken"  # here, but it cannot be served

    @property
    def usable(self) -> bool:
        """Whether it can be made to answer as things are."""
        return self not in (Where.GATED, Where.OFFLINE, Where.BROKEN)


@dataclass(frozen=True)
class Standing:
    """Where a model is; `folder` where it is on this machine, `reason` where it cannot be used."""

    where: Where
    folder: Path | None = None
    reason: UserError | None = None


@dataclass(frozen=True)
class Size:
    """`parameters` and `megabytes` of the weights; `about` where they are not read from the file."""

    parameters: int
    megabytes: float
    about: bool = False


def standing(entry: Entry, reachable: Callable[[], bool]) -> Standing:
    """How a model of the catalogue stands; `reachable` is asked only where it depends on the Hub."""
    if entry.folder is not None:
        return folder_standing(entry.folder, Where.EMBEDDED)
    repo = entry.hub_id or entry.id
    cached = hub.cached_folder(repo)
    if cached is not None:
        return Standing(Where.CACHED, cached)
    if entry.gated and not hub.has_token():
        return Standing(Where.GATED, reason=hub.gated(repo))
    if not reachable():
        return Standing(Where.OFFLINE, reason=hub.unreachable(repo))
    return Standing(Where.DOWNLOAD)


def folder_standing(folder: Path, where: Where = Where.HERE) -> Standing:
    """How a model in a folder stands, as far as that can be told without loading it."""
    try:
        read_folder(folder)
    except CheckpointRefused as error:
        return Standing(Where.BROKEN, folder, error)
    return Standing(where, folder)


def size(folder: Path | None, entry: Entry | None = None) -> Size | None:
    """The size by the header of the weights file, else by what the catalogue knows."""
    path = folder / WEIGHTS_FILE if folder else None
    if path and path.is_file():
        weights = read_weights_file(path)
        return Size(weights.parameters, weights.size / _MB) if weights.whole else None
    if entry and entry.parameters:
        parameters = round(entry.parameters * _MB)
        return Size(parameters, parameters * _BYTES_PER_PARAMETER / _MB, about=True)
    return None


def tokenizer_kind(folder: Path) -> str:
    """How the tokenizer of a folder cuts words, with the size of its vocabulary: ``WordPiece 30k``."""
    try:
        count = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("vocab_size")
    except (OSError, ValueError, AttributeError):
        count = None
    kind = _kind(folder / "tokenizer.json", (folder / "tokenizer.json").is_file()) or next(
        (kind for file, kind in _KINDS_BY_FILE.items() if (folder / file).is_file()),
        "SentencePiece" if any(folder.glob("*.model")) else "",
    )
    return f"{kind} {_thousands(count)}".strip() if isinstance(count, int) else kind


@cache  # a large vocabulary takes a moment to parse, and which kind a file is does not change
def _kind(path: Path, there: bool) -> str:
    try:
        return _KINDS.get(json.loads(path.read_text(encoding="utf-8"))["model"]["type"], "") if there else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _thousands(count: int) -> str:
    return f"{count / 1000:.0f}k" if count >= 1000 else str(count)
