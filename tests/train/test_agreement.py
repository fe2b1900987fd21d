"""Agreement of two readers: the measures against cases computed by hand, and the document from two files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from medbertde.agreement import ac1, kappa, raw
from medbertde.schema import load_schema
from medbertde.settings import ROOT
from medbertde.types import InvalidFile, InvalidSchema, ReportRecord, State, UserError
from tests.train.conftest import write_reports
from train import agreement
from train.agreement import WHO, compare, main, read_second, run, tables

SCHEMA = load_schema("chest_xray")
FIRST = [
    ReportRecord("Kein Erguss.", "a", labels={"Erguss": State.ABSENT}),
    ReportRecord("V. a. Erguss.", "b", labels={"Erguss": State.UNCERTAIN}),
    ReportRecord("Erguss.", "c", labels={"Erguss": State.PRESENT}),
]
SECOND = {"a": {"Erguss": "absent"}, "b": {"Erguss": "present"}, "c": {"Erguss": "present", "Tubus": "absent"}}


def write_second(path: Path, readings: Mapping[str, object]) -> Path:
    lines = [json.dumps({"id": key, "labels": labels}) + "\n" for key, labels in readings.items()]
    path.write_text("".join(lines), encoding="utf-8")
    return path


class TestMeasures:
    def test_kappa_is_that_of_scikit_learn_on_the_single_readings(self) -> None:
        rng = np.random.default_rng(0)
        one = rng.integers(0, 4, (50, 3))
        two = np.where(rng.random((50, 3)) < 0.7, one, rng.integers(0, 4, (50, 3)))
        (table,) = tables(one, two, np.ones((1, 50)))
        assert kappa(table) == pytest.approx(cohen_kappa_score(one.ravel(), two.ravel()))
        assert raw(table) == pytest.approx((one == two).mean())

    def test_ac1_of_two_values_is_that_of_gwets_example(self) -> None:
        # Gwet 2008, table 1 as 118/5/2/0 of 125: agreement 0.944, e = 2 π (1 − π) with π = (123 + 120) / 250
        share = (123 + 120) / 250
        chance = 2 * share * (1 - share)
        table = np.array([[118.0, 5.0], [2.0, 0.0]])
        assert ac1(table) == pytest.approx((0.944 - chance) / (1 - chance))
        assert kappa(table) < 0

    def test_ac1_of_four_values_computed_by_hand(self) -> None:
        table = np.diag([10.0, 0.0, 20.0, 60.0])
        table[0, 1] = 10.0
        shares = np.array([0.15, 0.05, 0.2, 0.6])
        chance = (shares * (1 - shares)).sum() / 3
        assert ac1(table) == pytest.approx((0.9 - chance) / (1 - chance))

    def test_where_all_readings_have_one_value_kappa_is_undefined_and_ac1_is_one(self) -> None:
        table = np.diag([0.0, 0.0, 0.0, 5.0])
        assert np.isnan(kappa(table))
        assert ac1(table) == 1.0

    def test_no_better_than_chance_is_a_kappa_of_zero(self) -> None:
        assert kappa(np.full((4, 4), 3.0)) == pytest.approx(0.0)
        assert ac1(np.full((4, 4), 3.0)) == pytest.approx(0.0)

    def test_a_report_that_is_drawn_twice_counts_twice(self) -> None:
        one, two = np.array([[0], [3]]), np.array([[0], [2]])
        (table,) = tables(one, two, np.array([[2.0, 1.0]]))
        assert table[0, 0] == 2
        assert table[3, 2] == 1
        assert table.sum() == 3


def test_the_readings_are_compared_by_id_and_disagreements_listed(tmp_path: Path) -> None:
    second = read_second(write_second(tmp_path / "second.jsonl", dict(reversed(SECOND.items()))), SCHEMA)
    found = compare(FIRST, second, SCHEMA)
    listed = [(one.report, one.label, one.first, one.second) for one in found.disagreements]
    assert listed == [("b", "Erguss", State.UNCERTAIN, State.PRESENT), ("c", "Tubus", None, State.ABSENT)]
    effusion, tube = (next(row for row in found.findings if row.label == name) for name in ("Erguss", "Tubus"))
    assert (effusion.first, effusion.second, effusion.agreement) == (3, 3, pytest.approx(2 / 3))
    assert (tube.first, tube.second) == (0, 1)
    assert found.confusion.tolist() == [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 35]]


def test_pooled_figures_carry_intervals_that_are_the_same_every_time() -> None:
    second = {"a": FIRST[0].labels, "b": {"Erguss": State.PRESENT}, "c": FIRST[2].labels}
    found, again = compare(FIRST, second, SCHEMA), compare(FIRST, second, SCHEMA)
    assert found.pooled == again.pooled
    where_mentioned = found.pooled["agreement where mentioned"]
    assert where_mentioned
    assert where_mentioned.value == pytest.approx(2 / 3)
    assert where_mentioned.low == 0.0
    assert where_mentioned.high == 1.0


def test_the_command_writes_both_schemas_into_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    second = write_second(tmp_path / "second.jsonl", SECOND)
    ct = write_second(tmp_path / "second_ct.jsonl", {"d": {}})
    given = ["--first", str(write_reports(tmp_path / "first.jsonl", FIRST)), "--second", str(second)]
    given += ["--schema", "chest_xray", "--schema", "chest_ct", "--second", str(ct), "--first"]
    given += [str(write_reports(tmp_path / "ct.jsonl", [ReportRecord("Lunge frei.", "d")]))]
    assert main([*given, "--out", str(tmp_path / "agreement.md")]) == 0
    document = (tmp_path / "agreement.md").read_text(encoding="utf-8")
    assert "## chest_xray" in document
    assert "| b | Erguss | uncertain | present |" in document
    assert "| c | Tubus | not mentioned | absent |" in document
    assert "Disagreements: 0." in document.split("## chest_ct")[1]
    assert "2 disagreements in 4 reports" in capsys.readouterr().out


def test_who_the_readers_were_is_told_only_by_whoever_knows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write_reports(tmp_path / "first.jsonl", FIRST)
    given = ["--first", str(first), "--second", str(write_second(tmp_path / "second.jsonl", SECOND))]
    assert main([*given, "--schema", "chest_xray"]) == 0
    document = capsys.readouterr().out
    assert document.startswith("# Agreement of two readers\n\nMade on ")
    assert not any(word in document for word in ("language model", "radiologist"))
    assert main([*given, "--schema", "chest_xray", "--language-models"]) == 0
    assert "not agreement between radiologists" in capsys.readouterr().out


def test_our_document_was_made_with_what_it_says_about_its_readers() -> None:
    document = (ROOT / "docs" / "agreement.md").read_text(encoding="utf-8")
    assert WHO in document
    assert re.search(r"^python -m train\.agreement .*--language-models", document, re.MULTILINE)
    assert "--language-models" in str(agreement.__doc__)


def test_without_a_file_to_write_the_document_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write_reports(tmp_path / "first.jsonl", FIRST)
    second = write_second(tmp_path / "second.jsonl", SECOND)
    assert main(["--first", str(first), "--second", str(second), "--schema", "chest_xray"]) == 0
    assert "Disagreements: 2." in capsys.readouterr().out


def test_readings_of_different_reports_are_refused() -> None:
    with pytest.raises(InvalidFile, match="2 stand in one of them only"):
        compare(FIRST, {"a": {}, "b": {}, "z": {}}, SCHEMA)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ('{"id": "a", "labels": {}}\nkein JSON\n', "line 2: expected is"),
        ('{"id": "a"}\n', "line 1: expected is"),
        ('{"id": "a", "labels": {}}\n\n{"id": "a", "labels": {}}\n', "line 3: the id stands twice"),
    ],
)
def test_a_wrong_line_of_the_second_reading_is_named(tmp_path: Path, lines: str, reason: str) -> None:
    path = tmp_path / "second.jsonl"
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(InvalidFile, match=reason):
        read_second(path, SCHEMA)


def test_a_second_reading_in_another_encoding_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "second.jsonl"
    path.write_bytes('{"id": "ä", "labels": {}}\n'.encode("latin-1"))
    with pytest.raises(InvalidFile, match=r"second\.jsonl is not saved as UTF-8"):
        read_second(path, SCHEMA)


def test_a_finding_or_state_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    for labels, reason in (({"Pneu": "absent"}, "“Pneu” is not in the schema"), ({"Erguss": "ja"}, "is not a state")):
        with pytest.raises(InvalidSchema, match=reason):
            read_second(write_second(tmp_path / "second.jsonl", {"a": labels}), SCHEMA)


def test_a_missing_file_or_partner_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "fehlt.jsonl")
    assert main(["--first", path, "--second", path, "--schema", "chest_xray"]) == 2
    assert capsys.readouterr().err == f"There is no file {path}.\n"
    with pytest.raises(UserError, match="given are 1 schemas with 1 and 0"):
        run([Path(path)], [], ["chest_xray"])
