"""Labels: saving a report's findings and what holds now; `labelled` lists what has been saved.

Owns the append-only truth: one submission per save, one event per finding it set. The current values are folded from
the events instead of being kept in a table of their own: a report has a few events per annotator, found by index, and
a second copy that can disagree with the history is the one thing an audit must never find.

Knows no schema files (which labels exist is checked before) and no queue order; a save ends the annotator's lease.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, insert, select

from medbertde.store.consensus import values_by_annotator
from medbertde.store.mark_consensus import marks_of
from medbertde.store.queue import finish, finish_imported
from medbertde.store.reports import lock_report
from medbertde.store.session import Session
from medbertde.store.tables import LabelEventRow, RationaleRow, SubmissionRow, UserRow, table_of
from medbertde.types import (
    Conflict,
    LabelChange,
    Purpose,
    Rationale,
    ReportRecord,
    SavedElsewhere,
    Source,
    State,
)

_CHUNK = 1000  # values per IN list


@dataclass(frozen=True)
class Submission:
    """The latest save of a report by one annotator, with the evidence it marked."""

    id: int
    annotator: str
    comment: str
    flagged: bool
    rationales: tuple[Rationale, ...]
    created_at: datetime


def save(
    session: Session,
    *,
    report_id: int,
    schema_id: str,
    schema_version: int,
    user_id: int,
    changes: Sequence[LabelChange],
    client_uuid: str,
    model_version: str | None = None,
    guideline_version: str | None = None,
    active_ms: int = 0,
    comment: str = "",
    flagged: bool = False,
    rationales: Sequence[Rationale] = (),
    seen: int | None = None,
    leased: bool = False,
    check: Callable[[str], None] = lambda _text: None,
) -> int:
    """Store one save and return its number: the user has annotated the report now, also with no finding at all.

    Findings that are not among `changes` keep their value; a change that changes nothing and answers no suggestion
    leaves no event. `rationales` are all the evidence that holds after this save, each with its source. The same
    `client_uuid` again writes nothing and returns the first number, so a retry is safe; with another report, schema or
    user it is a `Conflict`.
    `seen` is this user's last save of the report that the page knew, 0 for none: another one is `SavedElsewhere`.
    `leased`: a first save is a `Conflict` when the report belongs to someone else by now. `check` is given the report's
    text and may refuse what is no retry.
    """
    text = lock_report(session, report_id=report_id)
    earlier = session.execute(_WITH_UUID, {"uuid": client_uuid}).first()
    if earlier is not None:
        _require_same(earlier, report_id, schema_id, user_id)
        return earlier.id
    check(text)
    last = _latest(session, report_id, schema_id, user_id)
    _require_seen(last, seen)
    submission = {
        "client_uuid": client_uuid,
        "report_id": report_id,
        "schema_id": schema_id,
        "schema_version": schema_version,
        "user_id": user_id,
        "model_version": model_version,
        "guideline_version": guideline_version,
        "active_ms": active_ms,
        "comment": comment,
        "flagged": flagged,
    }
    before = current(session, report_id=report_id, schema_id=schema_id, user_id=user_id) if last else {}
    number = session.scalars(_ADD_SUBMISSION, submission).one()
    if events := _events(number, changes, before):
        session.execute(_ADD_EVENTS, events)
    session.add_all(RationaleRow(**_span(number, rationale)) for rationale in rationales)
    finish(session, report_id=report_id, schema_id=schema_id, user_id=user_id, leased=leased and last is None)
    return number


def save_imported(
    session: Session, *, schema_id: str, schema_version: int, user_id: int, labelled: Mapping[int, ReportRecord]
) -> int:
    """Store the labels that came with imported reports, by report id, in bulk; returns how many reports got theirs.

    Reports that anyone has annotated for this schema before are left as they are: an import never overrides people.
    """
    annotated = _annotated_among(session, schema_id, list(labelled))
    fresh = {report_id: record for report_id, record in labelled.items() if report_id not in annotated}
    if not fresh:
        return 0
    shared = {
        "schema_id": schema_id,
        "schema_version": schema_version,
        "user_id": user_id,
        "active_ms": 0,
        "comment": "",
        "flagged": False,
    }
    rows = [shared | {"client_uuid": str(uuid.uuid4()), "report_id": report_id} for report_id in fresh]
    saving = insert(SubmissionRow).returning(SubmissionRow.id, SubmissionRow.report_id)
    saved = [(submission_id, fresh[report_id]) for submission_id, report_id in session.execute(saving, rows)]
    events = [
        _imported_event(number, label, state) for number, record in saved for label, state in record.labels.items()
    ]
    spans = [
        _span(number, replace(rationale, source=rationale.source or Source.IMPORT))  # our own exports tell it
        for number, record in saved
        for rationale in record.rationales
    ]
    if events:
        session.execute(insert(LabelEventRow), events)
    if spans:
        session.execute(insert(RationaleRow), spans)
    finish_imported(session, report_ids=list(fresh), schema_id=schema_id, user_id=user_id)
    return len(fresh)


def current(session: Session, *, report_id: int, schema_id: str, user_id: int | None = None) -> dict[str, State]:
    """The findings of a report as they stand: by this user, else by whoever saved the report last.

    Findings that are not mentioned are not in the result.
    """
    if user_id is None:
        latest = _latest(session, report_id, schema_id, None)
        if latest is None:
            return {}
        user_id = latest.user_id
    values = values_by_annotator(session, schema_id=schema_id, report_ids=[report_id])
    return _mentioned(values.get((report_id, user_id), {}))


def latest_submission(
    session: Session, *, report_id: int, schema_id: str, user_id: int | None = None
) -> Submission | None:
    """The last save of a report, by this user or by anyone: comment, flag and evidence for reopening it."""
    row = _latest(session, report_id, schema_id, user_id)
    if row is None:
        return None
    annotator = session.scalars(select(UserRow.name).where(UserRow.id == row.user_id)).one()
    evidence = marks_of(session, submission_ids=[row.id]).get(row.id, ())
    return Submission(row.id, annotator, row.comment, row.flagged, evidence, row.created_at)


def _mentioned(values: Mapping[str, State | None]) -> dict[str, State]:
    return {label: value for label, value in values.items() if value is not None}


def _latest(session: Session, report_id: int, schema_id: str, user_id: int | None) -> Row[Any] | None:
    asked = {"report": report_id, "schema": schema_id}
    if user_id is None:
        return session.execute(_LATEST, asked).first()
    return session.execute(_OWN_LATEST, asked | {"by": user_id}).first()


def _events(submission_id: int, changes: Sequence[LabelChange], before: Mapping[str, State]) -> list[dict[str, Any]]:
    """One event per finding (the last change of it counts) that moved or that answers a suggestion."""
    last = {change.label: change for change in changes}
    return [
        {
            "submission_id": submission_id,
            "label": change.label,
            "old_value": before.get(change.label),
            "new_value": change.value,
            "source": change.source,
            "suggested": change.suggested,
        }
        for change in last.values()
        if change.value != before.get(change.label) or change.suggested is not None
    ]


def _imported_event(submission_id: int, label: str, state: State) -> dict[str, Any]:
    return {"submission_id": submission_id, "label": label, "new_value": state, "source": Source.IMPORT}


def _span(submission_id: int, rationale: Rationale) -> dict[str, Any]:
    return {
        "submission_id": submission_id,
        "label": rationale.label,
        "start_char": rationale.start,
        "end_char": rationale.end,
        "source": rationale.source,
    }


def _annotated_among(session: Session, schema_id: str, report_ids: Sequence[int]) -> set[int]:
    found: set[int] = set()
    for start in range(0, len(report_ids), _CHUNK):
        query = select(SubmissionRow.report_id).where(
            SubmissionRow.schema_id == schema_id, SubmissionRow.report_id.in_(report_ids[start : start + _CHUNK])
        )
        found.update(session.scalars(query))
    return found


def _require_seen(last: Row[Any] | None, seen: int | None) -> None:
    if seen is not None and last is not None and last.id != seen:
        raise SavedElsewhere(
            "Sie haben diesen Befund inzwischen in einem anderen Fenster gespeichert. Ihre Angaben aus diesem Fenster "
            "sind noch da: Bitte entscheiden Sie, welche gelten sollen.",
            "You have saved this report in another window meanwhile. Your values in this window are still here: please "
            "decide which ones hold.",
        )


def _require_same(earlier: Row[int, int, str, int], report_id: int, schema_id: str, user_id: int) -> None:
    """A client UUID names one save: the same number for something else is a mix-up and must not look like success."""
    if (earlier.report_id, earlier.schema_id, earlier.user_id) != (report_id, schema_id, user_id):
        raise Conflict(
            "Diese Speicherung gehört zu einem anderen Befund und wurde nicht übernommen. Bitte die Seite neu laden "
            "und den Befund noch einmal speichern.",
            "This save belongs to another report and was not stored. Please reload the page and save the report again.",
        )


# ---------------------------------------------------------------------------------------------- statements, built once

_SUBMISSION = table_of(SubmissionRow).c
_WITH_UUID = select(_SUBMISSION.id, _SUBMISSION.report_id, _SUBMISSION.schema_id, _SUBMISSION.user_id).where(
    _SUBMISSION.client_uuid == bindparam("uuid")
)
_ADD_SUBMISSION = insert(table_of(SubmissionRow)).returning(_SUBMISSION.id)
_ADD_EVENTS = insert(table_of(LabelEventRow))
_LATEST = (
    select(table_of(SubmissionRow))
    .where(
        _SUBMISSION.report_id == bindparam("report"),
        _SUBMISSION.schema_id == bindparam("schema"),
        _SUBMISSION.purpose == Purpose.ANNOTATION,
    )
    .order_by(_SUBMISSION.id.desc())
    .limit(1)
)
_OWN_LATEST = _LATEST.where(_SUBMISSION.user_id == bindparam("by"))
