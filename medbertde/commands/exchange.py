"""Commands that bring reports and labels into the database and out of it: import, export."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from medbertde.commands.console import DONE, ROWS_LEFT_OUT, opened, print_table, require_free, say, tell, tell_fault
from medbertde.commands.options import Command, identifying, output
from medbertde.types import InvalidFile, Progress, Provenance, State

if TYPE_CHECKING:
    from medbertde.services.exchange.incoming.preview import Preview


def add(command: Command) -> None:
    """Declare the commands of this module."""
    bring = command("import", import_file)
    bring.add_argument(
        "file",
        type=Path,
        help="reports: .jsonl, .csv, .xlsx, .parquet, .txt, .zip; exports of Label Studio and doccano",
    )
    bring.add_argument("--schema", required=True, help="the findings that the reports are labelled with: chest_xray, …")
    _add_meanings(bring)
    identifying(bring)
    take = command("export", export)
    take.add_argument("--schema", required=True, help="the findings whose labels are taken out: chest_xray, …")
    _add_filters(take)
    output(take, "the file to write")


def import_file(args: argparse.Namespace) -> int:
    """Put the reports of a file, with their labels if there are any, into the annotation queue."""
    from medbertde.services.exchange.incoming.plan import Choices
    from medbertde.services.files import ID_TAKEN
    from medbertde.services.screened_records import HELD_BACK, Treatment, became

    treatment = Treatment(args.identifying) if args.identifying else None
    choices = Choices(_pairs(args.column), _pairs(args.name), _pairs(args.value), args.sheet)
    name, data = args.file.name, args.file.read_bytes()
    with opened() as (services, user), _column_named():
        if args.preview:
            _print_preview(services.files.preview(user, args.schema, name, data, choices))
            return DONE
        result = services.files.import_file(user, args.schema, name, data, choices, _tell_progress, treatment)
    for number, notice in result.rejected:
        tell_fault(number, notice)
    held = sum(notice.code == HELD_BACK for _, notice in result.rejected)
    counts = (result.added, result.duplicates, result.labelled, len(result.rejected) - held)
    de = "{} neu, {} schon vorhanden, {} mit Labels, {} abgelehnt.".format(*counts)
    en = "{} new, {} known already, {} with labels, {} rejected.".format(*counts)
    print(say(de, en))
    if result.screened:
        found = became(result.screened)
        tell(found.de, found.en)
    if any(notice.code == ID_TAKEN for _, notice in result.rejected):
        tell(
            "Mit „--column id=skip“ werden die Kennungen nicht übernommen (id: der Name ihrer Spalte).",
            "“--column id=skip” leaves the ids out (id: the name of their column).",
        )
    return ROWS_LEFT_OUT if result.rejected else DONE


def export(args: argparse.Namespace) -> int:
    """Write the labels of a schema, or every change ever made to them, to a file."""
    from medbertde.services.exchange import ExportFormat, ExportOrder, Wanted
    from medbertde.services.exchange.incoming.plan import iso_date

    if args.value and not args.finding:
        raise InvalidFile(
            "--value gehört zu einem Befund. Bitte ihn mit --finding nennen.",
            "--value belongs to a finding. Please name it with --finding.",
        )
    since, until = (date.fromisoformat(iso_date(day)) if day else None for day in (args.since, args.until))
    wanted = Wanted(
        finding=args.finding,
        values=tuple(None if value == "none" else State(value) for value in args.value),
        annotator=args.annotator,
        since=since,
        until=until,
        provenance=tuple(map(Provenance, args.provenance)),
        flagged={"yes": True, "no": False}.get(args.flagged),
        modality=args.modality,
    )
    out = require_free(args.out, force=args.force)
    with opened() as (services, user):
        if args.annotator:
            _require_one_of(services.files.annotators(user, args.schema), args.annotator)
        count = services.files.export(user, ExportOrder(args.schema, ExportFormat(args.format), wanted), out)
    print(_written(args.format, count) + str(args.out))
    return DONE


def _require_one_of(annotators: Sequence[str], name: str) -> None:
    if name not in annotators:
        known = ", ".join(annotators) or "–"
        raise InvalidFile(
            f"„{name}“ hat zu diesem Schema nichts annotiert. Annotiert haben: {known}.",
            f"“{name}” has annotated nothing for this schema. Annotators are: {known}.",
        )


def _written(kind: str, count: int) -> str:
    """How much an export holds; the interface for Label Studio holds no reports."""
    if kind == "label_studio_config":
        return ""
    if kind == "revisions":
        return say(
            f"{count} {'Änderung' if count == 1 else 'Änderungen'} geschrieben: ",
            f"{count} {'change' if count == 1 else 'changes'} written: ",
        )
    return say(
        f"{count} {'Befund' if count == 1 else 'Befunde'} geschrieben: ",
        f"{count} {'report' if count == 1 else 'reports'} written: ",
    )


@contextmanager
def _column_named() -> Iterator[None]:
    """Where no column is known as the text: how this command is told which one it is."""
    from medbertde.services.exchange.incoming.plan import NoTextColumn

    try:
        yield
    except NoTextColumn as error:
        raise InvalidFile(
            f"{error.de} Hier sagt --column NAME=text, welche es ist.",
            f"{error.en} Here --column NAME=text says which column it is.",
        ) from error


def _tell_progress(progress: Progress) -> None:
    tell(f"{progress.done} Zeilen gelesen", f"{progress.done} rows read")


def _pairs(given: Sequence[str]) -> dict[str, str]:
    """What was given as NAME=MEANING; the last “=” separates."""
    found = dict(pair.rpartition("=")[::2] for pair in given)
    if "" in found:
        raise InvalidFile(
            "Erwartet wird NAME=BEDEUTUNG, zum Beispiel --column Befund=text.",
            "NAME=MEANING is expected, for example --column Befund=text.",
        )
    return found


def _print_preview(seen: Preview) -> None:
    """What a file would bring, without its texts: formats, columns, names and values with their meaning."""
    for notice in seen.notices:
        tell(notice.de, notice.en)
    for title, rows in (
        (say("Spalte", "column"), [(column.name, column.role) for column in seen.columns]),
        (say("Name", "name"), [(found.name, found.meaning or "-") for found in seen.names]),
        (say("Wert", "value"), [(found.name or '""', found.meaning or "none") for found in seen.values]),
    ):
        if rows:
            print_table([(title, say("gelesen als", "read as")), *rows])
            print()
    print(say(f"{seen.scanned} Zeilen angesehen", f"{seen.scanned} rows looked at"), end=", ")
    print(say(f"{seen.faulty} würden abgelehnt.", f"{seen.faulty} would be rejected."))
    if seen.first_fault is not None:
        tell(seen.first_fault.de, seen.first_fault.en)


def _add_meanings(bring: argparse.ArgumentParser) -> None:
    """What a file's columns, names and values mean, where they do not say it themselves."""
    bring.add_argument("--preview", action="store_true", help="show what would be read; store nothing")
    bring.add_argument("--sheet", default="", help="the sheet of a workbook; default: the first one with rows")
    for option, meaning, example in (
        ("--column", "ROLE", "text, id, modality, date, meta, findings, rationales, skip or label:FINDING"),
        ("--name", "FINDING", "the finding that a name in the file stands for; - leaves it out"),
        ("--value", "STATE", "present, uncertain or absent; nothing after the = says: not mentioned"),
    ):
        bring.add_argument(option, action="append", default=[], metavar=f"NAME={meaning}", help=example)


def _add_filters(take: argparse.ArgumentParser) -> None:
    """The format and the filters of an export."""
    formats = ("jsonl", "csv", "parquet", "huggingface", "label_studio", "label_studio_config", "conll", "revisions")
    take.add_argument("--format", required=True, choices=formats, help="revisions: every change as CSV; conll: spans")
    take.add_argument("--finding", default="", help="only reports that mention this finding")
    states = [*(state.value for state in State), "none"]
    take.add_argument("--value", action="append", default=[], choices=states, help="with this value of --finding")
    take.add_argument("--annotator", default="", help="only this person's labels")
    take.add_argument("--since", help="last saved on this day or later: 2026-03-01")
    take.add_argument("--until", help="last saved on this day or earlier")
    provenance = [one.value for one in Provenance]
    take.add_argument("--provenance", action="append", default=[], choices=provenance, help="what the labels rest on")
    take.add_argument("--flagged", choices=("yes", "no"), help="only reports that are flagged, or none of them")
    take.add_argument("--modality", default="", help="only reports of this modality: xray, ct")
