"""Jobs ask before their work whether their result can be written."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from medbertde.types import InvalidFile
from train.output import make_room

JOBS = {  # what they work on is missing or takes long: a refusal of the place to write comes before
    "agreement": "--first fehlt --second fehlt --schema chest_xray --out",
    "audit": "--model fehlt --out",
    "cloze": "--set fehlt --out",
    "deidentify_quality": "--out",
    "learning_curve": "--train fehlt --out",
    "quality": "--test fehlt --out",
    "rules": "fehlt --out",
    "span_files": "fehlt --schema medication --out",
    "tfidf": "fehlt --train fehlt --out",
}


@pytest.mark.parametrize("job", JOBS)
def test_a_place_that_cannot_be_written_is_told_before_the_work(
    job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "datei").touch()
    out = tmp_path / "datei" / "ergebnis.md"
    monkeypatch.setattr(sys, "argv", [job, *JOBS[job].split(), str(out)])
    try:
        code = importlib.import_module(f"train.{job}").main()
    except SystemExit as ended:
        code = ended.code
    said = code if isinstance(code, str) else capsys.readouterr().err
    assert code
    assert f"{out} cannot be written" in said


def test_missing_folders_are_made_and_a_folder_is_no_file_to_write(tmp_path: Path) -> None:
    make_room(tmp_path / "neu" / "noch" / "a.md", None, tmp_path / "b.json")
    assert [path.name for path in tmp_path.rglob("*")] == ["neu", "noch"]
    with pytest.raises(InvalidFile, match="neu cannot be written"):
        make_room(tmp_path / "neu")
