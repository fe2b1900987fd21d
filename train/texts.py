"""The texts a tokenizer or a language model learns from: report files and what `train.corpus` writes, one by one.

Owns which texts are held out and which are refused. Knows no tokens. Nothing is kept in memory: a corpus of many
gigabytes in `.parquet` passes through.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet

from medbertde.parts import is_fixed_test
from medbertde.report_file import read_reports
from medbertde.schema import schema_ids
from medbertde.text import clean, content_hash
from medbertde.types import InvalidFile, InvalidText, TrainingRefused
from train.augment import cue_sentence, load_lexicon

ANY_LENGTH = 1_000_000_000  # characters: a thesis is longer than a report may be
TEST_MATERIAL = re.compile(r"parrot|grascco|gptnermed|ggponc|bronco|cardio.?de", re.IGNORECASE)
_SUFFIXES = (".csv", ".jsonl", ".parquet", ".txt")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Document:
    """One text, and the family it belongs to where its file names one."""

    text: str
    family: str | None = None

    def is_held_out(self, one_in: int) -> bool:
        """Whether it tests and never trains: the same for copies and for copies with other numbers or dates.

        >>> Document("Kontrolle vom 01.02.").is_held_out(2) == Document("kontrolle vom  13.11.").is_held_out(2)
        True
        """
        key = self.family or _NUMBER.sub("0", self.text.casefold())
        return int(content_hash(key)[:8], 16) % one_in == 0


def documents(paths: Sequence[Path]) -> Iterator[Document]:
    """All documents of report files, `.txt` (one document each), `.parquet` (`text`, `source`) and folders of these.

    Reports of a project's fixed test part are passed over. Raises `InvalidFile` for what cannot be read and
    `TrainingRefused` for material that models are tested on.
    """
    for file in files_of(paths):
        _refuse_test_material(file.stem, file)
        yield from _parquet(file) if file.suffix == ".parquet" else _report_file(file)


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The files themselves: those of a folder in the order of their names; `InvalidFile` for what is not there."""
    found = []
    for path in paths:
        if path.is_dir():
            found += sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
        elif path.is_file():
            found.append(path)
        else:
            raise _unreadable(path)
    return found


def _report_file(path: Path) -> Iterator[Document]:
    for row in read_reports(path.name, path.read_bytes(), max_chars=ANY_LENGTH):
        if row.record is None:
            assert row.fault
            raise InvalidFile(
                f"{path.name}, Zeile {row.number}: {row.fault.de}", f"{path.name}, row {row.number}: {row.fault.en}"
            )
        for source in (row.source, row.record.meta.get("source", "")):
            _refuse_test_material(source, path)
        if is_fixed_test(row.record):
            continue
        yield Document(row.record.text, row.record.meta.get("family"))


def _parquet(path: Path) -> Iterator[Document]:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = [name for name in ("text", "source") if name in file.schema_arrow.names]
            if "text" not in names:
                raise InvalidFile(
                    f"Der Datei {path.name} fehlt die Spalte „text“.", f"The file {path.name} has no column “text”."
                )
            for batch in file.iter_batches(batch_size=4096, columns=names):
                yield from (_row(row, path) for row in batch.to_pylist())
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise _unreadable(path) from error


def _row(row: dict[str, object], path: Path) -> Document:
    _refuse_test_material(str(row.get("source") or ""), path)
    try:
        return Document(clean(str(row["text"] or ""), ANY_LENGTH))
    except InvalidText as error:
        raise InvalidFile(f"{path.name}: {error.de}", f"{path.name}: {error.en}") from error


def _unreadable(path: Path) -> InvalidFile:
    return InvalidFile(
        f"Die Datei {path.name} fehlt oder ist nicht lesbar. Erwartet wird {', '.join(_SUFFIXES)} oder ein Ordner.",
        f"The file {path.name} is missing or cannot be read. Expected is {', '.join(_SUFFIXES)} or a folder.",
    )


def _refuse_test_material(name: str, path: Path) -> None:
    """A model that has read a benchmark's texts cannot be measured on it."""
    found = TEST_MATERIAL.search(name)
    if found:
        raise TrainingRefused(
            f"{path.name}: {found.group()} ist Testmaterial. Damit wird nicht trainiert, auch nicht mit älteren "
            "Fassungen. Bitte diese Quelle weglassen.",
            f"{path.name}: {found.group()} is test material. Nothing is trained on it, nor on older versions of it. "
            "Please leave this source out.",
        )


def cue_texts(number: int, seed: int) -> Iterator[str]:
    """Short statements from the lexicons of all schemas (`data/lexicon.yaml`); equal for equal seeds."""
    rng = random.Random(seed)
    lexicons = [lexicon for schema_id in schema_ids() if (lexicon := load_lexicon(schema_id))]
    return (cue_sentence(rng.choice(lexicons), rng).text for _ in range(number))
