"""Build a pretraining corpus: read, clean, mask names, remove duplicates, count.

    python -m train.corpus radiology=reports/ wiki.parquet letters.zip owner/dataset:train --out build/corpus

A source is a file (.txt, .zip of .txt, .jsonl, .csv, .parquet), a folder of these, or the id of a Hub data set; where
two sources hold the same text, the first one named keeps it. Three passes, each by several processes:

1. read: every source once, rows → NFC text; count the lines that may be header, footer or signature
2. clean: cut page numbers and lines that many documents of a source share, mask names, hash and sign each document
3. write: what is left after exact and near duplicates (MinHash, LSH), with sentences and words counted

The folder holds `part-00000.parquet` (or `.jsonl`) with `text` and `source`, and `statistics.json`. It is written
beside its place and renamed at the end; the result is the same for any number of processes. Masking names is NO
de-identification. docs/corpus.md has the figures.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import NoReturn

import numpy as np

from medbertde.types import InvalidFile, TrainingRefused, UserError
from train.corpus_duplicates import PERMUTATIONS, Mask, exact_duplicates, near_duplicates
from train.corpus_formats import Division, Reading
from train.corpus_passes import CleanTask, ReadTask, Shard, clean_part, read_part, write_shard
from train.corpus_sources import HARMLESS, Source, batches, parse_sources
from train.corpus_statistics import SourceStatistics, table
from train.corpus_workers import Workers, open_workers

FEWEST_REPEATS = 10  # documents a line must occur in before it can be boiler-plate
MOST_LINES = 1_000_000  # distinct lines that are counted at a time
NOT_SETTINGS = ("sources", "out", "processes")  # the statistics are the same wherever and however it ran


@dataclass(frozen=True)
class CorpusConfig:
    """What a run does; `main` explains each value in its `--help`."""

    sources: list[str]
    out: Path
    text_column: str = "text"
    txt: str = Division.FILE.value
    max_chars: int = 2_000_000
    max_skipped: float = 0.05
    boilerplate: float = 0.2
    keep_names: bool = False
    threshold: float = 0.72
    shingle: int = 3
    sentence_lines: bool = False
    format: str = "parquet"
    shard_mb: int = 128
    seed: int = 42
    processes: int = field(default_factory=lambda: os.cpu_count() or 1)


@dataclass(frozen=True)
class Part:
    """A file between two passes: some documents of one source."""

    path: Path
    source: int
    documents: int


@dataclass(frozen=True)
class Run:
    """What all passes need: the configuration, the folder they work in, the processes, and the counts they add to."""

    config: CorpusConfig
    sources: Sequence[Source]
    statistics: Sequence[SourceStatistics]  # one per source
    work: Path
    workers: Workers


def build(config: CorpusConfig) -> Sequence[SourceStatistics]:
    """Run the job; returns the statistics of each source, which are in the folder, too."""
    _check(config)
    sources = parse_sources(config.sources)
    statistics = [SourceStatistics(source.name) for source in sources]
    with _work_folder(config.out) as work, open_workers(config.processes) as workers:
        run = Run(config, sources, statistics, work, workers)
        parts, repeated = _read(run)
        sizes = _clean(run, parts, repeated)
        keep = _deduplicate(run, parts)
        _write(run, parts, sizes, keep)
        _finish(run)
    return statistics


def _check(config: CorpusConfig) -> None:
    """Refuse values that cannot work, and a folder that is already there."""
    works = {
        "--threshold": 0 < config.threshold <= 1,
        "--boilerplate": 0 <= config.boilerplate <= 1,
        "--max-skipped": 0 <= config.max_skipped <= 1,
        "--max-chars": config.max_chars >= 1,
        "--shingle": config.shingle >= 1,
        "--shard-mb": config.shard_mb >= 1,
        "--processes": config.processes >= 1,
        "--seed": 0 <= config.seed < 2**63,
    }
    for name, fine in works.items():
        if not fine:
            value = getattr(config, name[2:].replace("-", "_"))
            _refuse(f"{name} {value} ist kein möglicher Wert.", f"{name} {value} is not a possible value.")
    if config.out.exists() and (not config.out.is_dir() or any(config.out.iterdir())):
        _refuse(
            f"{config.out} gibt es schon. Bitte löschen oder mit --out einen anderen Ordner nennen.",
            f"{config.out} is already there. Please delete it or name another folder with --out.",
        )


def _refuse(de: str, en: str) -> NoReturn:
    raise TrainingRefused(de, en)


@contextmanager
def _work_folder(out: Path) -> Iterator[Path]:
    """A hidden folder beside the place of the result, on the same disk; it goes however the run ends."""
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


# ---------------------------------------------------------------------------------------------- pass 1: read


def _read(run: Run) -> tuple[list[Part], list[frozenset[int]]]:
    """The parts with NFC texts, and per source the hashes of the lines that many of its documents share."""
    parts: list[Part] = []
    repeated = []
    for number, (source, found) in enumerate(zip(run.sources, run.statistics, strict=True)):
        lines: Counter[int] = Counter()
        documents = 0
        for result in run.workers.run(read_part, _read_tasks(run, source, len(parts)), f"read {source.name}"):
            parts.append(Part(result.path, number, result.documents))
            documents += result.documents
            found.read += result.documents + result.skipped.total()
            found.skipped += result.skipped
            lines.update(result.edge_lines)
            _forget_rare(lines)
        _check_source(found, documents, run.config.max_skipped)
        needed = max(FEWEST_REPEATS, math.ceil(run.config.boilerplate * documents))
        repeated.append(frozenset(line for line, count in lines.items() if count >= needed))
    return parts, repeated


def _read_tasks(run: Run, source: Source, first: int) -> Iterator[ReadTask]:
    reading = Reading(run.config.text_column, Division(run.config.txt), run.config.max_chars)
    for number, rows in enumerate(batches(source, reading), start=first):
        yield ReadTask(rows, reading, run.work / f"part-{number:06}.parquet", run.config.boilerplate > 0)


def _forget_rare(lines: Counter[int]) -> None:
    """Bound the memory of counting: a line that many documents share comes back before it is forgotten again."""
    fewest = 1
    while len(lines) > MOST_LINES:
        for line in [line for line, count in lines.items() if count <= fewest]:
            del lines[line]
        fewest *= 2


def _check_source(found: SourceStatistics, documents: int, max_skipped: float) -> None:
    """Refuse a source that gave nothing, or of which too much could not be read."""
    reasons = ", ".join(f"{count}× {reason}" for reason, count in sorted(found.skipped.items())) or "–"
    if not documents:
        raise InvalidFile(
            f"Die Quelle {found.name} enthält keinen Text (übersprungen: {reasons}).",
            f"The source {found.name} holds no text (skipped: {reasons}).",
        )
    unread = sum(count for reason, count in found.skipped.items() if reason not in HARMLESS)
    if unread > max_skipped * found.read:
        raise InvalidFile(
            f"Von den {found.read} Dokumenten der Quelle {found.name} sind {unread} nicht lesbar ({reasons}), erlaubt "
            f"ist ein Anteil von {max_skipped:g}. Bitte Kodierung (UTF-8) und Spalte prüfen; --max-skipped lässt mehr "
            "zu.",
            f"Of the {found.read} documents of the source {found.name}, {unread} cannot be read ({reasons}); a share "
            f"of {max_skipped:g} is allowed. Please check encoding (UTF-8) and column; --max-skipped allows more.",
        )


# --------------------------------------------------------------------------------------------- pass 2: clean


def _clean(run: Run, parts: Sequence[Part], repeated: Sequence[frozenset[int]]) -> list[int]:
    """Clean all parts in place and write hashes and signatures to files; returns the bytes of text per part."""
    config = run.config
    tasks = (
        CleanTask(part.path, repeated[part.source], not config.keep_names, config.shingle, config.seed)
        for part in parts
    )
    sizes = []
    with (run.work / "hashes").open("wb") as hashes, (run.work / "signatures").open("wb") as signatures:
        results = run.workers.run(clean_part, tasks, "clean", total=len(parts))
        for part, result in zip(parts, results, strict=True):
            hashes.write(result.hashes.tobytes())
            signatures.write(result.signatures.tobytes())
            run.statistics[part.source].names += result.names
            run.statistics[part.source].boilerplate += result.cut_lines
            sizes.append(result.bytes)
    return sizes


def _deduplicate(run: Run, parts: Sequence[Part]) -> list[Mask]:
    """Which documents of each part stay."""
    exact = exact_duplicates(np.fromfile(run.work / "hashes", dtype=np.uint64).reshape(-1, 2))
    signed = np.memmap(run.work / "signatures", dtype=np.uint32, mode="r").reshape(-1, PERMUTATIONS)
    print(f"find near duplicates among {int((~exact).sum()):,} documents", file=sys.stderr, flush=True)
    near = near_duplicates(signed.view(np.ndarray), ~exact, run.config.threshold)
    ends = np.cumsum([part.documents for part in parts])[:-1]
    exact_parts, near_parts, kept_parts = (np.split(mask, ends) for mask in (exact, near, ~(exact | near)))
    for part, part_exact, part_near in zip(parts, exact_parts, near_parts, strict=True):
        run.statistics[part.source].exact += int(part_exact.sum())
        run.statistics[part.source].near += int(part_near.sum())
    return kept_parts


# --------------------------------------------------------------------------------------------- pass 3: write


def _write(run: Run, parts: Sequence[Part], sizes: Sequence[int], keep: Sequence[Mask]) -> None:
    """Write the shards and count what is in them."""
    folder = run.work / "corpus"
    folder.mkdir()
    kept = [size * float(mask.mean()) if len(mask) else 0.0 for size, mask in zip(sizes, keep, strict=True)]
    groups = shard_groups(kept, run.config.shard_mb * 1e6)
    tasks = (
        Shard(
            folder / f"part-{number:05}.{run.config.format}",
            [(parts[part].path, run.sources[parts[part].source].name, keep[part]) for part in group],
            run.config.sentence_lines,
        )
        for number, group in enumerate(groups)
    )
    results = run.workers.run(write_shard, tasks, "write", total=len(groups))
    for group, counts in zip(groups, results, strict=True):
        for part, written in zip(group, counts, strict=True):
            found = run.statistics[parts[part].source]
            found.documents += written.documents
            found.sentences += written.sentences
            found.words += written.words
            found.bytes += written.bytes


def shard_groups(sizes: Sequence[float], shard_bytes: float) -> list[list[int]]:
    """The numbers of the parts that make each shard: neighbours, until the shard has its size; empty parts are none.

    >>> shard_groups([3, 3, 0, 3, 1], 6)
    [[0, 1], [3, 4]]
    """
    groups: list[list[int]] = []
    room = 0.0
    for number, size in enumerate(sizes):
        if not size:
            continue
        if room <= 0:
            groups.append([])
            room = shard_bytes
        groups[-1].append(number)
        room -= size
    return groups


def _finish(run: Run) -> None:
    """Write the statistics, then take the whole folder to its place."""
    settings = {name: value for name, value in asdict(run.config).items() if name not in NOT_SETTINGS}
    facts = {"settings": settings, "sources": [found.facts() for found in run.statistics]}
    text = json.dumps(facts, ensure_ascii=False, indent=2)
    (run.work / "corpus" / "statistics.json").write_text(text + "\n", encoding="utf-8")
    (run.work / "corpus").rename(run.config.out)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="file, folder or Hub id; NAME=SOURCE names it")
    parser.add_argument("--out", type=Path, required=True, help="folder for the corpus; must not be there yet")
    parser.add_argument("--text-column", help="column or JSON field with the text")
    parser.add_argument("--txt", choices=[way.value for way in Division], help="what one document is in a .txt file")
    parser.add_argument("--max-chars", type=int, help="longest document in characters; a longer one is skipped")
    parser.add_argument("--max-skipped", type=float, help="largest share of unreadable documents in a source")
    parser.add_argument(
        "--boilerplate",
        type=float,
        help="share of the documents of a source (at least 10 of them) that must have a line at their start or end, or "
        "beside a page number, for it to be cut; 0: cut page numbers only",
    )
    parser.add_argument("--keep-names", action="store_true", help="do not mask names")
    parser.add_argument("--threshold", type=float, help="Jaccard similarity from which a document is a near duplicate")
    parser.add_argument("--shingle", type=int, help="words per shingle, the unit that similarity is counted in")
    parser.add_argument("--sentence-lines", action="store_true", help="write each sentence on a line of its own")
    parser.add_argument("--format", choices=("parquet", "jsonl"), help="kind of the files that are written")
    parser.add_argument("--shard-mb", type=int, help="size of one file in MB of text")
    parser.add_argument("--seed", type=int, help="seed of the hash functions")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="worker processes; default: cores")
    parser.set_defaults(**{item.name: item.default for item in fields(CorpusConfig) if item.default is not MISSING})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as a batch system ends a job: clean up, too
    try:
        statistics = build(CorpusConfig(**vars(parser.parse_args())))
    except UserError as error:
        raise SystemExit(str(error)) from None
    print(table(statistics))
    for found in statistics:
        for reason, count in sorted(found.skipped.items()):
            print(f"{found.name}: {count:,} skipped, {reason}")


if __name__ == "__main__":
    main()
