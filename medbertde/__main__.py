"""The command line: `python -m medbertde COMMAND --help`.

Works as the local user over the services of the page. Results go to a file or standard output; progress and refusals
go to standard error, in German where the locale is German. Exit codes: 0 done, 1 done but rows were left out, 2
refused. Knows no SQL, no tensors and no page. A command imports what is slow to load only when it runs.
"""

from __future__ import annotations

import argparse
import getpass
import os
import runpy
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import medbertde
from medbertde import terms
from medbertde.settings import ROOT, load_settings
from medbertde.text import decode
from medbertde.types import InvalidFile, Notice, Progress, Provenance, Role, State, User, UserError

if TYPE_CHECKING:
    from medbertde.services import Services
    from medbertde.services.exchange.incoming.preview import Preview

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
    if outcome.remarks:
        codes = ", ".join(f"{code} {count}" for code, count in sorted(outcome.remarks.items()))
        _tell(
            f"Hinweise in der Spalte „warnings“ (Bedeutung: docs/notices.md): {codes}",
            f"Remarks in the column “warnings” (what they mean: docs/notices.md): {codes}",
        )
    return DONE if answered == rows else ROWS_LEFT_OUT


def import_file(args: argparse.Namespace) -> int:
    """Put the reports of a file, with their labels if there are any, into the annotation queue."""
    from medbertde.services.exchange.incoming.plan import Choices

    choices = Choices(_pairs(args.column), _pairs(args.name), _pairs(args.value), args.sheet)
    name, data = args.file.name, args.file.read_bytes()
    with _opened() as (services, user):
        if args.preview:
            _print_preview(services.files.preview(user, args.schema, name, data, choices))
            return DONE
        result = services.files.import_file(user, args.schema, name, data, choices, _tell_progress)
    for number, notice in result.rejected:
        _tell_fault(number, notice)
    counts = (result.added, result.duplicates, result.labelled, len(result.rejected))
    de = "{} neu, {} schon vorhanden, {} mit Labels, {} abgelehnt.".format(*counts)
    en = "{} new, {} known already, {} with labels, {} rejected.".format(*counts)
    print(_say(de, en))
    return ROWS_LEFT_OUT if result.rejected else DONE


def export(args: argparse.Namespace) -> int:
    """Write the labels of a schema, or every change ever made to them, to a file."""
    from medbertde.services.exchange import ExportFormat, ExportOrder, Wanted
    from medbertde.services.exchange.incoming.plan import iso_date

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
    _require_free(args.out, force=args.force)
    with _opened() as (services, user):
        services.files.export(user, ExportOrder(args.schema, ExportFormat(args.format), wanted), args.out)
    print(args.out)
    return DONE


def backup(args: argparse.Namespace) -> int:
    """Write a checked copy of the label database to a file, while others may be working."""
    from medbertde.services import safekeeping

    with _Bar(quiet=False) as bar:
        safekeeping.backup(load_settings(), args.file, bar.show, force=args.force)
    print(args.file)
    return DONE


def restore(args: argparse.Namespace) -> int:
    """Put a backup in the place of the label database. Refuses one in use or with newer work; keeps a copy."""
    from medbertde.services import safekeeping

    with _Bar(quiet=False) as bar:
        kept = safekeeping.restore(load_settings(), args.file, bar.show, force=args.force)
    if kept is not None:
        _tell(f"Die bisherige Datenbank liegt in {kept}.", f"The previous database is kept in {kept}.")
    print(_say(f"Eingespielt: {args.file}", f"Restored: {args.file}"))
    return DONE


def move(args: argparse.Namespace) -> int:
    """Copy the label database into an empty one, such as from SQLite to PostgreSQL, and prove that both are equal."""
    from medbertde.services import safekeeping

    with _Bar(quiet=False) as bar:
        moved = safekeeping.move(load_settings(), args.to, bar.show, force=args.force)
    print(_say(f"{moved} Zeilen übertragen und verglichen.", f"{moved} rows copied and compared."))
    _tell(
        "Damit die App dort weiterarbeitet: MEDBERTDE_DATABASE_URL auf die neue Adresse setzen.",
        "To let the app go on there: set MEDBERTDE_DATABASE_URL to the new address.",
    )
    return DONE


def models(_args: argparse.Namespace) -> int:
    """List the models known by name and those chosen or trained here. Any other folder or Hub id can be loaded too."""
    with _opened() as (services, _user):
        language, found = _language(), services.models.every_choice()
    rows = [
        (
            choice.name,
            slot,
            choice.tokenizer,
            f"{choice.size.parameters / 1e6:.0f} M" if choice.size else "",
            choice.where.value,
            choice.licence[language],
            choice.reason.sentence(language) if choice.reason else choice.terms[language],
        )
        for slot, choice in found
    ]
    titles = ("id", "for", "tokenizer", "size", "state", _say("Lizenz", "licence"), _say("Bedingungen", "terms"))
    _print_table([titles, *rows])
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


# ------------------------------------------------------------------------------------------------ people


def users_add(args: argparse.Namespace) -> int:
    """Add an account; the password is asked for, or read from the first line of standard input."""
    with _opened() as (services, user):
        services.accounts.add(user, args.name, Role(args.role), _new_password())
    print(_say(f"{args.name} kann sich anmelden ({args.role}).", f"{args.name} can sign in ({args.role})."))
    return DONE


def users_list(_args: argparse.Namespace) -> int:
    """List everyone who has or had an account."""
    with _opened() as (services, user):
        people = services.accounts.people(user)
    yes, no, disabled = _say("ja", "yes"), _say("nein", "no"), _say("gesperrt", "disabled")
    rows = [
        (
            one.name,
            one.role.value,
            disabled if one.disabled else yes if one.can_sign_in else no,
            one.terms_version or "",
        )
        for one in people
    ]
    _print_table([("name", "role", _say("Anmeldung", "sign-in"), _say("Bedingungen", "terms")), *rows])
    return DONE


def users_password(args: argparse.Namespace) -> int:
    """Give someone a new password; all their sessions end."""
    with _opened() as (services, user):
        services.accounts.reset_password(user, args.name, _new_password())
    print(_say(f"{args.name} hat ein neues Passwort.", f"{args.name} has a new password."))
    return DONE


def users_role(args: argparse.Namespace) -> int:
    """Give someone another role."""
    with _opened() as (services, user):
        services.accounts.set_role(user, args.name, Role(args.role))
    print(f"{args.name}: {args.role}")
    return DONE


def users_disable(args: argparse.Namespace) -> int:
    """Lock someone out at once; what they did stays."""
    with _opened() as (services, user):
        services.accounts.disable(user, args.name)
    print(_say(f"{args.name} ist gesperrt.", f"{args.name} is disabled."))
    return DONE


def users_enable(args: argparse.Namespace) -> int:
    """Let someone in again who was locked out."""
    with _opened() as (services, user):
        services.accounts.enable(user, args.name)
    print(_say(f"{args.name} kann sich wieder anmelden.", f"{args.name} can sign in again."))
    return DONE


def show_audit(args: argparse.Namespace) -> int:
    """Print the audit trail, newest first: time (UTC), who, what, details. It holds no report text."""
    import json

    with _opened() as (services, user):
        found = services.accounts.audit(user, limit=args.limit)
    for entry in found:
        facts = json.dumps(dict(entry.facts), ensure_ascii=False)
        print(f"{entry.created_at:%Y-%m-%d %H:%M:%S}\t{entry.user or '-'}\t{entry.action}\t{facts}")
    return DONE


def _new_password() -> str:
    """Asked for twice and not shown; from a pipe the first line. Never an argument: process lists show those."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass(_say("Passwort: ", "Password: "))
    if first != getpass.getpass(_say("Noch einmal: ", "Once more: ")):
        raise UserError("Die beiden Passwörter sind verschieden.", "The two passwords are different.")
    return first


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

    services = open_services(load_settings(), shipped={})
    try:
        yield services, services.access.operator()
    finally:
        services.database.close()


@contextmanager
def _written(path: Path, encoding: str, *, force: bool) -> Iterator[TextIO]:
    """A file for results, written beside and renamed at the end: it is there as a whole or not at all."""
    _require_free(path, force=force)
    partial = path.with_name(f".{path.name}.partial-{uuid.uuid4().hex[:8]}")
    try:
        with partial.open("x", encoding=encoding, newline="") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _require_free(path: Path, *, force: bool) -> None:
    """Nothing that is there already is replaced unasked."""
    if path.exists() and not force:
        raise InvalidFile(
            f"Die Datei {path} gibt es schon. Bitte einen anderen Namen wählen oder sie mit --force ersetzen.",
            f"The file {path} is there already. Please choose another name or replace it with --force.",
        )


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
        _tell(notice.de, notice.en)
    for title, rows in (
        (_say("Spalte", "column"), [(column.name, column.role) for column in seen.columns]),
        (_say("Name", "name"), [(found.name, found.meaning or "-") for found in seen.names]),
        (_say("Wert", "value"), [(found.name or '""', found.meaning or "none") for found in seen.values]),
    ):
        if rows:
            _print_table([(title, _say("gelesen als", "read as")), *rows])
            print()
    print(_say(f"{seen.scanned} Zeilen angesehen", f"{seen.scanned} rows looked at"), end=", ")
    print(_say(f"{seen.faulty} würden abgelehnt.", f"{seen.faulty} would be rejected."))
    if seen.first_fault is not None:
        _tell(seen.first_fault.de, seen.first_fault.en)


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their longest cell, the last one open."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m medbertde", description="German radiology reports. Research only.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], doc: str = "") -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=doc or run.__doc__, description=doc or run.__doc__)
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
    bring.add_argument(
        "file",
        type=Path,
        help="reports: .jsonl, .csv, .xlsx, .parquet, .txt, .zip; exports of Label Studio and doccano",
    )
    bring.add_argument("--schema", required=True, help="the findings that the reports are labelled with: chest_xray, …")
    _add_meanings(bring)
    take = command("export", export)
    take.add_argument("--schema", required=True, help="the findings whose labels are taken out: chest_xray, …")
    _add_filters(take)
    output(take, "the file to write")
    keep = command("backup", backup)
    keep.add_argument("file", type=Path, metavar="FILE", help="where the copy goes: a file that is not there yet")
    bring_back = command("restore", restore)
    bring_back.add_argument("file", type=Path, metavar="FILE", help="a file that backup wrote")
    go = command("move", move)
    go.add_argument("--to", required=True, metavar="URL", help="postgresql+psycopg://user@server/database, …")
    keep.add_argument("--force", action="store_true", help="replace the file if it is there already")
    bring_back.add_argument("--force", action="store_true", help="also while the app runs, and over newer work")
    go.add_argument("--force", action="store_true", help="also while the app runs; what is saved meanwhile is left out")
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
    _add_people(command)
    return parser


def _add_people(command: Callable[..., argparse.ArgumentParser]) -> None:
    """The commands for accounts and the audit trail."""
    people = command("users", users_list, "Accounts: add, list, password, role, disable, enable.")
    actions = people.add_subparsers(required=True, metavar="ACTION")
    roles = [role.value for role in Role]
    for name, run in {
        "add": users_add,
        "list": users_list,
        "password": users_password,
        "role": users_role,
        "disable": users_disable,
        "enable": users_enable,
    }.items():
        added = actions.add_parser(name, help=run.__doc__, description=run.__doc__)
        added.set_defaults(run=run)
        if name != "list":
            added.add_argument("name", metavar="NAME", help="the user name")
        if name == "role":
            added.add_argument("role", choices=roles)
        if name == "add":
            added.add_argument("--role", default=Role.ANNOTATOR.value, choices=roles, help="what the user may do")
    trail = command("audit", show_audit)
    trail.add_argument("--limit", type=int, default=100, help="how many lines")


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
    take.add_argument("--format", required=True, choices=formats, help="revisions: every change; conll: spans")
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


if __name__ == "__main__":
    sys.exit(main())
