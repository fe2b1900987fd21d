"""Backup, restore and move from the command line: what is printed, what is kept, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from medbertde.__main__ import main


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A database with one report, an English locale, and the folder as the working directory."""
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en_GB.UTF-8")
    monkeypatch.setenv("MEDBERTDE_VAR", str(tmp_path / "var"))
    monkeypatch.chdir(tmp_path)
    assert main(["terms", "--accept"]) == 0
    bring("first")
    capsys.readouterr()


def bring(name: str) -> None:
    """Import one labelled report."""
    report = {"id": name, "text": f"Kein Erguss, {name}.", "labels": {"Erguss": "absent"}}
    Path(f"{name}.jsonl").write_text(json.dumps(report), encoding="utf-8")
    assert main(["import", f"{name}.jsonl", "--schema", "chest_xray"]) == 0


def reports() -> set[str]:
    """The keys of the labelled reports."""
    assert main(["export", "--schema", "chest_xray", "--format", "jsonl", "--out", "out.jsonl", "--force"]) == 0
    return {json.loads(line)["id"] for line in Path("out.jsonl").read_text(encoding="utf-8").splitlines()}


def test_a_backup_comes_back_and_what_it_replaces_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backup", "backup.sqlite"]) == 0
    assert capsys.readouterr().out == "backup.sqlite\n"
    assert main(["restore", "backup.sqlite", "--force"]) == 0
    answer = capsys.readouterr()
    assert answer.out == "Restored: backup.sqlite\n"
    assert "The previous database is kept in" in answer.err
    assert reports() == {"first"}
    assert len(list(Path("var").glob("*.before-restore-*"))) == 1


def test_refusals_are_one_sentence_and_change_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backup", "backup.sqlite"]) == 0
    assert main(["backup", "backup.sqlite"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["backup", "var/medbertde.sqlite", "--force"]) == 2
    assert "is the database itself and is not replaced" in capsys.readouterr().err
    assert main(["restore", "nothing.sqlite"]) == 2
    assert capsys.readouterr().err == "There is no file nothing.sqlite. Please check the path.\n"
    assert reports() == {"first"}


def test_an_address_to_move_to_that_cannot_work_is_told_as_the_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("befund.txt").write_text("Thorax: kein Erguss. " * 100, encoding="utf-8")
    for address, told in (
        ("nixurl", "The database URL (--to) cannot be used."),
        ("postgresql+psycopg://anna:geheim@127.0.0.1:1/x", "Please check the URL (--to) and the database server."),
        (f"sqlite:///{tmp_path / 'befund.txt'}", "Please check --to or restore a backup."),
    ):
        assert main(["move", "--to", address]) == 2
        error = capsys.readouterr().err
        assert told in error
        assert "MEDBERTDE_DATABASE_URL" not in error
        assert "geheim" not in error
    assert reports() == {"first"}


def test_the_database_moves_to_postgresql_and_work_goes_on_there(
    new_postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = new_postgres()
    assert main(["move", "--to", target]) == 0
    assert "rows copied and compared." in capsys.readouterr().out
    monkeypatch.setenv("MEDBERTDE_DATABASE_URL", target)
    bring("second")
    assert reports() == {"first", "second"}
    assert main(["backup", "rows.gz"]) == 0
    monkeypatch.setenv("MEDBERTDE_DATABASE_URL", new_postgres())
    assert main(["restore", "rows.gz"]) == 0
    assert reports() == {"first", "second"}
