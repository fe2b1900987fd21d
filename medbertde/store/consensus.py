"""What a report counts as when several people have read it, and on what that rests.

Owns the rule: what a curator decided, else what all or most annotators say, else what the last one said. Works on the
append-only history alone; nothing is kept besides. Knows no queue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from medbertde.store.session import Session
from medbertde.store.tables import LabelEventRow, SubmissionRow
from medbertde.types import Provenance, Purpose, State

Values = dict[str, State | None]


@dataclass(frozen=True)
class Consensus:
    """The findings that hold for a report (those not mentioned are missing), and what they rest on.

    `disputed` are the findings that the annotators see differently and no curator has decided; a majority may stand
    meanwhile.
    """

    labels: Mapping[str, State]
    provenance: Provenance
    disputed: tuple[str, ...]
    flagged: bool


@dataclass(frozen=True)
class Latest:
    """The latest save of a report by one annotator."""

    user_id: int
    submission_id: int
    flagged: bool


def consensus(session: Session, *, schema_id: str, report_ids: Collection[int]) -> dict[int, Consensus]:
    """What each of the reports counts as; reports that nobody has annotated or decided are missing."""
    readers = readers_of(session, schema_id=schema_id, report_ids=report_ids)
    read = values_by_annotator(session, schema_id=schema_id, report_ids=report_ids)
    decided = decisions(session, schema_id=schema_id, report_ids=report_ids)
    return {
        report_id: settle(
            [read.get((report_id, latest.user_id), {}) for latest in readers.get(report_id, ())],
            decided.get(report_id),
            flagged=any(latest.flagged for latest in readers.get(report_id, ())),
        )
        for report_id in readers.keys() | decided.keys()
    }


def settle(readings: Sequence[Mapping[str, State | None]], decided: Values | None, *, flagged: bool) -> Consensus:
    """Fold the readings, the last reader's last. A curator's decision also answers the flag."""
    if len(readings) == 1 and decided is None:  # most reports, in every export
        mentioned = {label: value for label, value in readings[0].items() if value is not None}
        return Consensus(mentioned, Provenance.SINGLE, (), flagged)
    values: Values = {}
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
    mentioned = {label: value for label, value in values.items() if value is not None}
    return Consensus(mentioned, provenance, still, flagged and decided is None)


def differing(readings: Sequence[Mapping[str, State | None]]) -> tuple[str, ...]:
    """The findings that not all readings see alike.

    >>> differing([{"Erguss": State.PRESENT, "ZVK": None}, {"Erguss": State.UNCERTAIN}])
    ('Erguss',)
    """
    labels = dict.fromkeys(label for reading in readings for label in reading)
    return tuple(label for label in labels if len({reading.get(label) for reading in readings}) > 1)


def readers_of(session: Session, *, schema_id: str, report_ids: Collection[int]) -> dict[int, list[Latest]]:
    """The latest save of every annotator by report, whoever saved last comes last."""
    newest = (
        select(func.max(SubmissionRow.id))
        .where(
            SubmissionRow.schema_id == schema_id,
            SubmissionRow.report_id.in_(report_ids),
            SubmissionRow.purpose == Purpose.ANNOTATION,
        )
        .group_by(SubmissionRow.report_id, SubmissionRow.user_id)
    )
    query = select(SubmissionRow.report_id, SubmissionRow.user_id, SubmissionRow.id, SubmissionRow.flagged)
    found: dict[int, list[Latest]] = {}
    rows = session.execute(query.where(SubmissionRow.id.in_(newest)).order_by(SubmissionRow.id))
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
