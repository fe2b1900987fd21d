"""What the worker processes of `train.corpus` do with one part: read it, clean and sign it, write it.

Each function takes a task and returns a result, both frozen and small but for the rows of the first pass; the texts
stay in files. Nothing here raises a `UserError`: a row that is wrong is counted, what is wrong with a whole file is
found by the process that reads it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from medbertde.text import content_hash
from train.corpus_duplicates import Array, Mask, signatures
from train.corpus_formats import RawRow, Reading
from train.corpus_sources import Fault, read_row
from train.corpus_text import cut_boilerplate, edge_keys, mask_names, split_sentences

_SHARD_SCHEMA = pa.schema([("text", pa.string()), ("source", pa.string())])


@dataclass(frozen=True)
class ReadTask:
    """Raw rows of one source and where their texts go."""

    rows: Sequence[RawRow]
    reading: Reading
    path: Path
    count_lines: bool


@dataclass(frozen=True)
class Read:
    """What was read: the texts are in `path`; `edge_lines` counts documents per hash of a line."""

    path: Path
    documents: int
    skipped: Counter[str]
    edge_lines: Counter[int]


@dataclass(frozen=True)
class CleanTask:
    """A part, and how it is cleaned and signed."""

    path: Path
    repeated: frozenset[int]
    mask: bool
    shingle: int
    seed: int


@dataclass(frozen=True)
class Cleaned:
    """Hash and signature of each document of a part, and sums of the rest."""

    hashes: npt.NDArray[np.uint64]  # (documents, 2): 128 bits each
    signatures: Array  # (documents, permutations)
    bytes: int
    names: int
    cut_lines: Counter[str]  # boiler-plate line → documents it was cut from


@dataclass(frozen=True)
class Shard:
    """A file of the corpus: the parts it is made of, each with the name of its source and what stays of it."""

    path: Path
    parts: Sequence[tuple[Path, str, Mask]]
    sentence_lines: bool


@dataclass(frozen=True)
class Written:
    """What one part gave to its shard."""

    documents: int
    sentences: int
    words: int
    bytes: int


def read_part(task: ReadTask) -> Read:
    """Pass 1: rows to NFC texts."""
    found = [read_row(row, task.reading) for row in task.rows]
    texts = [text for text in found if not isinstance(text, Fault)]
    skipped = Counter(fault.value for fault in found if isinstance(fault, Fault))
    lines = Counter(key for text in texts for key in edge_keys(text)) if task.count_lines else Counter()
    _store(task.path, texts)
    return Read(task.path, len(texts), skipped, lines)


def clean_part(task: CleanTask) -> Cleaned:
    """Pass 2: clean the texts of a part in place, and hash and sign them."""
    texts = []
    names = 0
    cut_lines: Counter[str] = Counter()
    for text in _load(task.path):
        text, cut = cut_boilerplate(text, task.repeated)
        if task.mask:
            text, masked = mask_names(text)
            names += masked
        texts.append(text)
        cut_lines.update(set(cut))
    _store(task.path, texts)
    digests = b"".join(bytes.fromhex(content_hash(text))[:16] for text in texts)
    return Cleaned(
        hashes=np.frombuffer(digests, dtype=np.uint64).reshape(-1, 2),
        signatures=signatures(texts, task.shingle, task.seed),
        bytes=sum(len(text.encode()) for text in texts),
        names=names,
        cut_lines=cut_lines,
    )


def write_shard(task: Shard) -> list[Written]:
    """Pass 3: write what stays, one part after the other, and count it."""
    with _shard_writer(task.path) as write:
        return [_write_part(write, task, *part) for part in task.parts]


def _write_part(
    write: Callable[[Sequence[str], str], None], task: Shard, path: Path, source: str, keep: Mask
) -> Written:
    texts = [text for text, stays in zip(_load(path), keep.tolist(), strict=True) if stays]
    divided = [list(split_sentences(text)) for text in texts]
    if task.sentence_lines:
        texts = ["\n".join(sentences) for sentences in divided]
    write(texts, source)
    return Written(
        documents=len(texts),
        sentences=sum(map(len, divided)),
        words=sum(len(text.split()) for text in texts),
        bytes=sum(len(text.encode()) for text in texts),
    )


@contextmanager
def _shard_writer(path: Path) -> Iterator[Callable[[Sequence[str], str], None]]:
    if path.suffix == ".jsonl":
        with path.open("w", encoding="utf-8", newline="\n") as file:
            yield lambda texts, source: file.writelines(
                json.dumps({"text": text, "source": source}, ensure_ascii=False) + "\n" for text in texts
            )
    else:
        with pq.ParquetWriter(path, _SHARD_SCHEMA, compression="zstd") as writer:
            yield lambda texts, source: writer.write_table(
                pa.table({"text": texts, "source": [source] * len(texts)}, schema=_SHARD_SCHEMA)
            )


def _store(path: Path, texts: Sequence[str]) -> None:
    pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), path, compression="lz4", use_dictionary=False)


def _load(path: Path) -> list[str]:
    return pq.read_table(path, use_threads=False).column("text").to_pylist()
