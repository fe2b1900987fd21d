"""The unfinished output of a bulk prediction: one file per process, beside the output, that survives a kill.

Owns the rule that nothing is written twice and never half a line. A journal begins with a line that says what it
belongs to, holds one answer per line in rising row order, and ends with a line that says it is complete.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from medbertde.services.answers import Answer, json_line
from medbertde.types import Conflict, InvalidFile

Job = Mapping[str, Any]  # what the answers depend on: model version, precision, input file, number of processes
_COMPLETE = {"complete": True}


@dataclass(frozen=True)
class Part:
    """One process of several that share a file: number `index` of `count`, from 0."""

    index: int = 0
    count: int = 1

    def owns(self, block: int) -> bool:
        """Whether this process computes the block of this number."""
        return block % self.count == self.index


@dataclass(frozen=True)
class Journal:
    """The journal of one part of the output `out`."""

    out: Path
    part: Part

    @property
    def path(self) -> Path:
        """A hidden file beside the output."""
        return self.out.with_name(f".{self.out.name}.part-{self.part.index}-of-{self.part.count}")

    def begin(self, job: Job, *, resume: bool, force: bool) -> int:
        """Start, or go on with what is there; returns the last row that is written (0: none).

        `Conflict` when there is something and neither `resume` nor `force` says what to do with it, or when it belongs
        to another job.
        """
        if force or not self._others_or_own() or self._is_blank():
            self._clear()
        elif not resume:
            raise _unfinished(self.out)
        elif not self.path.exists() or self._header() != dict(job):
            raise _of_another_job(self.out)
        else:
            return self._cut_to_last_line()
        self._append([json.dumps(job, ensure_ascii=False) + "\n"])
        return 0

    def write(self, answers: Iterable[Answer]) -> None:
        """Append a block of answers; on disk, or at least with the operating system, when this returns."""
        self._append(map(json_line, answers))

    def complete(self) -> None:
        """Say that this part has all its answers."""
        self._append([json.dumps(_COMPLETE) + "\n"])

    def is_complete(self, job: Job) -> bool:
        """Whether this part of this very job has all its answers."""
        if not self.path.exists() or self._header() != dict(job):
            return False
        with self.path.open("rb") as file:
            end = (json.dumps(_COMPLETE) + "\n").encode()
            file.seek(max(0, self.path.stat().st_size - len(end)))
            return file.read() == end

    def answers(self) -> Iterator[Answer]:
        """The answers that are there, in their order."""
        with self.path.open(encoding="utf-8") as file:
            next(file)
            for line in file:
                found = json.loads(line)
                if found != _COMPLETE:
                    yield found

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)

    def _append(self, lines: Iterable[str]) -> None:
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.writelines(lines)

    def _others_or_own(self) -> list[Path]:
        """Journals of this output whatever their part; of other parts of the same number only those of this process."""
        found = self.out.parent.glob(f".{_escaped(self.out.name)}.part-*-of-*")
        return [path for path in found if path == self.path or not path.name.endswith(f"-of-{self.part.count}")]

    def _is_blank(self) -> bool:
        """Whether the file was begun without a single answer."""
        if not self.path.exists():
            return False
        with self.path.open("rb") as file:
            return sum(line.endswith(b"\n") for line in islice(file, 2)) < 2

    def _clear(self) -> None:
        for path in self._others_or_own():
            path.unlink(missing_ok=True)

    def _header(self) -> dict[str, Any] | None:
        """What the first line says, None as long as it is not whole."""
        with self.path.open(encoding="utf-8") as file:
            line = file.readline()
        return json.loads(line) if line.endswith("\n") else None

    def _cut_to_last_line(self) -> int:
        """Cut off what follows the last line end; the row of the last answer."""
        size = last = 0
        with self.path.open("rb+") as file:
            for line in file:
                if line.endswith(b"\n"):
                    size += len(line)
                    last = json.loads(line).get("row", last)
            file.truncate(size)
        return last


def _escaped(name: str) -> str:
    """The name with what `glob` would take for a pattern made literal."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _unfinished(out: Path) -> Conflict:
    return Conflict(
        f"Für {out} gibt es eine angefangene Ausgabe. Bitte mit --resume fortsetzen oder mit --force neu beginnen.",
        f"There is an unfinished output for {out}. Please go on with --resume or start anew with --force.",
    )


def _of_another_job(out: Path) -> InvalidFile:
    return InvalidFile(
        f"Die angefangene Ausgabe für {out} gehört zu einer anderen Eingabe, einem anderen Modell oder einer anderen "
        "Zahl von Prozessen. Bitte genauso fortsetzen oder mit --force neu beginnen.",
        f"The unfinished output for {out} belongs to another input, model or number of processes. Please go on with "
        "the same ones or start anew with --force.",
    )
