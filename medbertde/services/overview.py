"""The overview of a schema: searching its reports, looking at one, and the labels in figures.

Owns who sees whose labels: readings are blind, so annotators search in and see only their own values and days, curators
everyone's. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from medbertde.schema import Schema, load_schema
from medbertde.search_text import terms
from medbertde.services.access import Access
from medbertde.store import figures, labelled, labels, reports, search, users
from medbertde.store.figures import DayOfWork
from medbertde.store.search import COUNTED_UP_TO, Filters, Hit, Status, Value
from medbertde.store.session import Database
from medbertde.types import LabelRevision, Report, Role, State, User

__all__ = ["COUNTED_UP_TO", "DayOfWork", "Figures", "Filters", "Found", "Hit", "Looked", "Overview", "Status", "Value"]

PAGE = 20


@dataclass(frozen=True)
class Found:
    """A page of what was found. `count` ends one above `COUNTED_UP_TO`; it is None from the second page on."""

    hits: tuple[Hit, ...]
    after: int | None
    count: int | None


@dataclass(frozen=True)
class Looked:
    """A report to look at: what each person says now, how that came about, and whether the user saved it."""

    report: Report
    terms: tuple[str, ...]
    values: Mapping[str, Mapping[str, State]]
    history: tuple[LabelRevision, ...]
    is_own: bool


@dataclass(frozen=True)
class Figures:
    """The labels of a schema in numbers."""

    annotated: int
    values: Mapping[tuple[str, State], int]
    together: Mapping[tuple[str, str], int]
    days: tuple[DayOfWork, ...]


@dataclass(frozen=True)
class Overview:
    """What anyone who labels may look at."""

    database: Database
    access: Access

    def sees_all(self, user: User) -> bool:
        """Whether this user may see what others say."""
        return user.role.includes(Role.CURATOR)

    def annotators(self, user: User, schema_id: str) -> list[str]:
        """Whose labels this user may search in."""
        self._allow(user, schema_id)
        if not self.sees_all(user):
            return [user.name]
        with self.database.read() as session:
            return [known.name for known in users.list_users(session)]

    def find(self, user: User, query: str, filters: Filters, *, after: int = 0) -> Found:
        """The reports that hold all words and "phrases" of the query and fit the filters, in import order."""
        schema = self._allow(user, filters.schema_id)
        if filters.label is not None:
            schema.label(filters.label)
        wanted, fitting = terms(query), self._blinded(user, replace(filters, modality=schema.modality))
        with self.database.read() as session:
            page = search.search(session, wanted=wanted, filters=fitting, after=after, limit=PAGE)
            counted = search.count(session, wanted=wanted, filters=fitting) if not after else None
        shown = page.hits if self.sees_all(user) else tuple(_only_own(hit, user) for hit in page.hits)
        return Found(shown, page.after, counted)

    def look(self, user: User, schema_id: str, report_id: int, query: str = "") -> Looked:
        """One report with the labels that this user may see."""
        schema = self._allow(user, schema_id)
        with self.database.read() as session:
            report = reports.get_report(session, report_id=report_id)
            changes = labelled.history(session, report_id=report_id, schema_id=schema.id)
            own = labels.latest_submission(session, report_id=report_id, schema_id=schema.id, user_id=user.id)
        seen = [change for change in changes if self.sees_all(user) or change.annotator == user.name]
        values: dict[str, dict[str, State]] = {}
        for change in seen:
            said = values.setdefault(change.annotator, {})
            if change.new_value is None:
                said.pop(change.label, None)
            else:
                said[change.label] = change.new_value
        return Looked(report, terms(query), values, tuple(seen), own is not None)

    def figures(self, user: User, schema_id: str) -> Figures:
        """Distribution, pairs and days; the days of others only for curators."""
        schema = self._allow(user, schema_id)
        person = None if self.sees_all(user) else user.name
        with self.database.read() as session:
            return Figures(
                figures.annotated(session, schema_id=schema.id),
                figures.value_counts(session, schema_id=schema.id),
                figures.present_together(session, schema_id=schema.id),
                tuple(figures.days_of_work(session, schema_id=schema.id, annotator=person)),
            )

    def _blinded(self, user: User, filters: Filters) -> Filters:
        """The filters, over the user's own labels where those of others must stay unknown."""
        if self.sees_all(user):
            return filters
        if filters.status is Status.DISPUTED:
            self.access.require(user, Role.CURATOR)
        asks_for_labels = any(part is not None for part in (filters.label, filters.value, filters.annotator))
        return replace(filters, annotator=user.name if asks_for_labels else None)

    def _allow(self, user: User, schema_id: str) -> Schema:
        self.access.require(user, Role.ANNOTATOR)
        self.access.require_terms(user)
        return load_schema(schema_id)


def _only_own(hit: Hit, user: User) -> Hit:
    return replace(hit, annotators=tuple(name for name in hit.annotators if name == user.name))
