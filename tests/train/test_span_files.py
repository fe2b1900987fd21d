"""Files with spans: CoNLL columns in several schemes, JSON spans, names, and what is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from medbertde.report_file import Row, read_records
from medbertde.schema import load_schema
from medbertde.services.exchange.outgoing.conll import tagged
from medbertde.types import InvalidFile, InvalidSchema, Rationale
from train import span_files
from train.span_files import read_span_file

SCHEMA = load_schema("medication")


def read(text: str, name: str = "korpus.conll", names: dict[str, str] | None = None) -> list[Row]:
    return list(read_span_file(name, text.encode(), SCHEMA, names))


def marked(row: Row) -> list[tuple[str, str]]:
    """The label and the words of each span."""
    assert row.record, row.fault
    return [(one.label, row.record.text[one.start : one.end]) for one in row.record.rationales]


def columns(words: str, tags: str) -> str:
    return "".join(f"{word} {tag}\n" for word, tag in zip(words.split(), tags.split(), strict=True))


SCHEMES = {
    "BIO": "B-Medikament B-Dosis I-Dosis B-Frequenz O",
    "IOB1": "I-Medikament I-Dosis I-Dosis I-Frequenz O",
    "BIOES": "S-Medikament B-Dosis E-Dosis S-Frequenz O",
    "BILOU": "U-Medikament B-Dosis L-Dosis U-Frequenz O",
}


class TestConll:
    @pytest.mark.parametrize("tags", SCHEMES.values(), ids=SCHEMES)
    def test_the_schemes_in_use_mean_the_same(self, tags: str) -> None:
        (row,) = read(columns("ASS 100 mg morgens .", tags))
        assert row.record
        assert row.record.text == "ASS 100 mg morgens."
        assert marked(row) == [("Medikament", "ASS"), ("Dosis", "100 mg"), ("Frequenz", "morgens")]

    def test_sentences_are_texts_unless_documents_are_marked(self) -> None:
        first, second = columns("ASS weiter .", "B-Medikament O O"), columns("Kein Erguss .", "O O O")
        assert len(read(f"{first}\n{second}")) == 2
        (row,) = read(f"-DOCSTART- O\n\n{first}\n{second}\n")
        assert row.record
        assert row.record.text == "ASS weiter.\nKein Erguss."

    def test_a_tag_in_the_last_of_four_columns_and_tabs_are_read(self) -> None:
        (row,) = read("ASS\tNN\t_\tB-Medikament\n100\tCARD\t_\tB-Dosis\nmg\tNN\t_\tI-Dosis\n")
        assert marked(row) == [("Medikament", "ASS"), ("Dosis", "100 mg")]

    def test_our_own_export_comes_back(self) -> None:
        text = "Metoprolol 95 mg (retard) weiter.\nKein Erguss."
        given = [Rationale("Medikament", 0, 10), Rationale("Dosis", 11, 16)]
        lines = [f"# nur Forschung\n-DOCSTART-\tO\n\n# id = brief-7\n# annotated_at = {datetime.now(UTC)}\n"]
        for position, (word, tag, begins) in enumerate(tagged(text, given)):
            lines.append(("\n" if begins and position else "") + f"{word}\t{tag}\n")
        (row,) = read("".join(lines))
        assert row.record
        assert (row.record.id, row.record.text, list(row.record.rationales)) == ("brief-7", text, given)

    def test_a_line_without_a_tag_leaves_out_its_text_only_and_is_told_by_number(self) -> None:
        wrong, right = read("ASS B-Medikament\n100 mg\n\nASS B-Medikament\n")
        assert wrong.fault
        assert wrong.fault.en.startswith("Line 2: the last column is no BIO tag (found: mg)")
        assert marked(right) == [("Medikament", "ASS")]

    def test_a_label_that_the_schema_does_not_have_is_named(self) -> None:
        (row,) = read("ASS B-DRUG\n")
        assert row.fault
        assert "„DRUG“ gehört nicht zum Schema medication" in row.fault.de

    def test_names_are_mapped_and_left_out_as_asked(self) -> None:
        (row,) = read("Anna B-NAME\nASS B-DRUG\n", names={"DRUG": "Medikament", "NAME": "-"})
        assert marked(row) == [("Medikament", "ASS")]


class TestJson:
    LINE = {"text": "ASS 100 mg.", "spans": [{"label": "Dosis", "start": 4, "end": 10}]}

    @pytest.mark.parametrize("whole", [True, False])
    def test_lines_and_a_list_mean_the_same(self, whole: bool) -> None:
        text = json.dumps([self.LINE] * 2) if whole else "\n".join(map(json.dumps, [self.LINE] * 2))
        rows = read(text, "spans.json")
        assert [marked(row) for row in rows] == [[("Dosis", "100 mg")]] * 2

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ({"text": "ASS."}, "The field “spans” is missing"),
            ({"text": "ASS.", "spans": [{"label": "Dosis", "start": 0, "end": 9}]}, "lies outside the text"),
            ({"text": "ASS.", "spans": [{"label": "Dosis", "start": "0", "end": 3}]}, "as whole numbers"),
            ({"text": " ASS", "spans": [{"label": "Dosis", "start": 1, "end": 3}]}, "may be shifted"),
            (["ASS"], "not a JSON object"),
        ],
    )
    def test_a_row_that_is_wrong_is_told_and_the_others_are_read(self, line: object, reason: str) -> None:
        wrong, right = (
            read(f"{json.dumps(line)}\n{json.dumps(self.LINE)}", "spans.jsonl")
            if isinstance(line, dict)
            else read(json.dumps([line, self.LINE]), "spans.jsonl")
        )
        assert wrong.fault
        assert reason in wrong.fault.en
        assert marked(right) == [("Dosis", "100 mg")]


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["span_files", *words])
    return span_files.main()


def test_the_command_writes_a_report_file_that_training_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    conll, spans, out = tmp_path / "a.conll", tmp_path / "b.jsonl", tmp_path / "labels.jsonl"
    conll.write_text("ASS B-Medikament\n\nASS ?\n", encoding="utf-8")
    spans.write_text(json.dumps(TestJson.LINE), encoding="utf-8")
    given: Sequence[str] = (str(conll), str(spans), "--schema", "medication", "--out", str(out))
    assert call(monkeypatch, *given) == 1, "a text was left out"
    printed = capsys.readouterr()
    assert printed.out.startswith("2 texts with 2 spans, 1 left out")
    assert printed.err.startswith("a.conll, 3: Line 3")
    assert [len(record.rationales) for record in read_records(out, SCHEMA)] == [1, 1]


def test_a_missing_file_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing, out = tmp_path / "fehlt.conll", tmp_path / "labels.jsonl"
    with pytest.raises(SystemExit, match=r"fehlt\.conll"):
        call(monkeypatch, str(missing), "--schema", "medication", "--out", str(out))
    assert not out.exists()


def test_a_schema_of_findings_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSchema, match="has findings, no spans"):
        list(read_span_file("a.conll", b"ASS O", load_schema("chest_xray")))
    with pytest.raises(InvalidFile, match="is empty"):
        read(" \n")
