"""Files of browsers lie in a folder of the app's own and do not outlive it; `app.py` itself is started here."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from medbertde.settings import ROOT
from medbertde.types import StorageError
from medbertde.ui import uploads
from tests.launch import free_port

DEADLINE_S = 120
API = "gradio_api"


def test_the_app_keeps_what_a_browser_brings_in_its_own_folder_and_ends_when_told(tmp_path: Path) -> None:
    port = free_port()
    settings = {"MEDBERTDE_VAR": str(tmp_path), "MEDBERTDE_PORT": str(port), uploads.VARIABLE: ""}
    app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env={**os.environ, **settings})
    try:
        url = f"http://127.0.0.1:{port}/"
        await_answer(f"{url}health", app)
        (path,) = httpx.post(f"{url}{API}/upload", files={"files": ("befunde.txt", b"Kein Erguss.")}).json()
        folder = tmp_path / "uploads"
        assert Path(path).is_relative_to(folder.resolve())
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        app.send_signal(signal.SIGTERM)
        app.wait(DEADLINE_S)
        assert not Path(path).exists()
    finally:
        app.kill()
        app.wait()


def await_answer(url: str, app: subprocess.Popen[bytes]) -> None:
    """Return once the app answers; fails when it ends before or takes too long."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        assert app.poll() is None
        try:
            assert httpx.get(url).status_code == 200
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("no answer")


def test_what_a_killed_process_left_is_deleted_an_hour_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(uploads.VARIABLE, "")
    old, new = tmp_path / "old" / "befunde.csv", tmp_path / "new" / "befunde.csv"
    long_ago = time.time() - uploads.KEPT_S - 1
    for path in (old, new):
        path.parent.mkdir()
        path.write_text("Kein Erguss.", encoding="utf-8")
    stray = tmp_path / ".DS_Store"
    stray.touch()
    for path in (old, old.parent, new.parent, stray):
        os.utime(path, (long_ago, long_ago))
    uploads.keep_in(tmp_path)
    assert list(tmp_path.rglob("*.csv")) == [new]


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(uploads.VARIABLE, "")
    (tmp_path / "var").touch()
    with pytest.raises(StorageError, match=r"cannot be made \(Not a directory\)\. Please check MEDBERTDE_VAR"):
        uploads.keep_in(tmp_path / "var" / "uploads")


def test_a_folder_that_the_operator_chose_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(uploads.VARIABLE, str(tmp_path / "chosen"))
    uploads.keep_in(tmp_path / "var")
    assert os.environ[uploads.VARIABLE] == str(tmp_path / "chosen")
    assert not (tmp_path / "var").exists()
