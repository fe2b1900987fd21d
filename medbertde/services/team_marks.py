"""Where the figures of a team's work on a schema of spans come from: each reading's marks and what was suggested.

Between the store and `mark_figures`; roles are `team`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from medbertde.schema import load_schema
from medbertde.services.mark_figures import KindProgress, Said, kind_progress, mark_effect, marks_as_set
from medbertde.services.team_figures import SuggestionEffect
from medbertde.store import intake
from medbertde.store.consensus import marks_by_annotator
from medbertde.store.mark_consensus import marks_of
from medbertde.store.projects import Project
from medbertde.store.session import Session
from medbertde.store.work_statistics import DoneReading, suggested_marks

THE_MODEL = 0  # no user has this number


def kinds(session: Session, project: Project, readings: Sequence[DoneReading]) -> list[KindProgress]:
    """How often each kind is marked."""
    marks = _first_marks(session, readings)
    return [kind_progress(label, readings, marks) for label in load_schema(project.schema_id).label_ids]


def effect(session: Session, project: Project, readings: Sequence[DoneReading]) -> SuggestionEffect:
    """What suggested spans do."""
    ids = {one.report_id for one in readings}
    suggested = suggested_marks(session, schema_id=project.schema_id, report_ids=ids)
    return mark_effect(readings, _first_marks(session, readings), suggested)


def by_reader(
    session: Session, project: Project, report_ids: Collection[int], names: Mapping[int, str]
) -> dict[str, dict[int, Said]]:
    """Who marks what in which of the reports; what the newest model version suggests stands for `THE_MODEL`."""
    suggested = suggested_marks(session, schema_id=project.schema_id, report_ids=report_ids)
    found = {names[THE_MODEL]: {report_id: said for (report_id, _), said in suggested.items()}}
    marks = marks_by_annotator(session, schema_id=project.schema_id, report_ids=report_ids)
    read = intake.who_read(session, project_id=project.id, schema_id=project.schema_id, report_ids=report_ids)
    for report_id, user_id in read:
        found.setdefault(names[user_id], {})[report_id] = marks_as_set(marks.get((report_id, user_id), ()))
    return found


def _first_marks(session: Session, readings: Sequence[DoneReading]) -> dict[int, Said]:
    """What each reading marked when it was saved first, by save."""
    found = marks_of(session, submission_ids=[one.submission_id for one in readings])
    return {number: marks_as_set(marks) for number, marks in found.items()}
