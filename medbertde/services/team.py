"""A team's work: projects and their people, how far everyone is, how far they agree, and what suggestions do.

Owns who may see what: an annotator sees the own figures only, a curator all, an admin makes projects. Nobody gets
another person's values from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from medbertde.schema import load_schema
from medbertde.services import mark_figures, team_marks
from medbertde.services import team_figures as figures
from medbertde.services.access import Access
from medbertde.store import audit, intake, projects, users, work_statistics
from medbertde.store.consensus import Values, values_by_annotator
from medbertde.store.mark_consensus import has_marks_only
from medbertde.store.projects import NewProject, Project
from medbertde.store.session import Database, Session
from medbertde.store.work_statistics import DoneReading
from medbertde.types import InvalidFile, NotFound, Role, User, UserError

__all__ = ["MODEL", "Comparison", "NewProject", "Progress", "ProjectView", "Team"]

LATEST = 5_000  # readings that times and counts are taken from
SHARED = 2_000  # reports that agreement is taken from
MODEL = ""  # the reader that stands for the model; no annotator has an empty name
LONGEST_NAME = 80
_CHUNK = 1000


@dataclass(frozen=True)
class ProjectView:
    """A project as a list shows it: `people` is empty when all may work in it, `chosen` is where the user works."""

    project: Project
    done: int
    people: tuple[str, ...]
    chosen: bool


@dataclass(frozen=True)
class Progress:
    """How far a project is: everyone's lines for a curator, the own one for an annotator.

    `done` also counts what a curator decided without reading it; the lines of `people` count readings only.
    `kinds` are the lines of a schema of spans, `findings` those of one of findings.
    """

    done: int
    total: int
    people: tuple[figures.PersonProgress, ...]
    findings: tuple[figures.FindingProgress, ...]
    kinds: tuple[mark_figures.KindProgress, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The agreement of some readers; `readers` names everyone who can be compared, "" is the model.

    `marks` is filled instead of `findings` in a schema of spans.
    """

    readers: tuple[str, ...]
    compared: tuple[str, ...]
    findings: tuple[figures.FindingAgreement, ...]
    marks: tuple[mark_figures.MarkAgreement, ...] = ()


@dataclass(frozen=True)
class Team:
    """What people see and decide about their common work."""

    database: Database
    access: Access

    def projects(self, user: User, schema_id: str) -> list[ProjectView]:
        """The projects of a schema that the user may work in; a curator sees all."""
        self._allow(user)
        schema = load_schema(schema_id)
        with self.database.write() as session:
            current = projects.current_project(session, schema_id=schema.id, modality=schema.modality, user_id=user.id)
            projects.default_project(session, schema_id=schema.id, modality=schema.modality)
            found = projects.list_projects(session, schema_id=schema.id)
            for project in found:
                intake.take_in(session, project=project)
            names = {one.id: one.name for one in users.list_users(session)}
            views = [_view(session, project.id, names, current) for project in found]
        everything = user.role.includes(Role.CURATOR)
        return [view for view in views if everything or not view.people or user.name in view.people]

    def choose(self, user: User, project_id: int) -> Project:
        """Work in this project from now on."""
        self._allow(user)
        with self.database.write() as session:
            return projects.choose(session, project_id=project_id, user_id=user.id)

    def create(self, user: User, new: NewProject, people: Sequence[str] = ()) -> Project:
        """Make a project. `InvalidFile` names report keys that do not exist, `UserError` rules that cannot work."""
        self._allow(user, Role.ADMIN)
        new = replace(new, name=new.name.strip())
        _require_rules(new, people)
        with self.database.write() as session:
            _require_keys(session, new)
            project = projects.add_project(session, new=new)
            projects.assign(session, project_id=project.id, user_ids=_ids(session, people))
            intake.take_in(session, project=project)
            facts: dict[str, audit.Fact] = {"project": project.id, "schema": project.schema_id}
            audit.record(session, user_id=user.id, action="project", facts=facts)
            return projects.get_project(session, project_id=project.id)

    def assign(self, user: User, project_id: int, people: Sequence[str]) -> None:
        """Let exactly these people work in a project; nobody: everybody may."""
        self._allow(user, Role.ADMIN)
        with self.database.write() as session:
            projects.assign(session, project_id=project_id, user_ids=_ids(session, people))
            facts: dict[str, audit.Fact] = {"project": project_id, "people": len(people)}
            audit.record(session, user_id=user.id, action="assign", facts=facts)

    def close(self, user: User, project_id: int) -> None:
        """Hand out no more reports of a project."""
        self._allow(user, Role.ADMIN)
        with self.database.write() as session:
            projects.close_project(session, project_id=project_id)
            audit.record(session, user_id=user.id, action="close_project", facts={"project": project_id})

    def annotators(self, user: User) -> list[str]:
        """Everyone who may annotate, by name."""
        self._allow(user, Role.CURATOR)
        with self.database.read() as session:
            return [one.name for one in users.list_users(session) if one.role.includes(Role.ANNOTATOR)]

    def imports(self, user: User) -> list[tuple[int, str, int]]:
        """The imports to make a project of: id, file name, number of new reports, the latest first."""
        self._allow(user, Role.ADMIN)
        with self.database.read() as session:
            return intake.list_imports(session)

    def progress(self, user: User, project_id: int) -> Progress:
        """How far a project is, in reports, seconds and labels per finding."""
        self._allow(user)
        with self.database.read() as session:
            project = projects.get_project(session, project_id=project_id)
            done = projects.done_by_person(session, project_id=project_id)
            readings = self._readings(session, project)
            read = _read_by_person(session, project)
            shown = read if user.role.includes(Role.CURATOR) else {user.id: read.get(user.id, 0)}
            readings = [one for one in readings if one.user_id in shown]
            values = _values(session, project, readings)
            kinds = team_marks.kinds(session, project, readings) if has_marks_only(project.schema_id) else []
            names = {one.id: one.name for one in users.list_users(session)}
        people = [
            figures.person_progress(names[one], count, [reading for reading in readings if reading.user_id == one])
            for one, count in shown.items()
            if count
        ]
        people.sort(key=lambda person: (-person.done, person.name))
        findings = [] if kinds else [figures.finding_progress(label, readings, values) for label in _labels(project)]
        return Progress(sum(done.values()), project.total, tuple(people), tuple(findings), tuple(kinds))

    def suggestion_effect(self, user: User, project_id: int) -> figures.SuggestionEffect:
        """What suggestions save and whether they lead: for a curator over everyone, else over the own reports."""
        self._allow(user)
        with self.database.read() as session:
            project = projects.get_project(session, project_id=project_id)
            readings = self._readings(session, project)
            if not user.role.includes(Role.CURATOR):
                readings = [one for one in readings if one.user_id == user.id]
            if has_marks_only(project.schema_id):
                return team_marks.effect(session, project, readings)
            values = _values(session, project, readings)
            ids = {one.report_id for one in readings}
            proposed = work_statistics.proposals(session, schema_id=project.schema_id, report_ids=ids)
            accepted = work_statistics.accepted_proposals(
                session, submission_ids=[one.submission_id for one in readings]
            )
        return figures.suggestion_effect(readings, values, proposed, accepted)

    def agreement(self, user: User, project_id: int, compared: Sequence[str] = ()) -> Comparison:
        """Agreement per finding between the readers named, else between all annotators. For curators.

        With the model among them, the reports are the latest ones that were read; else those that several have read.
        """
        self._allow(user, Role.CURATOR)
        with self.database.read() as session:
            project = projects.get_project(session, project_id=project_id)
            names = {one.id: one.name for one in users.list_users(session)}
            people = sorted(names[one] for one, count in _read_by_person(session, project).items() if count)
            wanted = tuple(name for name in compared if name == MODEL or name in people) or tuple(people)
            ids = self._compared_reports(session, project, with_model=MODEL in wanted)
            if has_marks_only(project.schema_id):
                said = team_marks.by_reader(session, project, ids, names | {team_marks.THE_MODEL: MODEL})
                marks = mark_figures.compare_marks({name: said.get(name, {}) for name in wanted}, _labels(project))
                return Comparison((*people, MODEL), wanted, (), tuple(marks))
            readings = _by_reader(session, project, ids, names)
            if MODEL in wanted:
                proposed = work_statistics.proposals(session, schema_id=project.schema_id, report_ids=ids)
                readings[MODEL] = {report: dict(one.states) for report, one in proposed.items()}
        chosen = {name: readings.get(name, {}) for name in wanted}
        found = figures.compare_readers(chosen, _labels(project))
        return Comparison((*people, MODEL), wanted, tuple(found))

    def _compared_reports(self, session: Session, project: Project, *, with_model: bool) -> list[int]:
        if not with_model:
            return work_statistics.shared_reports(session, project_id=project.id, limit=SHARED)
        return list(dict.fromkeys(one.report_id for one in self._readings(session, project)))[:SHARED]

    def _readings(self, session: Session, project: Project) -> list[DoneReading]:
        return work_statistics.done_readings(session, project_id=project.id, schema_id=project.schema_id, limit=LATEST)

    def _allow(self, user: User, role: Role = Role.ANNOTATOR) -> None:
        self.access.require(user, role)
        self.access.require_terms(user)


def _view(session: Session, project_id: int, names: Mapping[int, str], current: Project) -> ProjectView:
    project = projects.get_project(session, project_id=project_id)
    done = sum(projects.done_by_person(session, project_id=project.id).values())
    people = sorted(names[one] for one in projects.assigned_people(session, project_id=project.id))
    return ProjectView(project, done, tuple(people), project.id == current.id)


def _read_by_person(session: Session, project: Project) -> dict[int, int]:
    """How many reports of a project everyone has read; what a curator only decided is done, but not read."""
    done = projects.done_by_person(session, project_id=project.id)
    decided = work_statistics.decided_by_person(session, project_id=project.id, schema_id=project.schema_id)
    return {user_id: count - decided.get(user_id, 0) for user_id, count in done.items()}


def _values(session: Session, project: Project, readings: Sequence[DoneReading]) -> dict[tuple[int, int], Values]:
    ids = list(dict.fromkeys(one.report_id for one in readings))
    found: dict[tuple[int, int], Values] = {}
    for start in range(0, len(ids), _CHUNK):
        found |= values_by_annotator(session, schema_id=project.schema_id, report_ids=ids[start : start + _CHUNK])
    return found


def _labels(project: Project) -> tuple[str, ...]:
    return load_schema(project.schema_id).label_ids


def _by_reader(
    session: Session, project: Project, report_ids: Sequence[int], names: Mapping[int, str]
) -> dict[str, dict[int, Values]]:
    """Who read which of the reports, with the values; a report read without any finding counts as read."""
    found: dict[str, dict[int, Values]] = {}
    for start in range(0, len(report_ids), _CHUNK):
        ids = report_ids[start : start + _CHUNK]
        values = values_by_annotator(session, schema_id=project.schema_id, report_ids=ids)
        read = intake.who_read(session, project_id=project.id, schema_id=project.schema_id, report_ids=ids)
        for report_id, user_id in read:
            found.setdefault(names[user_id], {})[report_id] = values.get((report_id, user_id), {})
    return found


def _ids(session: Session, people: Sequence[str]) -> list[int]:
    """The users of these names; `NotFound` names the first who is not there."""
    known = {one.name: one.id for one in users.list_users(session)}
    for name in people:
        if name not in known:
            raise NotFound(f"Eine Person „{name}“ gibt es nicht.", f"There is no person “{name}”.")
    return [known[name] for name in people]


def _require_rules(new: NewProject, people: Sequence[str]) -> None:
    """Refuse what could never be finished or measured."""
    if not 0 < len(new.name) <= LONGEST_NAME:
        raise UserError(
            f"Bitte dem Projekt einen Namen geben (höchstens {LONGEST_NAME} Zeichen).",
            f"Please give the project a name (at most {LONGEST_NAME} characters).",
        )
    rules = new.rules
    shares = (rules.overlap_share, rules.bare_share, rules.test_share, rules.random_share)
    if any(not 0 <= share <= 1 for share in shares):
        raise UserError(
            "Anteile liegen zwischen 0 und 100 %. Bitte die Angaben prüfen.",
            "Shares lie between 0 and 100 %. Please check the figures.",
        )
    if rules.overlap_share and not 2 <= rules.readers <= len(people):
        raise UserError(
            f"Eine unabhängige Zweitlesung durch {rules.readers} Personen braucht mindestens so viele Zugeteilte (und "
            f"mindestens zwei); zugeteilt sind {len(people)}. Bitte weitere Personen zuteilen oder den Anteil auf 0 "
            "setzen.",
            f"A blind second reading by {rules.readers} people needs at least as many assigned (and at least two); "
            f"{len(people)} are assigned. Please assign more people or set the share to 0.",
        )


def _require_keys(session: Session, new: NewProject) -> None:
    """Refuse a list with ids that no report has, naming some of them."""
    missing = intake.unknown_keys(session, keys=new.keys or ())
    if missing:
        some = ", ".join(missing[:5])
        raise InvalidFile(
            f"Zu {len(missing)} Kennungen gibt es keinen Befund: {some}. Bitte die Liste prüfen.",
            f"No report has these {len(missing)} ids: {some}. Please check the list.",
        )
