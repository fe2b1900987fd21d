"""Annotating reports: the next ones with suggestions, saving, skipping, going back; importing and exporting.

Owns the rules of an annotator's work: who may save what, when a lease counts, how a suggestion becomes a label with
its source. Knows neither the page nor how rows are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from medbertde.inference.runtime import Runtime
from medbertde.schema import Schema, load_schema
from medbertde.services import exchange
from medbertde.services.access import Access
from medbertde.services.suggest import suggest
from medbertde.settings import Settings
from medbertde.store import audit, labels, queue, reports, suggestions
from medbertde.store.labels import RecentReport
from medbertde.store.session import Database, Session
from medbertde.types import (
    Conflict,
    ImportResult,
    LabelChange,
    LabelRevision,
    NotFound,
    Progress,
    QueueProgress,
    Report,
    Role,
    Source,
    State,
    Suggestion,
    User,
    UserError,
)

MAX_IN_HAND = 20  # reports that one call leases or renews at most


@dataclass(frozen=True)
class SavedWork:
    """What a user saved last for a report. Findings that are not mentioned are not among the `values`."""

    values: Mapping[str, State]
    comment: str
    flagged: bool
    saved_at: datetime


@dataclass(frozen=True)
class WorkItem:
    """A report to label, with what the active model proposes, or a report to correct, with what was saved before."""

    report: Report
    suggestion: Suggestion | None = None
    saved: SavedWork | None = None
    lease_until: datetime | None = None


@dataclass(frozen=True)
class Work:
    """The next reports of an annotator, and how far the schema has come."""

    items: tuple[WorkItem, ...]
    progress: QueueProgress


@dataclass(frozen=True)
class Decision:
    """One save as the user made it. A finding with the value None is not mentioned; one that is absent is unchanged.

    `client_uuid` makes a retry harmless. `model_version` names the suggestion that was on the screen.
    """

    client_uuid: str
    schema_id: str
    report_id: int
    values: Mapping[str, State | None] = field(default_factory=dict)
    model_version: str | None = None
    comment: str = ""
    flagged: bool = False
    active_ms: int = 0


@dataclass(frozen=True)
class SaveResult:
    """The changes that a save wrote, and what comes next."""

    revisions: tuple[LabelRevision, ...]
    work: Work


@dataclass(frozen=True)
class Annotate:
    """What an annotator does. Every method first checks the role and that the terms are accepted."""

    database: Database
    runtime: Runtime
    access: Access
    settings: Settings

    def next_reports(self, user: User, schema_id: str, *, count: int = 1, exclude: Collection[int] = ()) -> Work:
        """Up to `count` waiting reports, leased to this user; `exclude` names those in hand or skipped."""
        schema = self._allow(user, schema_id)
        with self.database.write() as session:
            work = self._lease(session, user, schema, count, exclude)
        return self._with_suggestions(schema, work)

    def save(self, user: User, decision: Decision, *, count: int = 0, exclude: Collection[int] = ()) -> SaveResult:
        """Save a report and lease up to `count` next ones, both or neither; the same decision again writes nothing.

        A lease that ran out does no harm; when someone else took or saved the report meanwhile, it is a `Conflict`.
        """
        schema = self._allow(user, decision.schema_id)
        with self.database.write() as session:
            self._require_mine(session, user, schema.id, decision.report_id)
            shown = _shown(session, decision)
            revisions = labels.save(
                session,
                report_id=decision.report_id,
                schema_id=schema.id,
                schema_version=schema.version,
                user_id=user.id,
                changes=_changes(schema, decision, shown),
                client_uuid=decision.client_uuid,
                model_version=shown.model_version if shown else None,
                active_ms=decision.active_ms,
                comment=decision.comment,
                flagged=decision.flagged,
            )
            work = self._lease(session, user, schema, count, exclude)
        return SaveResult(revisions, self._with_suggestions(schema, work))

    def skip(self, user: User, schema_id: str, report_id: int) -> None:
        """Give a report back unsaved, for someone else or for later."""
        schema = self._allow(user, schema_id)
        with self.database.write() as session:
            queue.release(session, report_id=report_id, schema_id=schema.id, user_id=user.id)

    def keep(self, user: User, schema_id: str, report_ids: Sequence[int]) -> tuple[int, ...]:
        """Renew the leases of the reports in hand; returns those that belong to someone else by now."""
        schema = self._allow(user, schema_id)
        lost = []
        with self.database.write() as session:
            for report_id in report_ids[:MAX_IN_HAND]:
                try:
                    self._require_mine(session, user, schema.id, report_id)
                except Conflict:
                    lost.append(report_id)
        return tuple(lost)

    def recent(self, user: User, schema_id: str) -> list[RecentReport]:
        """The reports this user saved last, newest first, at most 50."""
        schema = self._allow(user, schema_id)
        with self.database.read() as session:
            return labels.recent_by_user(session, user_id=user.id, schema_id=schema.id)

    def reopen(self, user: User, schema_id: str, report_id: int) -> WorkItem:
        """A report that this user saved, with the saved values, to look at or correct."""
        schema = self._allow(user, schema_id)
        with self.database.read() as session:
            report = reports.get_report(session, report_id=report_id)
            last = labels.latest_submission(session, report_id=report_id, schema_id=schema.id, user_id=user.id)
            if last is None:
                raise NotFound(
                    "Diesen Befund haben Sie noch nicht gespeichert. Wieder öffnen lassen sich nur eigene Befunde.",
                    "You have not saved this report yet. Only your own reports can be opened again.",
                )
            values = labels.current(session, report_id=report_id, schema_id=schema.id, user_id=user.id)
        return WorkItem(report, saved=SavedWork(values, last.comment, last.flagged, last.created_at))

    def import_reports(
        self,
        user: User,
        schema_id: str,
        name: str,
        data: bytes,
        on_progress: Callable[[Progress], None] = lambda _progress: None,
    ) -> ImportResult:
        """Store all good rows of a report file in one transaction; rows that are wrong are listed with the reason."""
        schema = self._allow(user, schema_id)
        return self._store(user, schema, exchange.read_file(name, data, schema, self.settings, on_progress))

    def import_examples(self, user: User, schema_id: str) -> ImportResult:
        """Fill the queue with the shipped fictional reports, without their labels."""
        schema = self._allow(user, schema_id)
        return self._store(user, schema, exchange.example_file(schema))

    def export_labels(self, user: User, schema_id: str, kind: exchange.ExportKind) -> Iterator[str]:
        """The lines of an export; the rows are read while the lines are consumed."""
        schema = self._allow(user, schema_id)
        with self.database.write() as session:
            audit.record(session, user_id=user.id, action="export", facts={"schema": schema.id, "kind": kind.value})
        return self._export_lines(schema, kind)

    def _export_lines(self, schema: Schema, kind: exchange.ExportKind) -> Iterator[str]:
        with self.database.read() as session:
            yield from exchange.export_lines(session, schema, kind)

    def _allow(self, user: User, schema_id: str) -> Schema:
        self.access.require(user, Role.ANNOTATOR)
        self.access.require_terms(user)
        return load_schema(schema_id)

    def _store(self, user: User, schema: Schema, file: exchange.ImportedFile) -> ImportResult:
        with self.database.write() as session:
            result = exchange.store_file(session, file, schema, user)
            facts: dict[str, audit.Fact] = {
                "schema": schema.id,
                "added": result.added,
                "duplicates": result.duplicates,
                "labelled": result.labelled,
                "rejected": len(result.rejected),
            }
            audit.record(session, user_id=user.id, action="import", facts=facts)
        return result

    def _lease(self, session: Session, user: User, schema: Schema, count: int, exclude: Collection[int]) -> Work:
        """Up to `count` reports under lease, without suggestions yet."""
        until = datetime.now(UTC) + timedelta(minutes=self.settings.lease_minutes)
        taken, items = set(exclude), []
        for _ in range(min(count, MAX_IN_HAND)):
            report = queue.next_report(
                session,
                schema_id=schema.id,
                user_id=user.id,
                modality=schema.modality,
                lease_minutes=self.settings.lease_minutes,
                exclude=taken,
            )
            if report is None:
                break
            taken.add(report.id)
            items.append(WorkItem(report, lease_until=until))
        progress = queue.progress(session, schema_id=schema.id, modality=schema.modality, user_id=user.id)
        return Work(tuple(items), progress)

    def _require_mine(self, session: Session, user: User, schema_id: str, report_id: int) -> None:
        """Lease the report on, unless this user saved it before; `Conflict` when it belongs to someone else by now."""
        reports.get_report(session, report_id=report_id)
        if labels.latest_submission(session, report_id=report_id, schema_id=schema_id, user_id=user.id):
            return
        if labels.latest_submission(session, report_id=report_id, schema_id=schema_id):
            raise Conflict(
                "Dieser Befund lag zu lange offen und wurde inzwischen von jemand anderem gespeichert. Ihre Angaben "
                "dazu sind nicht gespeichert.",
                "This report was open for too long and someone else has saved it by now. Your values for it are not "
                "saved.",
            )
        minutes = self.settings.lease_minutes
        queue.renew(session, report_id=report_id, schema_id=schema_id, user_id=user.id, lease_minutes=minutes)

    def _with_suggestions(self, schema: Schema, work: Work) -> Work:
        """The work with suggestions. Without a model that can make and keep them, reports come without, visibly so."""
        try:
            found = suggest(self.database, self.runtime, schema.id, [item.report for item in work.items])
        except UserError:
            return work
        return replace(work, items=tuple(replace(item, suggestion=found.get(item.report.id)) for item in work.items))


def _shown(session: Session, decision: Decision) -> Suggestion | None:
    """The suggestion that the user saw; what it proposed is taken from the database, not from the page."""
    if decision.model_version is None:
        return None
    return suggestions.get(
        session,
        report_id=decision.report_id,
        schema_id=decision.schema_id,
        model_version=decision.model_version,
    )


def _changes(schema: Schema, decision: Decision, shown: Suggestion | None) -> list[LabelChange]:
    """One change per finding of the decision; `InvalidSchema` for a finding the schema does not have."""
    changes = []
    for label_id, value in decision.values.items():
        schema.label(label_id)
        if shown is None:
            changes.append(LabelChange(label_id, value))
            continue
        proposed = shown.states.get(label_id)
        source = Source.SUGGESTION_ACCEPTED if value == proposed else Source.SUGGESTION_CHANGED
        changes.append(LabelChange(label_id, value, source, proposed))
    return changes
