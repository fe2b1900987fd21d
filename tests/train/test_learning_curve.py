"""Annotation simulated: what is chosen next, that labels are hidden, and what the table shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from medbertde.schema import Schema, load_schema
from medbertde.types import ReportRecord, State, TrainingRefused
from tests.train.conftest import write_reports
from train.learning_curve import STRATEGIES, Learnt, curves, learn_bert, learn_tfidf, main, simulate

SCHEMA = load_schema("chest_xray")


class Watching:
    """A learner that notes what it was given; it doubts the reports with an even number most."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []

    def __call__(
        self,
        labelled: Sequence[ReportRecord],
        pool: Sequence[ReportRecord],
        test: Sequence[ReportRecord],
        schema: Schema,
        seed: int,
    ) -> Learnt:
        self.seen.append([record.text for record in labelled])
        doubt = [0.5 if int(record.text.split()[-1]) % 2 == 0 else 0.01 for record in pool]
        return Learnt(len(labelled) / 100, np.repeat(np.array(doubt)[:, None], 2, axis=1))


@pytest.fixture
def numbered() -> list[ReportRecord]:
    return [ReportRecord(f"Befund {number}") for number in range(40)]


def test_each_budget_keeps_what_was_labelled_and_adds_what_the_model_doubts(numbered: list[ReportRecord]) -> None:
    watching = Watching()
    found = simulate(numbered, [], SCHEMA, STRATEGIES["uncertainty"], watching, [6, 12], seed=1)
    assert found == [0.06, 0.12]
    first, second = watching.seen
    assert second[:6] == first
    assert len(set(second)) == 12
    assert all(int(text.split()[-1]) % 2 == 0 for text in second[6:])


def test_all_strategies_begin_with_the_same_reports(numbered: list[ReportRecord]) -> None:
    starts = []
    for how in STRATEGIES.values():
        watching = Watching()
        simulate(numbered, [], SCHEMA, how, watching, [6, 12], seed=3)
        starts.append(watching.seen[0])
    assert all(start == starts[0] for start in starts)


def test_more_reports_than_there_are_is_refused(numbered: list[ReportRecord]) -> None:
    with pytest.raises(TrainingRefused, match="There are 40 reports, 50 are to be simulated"):
        curves(numbered, [], SCHEMA, Watching(), ["random"], [10, 50], [0])


def test_the_baseline_learns_more_from_more_reports(reports: list[ReportRecord]) -> None:
    test = [ReportRecord("Kleiner Erguss links", labels={"Erguss": State.PRESENT}), ReportRecord("Herz normal")]
    learnt = learn_tfidf(reports, reports, test, SCHEMA, seed=0)
    assert learnt.f1_macro == 1.0
    assert learnt.pool.shape == (len(reports), len(SCHEMA.labels))


def test_the_language_model_is_fine_tuned_and_reads_the_pool(reports: list[ReportRecord]) -> None:
    rest = reports[24:]
    learnt = learn_bert(reports[:24], rest, rest, SCHEMA, seed=0, epochs=12)
    assert learnt.pool.shape == (36, len(SCHEMA.labels))
    effusion = learnt.pool[:, SCHEMA.label_ids.index("Erguss")].reshape(12, 3)  # present, absent, not mentioned
    there, not_there, unsaid = effusion.mean(axis=0)
    assert there > max(not_there, unsaid)
    decided = effusion >= 0.5  # the threshold where validation reports have fewer than five positives
    assert learnt.f1_macro == pytest.approx(2 * decided[:, 0].sum() / (12 + decided.sum()))


def test_the_command_writes_a_table_with_intervals_and_a_plot(reports: list[ReportRecord], tmp_path: Path) -> None:
    files = [write_reports(tmp_path / name, reports) for name in ("train.jsonl", "test.jsonl")]
    out = tmp_path / "neu" / "curve.md"
    words = ["--train", str(files[0]), "--test", str(files[1]), "--budgets", "40", "60", "--seeds", "2"]
    assert main([*words, "--strategies", "random", "mixed", "--out", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    count, day = len(reports), datetime.now(UTC).date().isoformat()
    assert f"Macro F1 on {count} test reports, mean over seeds" in text
    assert f"a pool of {count} reports. Made on {day} by:" in text
    assert "| labelled reports | 40 | 60 |" in text
    assert "| mixed | " in text
    assert out.with_suffix(".svg").read_text(encoding="utf-8").startswith("<?xml")
