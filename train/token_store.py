"""Texts as word pieces on disk: tokenised once, read by all processes of a run and after a kill.

Two files per part, `<name>.pieces` (one flat array) and `<name>.ends.npy`; `store.json` is written last and holds the
key of what was tokenised. Documents are never joined: a window belongs to one document.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import overload

import numpy as np

from medbertde.inference.tokens import TextEncoder

AT_ONCE = 4096  # documents tokenised together
KEY_FILE = "store.json"


@dataclass(frozen=True, eq=False)
class Pieces:
    """The word pieces of many documents without control tokens; document `i` ends before `ends[i]`."""

    flat: np.ndarray  # (pieces,), 16 or 32 bits
    ends: np.ndarray  # (documents,)


@dataclass(frozen=True, eq=False)
class Windows(Sequence[list[int]]):
    """Documents cut into rows of at most `max_tokens`, each with its control tokens; no piece is lost or doubled."""

    pieces: Pieces
    starts: np.ndarray  # (rows,): index of a row's first piece
    counts: np.ndarray  # (rows,): its pieces
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, control tokens included."""
        return self.counts + len(self.prefix) + len(self.suffix)

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, row: int) -> list[int]: ...
    @overload
    def __getitem__(self, row: slice) -> list[list[int]]: ...
    def __getitem__(self, row: int | slice) -> list[int] | list[list[int]]:
        """One row of token ids, or several."""
        if isinstance(row, slice):
            return [self[index] for index in range(*row.indices(len(self)))]
        start, count = int(self.starts[row]), int(self.counts[row])
        return [*self.prefix, *self.pieces.flat[start : start + count].tolist(), *self.suffix]

    def padded(self, rows: np.ndarray, pad_id: int) -> np.ndarray:
        """These rows as `(rows, longest)` token ids, filled up with `pad_id`."""
        counts, head, tail = self.counts[rows], len(self.prefix), len(self.suffix)
        ids = np.full((len(rows), head + int(counts.max()) + tail), pad_id, dtype=np.int64)
        place = np.arange(ids.shape[1] - head - tail)
        inside = place < counts[:, None]
        at = (self.starts[rows][:, None] + place)[inside]
        ids[:, :head] = self.prefix
        ids[:, head : ids.shape[1] - tail][inside] = self.pieces.flat[at]
        ids[np.arange(len(rows))[:, None], head + counts[:, None] + np.arange(tail)] = self.suffix
        return ids


def cut(pieces: Pieces, encoder: TextEncoder, max_tokens: int) -> Windows:
    """The windows of all documents, in their order, one after the other without overlap."""
    room = max_tokens - len(encoder.prefix) - len(encoder.suffix)
    sizes = np.diff(pieces.ends, prepend=0)
    rows = -(-sizes // room)
    nth = np.arange(rows.sum()) - np.repeat(np.cumsum(rows) - rows, rows)  # number of a row in its document
    starts = np.repeat(pieces.ends - sizes, rows) + nth * room
    counts = np.minimum(np.repeat(pieces.ends, rows) - starts, room)
    return Windows(pieces, starts, counts, encoder.prefix, encoder.suffix)


def tokenise(texts: Sequence[str], encoder: TextEncoder) -> Pieces:
    """The pieces of texts in memory."""
    flat, sizes = _encode(texts, encoder)
    return Pieces(flat, np.cumsum(sizes))


def write(texts: Iterable[tuple[str, str]], encoder: TextEncoder, folder: Path, names: Sequence[str]) -> None:
    """Tokenise pairs of a part's name and a text into the files of the parts `names`, a few texts at a time."""
    (folder / KEY_FILE).unlink(missing_ok=True)
    sizes: dict[str, list[np.ndarray]] = {name: [np.zeros(0, np.int64)] for name in names}
    with ExitStack() as stack:
        files = {name: stack.enter_context((folder / f"{name}.pieces").open("wb")) for name in names}
        left = iter(texts)
        while some := list(islice(left, AT_ONCE)):
            for name in names:
                flat, counts = _encode([text for part, text in some if part == name], encoder)
                flat.tofile(files[name])
                sizes[name].append(counts)
    for name in names:
        np.save(folder / f"{name}.ends.npy", np.cumsum(np.concatenate(sizes[name])))


def read(folder: Path, name: str, encoder: TextEncoder) -> Pieces:
    """The pieces that `write` left; they stay on disk."""
    ends = np.load(folder / f"{name}.ends.npy")
    path, kind = folder / f"{name}.pieces", _dtype(encoder)
    return Pieces(np.memmap(path, kind, "r") if path.stat().st_size else np.zeros(0, kind), ends)


def key_of(files: Iterable[Path], *facts: object) -> str:
    """What tells one tokenised corpus from another: the content of the files and `facts`."""
    digest = hashlib.sha256(repr(facts).encode())
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def key_in(folder: Path) -> str | None:
    """The key of what the folder holds to its end, None where it was not finished."""
    path = folder / KEY_FILE
    return str(json.loads(path.read_text(encoding="utf-8"))["key"]) if path.is_file() else None


def complete(folder: Path, key: str) -> None:
    """Say that all parts are written."""
    (folder / KEY_FILE).write_text(json.dumps({"key": key}), encoding="utf-8")


def _encode(texts: Sequence[str], encoder: TextEncoder) -> tuple[np.ndarray, np.ndarray]:
    """All pieces one after the other, and how many each text has."""
    rows = [encoding.ids for encoding in encoder.backend.encode_batch_fast(list(texts), add_special_tokens=False)]
    sizes = np.array([len(row) for row in rows], dtype=np.int64)
    return np.fromiter((piece for row in rows for piece in row), _dtype(encoder), int(sizes.sum())), sizes


def _dtype(encoder: TextEncoder) -> type[np.unsignedinteger]:
    return np.uint16 if encoder.backend.get_vocab_size() <= 2**16 else np.uint32
