"""Backups of the label database, their return, and its move to another one. For the command line, not for the page.

Owns that each of them stands in the audit trail. Works on addresses and files: a restore must not have the database
open that it replaces.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from medbertde.settings import Settings
from medbertde.store import audit, open_database
from medbertde.store import backup as backups
from medbertde.types import NotFound, Progress

Watch = Callable[[Progress], None]


def backup(settings: Settings, path: Path, watch: Watch, *, force: bool) -> None:
    """Write a checked copy of the database to `path`, while others may be working."""
    with closing(open_database(settings.database_url)) as database:
        backups.backup(database, path, watch, force=force)
    _note(settings.database_url, "backup", {"file": path.name})


def restore(settings: Settings, path: Path, watch: Watch, *, force: bool) -> Path | None:
    """Put a backup in the place of the database; returns where the replaced one is kept, if there was one."""
    if not path.is_file():
        raise NotFound(
            f"Die Datei {path} gibt es nicht. Bitte den Pfad prüfen.",
            f"There is no file {path}. Please check the path.",
        )
    kept = backups.restore(settings.database_url, path, watch, force=force)
    _note(settings.database_url, "restore", {"file": path.name})
    return kept


def move(settings: Settings, target_url: str, watch: Watch, *, force: bool) -> int:
    """Copy everything into an empty database (`--to`) and prove that both are equal; returns the number of rows."""
    moved = backups.move(settings.database_url, target_url, watch, force=force, address="--to")
    _note(target_url, "move", {"rows": moved.total, "sha256": moved.sha256})
    return moved.total


def _note(url: str, action: str, facts: dict[str, audit.Fact]) -> None:
    with closing(open_database(url)) as database, database.write() as session:
        audit.record(session, user_id=None, action=action, facts=facts)
