"""Uploads to a Hub of our own: private unless asked otherwise, audited, and never what comes from GerMedBERT."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from medbertde.__main__ import main
from medbertde.inference.checkpoint import load_checkpoint, weights_hash
from medbertde.inference.publish import push
from medbertde.model_audit import Figure, ModelAudit, write_audit
from medbertde.types import CheckpointRefused, ModelUnavailable
from tests import tiny
from tests.hub import TOKEN, Hub, hub_at

REPO = "klinik-labor/thorax"


def audited(folder: Path, *, auc: float = 0.52) -> Path:
    """The folder with an audit of its weights."""
    figure = Figure(name="membership_auc", value=auc, n=100)
    write_audit(folder, ModelAudit("tiny", weights_hash(folder), "2026-01-01", "audit", "none", "fiction", (figure,)))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return audited(tiny.classifier_folder(tmp_path / "mein-modell"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    served = Hub({"klinik-labor/offen": tmp_path})
    with hub_at(served, tmp_path / "cache", monkeypatch):
        yield served


def change(folder: Path, name: str, **facts: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | facts), encoding="utf-8")
    return folder


class TestUpload:
    def test_a_new_repository_is_private_and_gets_weights_tokenizer_facts_audit_and_card(
        self, hub: Hub, folder: Path, tmp_path: Path
    ) -> None:
        address = push(folder, REPO)
        sent = hub.uploaded[REPO]
        assert address.endswith(f"/{REPO}")
        assert hub.made == {REPO: True}
        assert {"config.json", "model.safetensors", "medbertde.json", "audit.json", "README.md"} <= set(sent)
        back = tmp_path / "geladen"
        back.mkdir()
        for name, content in sent.items():
            (back / name).write_bytes(content)
        assert load_checkpoint(back).version == load_checkpoint(folder).version
        assert "**For research only.**" in sent["README.md"].decode()

    def test_nothing_else_that_lies_in_the_folder_is_sent(self, hub: Hub, folder: Path) -> None:
        (folder / "labels.jsonl").write_text("Kein Erguss.", encoding="utf-8")
        push(folder, REPO)
        assert "labels.jsonl" not in hub.uploaded[REPO]

    def test_a_missing_card_is_written(self, hub: Hub, folder: Path) -> None:
        (folder / "README.md").unlink()
        push(folder, REPO)
        assert "## Lineage" in hub.uploaded[REPO]["README.md"].decode()

    def test_a_repository_is_public_only_when_that_is_asked_for(self, hub: Hub, folder: Path) -> None:
        push(folder, REPO, public=True)
        assert hub.made == {REPO: False}
        with pytest.raises(CheckpointRefused, match="is public") as refused:
            push(folder, REPO)
        assert "ist öffentlich" in refused.value.de
        push(folder, REPO, public=True)

    def test_an_own_private_repository_gets_the_next_version(self, hub: Hub, folder: Path, tmp_path: Path) -> None:
        push(folder, REPO)
        other = audited(tiny.classifier_folder(tmp_path / "zweites", seed=5))
        push(other, REPO)
        assert hub.uploaded[REPO]["model.safetensors"] == (other / "model.safetensors").read_bytes()


class TestRefusals:
    ORIGINS: dict[str, Callable[[Path], Path]] = {
        "its name": lambda folder: folder.rename(folder.with_name("medbert-512")),
        "its base": lambda folder: change(
            folder, "medbertde.json", lineage={"base_model": "medbert-512-no-duplicates@01234567"}
        ),
        "an ancestor": lambda folder: change(
            folder,
            "medbertde.json",
            lineage={"base_model": "erstes@01234567", "ancestors": ["GerMedBERT/medbert-512", "erstes@01234567"]},
        ),
        "its shape": lambda folder: change(
            change(folder, "medbertde.json", lineage={"base_model": "unbekannt"}),
            "config.json",
            hidden_size=768,
            num_hidden_layers=12,
            num_attention_heads=8,
            vocab_size=30_000,
        ),
    }

    @pytest.mark.parametrize("origin", ORIGINS)
    def test_what_comes_from_germedbert_is_never_sent(self, hub: Hub, folder: Path, origin: str) -> None:
        with pytest.raises(CheckpointRefused, match=r"is GerMedBERT .* or was made from it") as refused:
            push(self.ORIGINS[origin](folder), REPO, public=True)
        assert "Nutzungsbedingungen" in refused.value.de
        assert (hub.made, hub.uploaded) == ({}, {})

    def test_a_model_of_unknown_origin_is_not_sent(self, hub: Hub, folder: Path) -> None:
        (folder / "medbertde.json").unlink()
        with pytest.raises(CheckpointRefused, match=r"has no medbertde\.json"):
            push(folder, REPO)

    @pytest.mark.parametrize("status", [0, 401, 500])
    def test_a_hub_that_refuses_is_told_without_the_token(
        self, hub: Hub, folder: Path, status: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.status = status
        monkeypatch.setenv("HF_TOKEN", "hf_onlyforreading")
        with pytest.raises(ModelUnavailable) as refused:
            push(folder, REPO)
        assert "hf_" not in f"{refused.value.de}{refused.value.en}"
        assert re.search("darf|Schreibrecht|nicht erreichbar", refused.value.de)

    def test_without_a_token_nobody_is_asked(self, hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HF_TOKEN")
        with pytest.raises(ModelUnavailable, match="HF_TOKEN"):
            push(folder, REPO)
        assert hub.seen_tokens == set()


class TestCommand:
    @pytest.fixture(autouse=True)
    def accepted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MEDBERTDE_VAR", str(tmp_path / "var"))
        monkeypatch.setenv("LANG", "en_US.UTF-8")
        assert main(["terms", "--accept"]) == 0

    def test_it_pushes_and_prints_the_address(self, hub: Hub, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["export-model", str(folder), "--push", REPO]) == 0
        assert capsys.readouterr().out.endswith(f"/{REPO}\n")
        assert hub.made == {REPO: True}

    def test_an_id_without_an_account_is_refused(
        self, hub: Hub, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["export-model", str(folder), "--push", "thorax"]) == 2
        assert "Expected is account/name" in capsys.readouterr().err

    def test_nothing_is_done_without_a_target(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main(["export-model", str(folder)])
        assert "one of the arguments --onnx --push is required" in capsys.readouterr().err
