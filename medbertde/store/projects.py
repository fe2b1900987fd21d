"""Projects: which reports a team labels by which rules, and who works in them.

Owns the projects and their people. How reports come into a project is `intake`'s, who has one in hand `queue`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Row, and_, bindparam, or_, select, update

from medbertde.store.session import Session, insert_of
from medbertde.store.session import insert as upsert
from medbertde.store.tables import table_of, utc_now
from medbertde.store.work_tables import ProjectPersonRow, ProjectRow
from medbertde.types import Conflict, NotFound, Rules, WorkOrder


@dataclass(frozen=True)
class Project:
    """A project. The one with an empty name is the default of its schema; nobody has to make it."""

    id: int
    schema_id: str
    name: str
    modality: str | None
    imports: tuple[int, ...] | None
    keys: tuple[str, ...] | None
    rules: Rules
    total: int
    ranked_by: str | None
    ranked_at: datetime | None
    closed_at: datetime | None

    @property
    def is_default(self) -> bool:
        """Whether this is the project that every schema has."""
        return not self.name


@dataclass(frozen=True)
class NewProject:
    """What an admin asks for. `imports` and `keys` of None take all reports of the modality."""

    schema_id: str
    name: str
    modality: str | None
    rules: Rules
    imports: tuple[int, ...] | None = None
    keys: tuple[str, ...] | None = None
    people: tuple[int, ...] = field(default=())


# ---------------------------------------------------------------------------------------------- projects


def default_project(session: Session, *, schema_id: str, modality: str | None) -> Project:
    """The project that every schema has, made at the first call. Needs a write transaction then."""
    found = session.execute(_NAMED, {"schema": schema_id, "name": ""}).first()
    if found is None:
        values = _columns(NewProject(schema_id, "", modality, Rules()))
        session.execute(upsert(session, ProjectRow).values(**values).on_conflict_do_nothing())
        found = session.execute(_NAMED, {"schema": schema_id, "name": ""}).one()
    return _project(found)


def add_project(session: Session, *, new: NewProject) -> Project:
    """Make a project; `Conflict` when the schema has one of this name."""
    if session.scalar(_NAMED, {"schema": new.schema_id, "name": new.name}) is not None:
        raise Conflict(
            f"Ein Projekt mit dem Namen „{new.name}“ gibt es schon. Bitte einen anderen Namen wählen.",
            f"There is a project named “{new.name}” already. Please choose another name.",
        )
    row = ProjectRow(**_columns(new))
    session.add(row)
    session.flush()
    assign(session, project_id=row.id, user_ids=new.people)
    return _project(row)


def get_project(session: Session, *, project_id: int) -> Project:
    """The project with this id; `NotFound` when there is none."""
    return _project(_row(session, project_id))


def list_projects(session: Session, *, schema_id: str) -> list[Project]:
    """The projects of a schema that are not closed, the default one first."""
    query = select(ProjectRow).where(ProjectRow.schema_id == schema_id, ProjectRow.closed_at.is_(None))
    return [_project(row) for row in session.scalars(query.order_by(ProjectRow.name != "", ProjectRow.id))]


def close_project(session: Session, *, project_id: int) -> None:
    """Hand out no more reports of this project; everything done in it stays."""
    row = _row(session, project_id)
    if not row.name:
        raise Conflict("Das Standardprojekt lässt sich nicht abschließen.", "The default project cannot be closed.")
    row.closed_at = utc_now()


def set_order(session: Session, *, project_id: int, order: WorkOrder, ranked_by: str | None) -> None:
    """Note the order that the places follow from now on, and the model version whose scores they come from."""
    row = _row(session, project_id)
    row.work_order, row.ranked_by, row.ranked_at = order, ranked_by, utc_now()
    session.flush()


# ---------------------------------------------------------------------------------------------- people


def assign(session: Session, *, project_id: int, user_ids: Collection[int]) -> None:
    """Let exactly these people work in a project; nobody: everybody may."""
    _row(session, project_id)
    session.execute(update(ProjectPersonRow).where(ProjectPersonRow.project_id == project_id).values(assigned=False))
    for user_id in user_ids:
        _upsert_person(session, project_id, user_id, assigned=True)


def assigned_people(session: Session, *, project_id: int) -> frozenset[int]:
    """The ids of the people assigned to a project; empty when it is open to all."""
    query = select(ProjectPersonRow.user_id).where(ProjectPersonRow.project_id == project_id, ProjectPersonRow.assigned)
    return frozenset(session.scalars(query))


def done_by_person(session: Session, *, project_id: int) -> dict[int, int]:
    """How many assignments everyone has done in a project."""
    return {user_id: done for user_id, done in session.execute(_DONE, {"project": project_id})}


def choose(session: Session, *, project_id: int, user_id: int) -> Project:
    """Work in this project from now on; `Conflict` when it is closed or meant for others."""
    project = get_project(session, project_id=project_id)
    if session.scalar(select(ProjectRow.id).where(ProjectRow.id == project_id, open_to(user_id))) is None:
        raise Conflict(
            "In diesem Projekt können Sie nicht arbeiten: Es ist abgeschlossen oder anderen zugeteilt.",
            "You cannot work in this project: it is closed or assigned to others.",
        )
    _upsert_person(session, project_id, user_id, chosen_at=utc_now())
    return project


def current_project(session: Session, *, schema_id: str, modality: str | None, user_id: int) -> Project:
    """The project that the user chose last and may work in, else the default one."""
    found = session.execute(_CURRENT, {"schema": schema_id, "reader": user_id}).first()
    return _project(found) if found else default_project(session, schema_id=schema_id, modality=modality)


def open_to(user_id: int | BindParameter[Any]) -> ColumnElement[bool]:
    """The condition that a project is not closed and this user may work in it. For queries in `store`."""
    person = table_of(ProjectPersonRow).alias().c  # a query around may read the same table
    project = table_of(ProjectRow).c
    of_project = select(person.user_id).where(person.project_id == project.id, person.assigned)
    may = or_(~of_project.exists(), of_project.where(person.user_id == user_id).exists())
    return project.closed_at.is_(None) & may


def count_done(session: Session, *, counts: Mapping[tuple[int, int], int]) -> None:
    """Add to what people have done, by (project id, user id). For functions in `store`, last in their transaction."""
    adding = _add_done(session.get_bind().dialect.name)
    for (project_id, user_id), count in sorted(counts.items()):
        session.execute(adding, {"project": project_id, "person": user_id, "count": count})


def _upsert_person(session: Session, project_id: int, user_id: int, **values: Any) -> None:
    """Set `assigned` or `chosen_at`."""
    row = {"assigned": False, "done": 0, "chosen_at": None, **values}
    adding = upsert(session, ProjectPersonRow).values(project_id=project_id, user_id=user_id, **row)
    session.execute(adding.on_conflict_do_update(index_elements=["project_id", "user_id"], set_=values))


# ---------------------------------------------------------------------------------------------- rows


def _columns(new: NewProject) -> dict[str, Any]:
    chosen = {"imports": new.imports, "keys": new.keys}
    return {
        "schema_id": new.schema_id,
        "name": new.name,
        "modality": new.modality,
        "chosen": {name: list(values) for name, values in chosen.items() if values is not None},
        "work_order": new.rules.order,
        "overlap_share": new.rules.overlap_share,
        "readers": new.rules.readers,
        "bare_share": new.rules.bare_share,
        "test_share": new.rules.test_share,
        "random_share": new.rules.random_share,
        "total": 0,
    }


def _row(session: Session, project_id: int) -> ProjectRow:
    row = session.get(ProjectRow, project_id)
    if row is None:
        raise NotFound(f"Das Projekt Nr. {project_id} gibt es nicht.", f"There is no project no. {project_id}.")
    return row


def _project(row: ProjectRow | Row[Any]) -> Project:
    rules = Rules(row.work_order, row.overlap_share, row.readers, row.bare_share, row.test_share, row.random_share)
    imports, keys = row.chosen.get("imports"), row.chosen.get("keys")
    return Project(
        id=row.id,
        schema_id=row.schema_id,
        name=row.name,
        modality=row.modality,
        imports=None if imports is None else tuple(imports),
        keys=None if keys is None else tuple(keys),
        rules=rules,
        total=row.total,
        ranked_by=row.ranked_by,
        ranked_at=row.ranked_at,
        closed_at=row.closed_at,
    )


# ---------------------------------------------------------------------------------------------- statements, built once


@cache
def _add_done(dialect: str) -> Any:
    """The INSERT that adds to what a person has done, in the words of one kind of database."""
    adding = insert_of(dialect, table_of(ProjectPersonRow)).values(
        project_id=bindparam("project"), user_id=bindparam("person"), assigned=False, done=bindparam("count")
    )
    done = table_of(ProjectPersonRow).c.done + adding.excluded.done
    return adding.on_conflict_do_update(index_elements=["project_id", "user_id"], set_={"done": done})


_PROJECT, _PERSON = table_of(ProjectRow).c, table_of(ProjectPersonRow).c
_NAMED = select(table_of(ProjectRow)).where(
    _PROJECT.schema_id == bindparam("schema"), _PROJECT.name == bindparam("name")
)
_DONE = select(_PERSON.user_id, _PERSON.done).where(_PERSON.project_id == bindparam("project"))
_CURRENT = (
    select(table_of(ProjectRow))
    .outerjoin(
        table_of(ProjectPersonRow),
        and_(_PERSON.project_id == _PROJECT.id, _PERSON.user_id == bindparam("reader")),
    )
    .where(
        _PROJECT.schema_id == bindparam("schema"),
        or_(_PROJECT.name == "", and_(_PERSON.chosen_at.is_not(None), open_to(bindparam("reader")))),
    )
    .order_by(_PERSON.chosen_at.desc().nulls_last())
    .limit(1)
)
