"""The label database: reports, append-only labels, leases, suggestions, runs, model versions, users and the audit.

Owns SQLAlchemy and Alembic; knows neither models, files nor pages. Use it as
``with database.write() as session: labels.save(session, ...)``: the functions take the session first, return the core's
dataclasses and never commit.
"""

from medbertde.store import account_tables as account_tables
from medbertde.store import work_tables as work_tables  # known to whoever compares or creates the tables
from medbertde.store.session import Database, Session, StorageError, open_database

__all__ = ["Database", "Session", "StorageError", "open_database"]
