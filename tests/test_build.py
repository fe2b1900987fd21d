"""The report sources: the shipped report files are made from them, and a fault in one is refused with its line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from data import build
from data.build import FOLDER, SourceError, file_text, parse_report, read_source
from medbertde.report_file import read_records
from medbertde.schema import Kind, load_schema, schema_ids
from medbertde.types import Rationale, State


def source(folder: Path, text: str, name: str = "xray_z") -> Path:
    """A source file in `folder`, as `build` looks for it."""
    path = folder / "source" / f"{name}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def built() -> dict[str, list[build.ReportRecord]]:
    """What the shipped sources make."""
    return build.build()


def test_the_shipped_report_files_are_what_the_sources_make(built: dict[str, list[build.ReportRecord]]) -> None:
    read_twice = set(FOLDER.glob("second_*.jsonl"))  # a second reader's labels, made from no source
    letters = {FOLDER / f"queue_{name}.jsonl" for name in schema_ids(kinds=[Kind.SPANS])}  # unmarked, from no source
    files = {*FOLDER.glob("*.jsonl")} - read_twice - letters
    shipped = {path.stem: path.read_text(encoding="utf-8") for path in files}
    stale = [name for name in {*shipped, *built} if shipped.get(name) != file_text(built.get(name, []))]
    assert not stale, f"run `python -m data.build`: {', '.join(sorted(stale))}"


@pytest.mark.parametrize("schema_id", schema_ids())
def test_every_finding_occurs_in_every_state_in_the_training_reports(
    built: dict[str, list[build.ReportRecord]], schema_id: str
) -> None:
    found = {(label, state) for report in built[schema_id] for label, state in report.labels.items()}
    missing = {(label, state) for label in load_schema(schema_id).label_ids for state in State} - found
    assert not missing


def test_the_files_can_be_read_as_report_files(built: dict[str, list[build.ReportRecord]]) -> None:
    for schema_id in schema_ids():
        assert read_records(FOLDER / f"{schema_id}.jsonl", load_schema(schema_id)) == built[schema_id]


def test_a_mark_labels_the_words_before_it() -> None:
    text, labels, spans = parse_report("xray", "Herz groß. Kein Pneu,{Pneumothorax-} kleiner Erguss.{Erguss+ Stauung?}")
    assert text == "Herz groß. Kein Pneu, kleiner Erguss."
    assert labels == {"Stauung": State.UNCERTAIN, "Erguss": State.PRESENT, "Pneumothorax": State.ABSENT}
    assert spans == (
        Rationale("Pneumothorax", 11, 21, State.ABSENT),
        Rationale("Erguss", 22, 37, State.PRESENT),
        Rationale("Stauung", 22, 37, State.UNCERTAIN),
    )


def test_the_strongest_state_counts_unless_another_is_forced() -> None:
    body = "Erguss möglich.{Erguss?} Erguss links.{Erguss+} Rechts kein Erguss.{Erguss-}"
    assert parse_report("xray", body)[1] == {"Erguss": State.PRESENT}
    assert parse_report("xray", body + " Insgesamt kein Erguss.{!Erguss-}")[1] == {"Erguss": State.ABSENT}


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ("Kein Pneu.{Pneu-}", "'Pneu' is no label of chest_xray"),
        ("Kein Erguss.{Erguss}", "the mark 'Erguss' is not LABEL+, LABEL? or LABEL-"),
        ("{Erguss-}Kein Erguss.", "the mark {Erguss-} has no text before it"),
        ("Kein Erguss.{Erguss-", "a curly brace without its partner"),
        ("Kein Erguss.Erguss-}", "a curly brace without its partner"),
        ("Kein O\u0308dem.", "the text is not clean NFC"),
        ("Kein\u00ad Erguss.", "the text is not clean NFC"),
        ("", "The text is empty"),
    ],
)
def test_a_fault_is_told_with_the_file_and_the_line_of_the_report(tmp_path: Path, report: str, reason: str) -> None:
    path = source(tmp_path, f"### xray | kurz | Ambulanz\nLunge frei.\n\n### xray | kurz | Station\n{report}\n")
    with pytest.raises(SourceError) as refused:
        list(read_source(path))
    assert str(refused.value).startswith("xray_z.txt, line 4: ")
    assert reason in str(refused.value)


@pytest.mark.parametrize("head", ["### xray | kurz", "### mrt | kurz | Station", "###"])
def test_a_wrong_head_line_is_refused(tmp_path: Path, head: str) -> None:
    with pytest.raises(SourceError, match=r"xray_z\.txt, line 1: expected '### xray\|ct\|text"):
        list(read_source(source(tmp_path, f"{head}\nLunge frei.\n")))


def test_a_file_without_a_head_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="line 1: no line '### modality"):
        list(read_source(source(tmp_path, "Lunge frei.\n")))


def test_sources_go_to_the_file_of_their_modality_and_purpose(tmp_path: Path) -> None:
    source(tmp_path, "### xray | kurz | Station\nLunge frei.\n### text | Brief | Station\nVerlauf gut.\n", "xray_z")
    source(tmp_path, "### ct | kurz | Station\nKein Infiltrat.{Infiltrat-}\n", "test_ct")
    source(tmp_path, "### xray | kurz | Station\nHerz groß.\n", "queue_xray")
    assert {name: [one.id for one in reports] for name, reports in build.build(tmp_path).items()} == {
        "chest_xray": ["xray_z-001"],
        "clinical_text": ["xray_z-002"],
        "test_chest_ct": ["test_ct-001"],
        "queue_chest_xray": ["queue_xray-001"],
    }


def test_a_report_that_stands_twice_is_refused(tmp_path: Path) -> None:
    source(tmp_path, "### xray | kurz | Station\nLunge frei.\n", "xray_a")
    source(tmp_path, "### xray | kurz | Ambulanz\nLunge  frei.\n", "test_xray")
    with pytest.raises(ValueError, match="xray_a-001 is a copy of test_xray-001"):
        build.build(tmp_path)


def test_a_source_can_be_checked_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = source(tmp_path, "### xray | kurz | Station\nKein Erguss.{Erguss-} V. a. Pneu.{Pneumothorax?}\n")
    monkeypatch.setattr(sys, "argv", ["build", "--check", str(path)])
    build.main()
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        "1 reports, 5 words".split(),
        ["label", "+", "?", "-"],
        ["Erguss", "0", "0", "1"],
        ["Pneumothorax", "0", "1", "0"],
    ]


def test_a_fault_ends_the_build_with_one_line_and_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["build", "--check", str(source(tmp_path, "Lunge frei.\n"))])
    with pytest.raises(SystemExit, match=r"^xray_z\.txt, line 1: no line"):
        build.main()
