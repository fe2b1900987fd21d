"""Annotating reports: the next ones with suggestions, saving, skipping, going back; importing and exporting.

Owns the rules of an annotator's work: who may save what, when a lease counts, how a suggestion becomes a label with
its source. Knows neither the page nor how rows are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from medbertde.inference.runtime import Runtime
from medbertde.schema import Schema, load_schema
from medbertde.services.access import Access
from medbertde.services.files import Files
from medbertde.services.mark_sources import with_sources
from medbertde.services.save_rules import require_evidence, require_version
from medbertde.services.suggest import suggest
from medbertde.settings import Settings
from medbertde.store import labelled, labels, projects, proposals, queue, reports, reviews, skips, suggestions
from medbertde.store.labelled import RecentReport
from medbertde.store.projects import Project
from medbertde.store.queue import Assigned
from medbertde.store.session import Database, Session
from medbertde.types import (
    Conflict,
    ImportResult,
    LabelChange,
    NotFound,
    Progress,
    Proposal,
    QueueProgress,
    Rationale,
    Report,
    Role,
    Skip,
    SkipReason,
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
    rationales: tuple[Rationale, ...] = ()
    submission: int = 0


@dataclass(frozen=True)
class WorkItem:
    """A report to label, with what the active model proposes, or a report to correct, with what was saved before.

    A `bare` report is drawn to be read without a suggestion; the model's answer is kept, to compare with later.
    `proposals` are spans that someone has sent here from an explanation; a bare report has none.
    """

    report: Report
    suggestion: Suggestion | None = None
    saved: SavedWork | None = None
    lease_until: datetime | None = None
    bare: bool = False
    proposals: tuple[Proposal, ...] = ()


@dataclass(frozen=True)
class Work:
    """The next reports of an annotator, and how far the schema has come."""

    items: tuple[WorkItem, ...]
    progress: QueueProgress


@dataclass(frozen=True)
class Decision:
    """One save as the user made it. A finding with the value None is not mentioned; one that is absent is unchanged.

    `client_uuid` makes a retry harmless. `model_version` names the suggestion that was on the screen, `schema_version`
    and `guideline_version` the rules the page had. `rationales` are all the marked words that hold after this save.
    `seen` is the user's own save of this report that the page knew (0: none); None leaves out the check for others.
    """

    client_uuid: str
    schema_id: str
    report_id: int
    values: Mapping[str, State | None] = field(default_factory=dict)
    model_version: str | None = None
    comment: str = ""
    flagged: bool = False
    active_ms: int = 0
    schema_version: int | None = None
    guideline_version: str | None = None
    rationales: tuple[Rationale, ...] = ()
    seen: int | None = None


@dataclass(frozen=True)
class SkipDecision:
    """A report put aside, as the user did it; `client_uuid` makes a retry harmless."""

    client_uuid: str
    schema_id: str
    report_id: int
    reason: SkipReason
    comment: str = ""
    active_ms: int = 0


@dataclass(frozen=True)
class SaveResult:
    """The number of a save, and what comes next."""

    submission: int
    work: Work


@dataclass(frozen=True)
class Annotate:
    """What an annotator does. Every method first checks the role and that the terms are accepted."""

    database: Database
    runtime: Runtime
    access: Access
    settings: Settings

    def next_reports(
        self, user: User, schema_id: str, *, count: int = 1, exclude: Collection[int] = (), skipped: bool = False
    ) -> Work:
        """Up to `count` waiting reports, leased to this user; `exclude` names those in hand.

        What the user has put aside is left out unless `skipped` asks for it.
        """
        schema = self._allow(user, schema_id)
        with self.database.write() as session:
            work = self._lease(session, user, schema, count, exclude, skipped)
        return self._with_suggestions(schema, work)

    def save(
        self,
        user: User,
        decision: Decision,
        *,
        count: int = 0,
        exclude: Collection[int] = (),
        skipped: bool = False,
    ) -> SaveResult:
        """Save a report and lease up to `count` next ones, both or neither; the same decision again writes nothing.

        A lease that ran out does no harm; when someone else took or saved the report meanwhile, it is a `Conflict`,
        `SavedElsewhere` when it was the same user in another window, `SchemaChanged` when the page's schema is old.
        """
        schema = self._allow(user, decision.schema_id)

        def check(text: str) -> None:
            require_version(schema, decision.schema_version)
            require_evidence(schema, decision.rationales, decision.values, text)

        with self.database.write() as session:
            shown = _shown(session, decision)
            number = labels.save(
                session,
                report_id=decision.report_id,
                schema_id=schema.id,
                schema_version=schema.version,
                user_id=user.id,
                changes=_changes(schema, decision, shown),
                client_uuid=decision.client_uuid,
                model_version=shown.model_version if shown else None,
                guideline_version=decision.guideline_version,
                active_ms=decision.active_ms,
                comment=decision.comment,
                flagged=decision.flagged,
                rationales=with_sources(session, decision.rationales, shown, decision.report_id, schema.id, user.id),
                seen=decision.seen,
                leased=True,
                check=check,
            )
            reviews.note(session, report_id=decision.report_id, schema_id=schema.id)
            work = self._lease(session, user, schema, count, exclude, skipped)
        return SaveResult(number, self._with_suggestions(schema, work))

    def skip(self, user: User, decision: SkipDecision) -> None:
        """Put a report aside with a reason, for someone else or for review; the same decision again writes nothing."""
        schema = self._allow(user, decision.schema_id)
        with self.database.write() as session:
            skips.record_skip(
                session,
                report_id=decision.report_id,
                schema_id=schema.id,
                user_id=user.id,
                client_uuid=decision.client_uuid,
                reason=decision.reason,
                comment=decision.comment,
                active_ms=decision.active_ms,
            )
            reviews.note(session, report_id=decision.report_id, schema_id=schema.id, skip_reason=decision.reason.value)
            queue.release(session, report_id=decision.report_id, schema_id=schema.id, user_id=user.id)

    def skipped(self, user: User, schema_id: str) -> list[Skip]:
        """What has been put aside in a schema and why, newest first: for curators."""
        schema = self._allow(user, schema_id)
        self.access.require(user, Role.CURATOR)
        with self.database.read() as session:
            return skips.skips(session, schema_id=schema.id)

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
            return labelled.recent_by_user(session, user_id=user.id, schema_id=schema.id)

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
            proposed = proposals.shown_to(session, report_ids=[report_id], schema_id=schema.id, user_id=user.id)
        saved = SavedWork(values, last.comment, last.flagged, last.created_at, last.rationales, last.id)
        return WorkItem(report, saved=saved, proposals=proposed.get(report_id, ()))

    def open_report(self, user: User, schema_id: str, report_id: int) -> WorkItem:
        """One report out of turn: to correct it, or to label it under a lease; `Conflict` if it is not free."""
        schema = self._allow(user, schema_id)
        with self.database.write() as session:
            own = labels.latest_submission(session, report_id=report_id, schema_id=schema.id, user_id=user.id)
            if own is None:
                project = self._project(session, user, schema)
                minutes = self.settings.lease_minutes
                taken = queue.take(
                    session, project=project, report_id=report_id, user_id=user.id, lease_minutes=minutes
                )
                work = self._in_hand(session, user, schema, project, [taken])
        return self.reopen(user, schema_id, report_id) if own else self._with_suggestions(schema, work).items[0]

    def proposals(self, user: User, schema_id: str, report_ids: Sequence[int]) -> dict[int, tuple[Proposal, ...]]:
        """What has been proposed by now for the reports in hand."""
        schema = self._allow(user, schema_id)
        wanted = report_ids[:MAX_IN_HAND]
        with self.database.read() as session:
            return proposals.shown_to(session, report_ids=wanted, schema_id=schema.id, user_id=user.id)

    def import_reports(
        self,
        user: User,
        schema_id: str,
        name: str,
        data: bytes,
        on_progress: Callable[[Progress], None] = lambda _progress: None,
    ) -> ImportResult:
        """Fill the queue from a file, understood by its names alone; `files` does it step by step and with choices."""
        return self._files.import_file(user, schema_id, name, data, on_progress=on_progress)

    def import_examples(self, user: User, schema_id: str) -> ImportResult:
        """Fill the queue with the shipped fictional reports, without their labels."""
        return self._files.import_examples(user, schema_id)

    @property
    def _files(self) -> Files:
        return Files(self.database, self.access, self.settings)

    def _allow(self, user: User, schema_id: str) -> Schema:
        self.access.require(user, Role.ANNOTATOR)
        self.access.require_terms(user)
        return load_schema(schema_id)

    def _lease(
        self, session: Session, user: User, schema: Schema, count: int, exclude: Collection[int], skipped: bool
    ) -> Work:
        """Up to `count` reports under lease, without suggestions yet."""
        project = self._project(session, user, schema)
        taken, found = set(exclude), []
        for _ in range(min(count, MAX_IN_HAND)):
            assigned = queue.next_report(
                session,
                project=project,
                user_id=user.id,
                lease_minutes=self.settings.lease_minutes,
                exclude=taken,
                skipped=skipped,
            )
            if assigned is None:
                break
            taken.add(assigned.report.id)
            found.append(assigned)
        return self._in_hand(session, user, schema, project, found)

    def _project(self, session: Session, user: User, schema: Schema) -> Project:
        return projects.current_project(session, schema_id=schema.id, modality=schema.modality, user_id=user.id)

    def _in_hand(
        self, session: Session, user: User, schema: Schema, project: Project, found: Sequence[Assigned]
    ) -> Work:
        """The reports just leased, with what has been proposed for them."""
        until = datetime.now(UTC) + timedelta(minutes=self.settings.lease_minutes)
        ids = [one.report.id for one in found]
        proposed = proposals.shown_to(session, report_ids=ids, schema_id=schema.id, user_id=user.id)
        items = [
            WorkItem(one.report, lease_until=until, bare=one.bare, proposals=proposed.get(one.report.id, ()))
            for one in found
        ]
        return Work(tuple(items), queue.progress(session, project=project, user_id=user.id))

    def _require_mine(self, session: Session, user: User, schema_id: str, report_id: int) -> None:
        """Lease the report on, unless this user saved it before; `Conflict` when it belongs to someone else by now."""
        if not labels.latest_submission(session, report_id=report_id, schema_id=schema_id, user_id=user.id):
            minutes = self.settings.lease_minutes
            queue.renew(session, report_id=report_id, schema_id=schema_id, user_id=user.id, lease_minutes=minutes)

    def _with_suggestions(self, schema: Schema, work: Work) -> Work:
        """The work with suggestions. Without a model that can make and keep them, reports come without, visibly so."""
        try:
            found = suggest(self.database, self.runtime, schema.id, [item.report for item in work.items])
        except UserError:
            return work
        items = [item if item.bare else replace(item, suggestion=found.get(item.report.id)) for item in work.items]
        return replace(work, items=tuple(items))


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
