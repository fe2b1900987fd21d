"""The texts of a pretraining: which files are read, what is held out, what is refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from medbertde.types import InvalidFile, ReportRecord, TrainingRefused
from tests.train.conftest import write_reports
from train.texts import Document, cue_texts, documents, files_of


def parquet(path: Path, **columns: list[str]) -> Path:
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


def texts(*paths: Path) -> list[str]:
    return [document.text for document in documents(paths)]


def test_report_files_text_files_and_a_corpus_are_read(tmp_path: Path) -> None:
    reports = write_reports(tmp_path / "a.jsonl", [ReportRecord("Kein Erguss."), ReportRecord("Herz normal.")])
    (tmp_path / "b.csv").write_text("text\nKein Pneu.\n", encoding="utf-8")
    (tmp_path / "c.txt").write_text("Ein Absatz.\n\nNoch einer.\n", encoding="utf-8")
    corpus = parquet(tmp_path / "d.parquet", text=["Vergro\u0308ßert.", "Zwei"], source=["wiki", "wiki"])
    found = texts(reports, tmp_path / "b.csv", tmp_path / "c.txt", corpus)
    assert found[:3] == ["Kein Erguss.", "Herz normal.", "Kein Pneu."]
    assert found[3:] == ["Ein Absatz.\n\nNoch einer.", "Vergrößert.", "Zwei"]


def test_a_folder_stands_for_its_files_in_their_order(tmp_path: Path) -> None:
    parquet(tmp_path / "part-00001.parquet", text=["zwei"], source=["a"])
    parquet(tmp_path / "part-00000.parquet", text=["eins"], source=["a"])
    (tmp_path / "statistics.json").write_text("{}", encoding="utf-8")
    assert texts(tmp_path) == ["eins", "zwei"]


def test_a_thesis_is_longer_than_a_report_may_be(tmp_path: Path) -> None:
    assert len(texts(write_reports(tmp_path / "a.jsonl", [ReportRecord("Wort " * 10_000 + "Ende")]))[0]) == 50_004


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match=r"fehlt\.jsonl is missing or cannot be read"):
        files_of([tmp_path / "fehlt.jsonl"])
    (tmp_path / "kaputt.parquet").write_bytes(b"PAR1")
    with pytest.raises(InvalidFile, match=r"kaputt\.parquet is missing or cannot be read"):
        texts(tmp_path / "kaputt.parquet")
    with pytest.raises(InvalidFile, match="has no column “text”"):
        texts(parquet(tmp_path / "anders.parquet", inhalt=["a"]))
    (tmp_path / "zeile.jsonl").write_text('{"text": "gut"}\n{}\n', encoding="utf-8")
    with pytest.raises(InvalidFile, match=r"zeile\.jsonl, row 2"):
        texts(tmp_path / "zeile.jsonl")


@pytest.mark.parametrize("name", ["GGPONC 1.0", "grascco", "Parrot", "BRONCO150", "CARDIO:DE", "gptnermed"])
def test_material_that_models_are_tested_on_is_refused(tmp_path: Path, name: str) -> None:
    """Fault 7: GGPONC 1.0 was in the corpus and GGPONC 2.0 is a benchmark."""
    with pytest.raises(TrainingRefused, match="is test material"):
        texts(parquet(tmp_path / "part.parquet", text=["a"], source=[name]))
    with pytest.raises(TrainingRefused, match="is test material"):
        texts(write_reports(tmp_path / "a.jsonl", [ReportRecord("a", meta={"source": name})]))
    with pytest.raises(TrainingRefused, match="is test material"):
        texts(write_reports(tmp_path / f"{name}.jsonl", [ReportRecord("a")]))


def test_test_material_is_refused_in_a_corpus_of_lines_and_in_a_table(tmp_path: Path) -> None:
    """`train.corpus` writes the source beside the text; in a table a column `meta` may hide the column `source`."""
    lines = tmp_path / "part-00000.jsonl"
    lines.write_text('{"text": "Kein Erguss.", "source": "GGPONC"}\n', encoding="utf-8")
    with pytest.raises(TrainingRefused, match=r"part-00000\.jsonl: GGPONC is test material"):
        texts(tmp_path)
    sheet = tmp_path / "tabelle.csv"
    sheet.write_text('text;source;meta\nKein Erguss.;GGPONC;"{""source"": ""klinik""}"\n', encoding="utf-8")
    with pytest.raises(TrainingRefused, match=r"tabelle\.csv: GGPONC is test material"):
        texts(sheet)


def test_reports_of_a_fixed_test_part_are_passed_over(tmp_path: Path) -> None:
    reports = [ReportRecord("Kein Erguss."), ReportRecord("Herz normal.", meta={"split": "test"})]
    assert texts(write_reports(tmp_path / "a.jsonl", reports)) == ["Kein Erguss."]


class TestHeldOut:
    MANY = [f"Text {chr(97 + n // 26)}{chr(97 + n % 26)}." for n in range(600)]

    def test_about_one_in_fifty_is_held_out_and_stays_so_with_more_texts(self) -> None:
        held_out = [text for text in self.MANY if Document(text).is_held_out(50)]
        assert 4 <= len(held_out) <= 24

    def test_near_duplicates_are_on_the_same_side(self) -> None:
        """Fault 5: validation was on random near-duplicates of training texts."""
        for text in self.MANY:
            report = f"Aufnahme vom 01.02.2024: {text} Rundherd 5 mm."
            copy = f"AUFNAHME vom 13.11.2025:  {text}\nRundherd 12 mm."
            assert Document(report).is_held_out(5) == Document(copy).is_held_out(5)

    def test_a_family_is_on_one_side(self) -> None:
        assert len({Document(text, family="Patient A").is_held_out(2) for text in self.MANY}) == 1


def test_cue_sentences_are_as_many_as_asked_for_and_equal_for_equal_seeds() -> None:
    assert list(cue_texts(30, seed=1)) == list(cue_texts(30, seed=1)) != list(cue_texts(30, seed=2))
    assert len(list(cue_texts(30, seed=1))) == 30
