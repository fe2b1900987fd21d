"""What a report counts as when several people have read it, and on what that rests.

Owns the rule: what a curator decided, else what all or most annotators say, else what the last one said. Works on the
append-only history alone; nothing is kept besides. `mark_consensus` has what is special to spans. Knows no queue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import Select, bindparam, func, select

from medbertde.store.mark_consensus import (
    Marks,
    decided_marks,
    has_marks_only,
    marks_of,
    marks_that_hold,
    places_by_kind,
)
from medbertde.store.session import Session
from medbertde.store.tables import LabelEventRow, SubmissionRow, table_of
from medbertde.types import Provenance, Purpose, State

Values = dict[str, State | None]
Value = TypeVar("Value")  # what is said of a label: a state, or where it is marked


@dataclass(frozen=True)
class Consensus:
    """The findings that hold for a report (those not mentioned are missing), and what they rest on.

    `disputed` are the findings that the annotators see differently and no curator has decided; a majority may stand
    meanwhile. `marks` are the spans that hold in a schema of spans, None in one of findings.
    """

    labels: Mapping[str, State]
    provenance: Provenance
    disputed: tuple[str, ...]
    flagged: bool
    marks: Marks | None = None


@dataclass(frozen=True)
class _Folded(Generic[Value]):
    """What holds of each label, None: nothing; and as in `Consensus` what it rests on."""

    values: Mapping[str, Value | None]
    provenance: Provenance
    disputed: tuple[str, ...]


@dataclass(frozen=True)
class Latest:
    """The latest save of a report by one annotator."""

    user_id: int
    submission_id: int
    flagged: bool


def consensus(session: Session, *, schema_id: str, report_ids: Collection[int]) -> dict[int, Consensus]:
    """What each of the reports counts as; reports about which nobody has said anything are missing.

    So is one that was put aside and that a curator closed without deciding anything: nobody has said that it has no
    findings.
    """
    readers = readers_of(session, schema_id=schema_id, report_ids=report_ids)
    if has_marks_only(schema_id):
        return _mark_consensus(session, schema_id, report_ids, readers)
    read = values_by_annotator(session, schema_id=schema_id, report_ids=report_ids)
    decided = decisions(session, schema_id=schema_id, report_ids=report_ids)
    return {
        report_id: settle(
            [read.get((report_id, latest.user_id), {}) for latest in readers.get(report_id, ())],
            decided.get(report_id),
            flagged=any(latest.flagged for latest in readers.get(report_id, ())),
        )
        for report_id in readers.keys() | {one for one, values in decided.items() if values}
    }


def settle(readings: Sequence[Mapping[str, State | None]], decided: Values | None, *, flagged: bool) -> Consensus:
    """Fold the readings, the last reader's last. A curator's decision also answers the flag."""
    if len(readings) == 1 and decided is None:  # most reports, in every export
        mentioned = {label: value for label, value in readings[0].items() if value is not None}
        return Consensus(mentioned, Provenance.SINGLE, (), flagged)
    found = _fold(readings, decided)
    mentioned = {label: value for label, value in found.values.items() if value is not None}
    return Consensus(mentioned, found.provenance, found.disputed, flagged and decided is None)


def settle_marks(readings: Sequence[Marks], decided: Marks | None, *, flagged: bool) -> Consensus:
    """The same for a schema of spans; a curator's decision covers every kind."""
    said = [places_by_kind(marks) for marks in readings]
    ruled = None
    if decided is not None:
        places = places_by_kind(decided)
        ruled = {label: places.get(label) for label in {*places, *(label for one in said for label in one)}}
    found = _fold(said, ruled)
    held = {label: places for label, places in found.values.items() if places is not None}
    marks = marks_that_hold(held, readings, decided)
    return Consensus({}, found.provenance, found.disputed, flagged and decided is None, marks)


def _mark_consensus(
    session: Session, schema_id: str, report_ids: Collection[int], readers: Mapping[int, Sequence[Latest]]
) -> dict[int, Consensus]:
    marks = marks_of(session, submission_ids=[one.submission_id for found in readers.values() for one in found])
    decided = decided_marks(session, schema_id=schema_id, report_ids=report_ids)
    unread = decided.keys() - readers.keys()
    kinds = decisions(session, schema_id=schema_id, report_ids=unread) if unread else {}
    return {
        report_id: settle_marks(
            [marks.get(latest.submission_id, ()) for latest in readers.get(report_id, ())],
            decided.get(report_id),
            flagged=any(latest.flagged for latest in readers.get(report_id, ())),
        )
        for report_id in readers.keys() | {one for one, values in kinds.items() if values}
    }


def _fold(readings: Sequence[Mapping[str, Value | None]], decided: Mapping[str, Value | None] | None) -> _Folded[Value]:
    values: dict[str, Value | None] = {}
    disputed: list[str] = []
    tied: list[str] = []
    for label in dict.fromkeys(label for reading in readings for label in reading):
        said = [reading.get(label) for reading in readings]
        value, count = Counter(said).most_common(1)[0]
        if count < len(said):
            disputed.append(label)
        if 2 * count > len(said):
            values[label] = value
        else:
            values[label] = said[-1]
            tied.append(label)
    values |= decided or {}
    still = tuple(label for label in disputed if label not in (decided or {}))
    provenance = (
        Provenance.OPEN if set(still) & set(tied)
        else Provenance.ADJUDICATED if decided is not None
        else Provenance.MAJORITY if disputed
        else Provenance.UNANIMOUS if len(readings) > 1
        else Provenance.SINGLE
    )  # fmt: skip
    return _Folded(values, provenance, still)


def differing(readings: Sequence[Mapping[str, Value | None]]) -> tuple[str, ...]:
    """The findings that not all readings see alike, or the kinds that they mark differently.

    >>> differing([{"Erguss": State.PRESENT, "ZVK": None}, {"Erguss": State.UNCERTAIN}])
    ('Erguss',)
    """
    labels = dict.fromkeys(label for reading in readings for label in reading)
    return tuple(label for label in labels if len({reading.get(label) for reading in readings}) > 1)


def readers_of(session: Session, *, schema_id: str, report_ids: Collection[int]) -> dict[int, list[Latest]]:
    """The latest save of every annotator by report, whoever saved last comes last."""
    found: dict[int, list[Latest]] = {}
    rows = session.execute(_READERS, {"schema": schema_id, "reports": list(report_ids)})
    for report_id, user_id, submission_id, flagged in rows:
        found.setdefault(report_id, []).append(Latest(user_id, submission_id, flagged))
    return found


def values_by_annotator(
    session: Session, *, schema_id: str, report_ids: Collection[int]
) -> dict[tuple[int, int], Values]:
    """The last value of each finding by (report id, user id); None where the last event said: not mentioned."""
    folded: dict[tuple[int, int], Values] = {}
    for report_id, user_id, label, value in _events(session, schema_id, report_ids, Purpose.ANNOTATION):
        folded.setdefault((report_id, user_id), {})[label] = value
    return folded


def marks_holding(session: Session, *, report_id: int, schema_id: str) -> Marks:
    """The spans that a report counts as having; none in a schema of findings."""
    if not has_marks_only(schema_id):
        return ()
    found = consensus(session, schema_id=schema_id, report_ids=[report_id]).get(report_id)
    return (found.marks if found else None) or ()


def marks_by_annotator(
    session: Session, *, schema_id: str, report_ids: Collection[int]
) -> dict[tuple[int, int], Marks]:
    """The spans of everyone's last save by (report id, user id), also where these are none."""
    readers = readers_of(session, schema_id=schema_id, report_ids=report_ids)
    latest = {one.submission_id: (report_id, one.user_id) for report_id, found in readers.items() for one in found}
    marks = marks_of(session, submission_ids=latest)
    return {whose: marks.get(number, ()) for number, whose in latest.items()}


def decisions(session: Session, *, schema_id: str, report_ids: Collection[int]) -> dict[int, Values]:
    """What curators decided last, by report; a report that a curator only confirmed has no values."""
    query = select(SubmissionRow.report_id).where(
        SubmissionRow.schema_id == schema_id,
        SubmissionRow.report_id.in_(report_ids),
        SubmissionRow.purpose == Purpose.ADJUDICATION,
    )
    decided: dict[int, Values] = {report_id: {} for report_id in session.scalars(query)}
    if decided:
        for report_id, _, label, value in _events(session, schema_id, list(decided), Purpose.ADJUDICATION):
            decided[report_id][label] = value
    return decided


def _events(
    session: Session, schema_id: str, report_ids: Collection[int], purpose: Purpose
) -> Sequence[tuple[int, int, str, State | None]]:
    query = (
        select(SubmissionRow.report_id, SubmissionRow.user_id, LabelEventRow.label, LabelEventRow.new_value)
        .join(LabelEventRow)
        .where(
            SubmissionRow.schema_id == schema_id,
            SubmissionRow.report_id.in_(report_ids),
            SubmissionRow.purpose == purpose,
        )
        .order_by(LabelEventRow.id)
    )
    return [(report_id, user_id, label, value) for report_id, user_id, label, value in session.execute(query)]


def _readers() -> Select[int, int, int, bool]:
    """The latest save of every annotator of the reports, in their order."""
    row = table_of(SubmissionRow).c
    newest = (
        select(func.max(row.id))
        .where(
            row.schema_id == bindparam("schema"),
            row.report_id.in_(bindparam("reports", expanding=True)),
            row.purpose == Purpose.ANNOTATION,
        )
        .group_by(row.report_id, row.user_id)
    )
    return select(row.report_id, row.user_id, row.id, row.flagged).where(row.id.in_(newest)).order_by(row.id)


_READERS = _readers()  # built once: it is part of every save
