"""What a report of a schema of spans counts as: whose marks hold, and where people mark differently.

Per kind (Medikament, Dosis, …) the marks of a reading stand or fall together, as a finding's value does: what most
readers mark exactly alike, else what the last one marked, until a curator decides. A decision covers the whole report.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Text, bindparam, func, select, type_coerce

from medbertde.schema import Kind, load_schema
from medbertde.store.session import Session
from medbertde.store.tables import RationaleRow, SubmissionRow
from medbertde.types import Purpose, Rationale, Source

Marks = tuple[Rationale, ...]
Places = frozenset[tuple[int, int]]  # of one kind: start and end in code points
_SOURCES: dict[str | None, Source | None] = {None: None} | {source.value: source for source in Source}


def has_marks_only(schema_id: str) -> bool:
    """Whether the schema's labels are marked in the text and have no states."""
    return load_schema(schema_id).kind is Kind.SPANS


def places_by_kind(marks: Collection[Rationale]) -> dict[str, Places]:
    """Where each kind is marked; a kind without marks is missing.

    >>> places_by_kind([Rationale("Dosis", 9, 13), Rationale("Dosis", 30, 34)])["Dosis"] == {(9, 13), (30, 34)}
    True
    """
    found: dict[str, set[tuple[int, int]]] = {}
    for mark in marks:
        found.setdefault(mark.label, set()).add((mark.start, mark.end))
    return {label: frozenset(places) for label, places in found.items()}


def marks_that_hold(held: Mapping[str, Places], readings: Sequence[Marks], decided: Marks | None) -> Marks:
    """The marks at the places that hold, in the order of the text, each as the decision or the last reader has it."""
    made = {(mark.label, mark.start, mark.end): mark for marks in (*readings, decided or ()) for mark in marks}
    keys = ((label, *place) for label, places in held.items() for place in places)
    return tuple(sorted((made[key] for key in keys), key=lambda mark: (mark.start, mark.end, mark.label)))


def marks_of(session: Session, *, submission_ids: Collection[int]) -> dict[int, Marks]:
    """By save the spans that it marks, in the order they were marked, with how each came about."""
    found: dict[int, Marks] = {}
    rows = session.connection().execute(_MARKS, {"saves": list(submission_ids)})
    for number, label, start, end, source in rows:
        found[number] = (*found.get(number, ()), Rationale(label, start, end, source=_SOURCES[source]))
    return found


def decided_marks(session: Session, *, schema_id: str, report_ids: Collection[int]) -> dict[int, Marks]:
    """What a curator marked last, by report; reports without a decision are missing."""
    query = (
        select(SubmissionRow.report_id, func.max(SubmissionRow.id))
        .where(
            SubmissionRow.schema_id == schema_id,
            SubmissionRow.report_id.in_(report_ids),
            SubmissionRow.purpose == Purpose.ADJUDICATION,
        )
        .group_by(SubmissionRow.report_id)
    )
    newest = {report_id: number for report_id, number in session.execute(query)}
    marks = marks_of(session, submission_ids=newest.values())
    return {report_id: marks.get(number, ()) for report_id, number in newest.items()}


_ROW = RationaleRow
_MARKS = (  # built once: it is part of every save
    select(_ROW.submission_id, _ROW.label, _ROW.start_char, _ROW.end_char, type_coerce(_ROW.source, Text))
    .where(_ROW.submission_id.in_(bindparam("saves", expanding=True)))
    .order_by(_ROW.id)
)
