"""Confident learning on labels: which ones a model doubts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medbertde.parts import Parts
from medbertde.report_file import to_json
from medbertde.schema import load_schema
from medbertde.types import ReportRecord, State
from train.compare import Judged
from train.doubt import doubted
from train.finetune import _doubts

LABELS = ("Erguss", "ZVK")


@pytest.fixture
def judged() -> tuple[np.ndarray, np.ndarray]:
    """Truth and scores of 60 reports and two findings that a model tells apart well."""
    rng = np.random.default_rng(0)
    truth = (rng.random((60, 2)) < 0.3).astype(np.int64)
    return truth, np.clip(truth * 0.8 + 0.1 + rng.normal(0, 0.03, (60, 2)), 0.01, 0.99)


def look(truth: np.ndarray, scores: np.ndarray) -> list[dict[str, object]]:
    given = [{label: State.PRESENT for label, value in zip(LABELS, row, strict=True) if value == 1} for row in truth]
    return doubted([f"r{number}" for number in range(len(truth))], LABELS, given, truth, scores)


def test_a_label_turned_around_is_found_and_no_other(judged: tuple[np.ndarray, np.ndarray]) -> None:
    truth, scores = judged
    assert look(truth, scores) == []
    truth[5, 0] = 1 - truth[5, 0]
    (row,) = look(truth, scores)
    assert (row["report"], row["label"]) == ("r5", "Erguss")
    assert row["given"] == ("present" if truth[5, 0] else None)
    assert row["support"] == pytest.approx(row["probability"] if truth[5, 0] else 1 - scores[5, 0], abs=1e-4)


def test_the_least_supported_label_comes_first_and_labels_left_out_are_not_doubted(
    judged: tuple[np.ndarray, np.ndarray],
) -> None:
    truth, scores = judged
    wrong = np.flatnonzero(truth[:, 1] == 0)[:4]
    truth[wrong, 1] = 1
    scores[wrong, 1] = [0.06, 0.02, 0.08, 0.04]
    found = look(truth, scores)
    assert [row["report"] for row in found][:2] == [f"r{wrong[1]}", f"r{wrong[3]}"]
    assert {row["report"] for row in found} <= {f"r{number}" for number in wrong}
    truth[wrong[1], 1] = -1
    assert f"r{wrong[1]}" not in [row["report"] for row in look(truth, scores)]


def test_a_finding_with_too_few_reports_is_left_alone() -> None:
    truth = np.array([[1, 0], [0, 0], [0, 0], [0, 0]])
    assert look(truth, np.full((4, 2), 0.01)) == []


def test_only_own_reports_that_were_not_learnt_from_are_listed(tmp_path: Path) -> None:
    schema = load_schema("chest_xray")
    effusion = schema.label_ids.index("Erguss")
    records = [
        ReportRecord(f"Aufnahme {number}.", id=f"r{number}", labels={"Erguss": State.PRESENT} if number % 2 else {})
        for number in range(40)
    ]
    own = records[:20]
    (tmp_path / "labels.jsonl").write_text("\n".join(map(to_json, own)), encoding="utf-8")
    parts = Parts(own=records[16:20], replay=[], validation=records[10:], test=records[:10])
    truth = np.array([[int(label == "Erguss") * (number % 2) for label in schema.label_ids] for number in range(40)])
    scores = np.where(truth == 1, 0.9, 0.1)
    for wrong in (3, 12, 17, 30):  # held out, of the validation part, learnt from, not its own
        scores[wrong, effusion] = 1 - scores[wrong, effusion]
    said = Judged(scores, [0.5] * len(schema.label_ids))
    by_part = {
        "validation": (truth[10:], Judged(said.scores[10:], said.thresholds)),
        "test": (truth[:10], Judged(said.scores[:10], said.thresholds)),
    }
    rows = _doubts(tmp_path, schema, parts, by_part)
    assert [(row["report"], row["part"]) for row in rows] == [("r12", "validation"), ("r3", "test")]
    assert not any("Aufnahme" in str(row) for row in rows)
