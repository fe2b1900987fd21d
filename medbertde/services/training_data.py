"""What a run would learn from: which annotated reports are taken, and what the preview says about them.

Owns the selection and the reasons why a run cannot work. The parts are those of the job itself (`medbertde.parts`), so
the preview counts what will be learnt from. Knows no runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from medbertde.parts import (
    TEST_SHARE,
    VALIDATION_SHARE,
    Parts,
    divide,
    is_fixed_test,
    marked_labels,
    require_marked,
    require_workable,
)
from medbertde.schema import Kind, Schema
from medbertde.span_tags import without_overlaps
from medbertde.store import labelled
from medbertde.store.session import Database
from medbertde.types import Provenance, ReportRecord, State, TrainingRefused

FEWEST_REPORTS = 12
AGREED = (Provenance.UNANIMOUS, Provenance.ADJUDICATED)
SPANS, MARKED = "spans", "reports"  # what is counted of a schema of spans: spans, and reports with at least one
Counts = Mapping[str, Mapping[str, int]]  # by finding and state; by label of spans and what is counted


@dataclass(frozen=True)
class Selection:
    """Which annotated reports a run takes; what is empty filters nothing.

    `annotators`: read by one of them; the labels stay what the report counts as. `since` is a day in UTC, included, of
    the last save. `agreed`: several people said the same, or a curator decided. A fixed test part is taken in any case,
    so that all runs are measured on the same reports.
    """

    annotators: tuple[str, ...] = ()
    since: date | None = None
    agreed: bool = False
    modality: str = ""

    def takes(self, record: ReportRecord) -> bool:
        """Whether the run learns from this report."""
        meta = record.meta
        if is_fixed_test(record):
            return True
        return (
            (not self.annotators or bool({*_annotators(record)} & {*self.annotators}))
            and (not self.since or datetime.fromisoformat(meta["annotated_at"]).date() >= self.since)
            and (not self.agreed or meta["provenance"] in AGREED)
            and (not self.modality or record.modality == self.modality)
        )


@dataclass(frozen=True)
class TrainingPreview:
    """What a run would learn from, and why it cannot work (`refusal`) or what it cannot tell.

    `parts` holds the number of reports for training, validation and test, `by_part` the findings in each, `counts` in
    all of them. `unmeasured` are labels that occur but not in the test part, `unlearnt` those whose spans are all in
    other parts than the training part, `overlapping` counts spans that give way to a longer one. `disputed` reports
    count as they were read last. `annotators` and `modalities` are what can be chosen.
    """

    reports: int
    counts: Counts
    parts: Mapping[str, int] = field(default_factory=dict)
    by_part: Mapping[str, Counts] = field(default_factory=dict)
    fixed_test: int = 0
    disputed: int = 0
    unmeasured: tuple[str, ...] = ()
    unlearnt: tuple[str, ...] = ()
    overlapping: int = 0
    refusal: TrainingRefused | None = None
    annotators: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()


def annotated(database: Database, schema: Schema) -> list[ReportRecord]:
    """Every annotated or decided report that nobody flagged, without findings that the schema has no more."""
    with database.read() as session:
        found = list(labelled.records(session, schema_id=schema.id, include_flagged=False))
    known = schema.label_ids
    return [
        replace(
            record,
            labels={label: state for label, state in record.labels.items() if label in known},
            rationales=tuple(span for span in record.rationales if span.label in known),
        )
        for record in found
    ]


def look(everything: Sequence[ReportRecord], schema: Schema, selection: Selection) -> TrainingPreview:
    """Count what a run would learn from."""
    chosen = [record for record in everything if selection.takes(record)]
    parts = divide(chosen, test_share=TEST_SHARE, validation_share=VALIDATION_SHARE)
    by_part = {
        "train": _counts(parts.own, schema),
        "validation": _counts(parts.validation, schema),
        "test": _counts(parts.test, schema),
    }
    counts = _counts(chosen, schema)
    marked = schema.kind is Kind.SPANS
    decisive = SPANS if marked else State.PRESENT.value
    return TrainingPreview(
        reports=len(chosen),
        counts=counts,
        parts={"train": len(parts.own), "validation": len(parts.validation), "test": len(parts.test)},
        by_part=by_part,
        fixed_test=sum(map(is_fixed_test, chosen)),
        disputed=sum(record.meta["provenance"] == Provenance.OPEN for record in chosen),
        unmeasured=tuple(
            label
            for label in schema.label_ids
            if counts[label].get(decisive) and not by_part["test"][label].get(decisive)
        ),
        unlearnt=tuple(
            label
            for label in schema.label_ids
            if marked and counts[label].get(SPANS) and not by_part["train"][label].get(SPANS)
        ),
        overlapping=sum(len(without_overlaps(record.rationales)[1]) for record in parts.own) if marked else 0,
        refusal=_refusal(parts, len(chosen), schema),
        annotators=tuple(sorted({name for record in everything for name in _annotators(record)})),
        modalities=tuple(sorted({record.modality for record in everything if record.modality})),
    )


def _annotators(record: ReportRecord) -> list[str]:
    """Who has read the report; nobody where it was put aside and a curator decided it."""
    return [name for name in record.meta["annotators"].split(", ") if name]


def _counts(records: Sequence[ReportRecord], schema: Schema) -> Counts:
    counts: dict[str, Counter[str]] = {label: Counter() for label in schema.label_ids}
    for record in records:
        if schema.kind is Kind.FINDINGS:
            for label, state in record.labels.items():
                counts[label][state.value] += 1
            continue
        for span in record.rationales:
            counts[span.label][SPANS] += 1
        for label in marked_labels([record]):
            counts[label][MARKED] += 1
    return counts


def _refusal(parts: Parts, reports: int, schema: Schema) -> TrainingRefused | None:
    """Why a run with these reports would be refused."""
    if reports < FEWEST_REPORTS:
        de = "ist 1 Befund" if reports == 1 else f"sind {reports} Befunde"
        en = "1 report is" if reports == 1 else f"{reports} reports are"
        return TrainingRefused(
            f"Bisher {de} annotiert, für ein Training sind mindestens {FEWEST_REPORTS} nötig. Bitte im Reiter "
            "„Annotation“ weitere Befunde bearbeiten oder annotierte Befunde importieren.",
            f"{en} labelled so far, a training run needs at least {FEWEST_REPORTS}. Please label more reports in the "
            "tab “Annotation” or import labelled ones.",
        )
    try:
        (require_marked if schema.kind is Kind.SPANS else require_workable)(parts, reports)
    except TrainingRefused as refusal:
        return refusal
    return None
