"""The annotated reports as exports need them: filtered, with provenance, in chunks of bounded memory.

What a report counts as is `consensus`'s to say; an export of one annotator takes what this person said instead.
Knows no file format.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Select, Text, select, type_coerce

from medbertde.store.consensus import Consensus, Values, settle, settle_marks
from medbertde.store.intake import test_reports
from medbertde.store.mark_consensus import Marks, has_marks_only, marks_of
from medbertde.store.session import Session
from medbertde.store.tables import LabelEventRow, ReportRow, SubmissionRow, UserRow
from medbertde.types import Provenance, Purpose, Rationale, State

_CHUNK = 1000  # reports per read
_STATES: dict[str | None, State | None] = {None: None} | {state.value: state for state in State}


@dataclass(frozen=True)
class Wanted:
    """Which reports an export takes; what is empty or None filters nothing.

    `values` belong to `finding` (None among them: not mentioned); without values a mention or a mark counts. `since`
    and `until` are days in UTC, both included, of the last save.
    """

    finding: str = ""
    values: tuple[State | None, ...] = ()
    annotator: str = ""
    since: date | None = None
    until: date | None = None
    provenance: tuple[Provenance, ...] = ()
    flagged: bool | None = None
    modality: str = ""

    def takes(self, report: ExportedReport) -> bool:
        """Whether a report passes."""
        day = report.annotated_at.date()
        return (
            (not self.finding or self._takes_value(report))
            and (not self.since or day >= self.since)
            and (not self.until or day <= self.until)
            and (not self.provenance or report.provenance in self.provenance)
            and (self.flagged is None or report.flagged == self.flagged)
        )

    def _takes_value(self, report: ExportedReport) -> bool:
        value = report.labels.get(self.finding)
        if self.values:
            return value in self.values
        return value is not None or any(mark.label == self.finding for mark in report.rationales)


@dataclass(frozen=True)
class ExportedReport:
    """An annotated or decided report: its labels, on what they rest, and how each value came about (`sources`).

    `annotator` saved or decided it last; `annotators` are all who read it, perhaps nobody; of one annotator's export
    only this one. `split` is `test` for
    reports that are kept from training.
    """

    key: str
    text: str
    modality: str | None
    meta: Mapping[str, Any]
    labels: Mapping[str, State]
    sources: Mapping[str, str]
    rationales: tuple[Rationale, ...]
    provenance: Provenance
    annotator: str
    annotators: tuple[str, ...]
    annotated_at: datetime
    schema_version: int
    model_version: str | None
    comment: str
    flagged: bool
    split: str


@dataclass(frozen=True)
class _Save:
    """The last save of a report that counts for the export."""

    id: int
    user_id: int
    schema_version: int
    model_version: str | None
    comment: str
    flagged: bool
    created_at: datetime


def exported_reports(session: Session, *, schema_id: str, wanted: Wanted) -> Iterator[ExportedReport]:
    """The annotated reports of a schema that are wanted, in import order, read while the session is open."""
    people = {user_id: name for user_id, name in session.execute(select(UserRow.id, UserRow.name))}
    last = 0
    while report_ids := session.scalars(_next_ids(schema_id, wanted).where(SubmissionRow.report_id > last)).all():
        yield from filter(wanted.takes, _reports(session, schema_id, report_ids, wanted.annotator, people))
        last = report_ids[-1]


def annotators_of(session: Session, *, schema_id: str) -> list[str]:
    """Everyone who has annotated for the schema, alphabetically."""
    query = select(UserRow.name).join(SubmissionRow).where(SubmissionRow.schema_id == schema_id)
    return list(session.scalars(query.distinct().order_by(UserRow.name)))


def _next_ids(schema_id: str, wanted: Wanted) -> Select[Any]:
    """The next reports that can pass, as far as an index tells; `Wanted.takes` has the last word."""
    query = (
        select(SubmissionRow.report_id)
        .where(SubmissionRow.schema_id == schema_id)
        .group_by(SubmissionRow.report_id)
        .order_by(SubmissionRow.report_id)
        .limit(_CHUNK)
    )
    if wanted.annotator:
        own = (UserRow.name == wanted.annotator, SubmissionRow.purpose == Purpose.ANNOTATION)
        query = query.join(UserRow).where(*own)
    if wanted.since:
        query = query.where(SubmissionRow.created_at >= _start_of(wanted.since))
    elif wanted.flagged:  # not both of one save: somebody else may have saved the report since
        query = query.where(SubmissionRow.flagged)
    if wanted.modality:
        query = query.join(ReportRow).where(ReportRow.modality == wanted.modality)
    return query


def _start_of(day: date) -> datetime:
    """A little before the day begins in UTC: the database may count in another time zone."""
    return datetime.combine(day, time(), UTC) - timedelta(days=1)


def _reports(
    session: Session, schema_id: str, report_ids: Sequence[int], annotator: str, people: Mapping[int, str]
) -> Iterator[ExportedReport]:
    histories = _histories(session, schema_id, report_ids)
    chosen = {report_id: history.counting(annotator, people) for report_id, history in histories.items()}
    spans_only = has_marks_only(schema_id)
    of_saves = [save for history in histories.values() for save in history.all_saves] if spans_only else chosen.values()
    evidence = marks_of(session, submission_ids=[save.id for save in of_saves])
    marks = evidence if spans_only else None
    tests = test_reports(session, schema_id=schema_id, report_ids=report_ids)
    columns = (ReportRow.id, ReportRow.key, ReportRow.text, ReportRow.modality, ReportRow.meta)
    query = select(*columns).where(ReportRow.id.in_(report_ids)).order_by(ReportRow.id)
    for report_id, key, text, modality, meta in session.connection().execute(query):
        history, save = histories[report_id], chosen[report_id]
        if history.says_nothing:
            continue
        holds = history.of(save.user_id, marks) if annotator else history.settled(marks)
        readings = [save] if annotator else history.saves.values()
        yield ExportedReport(
            key=key,
            text=text,
            modality=modality,
            meta=meta,
            labels=holds.labels,
            sources={label: source for label, source in history.sources(save, annotator) if label in holds.labels},
            rationales=evidence.get(save.id, ()) if holds.marks is None else holds.marks,
            provenance=holds.provenance,
            annotator=people[save.user_id],
            annotators=tuple(sorted({people[one.user_id] for one in readings})),
            annotated_at=save.created_at,
            schema_version=save.schema_version,
            model_version=save.model_version,
            comment=save.comment,
            flagged=holds.flagged,
            split="test" if report_id in tests else "",
        )


@dataclass
class _History:
    """What happened to one report: each annotator's last save and values, and what a curator decided."""

    saves: dict[int, _Save] = field(default_factory=dict)  # by annotator, whoever saved last comes last
    decision: _Save | None = None  # the last one of a curator
    last: _Save | None = None  # of anyone, curators included
    values: dict[int, Values] = field(default_factory=dict)
    decided: Values | None = None
    made: dict[tuple[int | None, str], str] = field(default_factory=dict)  # sources; None stands for the curators

    def counting(self, annotator: str, people: Mapping[int, str]) -> _Save:
        """The save that an export shows: the last one, of this annotator where one is asked for."""
        if not annotator and self.last is not None:
            return self.last
        return next(save for save in self.saves.values() if people[save.user_id] == annotator)

    @property
    def says_nothing(self) -> bool:
        """Whether the report was only put aside and closed: nobody has said that it has no findings."""
        return not self.saves and not self.decided

    @property
    def all_saves(self) -> list[_Save]:
        """The saves on which it depends what is marked."""
        return [*self.saves.values(), *([self.decision] if self.decision else [])]

    def settled(self, marks: Mapping[int, Marks] | None) -> Consensus:
        """What the report counts as; `marks`, by save, where the schema has spans."""
        flagged = any(save.flagged for save in self.saves.values())
        if marks is not None:
            readings = [marks.get(save.id, ()) for save in self.saves.values()]
            decided = marks.get(self.decision.id, ()) if self.decision else None
            return settle_marks(readings, decided, flagged=flagged)
        return settle([self.values.get(user_id, {}) for user_id in self.saves], self.decided, flagged=flagged)

    def of(self, user_id: int, marks: Mapping[int, Marks] | None) -> Consensus:
        """What one annotator says."""
        if marks is not None:
            save = self.saves[user_id]
            return settle_marks([marks.get(save.id, ())], None, flagged=save.flagged)
        return settle([self.values.get(user_id, {})], None, flagged=self.saves[user_id].flagged)

    def sources(self, save: _Save, annotator: str) -> Iterator[tuple[str, str]]:
        """By finding how the last value came about; a curator's decision is the last word."""
        wanted = {save.user_id} if annotator else {*self.saves}
        yield from ((label, source) for (user_id, label), source in self.made.items() if user_id in wanted)
        if not annotator:
            yield from ((label, source) for (user_id, label), source in self.made.items() if user_id is None)


def _histories(session: Session, schema_id: str, report_ids: Collection[int]) -> dict[int, _History]:
    """What happened to each report, in two queries. Plain columns: an export of a million rows makes no objects."""
    row, found = SubmissionRow, {report_id: _History() for report_id in report_ids}
    here = (row.schema_id == schema_id, row.report_id.in_(report_ids))
    saved = (row.id, row.user_id, row.schema_version, row.model_version, row.comment, row.flagged, row.created_at)
    saves = select(row.report_id, type_coerce(row.purpose, Text), *saved).where(*here).order_by(row.id)
    connection = session.connection()
    for report_id, purpose, *given in connection.execute(saves):
        values: list[Any] = given
        history, save = found[report_id], _Save(*values)
        history.last = save
        if purpose == Purpose.ADJUDICATION:
            history.decided, history.decision = history.decided or {}, save
        else:
            history.saves.pop(save.user_id, None)
            history.saves[save.user_id] = save
    event = LabelEventRow
    words: list[Any] = [type_coerce(column, Text) for column in (row.purpose, event.new_value, event.source)]
    columns: list[Any] = [row.report_id, row.user_id, event.label, *words]
    events: Select[Any] = select(*columns).join(event).where(*here).order_by(event.id)
    for report_id, user_id, label, purpose, value, source in connection.execute(events):
        history, state = found[report_id], _STATES[value]
        if purpose == Purpose.ADJUDICATION:
            history.decided = {**(history.decided or {}), label: state}
            history.made[None, label] = source
        else:
            history.values.setdefault(user_id, {})[label] = state
            history.made[user_id, label] = source
    return found
