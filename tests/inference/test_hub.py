"""Downloads from a Hub of our own: progress, gates and tokens, and that no token ever shows."""

from __future__ import annotations

import errno
import io
import json
import logging
import shutil
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from medbertde.inference import hub as hub_module
from medbertde.inference.catalogue import CATALOGUE, find
from medbertde.inference.checkpoint import load_checkpoint
from medbertde.inference.hub import HubProbe, cached_folder, download, repository_of
from medbertde.inference.inventory import Where, folder_standing, size, standing, tokenizer_kind
from medbertde.types import CheckpointRefused, ModelUnavailable
from tests import tiny
from tests.hub import TOKEN, Hub, hub_at

GATED = "GerMedBERT/medbert-512"
OPEN = "uklfr/gottbert-base"


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny.mlm_folder(tmp_path_factory.mktemp("hub") / "gottbert", family="roberta")
    (folder / "medbertde.json").unlink()  # as models on the Hub are
    return folder


@pytest.fixture
def hub(roberta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    served = Hub({OPEN: roberta, GATED: roberta}, gated=frozenset({GATED}))
    with hub_at(served, tmp_path / "cache", monkeypatch):
        yield served


def test_a_download_tells_how_far_it_is_and_is_found_offline_afterwards(
    hub: Hub, roberta: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[int, int]] = []
    folder = download(OPEN, None, on_bytes=lambda here, total: heard.append((here, total)))
    assert heard[-1][0] == heard[-1][1] >= (roberta / "model.safetensors").stat().st_size
    assert [here for here, _ in heard] == sorted(here for here, _ in heard)
    assert load_checkpoint(folder, name=OPEN).version.startswith("gottbert-base@")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert download(OPEN, None) == folder == cached_folder(OPEN)
    assert repository_of(folder) == OPEN


def test_a_gate_opens_with_the_right_token_only_and_says_what_to_do(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelUnavailable) as without:
        download(GATED, None)
    assert "die Bedingungen annehmen, ein Zugriffstoken in der Umgebungsvariable HF_TOKEN setzen" in without.value.de
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    with pytest.raises(ModelUnavailable) as wrong:
        download(GATED, None)
    assert "das Token in HF_TOKEN öffnet es nicht" in wrong.value.de
    monkeypatch.setenv("HF_TOKEN", f" {TOKEN}\n")
    assert load_checkpoint(download(GATED, None)).version
    assert hub.seen_tokens == {"", "hf_another", TOKEN}


REASONS = {
    "not on the Hub": ("niemand/nichts", 0, "gibt es auf dem Hub nicht"),
    "gated": (GATED, 0, "öffnet es nicht"),
    "token refused": (OPEN, 401, "nimmt das Zugriffstoken in HF_TOKEN nicht an"),
    "forbidden": (OPEN, 403, "nicht"),
    "server error": (OPEN, 500, "nicht erreichbar"),
    "too many requests": (OPEN, 429, "nicht erreichbar"),
    "not an id": ("a" * 120, 0, "gibt es auf dem Hub nicht"),
}


@pytest.mark.parametrize("case", REASONS)
def test_the_token_is_in_no_refusal_no_log_and_no_traceback(
    case: str, hub: Hub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    repo, hub.status, reason = REASONS[case]
    hub.accepted = "hf_not_this_one"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    try:
        with pytest.raises(ModelUnavailable) as refused:
            download(repo, None)
    finally:
        logging.getLogger().removeHandler(handler)
    assert reason in refused.value.de
    shown = "".join(traceback.format_exception(refused.value))
    assert refused.value.__suppress_context__, "the client's own error, which quotes headers, is not shown"
    for text in (refused.value.de, refused.value.en, shown, log.getvalue(), *capfd.readouterr()):
        assert TOKEN not in text


@pytest.mark.parametrize("token", ["hf_zwei zeilen\nhf_x", "hf_ümlaut", "hf_a b"])
def test_what_cannot_be_a_token_is_refused_before_it_is_sent(
    token: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ModelUnavailable) as refused:
        download(OPEN, None)
    assert "ist kein Zugriffstoken" in refused.value.de
    assert token not in str(refused.value) + refused.value.de
    assert hub.seen_tokens == set()


@pytest.mark.parametrize(
    ("code", "reason"),
    [(errno.ENOSPC, "reicht der Speicherplatz nicht"), (errno.EACCES, "lässt sich nichts schreiben")],
)
def test_a_disk_that_takes_nothing_is_named_as_such(code: int, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object, **_options: object) -> None:
        raise OSError(code, "no")

    monkeypatch.setattr(hub_module, "snapshot_download", full)
    with pytest.raises(ModelUnavailable) as refused:
        download(OPEN, None)
    assert reason in refused.value.de


# ------------------------------------------------------------------------------------------------ inventory


def test_each_model_of_the_catalogue_stands_somewhere(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = HubProbe()
    gottbert, gated, mini = find(OPEN), find(GATED), find("medbertde-mini")
    assert gottbert
    assert gated
    assert mini
    assert standing(mini, probe.reachable).where is Where.EMBEDDED
    assert standing(gottbert, probe.reachable).where is Where.DOWNLOAD
    blocked = standing(gated, probe.reachable)
    assert blocked.where is Where.GATED
    assert blocked.reason
    assert "HF_TOKEN" in blocked.reason.de
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert standing(gated, probe.reachable).where is Where.DOWNLOAD
    folder = download(OPEN, None)
    found = standing(gottbert, probe.reachable)
    assert (found.where, found.folder) == (Where.CACHED, folder)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    offline = standing(gated, probe.reachable)
    assert offline.where is Where.OFFLINE
    assert not offline.where.usable
    assert offline.reason
    assert "nicht erreichbar" in offline.reason.de
    assert standing(gottbert, probe.reachable).where is Where.CACHED


def test_a_hub_nobody_listens_at_is_not_reachable(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert not HubProbe().reachable()


def test_size_and_tokenizer_are_read_from_the_files(roberta: Path, tmp_path: Path) -> None:
    model = load_checkpoint(roberta).model
    found = size(roberta)
    assert found
    assert found.parameters == sum(weight.numel() for weight in model.parameters())
    assert found.megabytes == (roberta / "model.safetensors").stat().st_size / 1e6
    assert not found.about
    assert tokenizer_kind(roberta) == f"Byte-BPE {model.config.vocab_size}"
    assert tokenizer_kind(tiny.mlm_folder(tmp_path / "x", family="deberta-v2")).startswith("SentencePiece ")
    assert folder_standing(tmp_path).where is Where.BROKEN
    assert all(size(entry.folder, entry) for entry in CATALOGUE)


def test_a_model_too_large_for_the_memory_is_refused_with_needed_and_free(roberta: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(roberta, tmp_path / "riese"))
    elements = 500_000_000_000
    header = json.dumps({"x": {"dtype": "F32", "shape": [elements], "data_offsets": [0, 4 * elements]}}).encode()
    with (folder / "model.safetensors").open("wb") as file:  # sparse: it takes no space
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 4 * elements)
    with pytest.raises(CheckpointRefused) as refused:
        load_checkpoint(folder)
    assert "es braucht etwa 2000,0 GB Speicher, frei sind" in refused.value.de
    assert "it needs about 2000.0 GB of memory" in refused.value.en


def test_a_configuration_that_would_allocate_too_much_is_refused_before_it_does(roberta: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(roberta, tmp_path / "riese"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 20_000_000_000}), encoding="utf-8")
    with pytest.raises(CheckpointRefused, match="of memory"):
        load_checkpoint(folder)
