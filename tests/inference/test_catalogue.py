"""The catalogue: names become folders, and what is missing says what to do. The Hub is a small server of our own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file

from medbertde.inference import catalogue
from medbertde.inference.catalogue import CATALOGUE, find, resolve
from medbertde.inference.checkpoint import WEIGHTS_FILE, load_checkpoint
from medbertde.schema import schema_ids
from medbertde.types import CheckpointRefused, ModelUnavailable, Task
from tests import tiny

TOKEN = "hf_secret"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """A Hub that knows one gated repository."""

    def do_GET(self) -> None:
        code = "GatedRepo" if "medbert-512" in self.path else "RepoNotFound"
        self.send_response(403 if code == "GatedRepo" else 404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def cached(cache: Path, repo: str, source: Path) -> Path:
    """Put a model into a Hub cache as a download would have."""
    root = cache / f"models--{repo.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    snapshot = root / "snapshots" / COMMIT
    snapshot.parent.mkdir()
    return source.rename(snapshot)


def test_the_catalogue_describes_every_model_in_both_languages() -> None:
    assert len({entry.id for entry in CATALOGUE}) == len(CATALOGUE) == 9
    for entry in CATALOGUE:
        for text in (entry.title, entry.licence, entry.terms, entry.good_for):
            assert {*text} == {"de", "en"}
            assert all(text.values())
        assert (entry.folder is None) != (entry.hub_id is None)
        assert (entry.schema_id in schema_ids()) == (entry.task is Task.CLASSIFY)
    assert [entry.id for entry in CATALOGUE if entry.gated] == ["GerMedBERT/medbert-512"]


def test_a_folder_is_found_by_its_path(tiny_mlm_folder: Path) -> None:
    assert resolve(str(tiny_mlm_folder)) == tiny_mlm_folder


def test_an_embedded_model_is_found_by_its_id(monkeypatch: pytest.MonkeyPatch, tiny_mlm_folder: Path) -> None:
    entry = catalogue.Entry(
        "x", {}, Task.FILL_MASK, "WordPiece", licence={}, terms={}, good_for={}, folder=tiny_mlm_folder
    )
    monkeypatch.setattr(catalogue, "CATALOGUE", (entry,))
    assert find("x") == entry
    assert resolve("x") == tiny_mlm_folder


@pytest.mark.parametrize("name", ["mini-chest-xry", "runs/17/checkpoint", "../../etc"])
def test_an_unknown_name_lists_what_is_known(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelUnavailable) as refused:
        resolve(name)
    assert f"Das Modell „{name}“ gibt es nicht" in refused.value.de
    assert "mini-chest-xray" in refused.value.de


@pytest.mark.usefixtures("hub")
def test_a_gated_model_asks_for_terms_and_token_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable) as refused:
        resolve("GerMedBERT/medbert-512", cache=tmp_path)
    assert "Bedingungen annehmen" in refused.value.de
    assert "HF_TOKEN" in refused.value.de
    assert TOKEN not in refused.value.de + str(refused.value)


@pytest.mark.usefixtures("hub")
def test_a_model_the_hub_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable) as refused:
        resolve("niemand/nichts", cache=tmp_path)
    assert "niemand/nichts gibt es auf dem Hub nicht" in refused.value.de


@pytest.mark.usefixtures("offline")
def test_without_internet_an_unknown_hub_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable) as refused:
        resolve("uklfr/gottbert-base", cache=tmp_path)
    assert "Hub ist nicht erreichbar" in refused.value.de


@pytest.mark.usefixtures("offline")
def test_a_downloaded_model_is_found_offline(tmp_path: Path) -> None:
    snapshot = cached(tmp_path, "uklfr/gottbert-base", tiny.mlm_folder(tmp_path / "m", family="roberta"))
    assert resolve("uklfr/gottbert-base", cache=tmp_path) == snapshot
    assert resolve(f"uklfr/gottbert-base@{COMMIT}", cache=tmp_path) == snapshot


@pytest.mark.usefixtures("offline")
def test_pickled_weights_are_rewritten_as_safetensors(tmp_path: Path) -> None:
    folder = tiny.mlm_folder(tmp_path / "m")
    version = load_checkpoint(folder)
    torch.save(load_file(folder / WEIGHTS_FILE), folder / "pytorch_model.bin")
    (folder / WEIGHTS_FILE).unlink()
    (folder / "training_args.bin").write_bytes(b"anything")
    cached(tmp_path, "smanjil/German-MedBERT", folder)
    clean = resolve("smanjil/German-MedBERT", cache=tmp_path)
    model = load_checkpoint(clean)
    assert all(torch.equal(a, b) for a, b in zip(model.model.parameters(), version.model.parameters(), strict=True))
    assert resolve("smanjil/German-MedBERT", cache=tmp_path) == clean


class Payload:
    """What a hostile pickle holds."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("pwned"),))  # type: ignore[return-value]


@pytest.mark.usefixtures("offline")
def test_code_in_pickled_weights_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tiny.mlm_folder(tmp_path / "m")
    (folder / WEIGHTS_FILE).unlink()
    torch.save({"weight": Payload()}, folder / "pytorch_model.bin")
    cached(tmp_path, "smanjil/German-MedBERT", folder)
    with pytest.raises(CheckpointRefused) as refused:
        resolve("smanjil/German-MedBERT", cache=tmp_path)
    assert "wird nicht geladen" in refused.value.de
    assert not (tmp_path / "pwned").exists()
    assert not list((tmp_path / "medbertde").iterdir())
