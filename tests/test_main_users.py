"""Accounts and the audit trail from the command line."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from medbertde.__main__ import main
from medbertde.services import open_services
from medbertde.settings import load_settings
from medbertde.types import Role

PASSWORD = "Kein Erguss, kein Pneu."


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDBERTDE_VAR", str(tmp_path))
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")


def run(monkeypatch: pytest.MonkeyPatch, *words: str, typed: str = "") -> int:
    """One command with what comes through a pipe."""
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    return main(list(words))


def test_an_account_is_added_listed_changed_and_disabled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "users", "add", "chefin", "--role", "admin", typed=f"{PASSWORD}\n") == 0
    assert run(monkeypatch, "users", "add", "anna", typed=f"{PASSWORD}\n") == 0
    assert run(monkeypatch, "users", "role", "anna", "curator") == 0
    assert run(monkeypatch, "users", "password", "anna", typed="Herz normal groß und schlank\n") == 0
    services = open_services(load_settings(), shipped={})
    user = services.accounts.user_of(services.accounts.sign_in("anna", "Herz normal groß und schlank", "here"))
    services.database.close()
    assert user is not None
    assert user.role is Role.CURATOR
    assert run(monkeypatch, "users", "disable", "anna") == 0
    capsys.readouterr()
    assert run(monkeypatch, "users", "list") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["anna", "curator", "gesperrt"] in rows
    assert ["chefin", "admin", "ja"] in rows
    assert ["lokal", "admin", "nein"] in rows
    assert run(monkeypatch, "users", "enable", "anna") == 0
    capsys.readouterr()
    assert run(monkeypatch, "audit", "--limit", "3") == 0
    trail = [line.split("\t")[1:3] for line in capsys.readouterr().out.splitlines()]
    assert trail == [["lokal", "enable"], ["lokal", "disable"], ["anna", "sign_in"]]


def test_what_cannot_be_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "users", "add", "anna", typed="kurz\n") == 2
    assert "mindestens 12" in capsys.readouterr().err
    assert run(monkeypatch, "users", "disable", "niemand") == 2
    assert "Den Benutzer niemand gibt es nicht." in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(monkeypatch, "users", "add", "anna", "--password", PASSWORD)  # there is no such option


def test_a_typed_password_is_asked_for_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter([PASSWORD, "anders"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    assert main(["users", "add", "anna"]) == 2
    assert "Die beiden Passwörter sind verschieden." in capsys.readouterr().err


def test_an_entry_that_is_given_up_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def given_up(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", given_up)
    assert main(["users", "add", "anna"]) == 2
    assert capsys.readouterr().err == "Es wurde kein Passwort eingegeben.\n"


@pytest.mark.parametrize("limit", ["0", "-1", "100001", "99999999999999999999", "viele", "²"])
def test_a_number_of_lines_beyond_the_limits_is_refused(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["audit", "--limit", limit])
    assert refused.value.code == 2
    told = f"argument --limit: a whole number from 1 to 100,000 is expected, found: {limit}\n"
    assert capsys.readouterr().err.endswith(told)


def test_an_address_for_others_is_not_served_without_an_administrator(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDBERTDE_HOST", "0.0.0.0")
    with pytest.raises(SystemExit) as refused:
        main(["serve"])
    assert "python -m medbertde users add NAME --role admin" in str(refused.value)
