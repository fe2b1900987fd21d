"""The command line: `python -m medbertde COMMAND --help`.

Works as the local user over the services of the page. Results go to a file or standard output; progress and refusals
go to standard error, in German where the locale is German. Exit codes: 0 done, 1 done but rows were left out, 2
refused. Knows no SQL, no tensors and no page. A command imports what is slow to load only when it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import medbertde
from medbertde import terms
from medbertde.report_file import Row, csv_line, read_reports
from medbertde.settings import ROOT, load_settings
from medbertde.types import InvalidFile, Notice, Prediction, Progress, User, UserError

if TYPE_CHECKING:
    from medbertde.services import Services

DONE, ROWS_LEFT_OUT, REFUSED, INTERRUPTED = 0, 1, 2, 130
BATCH = 256  # reports between two lines of progress
SCORES = ("state", "present", "uncertain", "absent")
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
    """Classify every report of a file; a row that cannot be read is told and left out."""
    rows = read_reports(args.file.name, args.file.read_bytes())
    lines = _lines_for(args.out)
    with _written(args.out, lines.encoding, force=args.force) as out, _opened() as (services, user):
        services.access.require_terms(user)
        model = medbertde.load(args.model, services.settings.device)
        out.write(lines.header(tuple(model.thresholds)))
        seen = answered = 0
        while batch := list(islice(rows, BATCH)):
            good = [row for row in batch if _is_good(row)]
            predictions = model.classify([row.record.text for row in good if row.record])
            for row, prediction in zip(good, predictions, strict=True):
                out.write(lines.line(_answer(row, prediction, model.thresholds)))
            seen, answered = seen + len(batch), answered + len(good)
            _tell_progress(Progress(seen, 0))
    counted = _say(f"{answered} von {seen} Befunden klassifiziert", f"{answered} of {seen} reports classified")
    print(f"{counted}: {args.out}")
    return DONE if answered == seen else ROWS_LEFT_OUT


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


# ------------------------------------------------------------------------------------------------ answers


class _JsonLines:
    """Answers as one JSON object per line."""

    encoding = UTF8

    def header(self, _labels: tuple[str, ...]) -> str:
        return ""

    def line(self, answer: Mapping[str, Any]) -> str:
        return json.dumps(answer, ensure_ascii=False) + "\n"


class _Table:
    """Answers as a CSV with the columns `<label>:state`, `<label>:present`, … per finding."""

    encoding = UTF8_FOR_EXCEL

    def header(self, labels: tuple[str, ...]) -> str:
        columns = [f"{label}:{score}" for label in labels for score in SCORES]
        return csv_line(["row", "id", *columns, "model_version", "warnings", "use"])

    def line(self, answer: Mapping[str, Any]) -> str:
        scores = [finding[score] for finding in answer["findings"].values() for score in SCORES]
        ends = [answer["model_version"], " ".join(answer["warnings"]), answer["use"]]
        return csv_line("" if cell is None else str(cell) for cell in (answer["row"], answer["id"], *scores, *ends))


def _lines_for(path: Path) -> _JsonLines | _Table:
    if path.suffix.lower() not in (".jsonl", ".csv"):
        raise InvalidFile(
            f"Die Ausgabe muss auf .jsonl oder .csv enden, gefunden: {path.name}.",
            f"The output must end in .jsonl or .csv, found: {path.name}.",
        )
    return _Table() if path.suffix.lower() == ".csv" else _JsonLines()


def _answer(row: Row, prediction: Prediction, thresholds: Mapping[str, float]) -> dict[str, Any]:
    """What the model says about one row. Probabilities have six decimals; None: the model does not tell this state."""
    from medbertde.services.exchange import RESEARCH_ONLY

    findings = {
        label: {
            "state": score.state(thresholds[label]),
            **{name: _rounded(getattr(score, name)) for name in SCORES[1:]},
        }
        for label, score in prediction.scores.items()
    }
    return {
        "row": row.number,
        "id": row.record.id if row.record else None,
        "findings": findings,
        "model_version": prediction.model_version,
        "warnings": [notice.code for notice in prediction.warnings],
        "use": RESEARCH_ONLY,
    }


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, 6)


def _is_good(row: Row) -> bool:
    """Whether a row can be read; if not, its fault is told."""
    if row.fault:
        _tell_fault(row.number, row.fault)
    return row.record is not None


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

    def output(added: argparse.ArgumentParser, what: str) -> None:
        added.add_argument("--out", type=Path, required=True, help=what)
        added.add_argument("--force", action="store_true", help="replace the output file if it is there already")

    command("serve", serve)
    classify = command("predict", predict)
    classify.add_argument("file", type=Path, help="reports: .jsonl, .csv or .txt")
    classify.add_argument("--model", default="mini-chest-xray", help="catalogue id, checkpoint folder or Hub id")
    output(classify, "answers: .jsonl or .csv")
    bring = command("import", import_file)
    bring.add_argument("file", type=Path, help="reports: .jsonl, .csv or .txt")
    bring.add_argument("--schema", required=True, help="the findings that the reports are labelled with: chest_xray, …")
    take = command("export", export)
    take.add_argument("--schema", required=True, help="the findings whose labels are taken out: chest_xray, …")
    take.add_argument("--format", required=True, choices=("jsonl", "csv", "revisions"), help="revisions: every change")
    output(take, "labels: .jsonl, or .csv for csv and revisions")
    command("models", models)
    agree = command("terms", show_terms)
    agree.add_argument("--accept", action="store_true", help="accept the terms as the local user")
    return parser


if __name__ == "__main__":
    sys.exit(main())
