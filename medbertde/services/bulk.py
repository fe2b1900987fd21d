"""The answers of a model to many reports: a file on the command line, by several processes, or uploads on the page.

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
from medbertde.inference.forward import Precision, prepare
from medbertde.inference.mark import mark
from medbertde.inference.runtime import Runtime
from medbertde.privacy.kinds import Kind
from medbertde.report_file import Row
from medbertde.services.access import Access
from medbertde.services.answers import Answer, answer, marked, require_suffix, write_answers
from medbertde.services.journal import Job, Journal, Part
from medbertde.services.report_stream import count_rows, stream_rows
from medbertde.services.screened_records import Gatekeeper, Tally, Treatment, gatekeeper_for, passed
from medbertde.services.screening import screener_of_files
from medbertde.settings import Settings
from medbertde.types import InvalidFile, Notice, Progress, Screened, Task, User

ROWS_PER_BLOCK = 256  # computed together and then on disk; what a kill loses at most
ROWS_PER_STEP = 32  # between two signs of life on the page
_FINGERPRINT = 1024 * 1024  # bytes at each end of the input that tell it from another file
_POLL_S = 0.5
_FOUND = "identifying"  # beside an answer in the journal only: what was replaced in its text, counted by kind
Item = TypeVar("Item")


@dataclass(frozen=True)
class Order:
    """What `predict_file` is asked for. `resume` goes on with an unfinished output, `force` replaces what is there.

    `treatment`: what happens to reports that could show who a person is; None as the policy has it.
    """

    file: Path
    out: Path
    model: str
    resume: bool = False
    force: bool = False
    part: Part = field(default_factory=Part)
    treatment: Treatment | None = None


@dataclass(frozen=True)
class Outcome:
    """How many rows the file has and how many of them are answered; `precision` names the numbers computed with.

    `remarks` counts the answers that carry each code of a notice, `screened` what was replaced in the texts.
    """

    rows: int
    answered: int
    precision: str
    remarks: Mapping[str, int]
    screened: Screened | None


@dataclass(frozen=True)
class Watch:
    """Whom to tell: how far this process is, a row that is left out, and that other processes are waited for."""

    progress: Callable[[Progress], None]
    fault: Callable[[int, Notice], None]
    waiting: Callable[[], None]


def predict_file(order: Order, settings: Settings, watch: Watch) -> Outcome | None:
    """Answer the rows of a file into another one; None for all processes of several but the first, which merges.

    Bad rows are left out and told by the first process. Of an interrupted call the answers stay beside the output.
    """
    require_suffix(order.out)
    _require_free(order)
    gatekeeper = _gatekeeper(settings, order.treatment)
    total = count_rows(order.file)
    model, precision = _load(order.model, settings)
    journal, job = Journal(order.out, order.part), _job(order, model, settings, gatekeeper)
    last = journal.begin(job, resume=order.resume, force=order.force)
    if journal.is_complete(job):
        last = sys.maxsize
    share = _Share(order.part, model, settings.max_chars, gatekeeper, watch)
    _answer_share(share, stream_rows(order.file, settings.max_chars), journal, total, last)
    if not journal.is_complete(job):
        journal.complete()
    if order.part.index:
        return None
    remarks: Counter[str] = Counter()
    replaced = Tally()
    answered = _merge(order, job, model, watch, remarks, replaced)
    return Outcome(total, answered, precision, remarks, replaced.screened(Treatment.REPLACE))


def _require_free(order: Order) -> None:
    if order.out.exists() and not order.force:
        raise InvalidFile(
            f"Die Datei {order.out} gibt es schon. Bitte einen anderen Namen wählen oder sie mit --force ersetzen.",
            f"The file {order.out} is there already. Please choose another name or replace it with --force.",
        )


def _load(name: str, settings: Settings) -> tuple[LoadedModel, str]:
    """The model of this name, which has labels, and the precision it computes in."""
    runtime = Runtime(settings.device, settings.threads, settings.max_chars, settings.precision)
    model = load_checkpoint(resolve(name), runtime.device, name=name)
    if model.task is Task.NER:
        return model, Precision.FP32.value
    require(model, Task.CLASSIFY)
    return model, prepare(model, settings.precision).precision.value


def _job(order: Order, model: LoadedModel, settings: Settings, gatekeeper: Gatekeeper | None) -> Job:
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
        "identifying": str(gatekeeper and gatekeeper.treatment),
    }


def _gatekeeper(settings: Settings, treatment: Treatment | None) -> Gatekeeper | None:
    """Who screens the rows before the model reads them; nobody can be asked, so the default is to hold them back."""
    found = gatekeeper_for(settings.reading_policy, treatment, screener_of_files(settings), settings.max_chars)
    if found is None or found.treatment is Treatment.KEEP:  # the remarks beside the answers say it
        return None
    return replace(found, treatment=found.treatment or Treatment.HOLD)


@dataclass(frozen=True)
class _Share:
    """What one process does with a block of rows."""

    part: Part
    model: LoadedModel
    max_chars: int
    gatekeeper: Gatekeeper | None
    watch: Watch

    def answers(self, block: Sequence[Row]) -> list[Answer]:
        """The answers to the rows of a block that may be read; a row that is held back is told."""
        screened = [self.gatekeeper.row(row) if self.gatekeeper else (row, Counter[Kind]()) for row in block]
        for before, (after, _) in zip(block, screened, strict=True):
            if after.fault and not before.fault:
                self.watch.fault(after.number, after.fault)
        found = {row.number: kinds for row, kinds in screened if kinds}
        answers = _answers(self.model, [row for row, _ in screened], self.max_chars)
        return [{**each, _FOUND: found[_row(each)]} if _row(each) in found else each for each in answers]


def _answer_share(share: _Share, rows: Iterator[Row], journal: Journal, total: int, last: int) -> None:
    """Compute this process's blocks from after row `last` on and write each as it is done."""
    whole = sum(min(ROWS_PER_BLOCK, total - start) for start in _starts(share.part, total))
    done = 0
    for number, block in enumerate(_blocks(rows, ROWS_PER_BLOCK)):
        if share.part.index == 0:
            for row in block:
                if row.fault:
                    share.watch.fault(row.number, row.fault)
        if share.part.owns(number):
            journal.write(share.answers([row for row in block if row.number > last]))
            done += len(block)
            share.watch.progress(Progress(done, whole))


def _starts(part: Part, total: int) -> Iterator[int]:
    return (start for start in range(0, total, ROWS_PER_BLOCK) if part.owns(start // ROWS_PER_BLOCK))


def _blocks(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while block := list(islice(items, size)):
        yield block


def _answers(model: LoadedModel, rows: Sequence[Row], max_chars: int) -> list[Answer]:
    """The answers to the rows that can be read."""
    good = [row for row in rows if row.record]
    texts = [row.record.text for row in good if row.record]
    if model.task is Task.NER:
        return [marked(row, found) for row, found in zip(good, mark(model, texts, max_chars=max_chars), strict=True)]
    predictions = classify(model, texts, max_chars=max_chars)
    return [answer(row, prediction, model.thresholds) for row, prediction in zip(good, predictions, strict=True)]


def _merge(order: Order, job: Job, model: LoadedModel, watch: Watch, remarks: Counter[str], replaced: Tally) -> int:
    """Wait for all parts and write them in the order of the rows, beside and renamed; how many answers there are.

    Adds their notices to `remarks`, and to `replaced` what stands in their texts no more.
    """
    journals = [Journal(order.out, Part(index, order.part.count)) for index in range(order.part.count)]
    if not all(journal.is_complete(job) for journal in journals):
        watch.waiting()
    while not all(journal.is_complete(job) for journal in journals):
        time.sleep(_POLL_S)
    answers = _noted(heapq.merge(*(journal.answers() for journal in journals), key=_row), remarks, replaced)
    partial = order.out.with_name(f".{order.out.name}.partial-{uuid.uuid4().hex[:8]}")
    try:
        labels = None if model.task is Task.NER else tuple(model.thresholds)
        count = write_answers(partial, answers, labels, suffix=order.out.suffix.lower())
        partial.replace(order.out)
    finally:
        partial.unlink(missing_ok=True)
    for journal in journals:
        journal.remove()
    return count


def _noted(answers: Iterator[Answer], remarks: Counter[str], replaced: Tally) -> Iterator[Answer]:
    for each in answers:
        remarks.update(each["warnings"])
        replaced.add(Counter({Kind(kind): count for kind, count in each.get(_FOUND, {}).items()}))
        yield {name: value for name, value in each.items() if name != _FOUND}


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

    def classify(
        self, user: User, schema_id: str, files: Sequence[Path], treatment: Treatment | None = None
    ) -> Iterator[Step]:
        """The answers to all rows of the files, numbered through; closing the iterator stops the computation.

        `treatment` as in `Order`.
        The first step has no rows: it says how many there are to come, after everything that can be refused.
        """
        self.access.require_terms(user)
        gatekeeper = _gatekeeper(self.settings, treatment)
        model = self.runtime.model_for(schema_id)
        total = self._count(files)
        done = 0
        yield Step(done, total)
        for rows in _blocks(passed(_numbered(files, self.settings.max_chars), gatekeeper), ROWS_PER_STEP):
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
