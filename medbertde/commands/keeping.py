"""Commands that keep the label database: backup, restore, move."""

from __future__ import annotations

import argparse
from pathlib import Path

from medbertde.commands.console import DONE, Bar, require_free, say, tell
from medbertde.commands.options import Command
from medbertde.settings import load_settings


def add(command: Command) -> None:
    """Declare the commands of this module."""
    keep = command("backup", backup)
    keep.add_argument("file", type=Path, metavar="FILE", help="where the copy goes: a file that is not there yet")
    keep.add_argument("--force", action="store_true", help="replace the file if it is there already")
    bring_back = command("restore", restore)
    bring_back.add_argument("file", type=Path, metavar="FILE", help="a file that backup wrote")
    bring_back.add_argument("--force", action="store_true", help="also while the app runs, and over newer work")
    go = command("move", move)
    go.add_argument("--to", required=True, metavar="URL", help="postgresql+psycopg://user@server/database, …")
    go.add_argument("--force", action="store_true", help="also while the app runs; what is saved meanwhile is left out")


def backup(args: argparse.Namespace) -> int:
    """Write a checked copy of the label database to a file, while others may be working."""
    from medbertde.services import safekeeping

    file = require_free(args.file, force=args.force)
    with Bar(quiet=False) as bar:
        safekeeping.backup(load_settings(), file, bar.show, force=args.force)
    print(args.file)
    return DONE


def restore(args: argparse.Namespace) -> int:
    """Put a backup in the place of the label database. Refuses one in use or with newer work; keeps a copy."""
    from medbertde.services import safekeeping

    with Bar(quiet=False) as bar:
        kept = safekeeping.restore(load_settings(), args.file, bar.show, force=args.force)
    if kept is not None:
        tell(f"Die bisherige Datenbank liegt in {kept}.", f"The previous database is kept in {kept}.")
    print(say(f"Eingespielt: {args.file}", f"Restored: {args.file}"))
    return DONE


def move(args: argparse.Namespace) -> int:
    """Copy the label database into an empty one, such as from SQLite to PostgreSQL, and prove that both are equal."""
    from medbertde.services import safekeeping

    with Bar(quiet=False) as bar:
        moved = safekeeping.move(load_settings(), args.to, bar.show, force=args.force)
    print(say(f"{moved} Zeilen übertragen und verglichen.", f"{moved} rows copied and compared."))
    tell(
        "Damit die App dort weiterarbeitet: MEDBERTDE_DATABASE_URL auf die neue Adresse setzen.",
        "To let the app go on there: set MEDBERTDE_DATABASE_URL to the new address.",
    )
    return DONE
