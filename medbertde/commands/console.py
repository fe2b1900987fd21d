"""What the commands share: sentences in the language of the terminal, a progress bar, tables, files written as a whole.

Results go to a file or standard output; progress and refusals go to standard error, in German where the locale is.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from medbertde.settings import load_settings
from medbertde.types import InvalidFile, Notice, Progress, User

if TYPE_CHECKING:
    from medbertde.services import Services

DONE, ROWS_LEFT_OUT, REFUSED, INTERRUPTED, CUT_OFF = 0, 1, 2, 130, 141
UTF8, UTF8_FOR_EXCEL = "utf-8", "utf-8-sig"  # without a byte-order mark Excel misreads the umlauts of a table


@contextmanager
def opened() -> Iterator[tuple[Services, User]]:
    """The services and the local user. No command answers with a model of the page, so none is loaded for it."""
    from medbertde.services import open_services

    services = open_services(load_settings(), shipped={})
    try:
        yield services, services.access.operator()
    finally:
        services.database.close()


@contextmanager
def written(path: Path, encoding: str, *, force: bool, source: Path | None = None) -> Iterator[TextIO]:
    """A file for results, written beside and renamed at the end: it is there as a whole or not at all.

    It may not be `source`, the file that is read.
    """
    path = require_free(path, force=force, source=source)
    partial = path.with_name(f".{path.name}.partial-{uuid.uuid4().hex[:8]}")
    try:
        with partial.open("x", encoding=encoding, newline="") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def require_free(path: Path, *, force: bool, source: Path | None = None) -> Path:
    """The file to write: of a link the one it points to. Nothing is replaced unasked, and what is no file never is.

    Neither is `source`, the file that is read.
    """
    if source and path.exists() and source.exists() and path.samefile(source):
        raise InvalidFile(
            f"{path} ist die Datei, die gelesen wird, und wird nicht ersetzt. Bitte für die Ausgabe einen anderen "
            "Namen wählen.",
            f"{path} is the file that is read and is not replaced. Please choose another name for the output.",
        )
    if path.exists() and not path.is_file():
        raise InvalidFile(
            f"{path} ist keine gewöhnliche Datei und wird nicht ersetzt. Bitte einen anderen Namen wählen.",
            f"{path} is no regular file and is not replaced. Please choose another name.",
        )
    if path.exists() and not force:
        raise InvalidFile(
            f"Die Datei {path} gibt es schon. Bitte einen anderen Namen wählen oder sie mit --force ersetzen.",
            f"The file {path} is there already. Please choose another name or replace it with --force.",
        )
    target = path.resolve() if path.is_symlink() else path
    if not target.parent.is_dir():
        raise InvalidFile(
            f"Den Ordner {target.parent} gibt es nicht. Bitte ihn zuerst anlegen oder einen anderen wählen.",
            f"There is no folder {target.parent}. Please make it first or choose another one.",
        )
    return target


def lose_nothing() -> None:
    """What the terminal's encoding lacks is printed as its code, as on standard error, instead of ending the work."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def print_text(text: str) -> None:
    """A result on standard output, character for character; refused where it goes to a file that cannot hold it."""
    if sys.stdout is None:
        raise InvalidFile(
            "Die Standardausgabe ist geschlossen. Bitte mit --out eine Datei nennen.",
            "Standard output is closed. Please name a file with --out.",
        )
    encoding = sys.stdout.encoding or UTF8
    if not sys.stdout.isatty() and text.encode(encoding, "ignore").decode(encoding) != text:
        raise InvalidFile(
            f"Die Standardausgabe ({encoding}) kann nicht alle Zeichen des Textes schreiben. Bitte mit --out eine "
            "Datei nennen oder PYTHONIOENCODING=utf-8 setzen.",
            f"Standard output ({encoding}) cannot write all characters of the text. Please name a file with --out or "
            "set PYTHONIOENCODING=utf-8.",
        )
    sys.stdout.write(text)


def let_go() -> None:
    """Whoever read our output has closed it: what is left of it goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def standard_input() -> TextIO:
    """Standard input; refused where it is closed, as cron and systemd may have it."""
    if sys.stdin is None:
        raise InvalidFile(
            "Die Standardeingabe ist geschlossen, es kann nichts gelesen werden. Bitte das Terminal benutzen oder die "
            "Eingabe durch eine Pipe geben.",
            "Standard input is closed, nothing can be read. Please use a terminal or give the input through a pipe.",
        )
    return sys.stdin


def language() -> str:
    """The language of the terminal: `de` where its locale is German, else `en`."""
    locale = next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), "")
    return "de" if locale.startswith("de") else "en"


def say(de: str, en: str) -> str:
    """The sentence in the language of the terminal."""
    return de if language() == "de" else en


def tell(de: str, en: str) -> None:
    """A sentence on standard error."""
    print(say(de, en), file=sys.stderr)


def tell_fault(number: int, fault: Notice) -> None:
    """What is wrong with a row."""
    tell(f"Zeile {number}: {fault.de}", f"Row {number}: {fault.en}")


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their longest cell, the last one open."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


class Bar:
    """A progress bar on standard error with rate and remaining time, and lines above it."""

    def __init__(self, *, quiet: bool) -> None:
        """`quiet`: only count, because another process of this call shows its bar."""
        self._quiet = quiet
        self._bar: Any = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, progress: Progress) -> None:
        """Move the bar; the first call draws it."""
        from tqdm import tqdm

        if self._quiet:
            return
        if self._bar is None:
            interval = 0.2 if sys.stderr.isatty() else 10.0  # a log gets a line now and then
            unit = say(" Befunde", " reports")
            self._bar = tqdm(total=progress.total, unit=unit, mininterval=interval, dynamic_ncols=True, file=sys.stderr)
        self._bar.update(progress.done - self._bar.n)

    def tell(self, de: str, en: str) -> None:
        """A line above the bar."""
        if self._bar is not None:
            self._bar.clear()
        tell(de, en)

    def tell_fault(self, number: int, fault: Notice) -> None:
        """A row that is left out."""
        self.tell(f"Zeile {number}: {fault.de}", f"Row {number}: {fault.en}")

    def tell_waiting(self) -> None:
        """Say that other processes are not through yet."""
        self.tell("Die anderen Prozesse rechnen noch.", "The other processes are still computing.")
