"""The order of work, computed ahead: suggestions for a project's open reports in batches, then their places.

Owns one background thread per app at most. What it computes are rows (suggestions with their model version, places), so
that an interrupted run loses nothing and the next one goes on; only its progress lives in memory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from medbertde import work_order
from medbertde.inference.runtime import Runtime
from medbertde.schema import load_schema
from medbertde.services.access import Access
from medbertde.services.suggest import suggest
from medbertde.store import audit, intake, projects, reports, work_statistics
from medbertde.store.projects import Project
from medbertde.store.session import Database
from medbertde.types import Conflict, Role, Rules, User, UserError, WorkOrder

BATCH = 32
_CHUNK = 1000
Known = list[tuple[int, str]]  # report id and key


@dataclass(frozen=True)
class OrderingStatus:
    """How far the computation is: `done` of `total` reports scored. `refusal` says why it stopped, if it did."""

    project_id: int
    done: int
    total: int
    running: bool
    refusal: UserError | None = None


@dataclass
class _Job:
    """The computation that goes on, and the wish to stop it."""

    status: OrderingStatus | None = None
    thread: threading.Thread | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Ordering:
    """Puts the reports of a project in order. Only an admin starts and stops it."""

    database: Database
    runtime: Runtime
    access: Access
    job: _Job = field(default_factory=_Job)

    def start(self, user: User, project_id: int, order: WorkOrder) -> OrderingStatus:
        """Bring the project's open reports into this order, in the background where a model has to read them first.

        `Conflict` while another one is being computed, `ModelUnavailable` when the order needs a model that is missing.
        """
        self.access.require(user, Role.ADMIN)
        self.access.require_terms(user)
        with self.database.write() as session:
            project = projects.get_project(session, project_id=project_id)
            intake.take_in(session, project=project)
            if order.needs_model:
                self.runtime.model_for(project.schema_id)
            facts: dict[str, audit.Fact] = {"project": project_id, "order": order.value}
            audit.record(session, user_id=user.id, action="order", facts=facts)
        return self._begin(project, order)

    def cancel(self, user: User) -> None:
        """Stop after the batch in hand; what was scored stays and is put in order."""
        self.access.require(user, Role.ADMIN)
        self.job.stop.set()

    def status(self) -> OrderingStatus | None:
        """The computation that goes on, or the last one since the start of the app."""
        return self.job.status

    def wait(self, timeout_s: float) -> None:
        """Wait for the computation to end (command line, tests)."""
        if self.job.thread:
            self.job.thread.join(timeout_s)

    def _begin(self, project: Project, order: WorkOrder) -> OrderingStatus:
        with self.job.lock:
            if self.job.status and self.job.status.running:
                raise Conflict(
                    "Es wird gerade schon eine Reihenfolge berechnet. Bitte warten oder die Berechnung anhalten.",
                    "An order is being computed already. Please wait or stop the computation.",
                )
            self.job.stop.clear()
            self.job.status = OrderingStatus(project.id, 0, 0, running=True)
            self.job.thread = threading.Thread(target=self._run, args=(project, order), daemon=True)
            self.job.thread.start()
            return self.job.status

    def _run(self, project: Project, order: WorkOrder) -> None:
        """The thread: whatever happens, the status says that it is over."""
        refusal: UserError | None = _interrupted()
        try:
            known = list(self._open_reports(project))
            if order.needs_model:
                self._score(project, known)
            self._place(project, order, known)
            refusal = None
        except UserError as error:
            refusal = error
        finally:
            now = self.job.status
            done, total = (now.done, now.total) if now else (0, 0)
            self.job.status = OrderingStatus(project.id, done, total, running=False, refusal=refusal)

    def _open_reports(self, project: Project) -> Iterator[tuple[int, str]]:
        last = 0
        while True:
            with self.database.read() as session:
                found = intake.open_reports(session, project_id=project.id, after=last, limit=_CHUNK)
            if not found:
                return
            yield from found
            last = found[-1][0]

    def _score(self, project: Project, known: Known) -> None:
        """Let the active model read what it has not read yet; its answers are kept as suggestions."""
        for start in range(0, len(known), BATCH):
            if self.job.stop.is_set():
                return
            with self.database.read() as session:
                batch = [reports.get_report(session, report_id=one) for one, _ in known[start : start + BATCH]]
            suggest(self.database, self.runtime, project.schema_id, batch)
            done = min(start + BATCH, len(known))
            self.job.status = OrderingStatus(project.id, done, len(known), running=True)

    def _place(self, project: Project, order: WorkOrder, known: Known) -> None:
        """Write the places; reports without a score come last, in the order of their import."""
        version = self.runtime.model_for(project.schema_id).version if order.needs_model else None
        places = (
            self._scored_places(project, order, known, version) if version else _fixed_places(project, order, known)
        )
        for start in range(0, len(places), _CHUNK):
            with self.database.write() as session:
                intake.set_places(session, project_id=project.id, places=places[start : start + _CHUNK])
        with self.database.write() as session:
            projects.set_order(session, project_id=project.id, order=order, ranked_by=version)

    def _scored_places(self, project: Project, order: WorkOrder, known: Known, version: str) -> list[tuple[int, float]]:
        """Position over number, in [0, 1), for those with a score."""
        scores = self._probabilities(project, known, version)
        candidates = [
            (report_id, intake.draw(project.id, key).place) for report_id, key in known if report_id in scores
        ]
        places = [(report_id, intake.LAST) for report_id, _ in known if report_id not in scores]
        if not candidates:
            return places
        given = work_order.Candidates(
            np.stack([scores[report_id] for report_id, _ in candidates]), np.array([chance for _, chance in candidates])
        )
        chosen = work_order.strategy(_with_order(project.rules, order)).order(given)
        return places + [(candidates[index][0], rank / len(chosen)) for rank, index in enumerate(chosen.tolist())]

    def _probabilities(self, project: Project, known: Known, version: str) -> dict[int, work_order.Floats]:
        """The probability of "present" per finding for every report that this version has read."""
        labels = load_schema(project.schema_id).label_ids
        found: dict[int, work_order.Floats] = {}
        for start in range(0, len(known), _CHUNK):
            ids = [report_id for report_id, _ in known[start : start + _CHUNK]]
            with self.database.read() as session:
                rows = work_statistics.scored(
                    session, schema_id=project.schema_id, model_version=version, report_ids=ids
                )
                found.update((one, np.array([scores.get(label, 0.0) for label in labels])) for one, scores in rows)
        return found


def _fixed_places(project: Project, order: WorkOrder, known: Sequence[tuple[int, str]]) -> list[tuple[int, float]]:
    """The places of an order that no model decides."""
    return [(one, intake.first_place(order, one, intake.draw(project.id, key), test=False)) for one, key in known]


def _interrupted() -> UserError:
    return UserError(
        "Die Reihenfolge ließ sich nicht berechnen; es gilt weiter die bisherige. Bitte noch einmal versuchen.",
        "The order could not be computed; the earlier one still holds. Please try again.",
    )


def _with_order(rules: Rules, order: WorkOrder) -> Rules:
    return Rules(order, random_share=rules.random_share)
