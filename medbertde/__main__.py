"""The command line: `python -m medbertde COMMAND --help`.

Works as the local user over the services of the page. Results go to a file or standard output; progress and refusals
go to standard error, in German where the locale is German. Exit codes: 0 done, 1 done but rows were left out, 2
refused. Knows no SQL, no tensors and no page. A command imports what is slow to load only when it runs.
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import medbertde
from medbertde import terms
from medbertde.settings import ROOT, load_settings
from medbertde.text import decode
from medbertde.types import InvalidFile, Notice, Progress, User, UserError

if TYPE_CHECKING:
    from medbertde.services import Services

DONE, ROWS_LEFT_OUT, REFUSED, INTERRUPTED = 0, 1, 2, 130
UTF8, UTF8_FOR_EXCEL = "utf-8", "utf-8-sig"  # without a byte-order mark Excel misreads the umlauts of a table


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what the user can change is said in a sentence, never a traceback."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except UserError as error:
        _tell(error.de, error.en)
    except OSError as error:
        found = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        _tell(f"Das Betriebssystem meldet: {found}.", f"The operating system says: {found}.")
    except KeyboardInterrupt:
        return INTERRUPTED
    return REFUSED


def serve(_args: argparse.Namespace) -> int:
    """Start the page, the same as `python app.py`."""
    runpy.run_path(str(ROOT / "app.py"), run_name="__main__")
    return DONE


def predict(args: argparse.Namespace) -> int:
    """Classify every report of a file; a row that cannot be read is told and left out. Runs under a launcher too."""
    from medbertde.services.bulk import Order, Watch, predict_file
    from medbertde.services.journal import Part

    part = Part(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
    order = Order(args.file, args.out, args.model, resume=args.resume, force=args.force, part=part)
    with _opened() as (services, user), _Bar(quiet=part.index > 0) as bar:
        services.access.require_terms(user)
        try:
            outcome = predict_file(order, services.settings, Watch(bar.show, bar.tell_fault, bar.tell_waiting))
        except KeyboardInterrupt:
            bar.tell("Abgebrochen. Mit --resume geht es weiter.", "Interrupted. Go on with --resume.")
            return INTERRUPTED
    if outcome is None:
        return DONE
    rows, answered = outcome.rows, outcome.answered
    counted = _say(f"{answered} von {rows} Befunden klassifiziert", f"{answered} of {rows} reports classified")
    left_out = _say(f", {rows - answered} ausgelassen", f", {rows - answered} left out") if answered < rows else ""
    print(f"{counted}{left_out} ({outcome.precision}): {args.out}")
    return DONE if answered == rows else ROWS_LEFT_OUT


def import_file(args: argparse.Namespace) -> int:
    """Put the reports of a file, with their labels if there are any, into the annotation queue."""
    data = args.file.read_bytes()
    with _opened() as (services, user):
        result = services.annotate.import_reports(user, args.schema, args.file.name, data, _tell_progress)
    for number, notice in result.rejected:
        _tell_fault(number, notice)
    counts = (result.added, result.duplicates, result.labelled, len(result.rejected))
    de = "{} neu, {} schon vorhanden, {} mit Labels, {} abgelehnt.".format(*counts)
    en = "{} new, {} known already, {} with labels, {} rejected.".format(*counts)
    print(_say(de, en))
    return ROWS_LEFT_OUT if result.rejected else DONE


def export(args: argparse.Namespace) -> int:
    """Write the labels of a schema, or every change ever made to them, to a file."""
    from medbertde.services.exchange import ExportKind

    kind = ExportKind(args.format)
    encoding = UTF8 if kind is ExportKind.JSONL else UTF8_FOR_EXCEL
    with _written(args.out, encoding, force=args.force) as out, _opened() as (services, user):
        out.writelines(services.annotate.export_labels(user, args.schema, kind))
    print(args.out)
    return DONE


def models(_args: argparse.Namespace) -> int:
    """List the models known by name. Any other checkpoint folder or Hub id can be loaded too."""
    with _opened() as (services, _user):
        rows = [
            (
                entry.id,
                entry.task.value,
                entry.schema_id or "",
                entry.tokenizer,
                f"{entry.parameters:.0f} M" if entry.parameters else "",
                _say("eingebaut", "embedded") if entry.embedded else "Hub",
                entry.terms[_language()],
            )
            for entry in services.reading.catalogue()
        ]
    _print_table([("id", "task", "schema", "tokenizer", "size", "from", _say("Bedingungen", "terms")), *rows])
    return DONE


def deidentify(args: argparse.Namespace) -> int:
    """Take names, dates, places and numbers of persons out of a text. Some may be left: read the result."""
    is_stdin = str(args.file) == "-"
    data = sys.stdin.buffer.read() if is_stdin else args.file.read_bytes()
    done = medbertde.deidentify(decode(data, "" if is_stdin else args.file.name), dates=args.dates)
    if args.out:
        with _written(args.out, UTF8, force=args.force) as out:
            out.write(done.text)
    else:
        sys.stdout.write(done.text)
    count = len(done.spans)
    _tell(
        f"{count} Stellen ersetzt. Das ist keine Garantie: Bitte das Ergebnis lesen.",
        f"{count} places replaced. This is no guarantee: please read the result.",
    )
    return DONE


def show_terms(args: argparse.Namespace) -> int:
    """Show the terms of use and whether the local user has accepted them."""
    with _opened() as (services, user):
        if args.accept:
            user = services.access.accept_terms(user)
        accepted = services.access.has_accepted(user)
    print(_say(terms.DE, terms.EN), end="\n\n")
    if accepted:
        print(_say(f"{user.name} hat zugestimmt.", f"{user.name} has accepted them."))
    else:
        print(_say("Noch nicht zugestimmt: --accept stimmt zu.", "Not accepted yet: --accept accepts them."))
    return DONE


# ------------------------------------------------------------------------------------------------ progress


class _Bar:
    """A progress bar on standard error with rate and remaining time, and lines above it."""

    def __init__(self, *, quiet: bool) -> None:
        """`quiet`: only count, because another process of this call shows its bar."""
        self._quiet = quiet
        self._bar: Any = None

    def __enter__(self) -> _Bar:
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
            unit = _say(" Befunde", " reports")
            self._bar = tqdm(total=progress.total, unit=unit, mininterval=interval, dynamic_ncols=True, file=sys.stderr)
        self._bar.update(progress.done - self._bar.n)

    def tell(self, de: str, en: str) -> None:
        """A line above the bar."""
        if self._bar is not None:
            self._bar.clear()
        _tell(de, en)

    def tell_fault(self, number: int, fault: Notice) -> None:
        """A row that is left out."""
        self.tell(f"Zeile {number}: {fault.de}", f"Row {number}: {fault.en}")

    def tell_waiting(self) -> None:
        """Say that other processes are not through yet."""
        self.tell("Die anderen Prozesse rechnen noch.", "The other processes are still computing.")


# ------------------------------------------------------------------------------------------------ surroundings


@contextmanager
def _opened() -> Iterator[tuple[Services, User]]:
    """The services and the local user. No command answers with a model of the page, so none is loaded for it."""
    from medbertde.services import open_services
    from medbertde.services.access import Caller

    services = open_services(load_settings(), shipped={})
    try:
        yield services, services.access.identify(Caller(None, None))
    finally:
        services.database.close()


@contextmanager
def _written(path: Path, encoding: str, *, force: bool) -> Iterator[TextIO]:
    """A file for results, written beside and renamed at the end: it is there as a whole or not at all."""
    if path.exists() and not force:
        raise InvalidFile(
            f"Die Datei {path} gibt es schon. Bitte einen anderen Namen wählen oder sie mit --force ersetzen.",
            f"The file {path} is there already. Please choose another name or replace it with --force.",
        )
    partial = path.with_name(f".{path.name}.partial-{uuid.uuid4().hex[:8]}")
    try:
        with partial.open("x", encoding=encoding, newline="") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _language() -> str:
    locale = next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), "")
    return "de" if locale.startswith("de") else "en"


def _say(de: str, en: str) -> str:
    return de if _language() == "de" else en


def _tell(de: str, en: str) -> None:
    print(_say(de, en), file=sys.stderr)


def _tell_fault(number: int, fault: Notice) -> None:
    _tell(f"Zeile {number}: {fault.de}", f"Row {number}: {fault.en}")


def _tell_progress(progress: Progress) -> None:
    _tell(f"{progress.done} Zeilen gelesen", f"{progress.done} rows read")


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their longest cell, the last one open."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m medbertde", description="German radiology reports. Research only.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        added.set_defaults(run=run)
        return added

    def output(added: argparse.ArgumentParser, what: str, *, required: bool = True) -> None:
        added.add_argument("--out", type=Path, required=required, help=what)
        added.add_argument("--force", action="store_true", help="replace the output file if it is there already")

    command("serve", serve)
    classify = command("predict", predict)
    classify.add_argument("file", type=Path, help="reports: .jsonl, .csv, .parquet or .txt")
    classify.add_argument("--model", default="mini-chest-xray", help="catalogue id, checkpoint folder or Hub id")
    output(classify, "answers: .jsonl, .csv or .parquet")
    classify.add_argument("--resume", action="store_true", help="go on with what an interrupted call has left")
    bring = command("import", import_file)
    bring.add_argument("file", type=Path, help="reports: .jsonl, .csv or .txt")
    bring.add_argument("--schema", required=True, help="the findings that the reports are labelled with: chest_xray, …")
    take = command("export", export)
    take.add_argument("--schema", required=True, help="the findings whose labels are taken out: chest_xray, …")
    take.add_argument("--format", required=True, choices=("jsonl", "csv", "revisions"), help="revisions: every change")
    output(take, "labels: .jsonl, or .csv for csv and revisions")
    hide = command("deidentify", deidentify)
    hide.add_argument("file", type=Path, metavar="FILE", help="a text in UTF-8; - reads standard input")
    hide.add_argument(
        "--dates",
        default="all",
        choices=("birth", "all", "shift"),
        help="birth: only dates of birth are replaced; shift: all are moved by one number of days",
    )
    output(hide, "the text without identifying parts; without it the text is printed", required=False)
    command("models", models)
    agree = command("terms", show_terms)
    agree.add_argument("--accept", action="store_true", help="accept the terms as the local user")
    return parser


if __name__ == "__main__":
    sys.exit(main())
