"""What has been labelled, as lists: a report's history, a person's latest saves, the rows of the exports.

Reads what `labels` has saved; what several people's saves count as is decided in `consensus`. Long lists are read in
chunks while the session is open. Knows no files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select

from medbertde.store.consensus import consensus
from medbertde.store.intake import test_reports
from medbertde.store.mark_consensus import marks_of
from medbertde.store.session import Session
from medbertde.store.tables import LabelEventRow, ReportRow, SubmissionRow, UserRow
from medbertde.types import LabelRevision, Purpose, ReportRecord

_CHUNK = 1000  # reports or events per read of an export


@dataclass(frozen=True)
class RecentReport:
    """A report in an annotator's list of own decisions, with the time of the last save."""

    report_id: int
    key: str
    saved_at: datetime
    flagged: bool


def history(session: Session, *, report_id: int, schema_id: str | None = None) -> list[LabelRevision]:
    """Every change of a report's findings, oldest first, of one schema or of all."""
    query = _revisions().where(SubmissionRow.report_id == report_id)
    if schema_id is not None:
        query = query.where(SubmissionRow.schema_id == schema_id)
    return [LabelRevision(*row) for row in session.execute(query)]


def recent_by_user(session: Session, *, user_id: int, schema_id: str, limit: int = 50) -> list[RecentReport]:
    """The reports this user saved last, each once, newest first."""
    newest = (
        select(func.max(SubmissionRow.id))
        .where(
            SubmissionRow.user_id == user_id,
            SubmissionRow.schema_id == schema_id,
            SubmissionRow.purpose == Purpose.ANNOTATION,
        )
        .group_by(SubmissionRow.report_id)
    )
    rows = session.execute(
        select(SubmissionRow.report_id, ReportRow.key, SubmissionRow.created_at, SubmissionRow.flagged)
        .join(ReportRow)
        .where(SubmissionRow.id.in_(newest))
        .order_by(SubmissionRow.id.desc())
        .limit(limit)
    )
    return [RecentReport(*row) for row in rows]


def revisions(session: Session, *, schema_id: str) -> Iterator[tuple[str, LabelRevision]]:
    """Every change of a schema with the report's key, oldest first, read in chunks while the session is open.

    Saves without any finding leave no change; they show in `records`.
    """
    query = _revisions().add_columns(ReportRow.key).join(ReportRow, ReportRow.id == SubmissionRow.report_id)
    query = query.where(SubmissionRow.schema_id == schema_id).limit(_CHUNK)
    last = 0
    while rows := session.execute(query.where(LabelEventRow.id > last)).all():
        yield from ((key, LabelRevision(*revision)) for *revision, key in rows)
        last = rows[-1].id


def records(session: Session, *, schema_id: str, include_flagged: bool = True) -> Iterator[ReportRecord]:
    """The annotated reports of a schema in import order, read in chunks while the session is open.

    The labels are the report's `consensus`; an annotated report without findings comes with empty `labels`. A report
    that nobody annotated counts with what a curator decided; closed with nothing decided, it is left out, because
    nobody has said that it has no findings. `meta` tells what the labels rest on: `provenance`, `annotator` (who saved
    or decided last), `annotators` (all who read it, perhaps nobody), `annotated_at`, `schema_version` and, where it
    holds, `flagged` and `split` (test). Training leaves flagged and test reports out.
    """
    newest = (
        select(func.max(SubmissionRow.id), SubmissionRow.report_id)
        .where(SubmissionRow.schema_id == schema_id)
        .group_by(SubmissionRow.report_id)
        .order_by(SubmissionRow.report_id)
        .limit(_CHUNK)
    )
    last = 0
    while chunk := session.execute(newest.where(SubmissionRow.report_id > last)).all():
        for record, flagged in _gold_records(session, schema_id, dict(chunk)):
            if include_flagged or not flagged:
                yield record
        last = chunk[-1].report_id


def _gold_records(session: Session, schema_id: str, chosen: Mapping[int, int]) -> Iterator[tuple[ReportRecord, bool]]:
    """The record and the flag of each chosen submission ({submission id: report id}), in import order."""
    settled = consensus(session, schema_id=schema_id, report_ids=chosen.values())
    annotators = _annotators(session, schema_id, chosen.values())
    tests = test_reports(session, schema_id=schema_id, report_ids=chosen.values())
    evidence = marks_of(session, submission_ids=chosen)
    query = (
        select(ReportRow, SubmissionRow, UserRow.name)
        .join(SubmissionRow, SubmissionRow.report_id == ReportRow.id)
        .join(UserRow, UserRow.id == SubmissionRow.user_id)
        .where(SubmissionRow.id.in_(chosen))
        .order_by(ReportRow.id)
    )
    for report, submission, annotator in session.execute(query):
        holds = settled.get(report.id)
        if holds is None:  # closed, and nothing was said about it
            continue
        provenance = {
            "provenance": holds.provenance.value,
            "annotator": annotator,
            "annotators": ", ".join(annotators.get(report.id, ())),
            "annotated_at": submission.created_at.isoformat(timespec="seconds"),
            "schema_version": str(submission.schema_version),
        }
        record = ReportRecord(
            text=report.text,
            id=report.key,
            modality=report.modality,
            labels=holds.labels,
            rationales=evidence.get(submission.id, ()) if holds.marks is None else holds.marks,
            meta=report.meta
            | provenance
            | ({"flagged": "true"} if holds.flagged else {})
            | ({"split": "test"} if report.id in tests else {}),
        )
        yield record, holds.flagged


def _annotators(session: Session, schema_id: str, report_ids: Collection[int]) -> dict[int, list[str]]:
    """The names of all who saved each report, alphabetically."""
    names: dict[int, list[str]] = {}
    saved = session.execute(
        select(SubmissionRow.report_id, UserRow.name)
        .join(UserRow)
        .where(
            SubmissionRow.schema_id == schema_id,
            SubmissionRow.report_id.in_(report_ids),
            SubmissionRow.purpose == Purpose.ANNOTATION,
        )
        .distinct()
        .order_by(UserRow.name)
    )
    for report_id, name in saved:
        names.setdefault(report_id, []).append(name)
    return names


def _revisions() -> Select[*tuple[Any, ...]]:
    """The columns of a `LabelRevision` in its order, oldest first."""
    return (
        select(
            LabelEventRow.id,
            SubmissionRow.report_id,
            LabelEventRow.label,
            LabelEventRow.old_value,
            LabelEventRow.new_value,
            UserRow.name,
            LabelEventRow.source,
            SubmissionRow.model_version,
            SubmissionRow.created_at,
        )
        .join(SubmissionRow, SubmissionRow.id == LabelEventRow.submission_id)
        .join(UserRow, UserRow.id == SubmissionRow.user_id)
        .order_by(LabelEventRow.id)
    )
