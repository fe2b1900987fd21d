"""Classifying many reports: a file of any size on the command line, by several processes, or uploads on the page.

Owns the order of work: what is refused before anything is computed, who computes what, and that the output is there as
a whole or not at all. Memory does not grow with the file.
"""

from __future__ import annotations

import hashlib
import heapq
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

from medbertde.inference.catalogue import resolve
from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.classify import classify, require
from medbertde.inference.forward import prepare
from medbertde.inference.runtime import Runtime
from medbertde.report_file import Row
from medbertde.services.access import Access
from medbertde.services.answers import Answer, answer, require_suffix, write_answers
from medbertde.services.journal import Job, Journal, Part
from medbertde.services.report_stream import count_rows, stream_rows
from medbertde.settings import Settings
from medbertde.types import InvalidFile, Notice, Progress, Task, User

ROWS_PER_BLOCK = 256  # computed together and then on disk; what a kill loses at most
ROWS_PER_STEP = 32  # between two signs of life on the page
_FINGERPRINT = 1024 * 1024  # bytes at each end of the input that tell it from another file
_POLL_S = 0.5
Item = TypeVar("Item")


@dataclass(frozen=True)
class Order:
    """What `predict_file` is asked for. `resume` goes on with an unfinished output, `force` replaces what is there."""

    file: Path
    out: Path
    model: str
    resume: bool = False
    force: bool = False
    part: Part = field(default_factory=Part)


@dataclass(frozen=True)
class Outcome:
    """How many rows the file has and how many of them are answered; `precision` names the numbers computed with.

    `remarks` counts the answers that carry each code of a notice.
    """

    rows: int
    answered: int
    precision: str
    remarks: Mapping[str, int]


@dataclass(frozen=True)
class Watch:
    """Whom to tell: how far this process is, a row that is left out, and that other processes are waited for."""

    progress: Callable[[Progress], None]
    fault: Callable[[int, Notice], None]
    waiting: Callable[[], None]


def predict_file(order: Order, settings: Settings, watch: Watch) -> Outcome | None:
    """Classify the rows of a file into another one; None for all processes of several but the first, which merges.

    Bad rows are left out and told by the first process. Of an interrupted call the answers stay beside the output.
    """
    require_suffix(order.out)
    _require_free(order)
    total = count_rows(order.file)
    model, precision = _load(order.model, settings)
    journal, job = Journal(order.out, order.part), _job(order, model, settings)
    last = journal.begin(job, resume=order.resume, force=order.force)
    if journal.is_complete(job):
        last = sys.maxsize
    _answer_share(order, settings, model, journal, total, last, watch)
    if not journal.is_complete(job):
        journal.complete()
    if order.part.index:
        return None
    remarks: Counter[str] = Counter()
    return Outcome(total, _merge(order, job, model, watch, remarks), precision, remarks)


def _require_free(order: Order) -> None:
    if order.out.exists() and not order.force:
        raise InvalidFile(
            f"Die Datei {order.out} gibt es schon. Bitte einen anderen Namen wählen oder sie mit --force ersetzen.",
            f"The file {order.out} is there already. Please choose another name or replace it with --force.",
        )


def _load(name: str, settings: Settings) -> tuple[LoadedModel, str]:
    """The classifier of this name and the precision it computes in."""
    runtime = Runtime(settings.device, settings.threads, settings.max_chars, settings.precision)
    model = load_checkpoint(resolve(name), runtime.device, name=name)
    require(model, Task.CLASSIFY)
    return model, prepare(model, settings.precision).precision.value


def _job(order: Order, model: LoadedModel, settings: Settings) -> Job:
    """What the answers depend on. Neither machine nor precision: both move them within the tolerance only."""
    size = order.file.stat().st_size
    with order.file.open("rb") as file:
        ends = file.read(_FINGERPRINT)
        file.seek(max(0, size - _FINGERPRINT))
        ends += file.read()
    return {
        "model": model.version,
        "bytes": size,
        "ends": hashlib.sha256(ends).hexdigest(),
        "max_chars": settings.max_chars,
        "parts": order.part.count,
    }


def _answer_share(
    order: Order, settings: Settings, model: LoadedModel, journal: Journal, total: int, last: int, watch: Watch
) -> None:
    """Compute this process's blocks from after row `last` on and write each as it is done."""
    share = sum(min(ROWS_PER_BLOCK, total - start) for start in _starts(order.part, total))
    done = 0
    for number, block in enumerate(_blocks(stream_rows(order.file, settings.max_chars), ROWS_PER_BLOCK)):
        if order.part.index == 0:
            for row in block:
                if row.fault:
                    watch.fault(row.number, row.fault)
        if order.part.owns(number):
            journal.write(_answers(model, [row for row in block if row.number > last], settings.max_chars))
            done += len(block)
            watch.progress(Progress(done, share))


def _starts(part: Part, total: int) -> Iterator[int]:
    return (start for start in range(0, total, ROWS_PER_BLOCK) if part.owns(start // ROWS_PER_BLOCK))


def _blocks(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while block := list(islice(items, size)):
        yield block


def _answers(model: LoadedModel, rows: Sequence[Row], max_chars: int) -> list[Answer]:
    """The answers to the rows that can be read."""
    good = [row for row in rows if row.record]
    predictions = classify(model, [row.record.text for row in good if row.record], max_chars=max_chars)
    return [answer(row, prediction, model.thresholds) for row, prediction in zip(good, predictions, strict=True)]


def _merge(order: Order, job: Job, model: LoadedModel, watch: Watch, remarks: Counter[str]) -> int:
    """Wait for all parts and write them in the order of the rows, beside and renamed; how many answers there are.

    Adds their notices to `remarks`.
    """
    journals = [Journal(order.out, Part(index, order.part.count)) for index in range(order.part.count)]
    if not all(journal.is_complete(job) for journal in journals):
        watch.waiting()
    while not all(journal.is_complete(job) for journal in journals):
        time.sleep(_POLL_S)
    answers = _noted(heapq.merge(*(journal.answers() for journal in journals), key=_row), remarks)
    partial = order.out.with_name(f".{order.out.name}.partial-{uuid.uuid4().hex[:8]}")
    try:
        count = write_answers(partial, answers, tuple(model.thresholds), suffix=order.out.suffix.lower())
        partial.replace(order.out)
    finally:
        partial.unlink(missing_ok=True)
    for journal in journals:
        journal.remove()
    return count


def _noted(answers: Iterator[Answer], remarks: Counter[str]) -> Iterator[Answer]:
    for each in answers:
        remarks.update(each["warnings"])
        yield each


def _row(answer: Answer) -> int:
    return int(answer["row"])


# ------------------------------------------------------------------------------------------------ the page


@dataclass(frozen=True)
class Step:
    """A step of a batch on the page: rows answered since the last one and rows that were left out, with reasons."""

    done: int
    total: int
    rows: tuple[Row, ...] = ()
    answers: tuple[Answer, ...] = ()
    faults: tuple[tuple[int, Notice], ...] = ()


@dataclass(frozen=True)
class Batch:
    """Many reports of one user at once, by the model that is active when it begins."""

    runtime: Runtime
    access: Access
    settings: Settings

    def classify(self, user: User, schema_id: str, files: Sequence[Path]) -> Iterator[Step]:
        """The answers to all rows of the files, numbered through; closing the iterator stops the computation.

        The first step has no rows: it says how many there are to come, after everything that can be refused.
        """
        self.access.require_terms(user)
        model = self.runtime.model_for(schema_id)
        total = self._count(files)
        done = 0
        yield Step(done, total)
        for rows in _blocks(_numbered(files, self.settings.max_chars), ROWS_PER_STEP):
            answers = _answers(model, rows, self.settings.max_chars)
            done += len(rows)
            yield Step(
                done=done,
                total=total,
                rows=tuple(row for row in rows if row.record),
                answers=tuple(answers),
                faults=tuple((row.number, row.fault) for row in rows if row.fault),
            )

    def _count(self, files: Sequence[Path]) -> int:
        """How many rows there are; `InvalidFile` where the files are too large or too many rows."""
        if not files:
            raise InvalidFile("Bitte zuerst eine Datei wählen.", "Please choose a file first.")
        size_mb, most_mb = sum(file.stat().st_size for file in files) / 1024 / 1024, self.settings.max_upload_mb
        if size_mb > most_mb:
            raise InvalidFile(
                f"Die Dateien haben zusammen {size_mb:.0f} MB, erlaubt sind {most_mb} MB. Bitte aufteilen.",
                f"The files have {size_mb:.0f} MB together, {most_mb} MB are allowed. Please split them.",
            )
        total, most = sum(count_rows(file) for file in files), self.settings.max_import_rows
        if total > most:
            raise InvalidFile(
                f"Die Dateien enthalten {total} Befunde, erlaubt sind {most}. Bitte aufteilen.",
                f"The files hold {total} reports, {most} are allowed. Please split them.",
            )
        return total


def _numbered(files: Sequence[Path], max_chars: int) -> Iterator[Row]:
    """The rows of all files, numbered through where there are several; a text file's name is its id."""
    before = 0
    for file in files:
        number = 0
        for number, row in enumerate(stream_rows(file, max_chars), start=1):
            record = row.record
            if record and file.suffix.lower() == ".txt":
                record = replace(record, id=file.stem[:200])
            yield replace(row, number=row.number if len(files) == 1 else before + number, record=record)
        before += number
