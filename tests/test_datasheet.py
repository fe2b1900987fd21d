"""The datasheet: the shipped one is what the command writes, and its figures are right on a few small reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from data import datasheet
from medbertde.report_file import to_json
from medbertde.schema import load_schema
from medbertde.types import Rationale, ReportRecord, State


def report(name: str, text: str, **fields: object) -> ReportRecord:
    """An X-ray report of the source and style "kurz"."""
    meta = {"style": "kurz", "source": name.rpartition("-")[0]}
    return ReportRecord(text, name, "xray", meta=meta, **fields)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Report files: two for training, one statement, two for testing, a second reading."""
    effusion = Rationale("Erguss", 0, 11)
    parts = {
        "chest_xray": [
            report("xray_a-001", "Erguss links. Herz groß.", labels={"Erguss": State.PRESENT}, rationales=(effusion,)),
            report("xray_a-002", "Tubus regelrecht.", labels={"Tubus": State.PRESENT}),
        ],
        "statements_chest_xray": [ReportRecord("Kein Pneu.", "statements_xray_1-0001", "xray")],
        "test_chest_xray": [
            report("test_xray-001", "Erguss links. Herz klein."),
            report("test_xray-002", "Kein Pneu. Alles frei."),
        ],
    }
    for name, records in parts.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(to_json(one) + "\n" for one in records), encoding="utf-8")
    (tmp_path / "second_chest_xray.jsonl").write_text('{"id": "x", "labels": {"Erguss": "absent"}}\n', encoding="utf-8")
    return tmp_path


def row(table: str, first: str) -> list[str]:
    """The cells of the row that begins with `first`."""
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_shipped_datasheet_is_what_the_command_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = datasheet.TARGET.read_text(encoding="utf-8")
    monkeypatch.setattr(datasheet, "TARGET", tmp_path / "DATASHEET.md")
    datasheet.main()
    is_stale = (tmp_path / "DATASHEET.md").read_text(encoding="utf-8") != shipped
    assert not is_stale, "run `python -m data.datasheet`"


def test_a_sheet_of_few_reports_has_no_gap(folder: Path) -> None:
    written = datasheet.sheet(folder)
    assert "$" not in written
    assert "`second_chest_xray`: 1 reports, 1 labels" in written
    assert "Of the 1 style names of the test reports, 1 also occur in training (kurz)." in written


def test_documents_sentences_words_and_bytes_are_counted(folder: Path) -> None:
    table = datasheet.sizes(datasheet.read_parts(folder))
    assert row(table, "`chest_xray`") == ["2", "3", "6", "0.00"]
    assert row(table, "`clinical_text`") == ["0", "0", "0", "0.00"]
    assert row(table, "**all**")[:3] == ["5", "8", "16"]


def test_findings_are_counted_by_state(folder: Path) -> None:
    table = datasheet.findings(datasheet.read_parts(folder), load_schema("chest_xray"))
    assert row(table, "Erguss") == ["1", *["0"] * 8]


def test_evidence_is_the_share_of_documents_and_labels_with_a_span(folder: Path) -> None:
    assert row(datasheet.evidence(datasheet.read_parts(folder)), "`chest_xray`") == ["50.0%", "50.0%", "1"]


def test_sources_are_in_the_order_of_their_numbers(folder: Path) -> None:
    banks = [ReportRecord("Frei.", meta={"source": f"statements_ct_{number}"}) for number in (10, 9)]
    lines = datasheet.sources({"statements_chest_ct": banks}).splitlines()
    assert [line.split("`")[1] for line in lines[2:]] == ["statements_ct_9", "statements_ct_10"]


class TestLikeness:
    def test_the_closest_report_is_the_one_that_shares_most_3_grams(self, folder: Path) -> None:
        parts = datasheet.read_parts(folder)
        training = datasheet.learnt(parts["chest_xray"], parts["statements_chest_xray"])
        found = datasheet.likeness(parts["test_chest_xray"], training)
        # "Erguss links . Herz groß ." and "… klein .": 4 3-grams each, 2 shared
        assert found.closest[0] == datasheet.Pair("test_xray-001", "xray_a-001", pytest.approx(2 / 6))
        assert found.closest[1].jaccard == 0.0
        assert (found.similar, found.copied, found.sentences) == (0, 2, 4)

    def test_a_copy_is_a_similar_pair_whatever_its_case_and_layout(self) -> None:
        training = [report("xray_a-001", "Kein Erguss, kein Pneu."), report("xray_a-002", "Herz groß.")]
        tested = [report("test_xray-001", "KEIN Erguss,\nkein  Pneu.")]
        found = datasheet.likeness(tested, datasheet.learnt(training))
        assert found.closest == (datasheet.Pair("test_xray-001", "xray_a-001", 1.0),)
        assert found.similar == 1

    def test_the_index_gives_the_jaccard_of_the_sets(self) -> None:
        texts = ["a b c d e", "b c d e f g", "x y z", "a b"]
        known = [datasheet.grams(text) for text in texts]
        own = datasheet.grams("a b c d e f")
        expected = {index: len(own & other) / len(own | other) for index, other in enumerate(known) if own & other}
        assert datasheet.jaccards(own, known, datasheet._holders(known)) == expected
