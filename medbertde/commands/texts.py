"""Commands that read texts with a model or by rules: predict, models, deidentify."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

import medbertde
from medbertde.commands.console import (
    DONE,
    INTERRUPTED,
    ROWS_LEFT_OUT,
    UTF8,
    Bar,
    language,
    opened,
    print_table,
    print_text,
    require_free,
    say,
    standard_input,
    tell,
    written,
)
from medbertde.commands.options import Command, identifying, output
from medbertde.text import decode
from medbertde.types import Conflict


def add(command: Command) -> None:
    """Declare the commands of this module."""
    reading = command("predict", predict)
    reading.add_argument("file", type=Path, help="reports: .jsonl, .csv, .parquet or .txt")
    reading.add_argument("--model", default="mini-chest-xray", help="catalogue id, checkpoint folder or Hub id")
    output(reading, "answers: .jsonl, .csv or .parquet")
    reading.add_argument("--resume", action="store_true", help="go on with what an interrupted call has left")
    identifying(reading)
    command("models", models)
    hide = command("deidentify", deidentify)
    hide.add_argument("file", type=Path, metavar="FILE", help="a text in UTF-8; - reads standard input")
    hide.add_argument(
        "--dates",
        default="all",
        choices=("birth", "all", "shift"),
        help="birth: only dates of birth are replaced; shift: all are moved by one number of days",
    )
    hide.add_argument(
        "--by",
        default="both",
        choices=("both", "rules"),
        help="both: rules and a small model; rules: without the model",
    )
    output(hide, "the text without identifying parts; without it the text is printed", required=False)


def predict(args: argparse.Namespace) -> int:
    """Answer every report of a file, findings or spans; rows that cannot be read are told. Works under a launcher."""
    from medbertde.services.bulk import Order, Watch, predict_file
    from medbertde.services.journal import Part
    from medbertde.services.screened_records import Treatment, became

    part = Part(*_of_processes())
    treatment = Treatment(args.identifying) if args.identifying else None
    out = require_free(args.out, force=args.force, source=args.file)
    order = Order(args.file, out, args.model, args.resume, args.force, part, treatment)
    with opened() as (services, user), Bar(quiet=part.index > 0) as bar:
        services.access.require_terms(user)
        try:
            outcome = predict_file(order, services.settings, Watch(bar.show, bar.tell_fault, bar.tell_waiting))
        except KeyboardInterrupt:
            bar.tell("Abgebrochen. Mit --resume geht es weiter.", "Interrupted. Go on with --resume.")
            return INTERRUPTED
    if outcome is None:
        return DONE
    rows, answered = outcome.rows, outcome.answered
    counted = say(f"{answered} von {rows} Befunden klassifiziert", f"{answered} of {rows} reports classified")
    left_out = say(f", {rows - answered} ausgelassen", f", {rows - answered} left out") if answered < rows else ""
    print(f"{counted}{left_out} ({outcome.precision}): {args.out}")
    if outcome.screened:
        found = became(outcome.screened)
        tell(found.de, found.en)
    if outcome.remarks:
        codes = ", ".join(f"{code} {count}" for code, count in sorted(outcome.remarks.items()))
        tell(
            f"Hinweise in der Spalte „warnings“ (Bedeutung: docs/notices.md): {codes}",
            f"Remarks in the column “warnings” (what they mean: docs/notices.md): {codes}",
        )
    return DONE if answered == rows else ROWS_LEFT_OUT


def _of_processes() -> tuple[int, int]:
    """Which process of how many this one is, as a launcher such as `accelerate launch` tells it."""
    rank, size = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if all(re.fullmatch("[0-9]{1,6}", each) for each in (rank, size)) and int(rank) < int(size):
        return int(rank), int(size)
    raise Conflict(
        f"Erwartet wird 0 <= RANK < WORLD_SIZE, gefunden wurde RANK={rank} und WORLD_SIZE={size}. Bitte beide "
        "Umgebungsvariablen entfernen; ein Launcher setzt sie selbst.",
        f"0 <= RANK < WORLD_SIZE is expected, found: RANK={rank} and WORLD_SIZE={size}. Please remove both environment "
        "variables; a launcher sets them itself.",
    )


def models(_args: argparse.Namespace) -> int:
    """List the models known by name and those chosen or trained here. Any other folder or Hub id can be loaded too."""
    with opened() as (services, _user):
        spoken, found = language(), services.models.every_choice()
    rows = [
        (
            choice.name,
            slot,
            choice.tokenizer,
            f"{choice.size.parameters / 1e6:.0f} M" if choice.size else "",
            choice.where.value,
            choice.licence[spoken],
            choice.reason.sentence(spoken) if choice.reason else choice.terms[spoken],
        )
        for slot, choice in found
    ]
    titles = ("id", "for", "tokenizer", "size", "state", say("Lizenz", "licence"), say("Bedingungen", "terms"))
    print_table([titles, *rows])
    return DONE


def deidentify(args: argparse.Namespace) -> int:
    """Take names, dates, places and numbers of persons out of a text. Some may be left: read the result."""
    is_stdin = str(args.file) == "-"
    data = standard_input().buffer.read() if is_stdin else args.file.read_bytes()
    done = medbertde.deidentify(decode(data, "" if is_stdin else args.file.name), dates=args.dates, by=args.by)
    if args.out:
        with written(args.out, UTF8, force=args.force, source=None if is_stdin else args.file) as out:
            out.write(done.text)
    else:
        print_text(done.text)
    count = len(done.spans)
    tell(
        f"{count} Stellen ersetzt. Das ist keine Garantie: Bitte das Ergebnis lesen.",
        f"{count} places replaced. This is no guarantee: please read the result.",
    )
    return DONE
