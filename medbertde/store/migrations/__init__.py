"""The history of the tables: one small Alembic step per change, run by `open_database`.

Owns the upgrade. Knows no rows: a step spells out its tables as they were at its time.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from medbertde.types import UserError

_ADVISORY_LOCK = 7_264_512  # any number of our own: PostgreSQL replicas that start together migrate one after the other


def upgrade(connection: Connection) -> None:
    """Bring the tables up to date inside the connection's open transaction.

    The connection must have foreign keys off on SQLite (rebuilding a table would cascade into its children); they are
    checked before this returns. `UserError` when the database was written by a newer version of the code.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _ADVISORY_LOCK})
    config = alembic_config(connection)
    found = MigrationContext.configure(connection).get_current_revision()
    if found == ScriptDirectory.from_config(config).get_current_head():
        return
    if found is not None:
        require_known(found)
    command.upgrade(config, "head")
    check_foreign_keys(connection)


def require_known(revision: str) -> None:
    """`UserError` when a database with this revision was written by a newer version of the code."""
    script = ScriptDirectory.from_config(alembic_config(None))
    if revision not in {step.revision for step in script.walk_revisions()}:
        raise UserError(
            f"Die Datenbank stammt von einer neueren Programmversion (Stand {revision}). Bitte das Programm "
            "aktualisieren oder eine ältere Sicherung verwenden.",
            f"The database was written by a newer version of the program (revision {revision}). Please update the "
            "program or use an older backup.",
        )


def alembic_config(connection: Connection | None) -> Config:
    """What Alembic needs to work on this connection; there is no ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def check_foreign_keys(connection: Connection) -> None:
    """Refuse to commit a migration that left rows without their parents (SQLite did not check them meanwhile)."""
    if connection.dialect.name != "sqlite":
        return
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if orphans:
        tables = ", ".join(sorted({str(row[0]) for row in orphans}))
        raise UserError(
            f"Die Datenbank ließ sich nicht aktualisieren: In {tables} fehlen zugehörige Zeilen ({len(orphans)}). Sie "
            "bleibt unverändert. Bitte eine Sicherung verwenden.",
            f"The database could not be upgraded: rows in {tables} lack their parents ({len(orphans)}). It stays as it "
            "was. Please use a backup.",
        )
