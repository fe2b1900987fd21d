"""Pretraining in real processes: two with gloo give the weights of one, and one that is killed is gone on with."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState

from medbertde.inference.checkpoint import load_checkpoint, weights_hash
from medbertde.types import ReportRecord
from tests.processes import DEADLINE_S, run, started
from tests.train.conftest import write_reports
from train.pretrain import train
from train.pretrain_config import parse
from train.tokenizer import train_tokenizer

TEXTS = [
    f"Aufnahme {chr(97 + n // 26)}{chr(97 + n % 26)}: kein Erguss, Herz normal groß, links ZVK." for n in range(150)
]
SIZES = ["--layers", "1", "--hidden", "32", "--heads", "2", "--start", "random", "--cues", "0", "--cpu"]


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A command line for a tiny model; each step has several micro-batches."""
    train_tokenizer(TEXTS, vocabulary=120).save_pretrained(tmp_path / "tokenizer")
    file = write_reports(tmp_path / "texte.jsonl", [ReportRecord(text) for text in TEXTS])
    batches = ["--sequences", "40", "--micro-tokens", "200", "--rate", "1e-3", "--warmup", "2", "--dropout", "0"]
    return ["train.pretrain", str(file), "--tokenizer", str(tmp_path / "tokenizer"), *SIZES, *batches]


def run_here(*words: str) -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    train(parse(words[1:]))


def test_two_processes_give_the_weights_of_one(words: list[str], tmp_path: Path) -> None:
    one, two = tmp_path / "eins", tmp_path / "zwei"
    run_here(*words, "--steps", "8", "--out", str(one))
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]
    output = run(*launch, *words, "--steps", "8", "--out", str(two))
    assert output.count("phase 1/1 step 8/8") == 1
    models = [load_checkpoint(folder) for folder in (one, two)]
    figures = [model.facts.figures["held_out_loss"] for model in models]
    assert figures[0] == pytest.approx(figures[1], abs=1e-4)
    weights = [model.model.state_dict() for model in models]
    torch.testing.assert_close(weights[0], weights[1], atol=2e-4, rtol=0)  # AdamW's step is 1e-3 for any gradient


def test_a_killed_process_is_gone_on_with_to_the_same_weights(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    length = ["--steps", "200", "--evaluate-every", "20", "--resume"]
    whole, killed = tmp_path / "ganz", tmp_path / "halb"
    state = tmp_path / "halb.state" / "state.safetensors"
    with started(*words, *length, "--out", str(killed)) as process:
        deadline = time.monotonic() + DEADLINE_S
        while not state.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert state.exists(), "it ended before it could be killed"
    run_here(*words, *length, "--out", str(killed))
    assert "step 20/200" not in capsys.readouterr().out
    run_here(*words, *length, "--out", str(whole))
    assert weights_hash(killed) == weights_hash(whole)
