"""Which reports of a run are learnt from, which set thresholds and which are held out, and whether that can work.

Core: the training job divides by it, and the app counts by it before a run. Knows no model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medbertde.text import content_hash
from medbertde.types import ReportRecord, State, TrainingRefused

FEWEST_TRAIN, FEWEST_TEST = 8, 2
TEST_SHARE, VALIDATION_SHARE = 0.25, 0.15


@dataclass(frozen=True)
class Parts:
    """The reports of a run by use. `own` are those it was given, `replay` others that keep it from forgetting."""

    own: list[ReportRecord]
    replay: list[ReportRecord]
    validation: list[ReportRecord]
    test: list[ReportRecord]

    @property
    def sizes(self) -> dict[str, int]:
        """How many reports each part has."""
        return {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)}

    @property
    def train(self) -> list[ReportRecord]:
        """All reports to learn from."""
        return [*self.own, *self.replay]


def divide(
    own: Sequence[ReportRecord],
    *,
    replay: Sequence[ReportRecord] = (),
    statements: Sequence[ReportRecord] = (),
    test: Sequence[ReportRecord] | None = None,
    test_share: float,
    validation_share: float,
) -> Parts:
    """Divide reports by their hash; where `test` is given, it replaces the share that would be held out.

    Nothing is learnt from a report of the test part or of a project's fixed test part, nor from a copy of it or another
    report of its family, wherever it comes from. A report that is both own and replayed counts once, with its own
    labels. Statements are learnt from beside the replayed reports; thresholds are for reports, so validation is without
    them. Without any validation report the training reports take that part.
    """
    share = test_share if test is None else 0.0
    held_out = [record for record in own if part_of(record, share, 0.0) == "test"] if test is None else list(test)
    fixed = [record for record in (*own, *replay, *statements) if is_fixed_test(record)]
    tested, given = _identities([*held_out, *fixed]), _identities(own)
    known = [record for record in own if not _identities([record]) & tested]
    added = [record for record in replay if not _identities([record]) & (tested | given)]
    learnt, kept = _hold_back(known, share, validation_share)
    replayed, kept_too = _hold_back(added, 0.0, validation_share)
    validation = [*kept, *kept_too] or [*learnt, *replayed]
    stated = [record for record in statements if not _identities([record]) & tested]
    return Parts(learnt, [*replayed, *stated], validation, held_out)


def _hold_back(
    records: Sequence[ReportRecord], test_share: float, validation_share: float
) -> tuple[list[ReportRecord], list[ReportRecord]]:
    """The reports to learn from, and those of the validation part."""
    learnt: list[ReportRecord] = []
    validation: list[ReportRecord] = []
    for record in records:
        part = part_of(record, test_share, validation_share)
        (validation if part == "validation" else learnt).append(record)
    return learnt, validation


def is_fixed_test(record: ReportRecord) -> bool:
    """Whether a project keeps this report for measuring."""
    return record.meta.get("split") == "test"


def part_of(record: ReportRecord, test_share: float, validation_share: float) -> str:
    """The part of a report (test, validation or train), fixed by the hash of its family (else of its text).

    The same report falls into the same part in every run, so a held-out report never becomes a training one. Reports
    of a project's fixed test part say so (`meta["split"]`).
    """
    if is_fixed_test(record):
        return "test"
    family = record.meta.get("family") or content_hash(record.text)
    place = int(hashlib.sha256(family.encode()).hexdigest()[:8], 16) / 0x1_0000_0000
    if place < test_share:
        return "test"
    return "validation" if place < test_share + validation_share else "train"


def _identities(records: Sequence[ReportRecord]) -> set[str]:
    """What tells reports apart: their text without layout, and their family."""
    families = {record.meta["family"] for record in records if record.meta.get("family")}
    return families | {content_hash(record.text) for record in records}


def require_workable(parts: Parts, own: int) -> None:
    """Refuse what cannot become a model of findings, or could not be measured; `own` reports were given."""
    _require_enough(parts, own)
    if not any(State.PRESENT in record.labels.values() for record in parts.test):
        raise TrainingRefused(
            "Im Testteil ist kein einziger Befund „vorhanden“; daran lässt sich nichts messen. Bitte weiter "
            "annotieren.",
            "Not one finding is “present” in the test part; nothing can be measured on it. Please annotate more.",
        )


def require_marked(parts: Parts, own: int) -> None:
    """Refuse what cannot become a model that marks spans, or could not be measured; `own` reports were given."""
    _require_enough(parts, own)
    for name, part in ((("Trainingsteil", "training part"), parts.train), (("Testteil", "test part"), parts.test)):
        if not any(record.rationales for record in part):
            raise TrainingRefused(
                f"Im {name[0]} ist keine einzige Textstelle markiert; daraus lässt sich nichts lernen oder messen. "
                "Bitte weiter annotieren.",
                f"Not one span is marked in the {name[1]}; nothing can be learnt or measured from it. Please annotate "
                "more.",
            )
    learnt, tested = marked_labels(parts.train), marked_labels(parts.test)
    if not learnt & tested:
        raise TrainingRefused(
            f"Was im Trainingsteil markiert ist ({', '.join(sorted(learnt))}), kommt im Testteil nicht vor (dort: "
            f"{', '.join(sorted(tested))}); was gelernt wird, ließe sich nicht messen. Bitte weiter annotieren.",
            f"What is marked in the training part ({', '.join(sorted(learnt))}) is missing in the test part (there: "
            f"{', '.join(sorted(tested))}); what is learnt could not be measured. Please annotate more.",
        )


def marked_labels(records: Iterable[ReportRecord]) -> set[str]:
    """The labels with a span in any of the reports."""
    return {span.label for record in records for span in record.rationales}


def _require_enough(parts: Parts, own: int) -> None:
    if len(parts.train) < FEWEST_TRAIN or len(parts.test) < FEWEST_TEST:
        raise TrainingRefused(
            f"Für ein Training sind zu wenige Befunde annotiert: {own}, davon {len(parts.test)} im Testteil. Nötig "
            f"sind mindestens {FEWEST_TRAIN} zum Lernen und {FEWEST_TEST} zum Prüfen. Bitte weiter annotieren.",
            f"Too few reports are labelled for a training run: {own}, of which {len(parts.test)} in the test part. At "
            f"least {FEWEST_TRAIN} to learn and {FEWEST_TEST} to test are needed. Please annotate more.",
        )
