"""Quality figures against cases computed by hand and against `train.evaluate`, and the command end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medbertde.schema import load_schema
from medbertde.types import ReportRecord, State
from tests import tiny
from tests.train.conftest import write_reports
from train.evaluate import measure
from train.intervals import auroc, calibration_error, count, interval, mean_defined, resamples
from train.quality import Answers, by_finding, by_group, codes, figures, main, without_test

LABELS = ("Erguss", "Tubus")
ONCE = np.ones((1, 4))


class TestFigures:
    def test_a_case_computed_by_hand(self) -> None:
        gold = np.array([[1, 3], [1, 3], [0, 2], [3, 0]])
        said = np.array([[1, 3], [3, 0], [1, 2], [3, 2]])
        scores = np.array([[0.9, 0.0], [0.4, 0.0], [0.6, 0.0], [0.1, 0.0]])
        found = figures(gold, Answers("m", said, scores), resamples(4, 50, seed=0))
        values = {name: figure.value for name, figure in found.items() if figure}
        assert values == {
            "auroc_macro": 0.75,
            "f1_macro": 0.5,
            "f1_micro": 0.5,
            "precision_macro": 0.5,
            "recall_macro": 0.5,
            "f1_negation": pytest.approx(2 * 2 / (2 * 2 + 1 + 1)),
            "f1_uncertainty": pytest.approx(2 / 3),
            "ece": pytest.approx((0.1 + 0.6 + 0.6 + 0.1) / 8),
        }

    def test_a_method_without_scores_has_no_auroc_and_no_calibration(self) -> None:
        found = figures(np.array([[1], [0]]), Answers("rules", np.array([[1], [0]])), resamples(2, 10, seed=0))
        assert found["auroc_macro"] is None
        assert found["ece"] is None
        assert found["f1_macro"] is not None

    def test_they_are_those_of_the_training_job(self) -> None:
        rng = np.random.default_rng(0)
        truth = rng.integers(0, 2, (80, 4))
        truth[:, 3] = 0  # a finding without positives
        scores = np.round(np.clip(truth * 0.2 + rng.random((80, 4)) * 0.8, 0, 1), 2)
        expected = measure(truth, scores, [0.5] * 4, list("abcd"))
        found = figures(truth, Answers("m", (scores >= 0.5).astype(np.int64), scores), resamples(80, 5, seed=0))
        for name in ("auroc_macro", "f1_macro", "f1_micro", "precision_macro", "recall_macro"):
            figure = found[name]
            assert figure is not None
            assert figure.value == pytest.approx(getattr(expected, name)), name


class TestWeights:
    def test_a_report_drawn_twice_counts_twice(self) -> None:
        rng = np.random.default_rng(1)
        gold, scores = rng.random((6, 2)) < 0.5, np.round(rng.random((6, 2)), 1)
        weights = np.array([[2.0, 0, 1, 3, 0, 1]])
        drawn = np.repeat(np.arange(6), weights[0].astype(int))
        once = np.ones((1, len(drawn)))
        by_weight, by_copy = count(weights, gold, scores > 0.5), count(once, gold[drawn], scores[drawn] > 0.5)
        assert by_weight.f1() == pytest.approx(by_copy.f1())
        assert auroc(weights, gold, scores) == pytest.approx(auroc(once, gold[drawn], scores[drawn]), nan_ok=True)
        errors = calibration_error(weights, gold, scores), calibration_error(once, gold[drawn], scores[drawn])
        assert errors[0] == pytest.approx(errors[1])

    def test_equal_scores_count_half(self) -> None:
        gold, scores = np.array([[True], [False], [False], [True]]), np.array([[0.5], [0.5], [0.1], [0.9]])
        assert auroc(ONCE, gold, scores)[0, 0] == pytest.approx((0.5 + 1 + 1 + 1) / 4)

    def test_one_kind_only_has_no_auroc(self) -> None:
        gold = np.ones((4, 1), dtype=np.bool_)
        assert np.isnan(mean_defined(auroc(ONCE, gold, np.full((4, 1), 0.5)))).all()

    def test_a_perfectly_calibrated_score_has_no_error(self) -> None:
        gold = np.array([[True], [False], [False], [False]])
        assert calibration_error(ONCE, gold, np.full((4, 1), 0.25))[0] == pytest.approx(0)
        assert calibration_error(ONCE, gold, np.ones((4, 1)))[0] == pytest.approx(0.75)


class TestIntervals:
    def test_the_first_row_is_the_test_set_and_all_rows_have_its_size(self) -> None:
        weights = resamples(7, 20, seed=3)
        assert weights[0].tolist() == [1.0] * 7
        assert (weights.sum(axis=1) == 7).all()
        assert len({tuple(row) for row in weights}) > 10

    def test_equal_seeds_draw_equally(self) -> None:
        assert np.array_equal(resamples(7, 20, seed=3), resamples(7, 20, seed=3))
        assert not np.array_equal(resamples(7, 20, seed=3), resamples(7, 20, seed=4))

    def test_the_interval_of_a_share_is_that_of_the_binomial(self) -> None:
        """100 reports, 50 found: the normal approximation gives 0.5 ± 0.098."""
        gold = np.ones((100, 1), dtype=np.bool_)
        said = (np.arange(100) < 50)[:, None]
        found = interval(count(resamples(100, 1_000, seed=0), gold, said).recall()[:, 0])
        assert found is not None
        assert (found.value, found.low, found.high) == (
            0.5,
            pytest.approx(0.402, abs=0.03),
            pytest.approx(0.598, abs=0.03),
        )

    def test_undefined_samples_are_left_out(self) -> None:
        found = interval(np.array([0.5, np.nan, 0.4, 0.6]))
        assert found is not None
        assert (found.low, found.high) == (pytest.approx(0.405), pytest.approx(0.595))
        assert interval(np.array([np.nan, 0.4])) is None


class TestRows:
    def test_findings_carry_positives_auroc_and_f1(self) -> None:
        gold = np.array([[1, 0], [0, 0], [2, 3]])
        said, scores = np.array([[1, 0], [1, 0], [0, 3]]), np.array([[0.9, 0.9], [0.9, 0.9], [0.1, 0.1]])
        rows = by_finding(gold, Answers("m", said, scores), LABELS)
        assert (rows[0].positives, rows[0].auroc, rows[0].f1) == (1, 0.75, pytest.approx(2 / 3))
        assert (rows[1].positives, rows[1].auroc) == (0, None)

    def test_rare_styles_stand_together(self) -> None:
        styles = ["Brief", "Brief, lang", "brief/Österreich", "Telegramm", "Tabelle"]
        test = [ReportRecord(str(number), meta={"style": style}) for number, style in enumerate(styles)]
        gold, said = np.array([[1], [1], [0], [1], [0]]), np.array([[1], [0], [0], [1], [0]])
        rows = by_group(test, gold, Answers("m", said), "style")
        assert [(row.name, row.reports, row.f1_micro) for row in rows] == [
            ("brief", 3, pytest.approx(2 / 3)),
            ("others (2)", 2, 1.0),
        ]

    def test_reports_are_grouped_by_length(self) -> None:
        test = [ReportRecord("x" * size) for size in (299, 10, 5, 300, 899, 400)]
        rows = by_group(
            test, np.ones((6, 1), dtype=np.int64), Answers("m", np.array([[1], [1], [1], [0], [0], [0]])), "length"
        )
        assert [(row.name, row.f1_micro) for row in rows] == [
            ("300 to 899 characters", 0.0),
            ("below 300 characters", 1.0),
        ]

    def test_all_three_states_are_measured_by_kind(self) -> None:
        test = [ReportRecord(str(number), meta={"source": "a" if number < 3 else "b"}) for number in range(6)]
        gold = np.array([[1, 3], [2, 3], [3, 0], [1, 0], [1, 0], [0, 0]])
        said = np.array([[1, 3], [2, 0], [0, 0], [1, 0], [0, 0], [0, 0]])
        first, second = by_group(test, gold, Answers("m", said), "source")
        assert (first.f1_macro, first.f1_micro, first.f1_uncertainty) == (1.0, 1.0, 1.0)
        assert first.f1_negation == pytest.approx(2 * 1 / (2 * 1 + 2))
        assert (second.f1_micro, second.f1_negation, second.f1_uncertainty) == (pytest.approx(2 / 3), None, None)


def test_codes_tell_the_four_states_apart() -> None:
    found = codes([{"Erguss": State.PRESENT}, {"Tubus": State.UNCERTAIN}, {"Erguss": State.ABSENT}], LABELS)
    assert found.tolist() == [[1, 0], [0, 2], [3, 0]]


def test_nothing_is_learnt_from_a_copy_or_the_family_of_a_test_report() -> None:
    test = [ReportRecord("Kein  Erguss."), ReportRecord("Tubus.", meta={"family": "7"})]
    learnt = [
        ReportRecord("Kein Erguss."),
        ReportRecord("Tubus in situ.", meta={"family": "7"}),
        ReportRecord("Herz schlank."),
    ]
    assert [record.text for record in without_test(learnt, test)] == ["Herz schlank."]


@pytest.fixture
def files(tmp_path: Path, reports: list[ReportRecord]) -> dict[str, Path]:
    test = [
        ReportRecord("Erguss rechts.", labels={"Erguss": State.PRESENT}, meta={"style": "kurz"}),
        ReportRecord("Ein Erguss ist nicht zu sehen.", labels={"Erguss": State.ABSENT}, meta={"style": "kurz"}),
        ReportRecord("Erguss möglich.", labels={"Erguss": State.UNCERTAIN}, meta={"style": "kurz"}),
    ]
    return {
        "test": write_reports(tmp_path / "test.jsonl", test),
        "train": write_reports(tmp_path / "train.jsonl", reports),
        "out": tmp_path / "quality.md",
        "json": tmp_path / "quality.json",
    }


def test_the_command_compares_model_rules_and_tfidf(files: dict[str, Path], tiny_classifier_folder: Path) -> None:
    options = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    assert main([*options, "--model", str(tiny_classifier_folder), "--machine", "two cores"]) == 0
    document, data = files["out"].read_text(encoding="utf-8"), json.loads(files["json"].read_text(encoding="utf-8"))
    model, rules, tfidf = data["methods"]
    assert (rules, tfidf) == ("rules", "TF-IDF + logistic regression")
    assert data["methods"]["rules"]["f1_negation"]["value"] == 1.0
    assert data["methods"]["rules"]["f1_uncertainty"]["value"] == 1.0
    assert data["methods"]["rules"]["auroc_macro"] is None
    assert 0 <= data["methods"][model]["auroc_macro"]["low"] <= data["methods"][model]["auroc_macro"]["high"] <= 1
    assert [row["label"] for row in data["findings"]] == list(load_schema("chest_xray").label_ids)
    assert f"python -m train.quality --test {files['test']}" in document
    assert "two cores" in document
    assert "| rules | – | 1.00 (1.00–1.00) |" in document
    assert "| style | kurz | 3 |" in document


def test_figures_are_the_same_in_every_run(files: dict[str, Path], tiny_classifier_folder: Path) -> None:
    options = ["--test", str(files["test"]), "--model", str(tiny_classifier_folder), "--json", str(files["json"])]
    contents = [main(options) or files["json"].read_text(encoding="utf-8") for _ in range(2)]
    assert contents[0] == contents[1]


def test_a_model_of_another_schema_is_refused(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny.classifier_folder(tmp_path / "tiny-chest-ct", schema_id="chest_ct")
    assert main(["--test", str(files["test"]), "--model", str(folder), "--out", str(files["out"])]) == 2
    assert "does not know" in capsys.readouterr().err
    assert not files["out"].exists()


def test_a_file_without_any_positive_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_reports(tmp_path / "test.jsonl", [ReportRecord("Kein Erguss.", labels={"Erguss": State.ABSENT})])
    assert main(["--test", str(path)]) == 2
    assert "nothing can be measured" in capsys.readouterr().err
