"""Throughput, memory and accuracy of the corpus pipeline on synthesised text.

    python -m tests.bench_corpus --megabytes 1000 --folder /tmp/corpus-bench

Not a test: it writes two sources (`.jsonl`, `.parquet`) of recombined sentences from data/reports with header, footer
and signature, of which known shares are exact copies (other white space) and near copies (a few words exchanged) of an
earlier document of the same or the other source. Each document carries a number by which it is found again in the
result. Near copies count from the Jaccard similarity of their cleaned shingles, computed exactly. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from medbertde.report_file import read_records
from medbertde.settings import ROOT
from train.corpus_duplicates import shingles
from train.corpus_text import split_sentences

REPORTS = ("chest_xray", "chest_ct", "clinical_text")
EXACT_SHARE = 0.10
NEAR_SHARE = 0.10
POOL = 20_000  # earlier documents that copies are drawn from
SURNAMES = ("Huber", "Maier", "Çelik", "Nowak", "Lindner", "Oßwald", "von der Heide", "Brandt-Köhler")


@dataclass
class Truth:
    """What was written: numbers of originals, how many exact copies, similarity of each near copy."""

    originals: set[str] = field(default_factory=set)
    exact: int = 0
    near: dict[str, float] = field(default_factory=dict)
    bytes: int = 0
    documents: int = 0


def sentence_pool() -> list[str]:
    """All different sentences of the project's own reports, the test files left out."""
    paths = [ROOT / "data" / "reports" / f"{name}.jsonl" for name in REPORTS]
    found = {sentence for path in paths for record in read_records(path) for sentence in split_sentences(record.text)}
    return sorted(sentence for sentence in found if len(sentence.split()) >= 3)


def documents(pool: list[str], size: int, rng: random.Random, earlier: list[list[str]], truth: Truth) -> Iterator[str]:
    """Documents of about `size` bytes together; originals may join `earlier`."""
    written = 0
    while written < size:
        truth.documents += 1
        number = f"U{truth.documents:09}"
        chance = rng.random()
        if earlier and chance < EXACT_SHARE:
            body = rng.choice(earlier)
            truth.exact += 1
        elif earlier and chance < EXACT_SHARE + NEAR_SHARE:
            body = near_copy(number, rng.choice(earlier), rng, truth)
        else:
            body = [f"Untersuchung {number}.", *(vary(rng.choice(pool), rng) for _ in range(rng.randint(6, 16)))]
            truth.originals.add(number)
            if len(earlier) < POOL:
                earlier.append(body)
            else:
                earlier[rng.randrange(POOL)] = body
        text = page(body, rng)
        written += len(text.encode())
        truth.bytes += len(text.encode())
        yield text


def vary(sentence: str, rng: random.Random) -> str:
    """The sentence with other digits, and now and then a word in place of another."""
    words = re.sub(r"\d", lambda _: str(rng.randint(0, 9)), sentence).split()
    if rng.random() < 0.3:
        words[rng.randrange(len(words))] = (
            f"{rng.choice(words).strip('.,').lower()}{rng.choice(('e', 'en', 'er', 's'))}"
        )
    return " ".join(words)


def near_copy(number: str, body: list[str], rng: random.Random, truth: Truth) -> list[str]:
    """The sentences with another number and one to ten words exchanged."""
    copy = [f"Untersuchung {number}.", *body[1:]]
    for _ in range(rng.randint(1, 10)):
        place = rng.randrange(1, len(copy))
        words = copy[place].split()
        words[rng.randrange(len(words))] = f"wort{rng.randrange(1000)}"
        copy[place] = " ".join(words)
    first, second = (set(shingles(" ".join(lines), 3)) for lines in (body, copy))
    truth.near[number] = len(first & second) / len(first | second)
    return copy


def page(body: list[str], rng: random.Random) -> str:
    """The sentences between header, page number, footer and signature, with some line breaks."""
    lines = [
        "Klinikum am Berg – Radiologie",
        f"Befund vom {rng.randint(1, 28):02}.{rng.randint(1, 12):02}.2024",
        "",
        body[0],
    ]
    for sentence in body[1:]:
        if lines[-1] != body[0] and rng.random() < 0.3:
            lines.append(sentence)
        else:
            lines[-1] += (" " if rng.random() < 0.9 else "  ") + sentence
    lines += ["", "Mit freundlichen Grüßen", f"Dr. med. {rng.choice(SURNAMES)}", f"Seite {rng.randint(1, 3)} von 3"]
    return "\n".join(lines)


def write_sources(folder: Path, megabytes: float, seed: int) -> Truth:
    """`first.jsonl` (60 %) and `second.parquet`."""
    rng, truth, pool = random.Random(seed), Truth(), sentence_pool()
    earlier: list[list[str]] = []
    with (folder / "first.jsonl").open("w", encoding="utf-8") as file:
        for text in documents(pool, int(megabytes * 600_000), rng, earlier, truth):
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    schema = pa.schema([("text", pa.string())])
    with pq.ParquetWriter(folder / "second.parquet", schema) as writer:
        batch: list[str] = []
        for text in documents(pool, int(megabytes * 400_000), rng, earlier, truth):
            batch.append(text)
            if len(batch) == 5_000:
                writer.write_table(pa.table({"text": batch}, schema=schema))
                batch = []
        writer.write_table(pa.table({"text": batch}, schema=schema))
    return truth


class Memory(threading.Thread):
    """The largest sums of RSS (shared pages counted in each process) and PSS (once) of a process and its children."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process(pid)
        self.rss = self.pss = 0

    def run(self) -> None:
        while True:
            try:
                family = [self._process, *self._process.children(recursive=True)]
                used = [process.memory_full_info() for process in family]
            except psutil.NoSuchProcess:
                if not self._process.is_running() or self._process.status() == psutil.STATUS_ZOMBIE:
                    return
                continue
            self.rss = max(self.rss, sum(item.rss for item in used))
            self.pss = max(self.pss, sum(item.pss for item in used))
            time.sleep(0.3)


def measure(folder: Path, truth: Truth, processes: int) -> dict[str, str]:
    """Run the job as a user does and compare its result with the truth."""
    sources = [str(folder / name) for name in ("first.jsonl", "second.parquet")]
    command = [sys.executable, "-m", "train.corpus", *sources, "--out", str(folder / "out")]
    start = time.perf_counter()
    job = subprocess.Popen([*command, "--processes", str(processes)], cwd=ROOT)
    memory = Memory(job.pid)
    memory.start()
    if job.wait():
        raise SystemExit("the job failed")
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime + used.ru_stime
    facts = json.loads((folder / "out" / "statistics.json").read_text(encoding="utf-8"))["sources"]
    kept = kept_numbers(folder / "out")
    exact, copies_left = sum(source["exact"] for source in facts), kept.total() - len(kept)
    near = [number for number, similarity in truth.near.items() if similarity >= 0.72]
    clear = [number for number, similarity in truth.near.items() if similarity >= 0.8]
    below = [number for number, similarity in truth.near.items() if similarity < 0.72]
    return {
        "text": f"{truth.bytes / 1e6:,.0f} MB, {truth.documents:,} documents",
        "time": f"{seconds:,.0f} s",
        "throughput": f"{truth.bytes / 1e6 / seconds:.1f} MB/s with {processes} processes",
        "CPU time": f"{cpu_s:,.0f} s: {truth.bytes / 1e6 / cpu_s:.1f} MB per second of one core",
        "peak memory, all processes": f"{memory.pss / 1e9:.2f} GB PSS, {memory.rss / 1e9:.2f} GB RSS",
        "exact copies removed": f"{truth.exact - copies_left:,} of {truth.exact:,}, {exact:,} of them as exact",
        "near copies (Jaccard ≥ 0.72) found": found(near, kept),
        "near copies (Jaccard ≥ 0.80) found": found(clear, kept),
        "copies below 0.72 removed": found(below, kept),
        "originals removed": found(truth.originals, kept),
        "boiler-plate lines cut": str([list(source["boilerplate"]) for source in facts]),
    }


def kept_numbers(out: Path) -> Counter[str]:
    """The numbers of the documents in the result, and how often each is there."""
    number = re.compile(r"Untersuchung (U\d{9})\.")
    texts = (text for path in sorted(out.glob("*.parquet")) for text in pq.read_table(path)["text"].to_pylist())
    return Counter(match[1] for text in texts if (match := number.search(text)))


def found(numbers: list[str] | set[str], kept: Counter[str]) -> str:
    """How many of `numbers` are gone."""
    gone = sum(number not in kept for number in numbers)
    return f"{gone:,} of {len(numbers):,} ({gone / max(1, len(numbers)):.2%})"


def main() -> None:
    """Write, run, print, delete."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=1000, help="text to synthesise")
    parser.add_argument("--folder", type=Path, required=True, help="folder for texts and result; deleted at the end")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="worker processes of the job")
    parser.add_argument("--seed", type=int, default=1, help="seed of the synthesis")
    args = parser.parse_args()
    args.folder.mkdir(parents=True)
    try:
        truth = write_sources(args.folder, args.megabytes, args.seed)
        for name, value in measure(args.folder, truth, args.processes).items():
            print(f"| {name} | {value} |")
    finally:
        shutil.rmtree(args.folder)


if __name__ == "__main__":
    main()
