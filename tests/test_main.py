"""The command line as someone uses it: what is printed, what lies in the file, which exit code a script sees."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from medbertde import terms
from medbertde.__main__ import main
from medbertde.inference.catalogue import CATALOGUE
from medbertde.schema import load_schema
from medbertde.settings import ROOT

LABELS = load_schema("chest_xray").label_ids
TWO_ON_ONE_MACHINE = "--multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no".split()
REPORTS = [
    {"id": "=r1", "text": "Kein Pneumothorax. Kleiner Erguss links.", "labels": {"Erguss": "present"}},
    {"id": "r2", "text": "Herz normal groß, Lunge frei."},
]


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of its own, an English locale, and the folder as the working directory."""
    for name in ("LC_ALL", "LC_MESSAGES", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en_GB.UTF-8")
    monkeypatch.setenv("MEDBERTDE_VAR", str(tmp_path / "var"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def accepted(capsys: pytest.CaptureFixture[str]) -> None:
    """The terms are accepted."""
    assert main(["terms", "--accept"]) == 0
    capsys.readouterr()


@pytest.fixture
def reports(tmp_path: Path) -> str:
    """Two reports in a file of the working directory."""
    path = tmp_path / "reports.jsonl"
    path.write_text("".join(json.dumps(report) + "\n" for report in REPORTS), encoding="utf-8")
    return path.name


def files(folder: Path) -> set[str]:
    """The names of what lies in the working directory, hidden files too."""
    return {path.name for path in folder.iterdir()}


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def environment(**more: str) -> dict[str, str]:
    """For a process of its own: our package can be found, one thread."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **more}


def run(words: list[str], **more: str) -> str:
    """What a process prints that ends well."""
    done = subprocess.run(
        [sys.executable, *words], env=environment(**more), capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rounded(answers: Any) -> Any:
    """Answers with numbers as tests compare them: another batch may move the last digit of a probability."""
    if isinstance(answers, dict):
        return {name: rounded(value) for name, value in answers.items()}
    if isinstance(answers, list):
        return [rounded(value) for value in answers]
    is_number = isinstance(answers, float) or (isinstance(answers, str) and re.fullmatch(r"0\.\d+", answers))
    return pytest.approx(float(answers), abs=1e-5) if is_number else answers


def killed_after_a_block(command: list[str], folder: Path) -> None:
    """Run the command over again and kill it once the first answers are on disk; half a line is left as well."""
    journal = folder / ".out.jsonl.part-0-of-1"
    slow = (
        "import sys, time; from medbertde.services import bulk; from medbertde.__main__ import main\n"
        "plain = bulk.classify\n"
        "def classify(*words, **more):\n"
        f"    if {str(journal)!r} and sum(1 for _ in open({str(journal)!r})) > 1: time.sleep(600)\n"
        "    return plain(*words, **more)\n"
        "bulk.classify = classify; main(sys.argv[1:])"
    )
    process = subprocess.Popen([sys.executable, "-c", slow, *command, "--force"], env=environment())
    try:
        end = time.monotonic() + 240
        while not (journal.exists() and journal.read_bytes().count(b"\n") > 100) and time.monotonic() < end:
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait(timeout=10)
    (folder / "out.jsonl").unlink()
    assert 1 < journal.read_bytes().count(b"\n") < 600
    with journal.open("a", encoding="utf-8") as file:
        file.write('{"row": 599, "id": "r5')


def table(path: str) -> list[dict[str, str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


class TestTerms:
    def test_they_are_shown_and_accepted_once_for_all(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["terms"]) == 0
        assert capsys.readouterr().out == f"{terms.EN}\n\nNot accepted yet: --accept accepts them.\n"
        assert main(["terms", "--accept"]) == 0
        assert main(["terms"]) == 0
        assert capsys.readouterr().out.endswith("lokal has accepted them.\n")

    def test_before_that_nothing_is_answered_and_no_file_is_left(
        self, reports: str, tiny_classifier_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for command in (
            ["predict", reports, "--model", str(tiny_classifier_folder), "--out", "out.csv"],
            ["import", reports, "--schema", "chest_xray"],
            ["export", "--schema", "chest_xray", "--format", "csv", "--out", "out.csv"],
        ):
            assert main(command) == 2
            assert "“python -m medbertde terms --accept”" in capsys.readouterr().err
        assert files(tmp_path) == {"reports.jsonl", "var"}


@pytest.mark.usefixtures("accepted")
class TestPredict:
    def test_every_report_gets_its_findings_model_version_and_the_research_note(
        self, reports: str, tiny_classifier_folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["predict", reports, "--model", str(tiny_classifier_folder), "--out", "out.jsonl"]) == 0
        first, second = lines("out.jsonl")
        assert [(one["row"], one["id"]) for one in (first, second)] == [(1, "=r1"), (2, "r2")]
        assert tuple(first["findings"]) == LABELS
        for finding in first["findings"].values():
            assert finding["state"] in ("present", "uncertain", "absent", None)
            assert all(0 <= finding[state] <= 1 for state in ("present", "uncertain", "absent"))
        assert first["model_version"].startswith("tiny-chest-xray@")
        assert "Nur für die Forschung" in first["use"]
        assert "Pneumothorax." not in json.dumps(first), "the text of the report is not repeated"
        printed = capsys.readouterr()
        assert re.fullmatch(r"2 of 2 reports classified \((fp32|bf16)\): out\.jsonl\n", printed.out)
        assert "2/2 [" in printed.err
        assert " reports/s]" in printed.err

    def test_a_table_says_the_same_and_runs_no_formula(self, reports: str, tiny_classifier_folder: Path) -> None:
        for name in ("out.jsonl", "out.csv"):
            assert main(["predict", reports, "--model", str(tiny_classifier_folder), "--out", name]) == 0
        for answer, row in zip(lines("out.jsonl"), table("out.csv"), strict=True):
            for label, finding in answer["findings"].items():
                assert row[f"{label}:state"] == (finding["state"] or "")
                assert float(row[f"{label}:absent"]) == finding["absent"]
            assert (row["row"], row["model_version"]) == (str(answer["row"]), answer["model_version"])
            assert row["use"] == answer["use"]
        assert [row["id"] for row in table("out.csv")] == ["'=r1", "r2"]

    @pytest.mark.parametrize("name", ["in.csv", "in.txt"])
    def test_tables_and_text_files_are_read_too(self, name: str, tiny_classifier_folder: Path) -> None:
        Path(name).write_text("text\nKein Erguss.\n", encoding="utf-8")
        assert main(["predict", name, "--model", str(tiny_classifier_folder), "--out", "out.jsonl"]) == 0
        assert [one["row"] for one in lines("out.jsonl")] == [1]

    def test_rows_that_cannot_be_read_are_told_with_their_number_and_left_out(
        self, tiny_classifier_folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("in.jsonl").write_text('kaputt\n{"text": "Kein Erguss."}\n{"text": " "}\n', encoding="utf-8")
        assert main(["predict", "in.jsonl", "--model", str(tiny_classifier_folder), "--out", "out.jsonl"]) == 1
        assert [one["row"] for one in lines("out.jsonl")] == [2]
        printed = capsys.readouterr()
        assert printed.out.startswith("1 of 3 reports classified, 2 left out (")
        assert printed.err.splitlines()[:2] == [
            "Row 1: The row is not a JSON object.",
            "Row 3: The text is empty. Please enter a report.",
        ]

    def test_a_parquet_file_goes_in_and_out(self, tiny_classifier_folder: Path) -> None:
        rows = [{"id": 7, "text": "Kein Erguss."}, {"id": 8, "text": None}, {"id": 9, "text": "Herz normal groß."}]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), "in.parquet")
        for name in ("out.parquet", "out.jsonl"):
            assert main(["predict", "in.parquet", "--model", str(tiny_classifier_folder), "--out", name]) == 1
        found = pyarrow.parquet.read_table("out.parquet").to_pylist()
        assert [(row["row"], row["id"]) for row in found] == [(1, "7"), (3, "9")]
        for row, answer in zip(found, lines("out.jsonl"), strict=True):
            for label, finding in answer["findings"].items():
                assert (row[f"{label}:state"], row[f"{label}:absent"]) == (finding["state"], finding["absent"])

    def test_a_call_that_was_killed_goes_on_where_it_stopped(
        self, tiny_classifier_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rows = (json.dumps({"id": f"r{number}", "text": f"Erguss {number}."}) for number in range(600))
        Path("in.jsonl").write_text("kaputt\n" + "\n".join(rows), encoding="utf-8")
        command = ["predict", "in.jsonl", "--model", str(tiny_classifier_folder), "--out", "out.jsonl"]
        assert main(command) == 1
        whole = lines("out.jsonl")
        killed_after_a_block(command, tmp_path)
        assert main(command) == 2
        assert "unfinished output for out.jsonl. Please go on with --resume" in capsys.readouterr().err
        assert main([*command, "--resume"]) == 1
        assert rounded(lines("out.jsonl")) == rounded(whole)
        assert capsys.readouterr().out.startswith("600 of 601 reports classified, 1 left out (")
        assert files(tmp_path) == {"in.jsonl", "out.jsonl", "var"}

    def test_only_the_same_input_and_model_can_be_gone_on_with(
        self, reports: str, tiny_classifier_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        command = ["predict", reports, "--model", str(tiny_classifier_folder), "--out", "out.csv"]
        Path(".out.csv.part-0-of-1").write_text('{"model": "other@1"}\n{"row": 1}\n', encoding="utf-8")
        assert main([*command, "--resume"]) == 2
        assert "belongs to another input, model or number of processes" in capsys.readouterr().err
        assert main([*command, "--force"]) == 0
        assert len(table("out.csv")) == 2
        assert files(tmp_path) == {reports, "out.csv", "var"}

    @pytest.mark.parametrize("launcher", ["accelerate", "by hand"])
    def test_two_processes_share_a_file_and_their_answers_come_in_order(
        self, launcher: str, tiny_classifier_folder: Path, tmp_path: Path
    ) -> None:
        rows = (json.dumps({"id": f"r{number}", "text": f"Kein Erguss {number}."}) for number in range(700))
        Path("in.jsonl").write_text("\n".join(rows), encoding="utf-8")
        command = ["predict", "in.jsonl", "--model", str(tiny_classifier_folder), "--out"]
        assert main([*command, "one.csv"]) == 0
        words = ["medbertde", *command, "two.csv"]
        if launcher == "accelerate":
            run(["-m", "accelerate.commands.launch", *TWO_ON_ONE_MACHINE, "-m", *words])
        else:
            second = subprocess.Popen([sys.executable, "-m", *words], env=environment(RANK="1", WORLD_SIZE="2"))
            assert "700 of 700" in run(["-m", *words], RANK="0", WORLD_SIZE="2")
            assert second.wait(timeout=120) == 0
        assert rounded(table("two.csv")) == rounded(table("one.csv"))
        assert files(tmp_path) == {"in.jsonl", "one.csv", "two.csv", "var"}

    def test_many_reports_are_answered_in_their_order(self, tiny_classifier_folder: Path) -> None:
        rows = (json.dumps({"id": f"r{number}", "text": f"Erguss {number}."}) for number in range(300))
        Path("in.jsonl").write_text("\n".join(rows), encoding="utf-8")
        assert main(["predict", "in.jsonl", "--model", str(tiny_classifier_folder), "--out", "out.csv"]) == 0
        assert [row["id"] for row in table("out.csv")] == [f"r{number}" for number in range(300)]

    def test_remarks_about_a_text_stand_beside_its_answer(self, tiny_classifier_folder: Path) -> None:
        Path("in.txt").write_text("There is no evidence of pneumothorax or effusion.", encoding="utf-8")
        for name in ("out.jsonl", "out.csv"):
            assert main(["predict", "in.txt", "--model", str(tiny_classifier_folder), "--out", name]) == 0
        assert "not_german" in lines("out.jsonl")[0]["warnings"]
        assert "not_german" in table("out.csv")[0]["warnings"].split()

    def test_how_many_texts_were_remarked_upon_is_told(
        self, tiny_classifier_folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("in.txt").write_text("Befund an Dr. Wehmeier: kein Erguss.", encoding="utf-8")
        assert main(["predict", "in.txt", "--model", str(tiny_classifier_folder), "--out", "out.csv"]) == 0
        assert "names 1" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("file", "model", "out", "sentence"),
        [
            ("nix.csv", "tiny", "out.csv", "The operating system says: nix.csv: No such file or directory."),
            (".", "tiny", "out.csv", "The operating system says: .: Is a directory."),
            ("reports.jsonl", "tiny", "nix/out.csv", "There is no folder nix."),
            ("reports.jsonl", "tiny", "out.xlsx", "The output must end in .csv, .jsonl, .parquet, found: out.xlsx."),
            ("reports.jsonl", "nix", "out.csv", "There is no model “nix”. Possible are a folder, a Hub id or: "),
            ("reports.jsonl", "var", "out.csv", "config.json"),
            ("befund.pdf", "tiny", "out.csv", "Files of the kind “.pdf” are not read."),
            ("leer.csv", "tiny", "out.csv", "The file leer.csv is empty."),
            ("befund.csv", "tiny", "out.csv", "The CSV file has no column “text”. Found: befund."),
        ],
    )
    def test_what_cannot_work_is_refused_in_one_sentence_and_leaves_no_file(
        self,
        file: str,
        model: str,
        out: str,
        sentence: str,
        reports: str,
        tiny_classifier_folder: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        for name, content in (("befund.pdf", b"%PDF"), ("leer.csv", b""), ("befund.csv", b"befund\nFrei.\n")):
            Path(name).write_bytes(content)
        before = files(tmp_path)
        chosen = str(tiny_classifier_folder) if model == "tiny" else model
        assert main(["predict", file, "--model", chosen, "--out", out]) == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert error.count("\n") == 1
        assert files(tmp_path) == before

    def test_a_language_model_is_refused(
        self, reports: str, tiny_mlm_folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["predict", reports, "--model", str(tiny_mlm_folder), "--out", "out.csv"]) == 2
        assert "cannot classify findings. Please choose a model trained for it." in capsys.readouterr().err
        assert not Path("out.csv").exists()

    def test_a_file_that_is_there_is_replaced_only_by_force(
        self, reports: str, tiny_classifier_folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("out.jsonl").write_text("kostbar", encoding="utf-8")
        command = ["predict", reports, "--model", str(tiny_classifier_folder), "--out", "out.jsonl"]
        assert main(command) == 2
        assert capsys.readouterr().err == (
            "The file out.jsonl is there already. Please choose another name or replace it with --force.\n"
        )
        assert Path("out.jsonl").read_text(encoding="utf-8") == "kostbar"
        assert main([*command, "--force"]) == 0
        assert len(lines("out.jsonl")) == 2


NAMED = "Frau Gerda Kasulke, geb. 3.4.1956: kleiner Erguss links."


@pytest.mark.usefixtures("accepted")
class TestIdentifying:
    @pytest.fixture
    def letters(self) -> str:
        rows = [{"id": "a", "text": "Kein Erguss."}, {"id": "b", "text": NAMED}]
        Path("letters.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        return "letters.jsonl"

    @pytest.mark.parametrize(
        ("words", "code", "counts", "told"),
        [
            ([], 1, "1 new, 0 known already, 0 with labels, 0 rejected.", "These rows were held back."),
            (["--identifying", "hold"], 1, "1 new,", "These rows were held back."),
            (["--identifying", "replace"], 0, "2 new,", "Placeholders stand in their place"),
            (["--identifying", "keep"], 0, "2 new,", "These rows were taken as they are."),
        ],
    )
    def test_an_import_holds_such_rows_back_unless_it_is_told_otherwise(
        self, letters: str, words: list[str], code: int, counts: str, told: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["import", letters, "--schema", "chest_xray", *words]) == code
        output = capsys.readouterr()
        assert counts in output.out
        assert f"In 1 report there are 2 places that could show who a person is: 1 name, 1 date of birth. {told}" in (
            output.err
        )
        assert ("Row 2: Held back: 2 places" in output.err) == bool(code)
        assert "Kasulke" not in output.out + output.err

    def test_the_preview_tells_it_before(self, letters: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["import", letters, "--schema", "chest_xray", "--preview"]) == 0
        assert "In the first rows already: 2 places that could show" in capsys.readouterr().err

    def test_predict_reads_such_rows_as_the_policy_has_it(
        self,
        letters: str,
        tiny_classifier_folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        command = ["predict", letters, "--model", str(tiny_classifier_folder), "--out", "out.jsonl", "--force"]
        assert main(command) == 0
        monkeypatch.setenv("MEDBERTDE_DEIDENTIFICATION", "refuse")
        assert main(command) == 1
        assert [row["id"] for row in lines("out.jsonl")] == ["a"]
        assert "Row 2: Held back: 2 places" in capsys.readouterr().err
        assert main([*command, "--identifying", "replace"]) == 0
        assert [row["id"] for row in lines("out.jsonl")] == ["a", "b"]
        assert (
            "In 1 report there are 2 places that could show who a person is: 1 name, 1 date of birth. Placeholders "
            "stand in their place; something may have been missed.\n"
        ) in capsys.readouterr().err
        assert "Kasulke" not in Path("out.jsonl").read_text(encoding="utf-8")
        assert set(lines("out.jsonl")[1]) == set(lines("out.jsonl")[0])
        assert main([*command, "--identifying", "keep"]) == 2
        assert "are not taken as they are here" in capsys.readouterr().err


@pytest.mark.usefixtures("accepted")
class TestImportAndExport:
    def test_labels_come_out_as_they_went_in(self, reports: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["import", reports, "--schema", "chest_xray"]) == 0
        assert capsys.readouterr().out == "2 new, 0 known already, 1 with labels, 0 rejected.\n"
        assert main(["export", "--schema", "chest_xray", "--format", "jsonl", "--out", "labels.jsonl"]) == 0
        (line,) = lines("labels.jsonl")
        assert (line["id"], line["labels"]) == ("=r1", {"Erguss": "present"})
        assert "Research use only" in line["meta"]["use"]

    def test_importing_twice_stores_nothing_twice(self, reports: str, capsys: pytest.CaptureFixture[str]) -> None:
        for _ in range(2):
            assert main(["import", reports, "--schema", "chest_xray"]) == 0
        assert capsys.readouterr().out.splitlines()[1].startswith("0 new, 2 known already,")

    def test_an_exported_table_can_be_imported_again(self, reports: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["import", reports, "--schema", "chest_xray"]) == 0
        assert main(["export", "--schema", "chest_xray", "--format", "csv", "--out", "labels.csv"]) == 0
        assert table("labels.csv")[0]["label:Erguss"] == "present"
        capsys.readouterr()
        assert main(["import", "labels.csv", "--schema", "chest_xray"]) == 0
        assert capsys.readouterr().out.startswith("0 new, 1 known already,")

    def test_the_history_names_annotator_and_source(self, reports: str) -> None:
        assert main(["import", reports, "--schema", "chest_xray"]) == 0
        assert main(["export", "--schema", "chest_xray", "--format", "revisions", "--out", "history.csv"]) == 0
        (row,) = table("history.csv")
        assert (row["report"], row["label"], row["new_value"]) == ("'=r1", "Erguss", "present")
        assert (row["annotator"], row["source"]) == ("lokal", "import")

    def test_rejected_rows_are_told_and_the_others_stored(self, capsys: pytest.CaptureFixture[str]) -> None:
        Path("in.csv").write_text("text,label:Erguss\nEins.,egal\nZwei.,+\n", encoding="utf-8")
        assert main(["import", "in.csv", "--schema", "chest_xray"]) == 1
        printed = capsys.readouterr()
        assert printed.out == "1 new, 0 known already, 1 with labels, 1 rejected.\n"
        assert printed.err.startswith("Row 1: “egal” is not a state.")

    def test_a_file_is_looked_at_first_and_its_names_are_given_a_meaning(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("in.csv").write_text("Nr;Notiz;PE\n7;Kein Erguss.;egal\n", encoding="utf-8")
        meant = ["--column", "Notiz=text", "--column", "Nr=id", "--column", "PE=label:Erguss"]
        command = ["import", "in.csv", "--schema", "chest_xray", *meant]
        assert main(["import", "in.csv", "--schema", "chest_xray"]) == 2
        assert "Found: Nr, Notiz, PE." in (told := capsys.readouterr().err)
        assert told.endswith("Here --column NAME=text says which column it is.\n")
        assert main([*command, "--preview"]) == 0
        printed = capsys.readouterr().out
        assert "Notiz   text\n" in printed
        assert printed.endswith("1 rows looked at, 1 would be rejected.\n")
        assert "Kein Erguss." not in printed
        assert main([*command, "--value", "egal=uncertain"]) == 0
        assert main(["export", "--schema", "chest_xray", "--format", "jsonl", "--out", "labels.jsonl"]) == 0
        (line,) = lines("labels.jsonl")
        assert (line["id"], line["text"], line["labels"]) == ("7", "Kein Erguss.", {"Erguss": "uncertain"})

    def test_the_export_of_all_changes_is_not_imported_as_reports(
        self, reports: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["import", reports, "--schema", "chest_xray"]) == 0
        assert main(["export", "--schema", "chest_xray", "--format", "revisions", "--out", "rev.jsonl"]) == 0
        monkeypatch.setenv("MEDBERTDE_VAR", "other")
        assert main(["terms", "--accept"]) == 0
        capsys.readouterr()
        for more in ([], ["--preview"]):
            assert main(["import", "rev.jsonl", "--schema", "chest_xray", "--identifying", "keep", *more]) == 2
            answer = capsys.readouterr()
            assert answer.out == ""
            assert "The file holds changes of labels and no report texts" in answer.err

    def test_running_numbers_that_are_taken_can_be_left_out(self, capsys: pytest.CaptureFixture[str]) -> None:
        for name in ("first", "second"):
            row = {"id": 0, "text": f"Kein Erguss, {name}.", "label": [[5, 11, "Erguss"]]}
            Path(f"{name}.jsonl").write_text(json.dumps(row), encoding="utf-8")
        assert main(["import", "first.jsonl", "--schema", "chest_xray"]) == 0
        assert "skip" not in capsys.readouterr().err
        assert main(["import", "second.jsonl", "--schema", "chest_xray"]) == 1
        told = capsys.readouterr().err
        assert "Row 1: The id already belongs to another report text." in told
        assert told.endswith("“--column id=skip” leaves the ids out (id: the name of their column).\n")
        assert main(["import", "second.jsonl", "--schema", "chest_xray", "--column", "id=skip"]) == 0
        assert capsys.readouterr().out.startswith("1 new, 0 known already,")

    def test_a_meaning_that_is_none_is_refused(self, reports: str, capsys: pytest.CaptureFixture[str]) -> None:
        for meant, told in (
            ("--column=text", "NAME=MEANING is expected"),
            ("--column=text=befund", "There is no role “befund”."),
            ("--name=Pneu=Pneu", "The finding “Pneu” is not in the schema"),
            ("--value=x=vielleicht", "There is no state “vielleicht”."),
        ):
            assert main(["import", reports, "--schema", "chest_xray", meant]) == 2
            assert capsys.readouterr().err.startswith(told)

    def test_an_export_is_narrowed_by_its_filters(self, reports: str) -> None:
        assert main(["import", reports, "--schema", "chest_xray"]) == 0
        command = ["export", "--schema", "chest_xray", "--format", "jsonl", "--finding", "Erguss"]
        assert main([*command, "--value", "present", "--since", "01.01.2020", "--out", "some.jsonl"]) == 0
        assert main([*command, "--value", "absent", "--out", "none.jsonl"]) == 0
        assert (len(lines("some.jsonl")), len(lines("none.jsonl"))) == (1, 0)

    def test_an_export_says_how_much_it_wrote(self, reports: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["import", reports, "--schema", "chest_xray"]) == 0
        capsys.readouterr()
        for words, told in (
            (
                ["jsonl", "--out", "a.jsonl", "--annotator", "lokal", "--modality", "xray"],
                "0 reports written: a.jsonl\n",
            ),
            (["csv", "--out", "a.csv"], "1 report written: a.csv\n"),
            (["revisions", "--out", "rev.csv"], "1 change written: rev.csv\n"),
            (["label_studio_config", "--out", "a.xml"], "a.xml\n"),
        ):
            assert main(["export", "--schema", "chest_xray", "--format", *words]) == 0
            assert capsys.readouterr().out == told

    @pytest.mark.parametrize(
        ("filters", "told"),
        [
            (["--finding", "Ergus"], "The finding “Ergus” is not in the schema"),
            (["--finding", "Ergus", "--value", "none"], "The finding “Ergus” is not in the schema"),
            (["--value", "present"], "--value belongs to a finding. Please name it with --finding."),
            (["--modality", "mrt"], "There is no modality “mrt”. Possible are: ct, letter, xray."),
            (["--annotator", "lokall"], "“lokall” has annotated nothing for this schema. Annotators are: lokal."),
        ],
    )
    @pytest.mark.parametrize("kind", ["jsonl", "revisions"])
    def test_a_filter_that_was_mistyped_is_refused(
        self, filters: list[str], told: str, kind: str, reports: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["import", reports, "--schema", "chest_xray"]) == 0
        capsys.readouterr()
        assert main(["export", "--schema", "chest_xray", "--format", kind, "--out", "out.csv", *filters]) == 2
        assert capsys.readouterr().err.startswith(told)
        assert not Path("out.csv").exists()

    def test_an_unknown_schema_is_refused(self, reports: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["import", reports, "--schema", "thorax"]) == 2
        assert main(["export", "--schema", "thorax", "--format", "csv", "--out", "out.csv"]) == 2
        told = "There is no schema “thorax”. Available are: chest_xray, chest_ct, medication.\n"
        assert capsys.readouterr().err == told * 2
        assert not Path("out.csv").exists()


WRITING = (  # what is written to the file named next
    ["deidentify", "text.txt", "--by", "rules", "--out"],
    ["export", "--schema", "chest_xray", "--format", "csv", "--out"],
    ["predict", "reports.jsonl", "--model", "tiny", "--out"],
    ["backup"],
)


class TestStreams:
    """What the command line does with files that are none, terminals that lack a character and pipes that close."""

    @pytest.mark.usefixtures("accepted")
    @pytest.mark.parametrize("command", WRITING)
    def test_what_is_no_regular_file_is_not_replaced_even_by_force(
        self, command: list[str], reports: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("text.txt").write_text("Kein Erguss.", encoding="utf-8")
        os.mkfifo("out.csv")
        before = files(tmp_path)
        assert main([*command, "out.csv", "--force"]) == 2
        assert capsys.readouterr().err == (
            "out.csv is no regular file and is not replaced. Please choose another name.\n"
        )
        assert Path("out.csv").is_fifo()
        assert files(tmp_path) == before

    @pytest.mark.usefixtures("accepted")
    @pytest.mark.parametrize("command", WRITING)
    def test_a_folder_that_is_not_there_is_named(
        self, command: list[str], reports: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("text.txt").write_text("Kein Erguss.", encoding="utf-8")
        Path("link.csv").symlink_to("weg/out.csv")
        before = files(tmp_path)
        for out, folder in (("nix/da/out.csv", "nix/da"), ("text.txt/out.csv", "text.txt"), ("link.csv", "weg")):
            assert main([*command, out]) == 2
            told = capsys.readouterr().err
            assert told.startswith("There is no folder ")
            assert told.endswith(f"{folder}. Please make it first or choose another one.\n")
        assert files(tmp_path) == before

    @pytest.mark.usefixtures("accepted")
    @pytest.mark.parametrize("command", [WRITING[0], WRITING[2]])
    @pytest.mark.parametrize("force", [[], ["--force"]])
    def test_what_is_read_is_not_replaced_even_by_force(
        self,
        command: list[str],
        force: list[str],
        reports: str,
        tiny_classifier_folder: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        command = [str(tiny_classifier_folder) if word == "tiny" else word for word in command]
        Path("text.txt").write_text("Herr Otto Kasulke: kein Erguss.", encoding="utf-8")
        Path("link.jsonl").symlink_to(command[1])
        content = Path(command[1]).read_bytes()
        for out in (command[1], f"var/../{command[1]}", "link.jsonl"):
            assert main([*command, out, *force]) == 2
            assert capsys.readouterr().err == (
                f"{out} is the file that is read and is not replaced. Please choose another name for the output.\n"
            )
        assert Path(command[1]).read_bytes() == content

    @pytest.mark.usefixtures("accepted")
    @pytest.mark.parametrize("there", [True, False])
    @pytest.mark.parametrize("command", WRITING)
    def test_a_link_keeps_pointing_to_the_file_that_is_written(
        self, command: list[str], there: bool, reports: str, tiny_classifier_folder: Path
    ) -> None:
        Path("text.txt").write_text("Kein Erguss.", encoding="utf-8")
        Path("folder").mkdir()
        target = Path("folder/out.csv")
        if there:
            target.write_text("alt", encoding="utf-8")
        Path("link.csv").symlink_to(target)
        words = [str(tiny_classifier_folder) if word == "tiny" else word for word in command]
        assert main([*words, "link.csv", *(["--force"] if there else [])]) == 0
        assert Path("link.csv").readlink() == target
        assert target.read_bytes() not in {b"", b"alt"}

    def test_a_terminal_that_lacks_a_character_shows_its_code(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("text.txt").write_text("Sagt „Erguss“ größer.", encoding="utf-8")
        screen = Latin1Terminal()
        monkeypatch.setattr("sys.stdout", screen)
        assert main(["deidentify", "text.txt", "--by", "rules"]) == 0
        assert screen.shown() == "Sagt \\u201eErguss\\u201c größer."

    def test_a_file_that_would_lack_characters_is_refused(self) -> None:
        Path("text.txt").write_text("Sagt „Erguss“ größer.", encoding="utf-8")
        command = ["deidentify", "text.txt", "--by", "rules"]
        done = process(command, stdout=subprocess.PIPE, PYTHONIOENCODING="latin-1")
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert done.stderr.startswith("Standard output (iso8859-1) cannot write all characters of the text.")
        assert process(command, stdout=subprocess.PIPE, PYTHONIOENCODING="utf-8").stdout == "Sagt „Erguss“ größer."

    def test_closed_streams_are_told_in_a_sentence(self) -> None:
        Path("text.txt").write_text("Kein Erguss.", encoding="utf-8")
        for command, closed, told in (
            (["users", "add", "otto"], 0, "Standard input is closed, nothing can be read."),
            (["deidentify", "-", "--by", "rules"], 0, "Standard input is closed, nothing can be read."),
            (["deidentify", "text.txt", "--by", "rules"], 1, "Standard output is closed."),
        ):
            done = process(command, preexec_fn=lambda closed=closed: os.close(closed))
            assert done.returncode == 2
            assert done.stderr.startswith(told), done.stderr

    @pytest.mark.parametrize("stderr", [subprocess.PIPE, subprocess.STDOUT])
    def test_a_pipe_that_closes_ends_the_work_without_a_traceback(self, stderr: int) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "wb") as pipe:
            done = process(["models"], stdout=pipe, stderr=stderr)
        assert done.returncode == 141
        assert not done.stderr

    def test_a_refusal_that_nobody_reads_ends_without_a_traceback(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "wb") as pipe:
            done = process(["deidentify", "nix.txt"], stdout=subprocess.PIPE, stderr=pipe)
        assert (done.returncode, done.stdout) == (141, "")

    def test_ctrl_c_ends_a_command_without_a_traceback(self) -> None:
        os.mkfifo("slow.txt")
        running = subprocess.Popen(
            [sys.executable, "-m", "medbertde", "deidentify", "slow.txt"],
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_restore_interrupt,
        )
        with open("slow.txt", "w", encoding="utf-8"):  # opens once the command has opened it for reading
            running.send_signal(signal.SIGINT)
            _, told = running.communicate(timeout=60)
        assert (running.returncode, told) == (130, "")


class Latin1Terminal(io.TextIOWrapper):
    """A terminal as before UTF-8."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="latin-1")

    def isatty(self) -> bool:
        return True

    def shown(self) -> str:
        """What was printed."""
        self.flush()
        self.seek(0)
        return self.read()


def process(
    command: list[str], *, stderr: int | Any = subprocess.PIPE, **more: Any
) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own; names in capitals go into its environment."""
    variables = {name: more.pop(name) for name in list(more) if name.isupper()}
    return subprocess.run(
        [sys.executable, "-m", "medbertde", *command],
        env=environment(**variables),
        stderr=stderr,
        encoding="utf-8",
        timeout=120,
        check=False,
        **more,
    )


@pytest.mark.usefixtures("accepted")
@pytest.mark.parametrize(("rank", "size"), [("abc", "2"), ("2", "2"), ("-1", "2"), ("0", "0"), ("", "1")])
def test_a_rank_that_is_none_is_refused(
    rank: str, size: str, reports: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", size)
    assert main(["predict", reports, "--out", "out.csv"]) == 2
    assert capsys.readouterr().err.startswith(
        f"0 <= RANK < WORLD_SIZE is expected, found: RANK={rank} and WORLD_SIZE={size}."
    )


def test_the_models_are_listed_with_their_terms(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[0] for line in printed) == sorted(["id", *(entry.id for entry in CATALOGUE)])
    gated = next(line for line in printed if line.startswith("GerMedBERT/medbert-512 "))
    assert "109 M" in gated
    assert " gated " in gated
    assert "Please accept its terms on huggingface.co/GerMedBERT/medbert-512" in gated
    embedded = next(line for line in printed if line.startswith("mini-chest-ct "))
    assert " chest_ct " in embedded
    assert " embedded " in embedded


@pytest.mark.parametrize("variable", ["LANG", "LC_ALL", "LC_MESSAGES"])
def test_under_a_german_locale_everything_is_said_in_german(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, "de_AT.UTF-8")
    assert main(["export", "--schema", "chest_xray", "--format", "csv", "--out", "out.csv"]) == 2
    assert capsys.readouterr().err.startswith("Bitte bestätigen Sie zuerst die Nutzungsbedingungen")


def test_a_wrong_setting_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDBERTDE_PROT", "1")
    assert main(["models"]) == 2
    assert capsys.readouterr().err.startswith("Unknown setting MEDBERTDE_PROT.")


@pytest.mark.usefixtures("accepted")
def test_a_model_without_an_audit_is_given_away_only_with_a_reason_which_is_recorded(
    tiny_classifier_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = ["export-model", str(tiny_classifier_folder), "--push", "klinik/modell"]
    assert main(export) == 2
    told = capsys.readouterr().err
    assert "The model is not audited" in told
    assert "release it with a reason (--override-audit “…”), which is recorded" in told
    assert main([*export, "--override-audit", "weil"]) == 2
    assert "The reason has 4 characters." in capsys.readouterr().err
    assert main([*export, "--override-audit", "Nur für den Test, frei erfunden."]) == 2
    assert "HF_TOKEN" in capsys.readouterr().err  # past the audit, and nothing was sent
    assert main(["audit"]) == 0
    assert "override_audit" in capsys.readouterr().out


def test_help_names_every_command_and_loads_no_model() -> None:
    help_only = (
        "import sys; from medbertde.__main__ import main\n"
        "try: main(['--help'])\n"
        "finally: assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", help_only], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    named = set(re.findall(r"^    ([\w-]+)", done.stdout, re.MULTILINE))
    commands = "serve predict import export backup restore move deidentify models export-model terms users audit"
    assert named == set(commands.split())


def test_serve_starts_the_page_and_ends_when_asked(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "medbertde", "serve"],
            cwd=ROOT,
            env={**os.environ, "MEDBERTDE_PORT": str(port)},
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=_restore_interrupt,
        )
    try:
        assert _answers(f"http://127.0.0.1:{port}/", process), log.read_text(encoding="utf-8")
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        assert "Traceback" not in log.read_text(encoding="utf-8")
    finally:
        process.kill()
        process.wait(timeout=10)


def _restore_interrupt() -> None:
    """A shell's background jobs inherit that Ctrl+C is ignored; the server under test must not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _answers(url: str, process: subprocess.Popen[bytes], deadline_s: float = 120) -> bool:
    """Whether the page is there before the deadline and before its process ends."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status == 200 and b"medbertde" in answer.read()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    return False
