"""The loop of a fine-tuning: adapters, layer-wise rates, unknown targets, a kill in the middle, two processes."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from peft import PeftModel
from torch.amp import GradScaler

from medbertde.inference.checkpoint import load_checkpoint, weights_hash
from medbertde.schema import load_schema
from medbertde.types import Rationale, ReportRecord, State, TrainingRefused
from tests import tiny
from tests.processes import DEADLINE_S, run, started
from tests.train.conftest import WriteRun
from train import finetune
from train import fit as loop
from train.classifier import adapt, batch_loss, build_model, class_weights, learning_groups, merged, predict_logits
from train.dataset import Example, collate, examples
from train.run_folder import read_config

SCHEMA = load_schema("chest_xray")
ADVANCED = {"layer_decay": 0.8, "class_weights": True, "gradient_checkpointing": True}


def tokens(count: int, *, positive: int) -> list[Example]:
    """Reports of one output, of which the first ones are positive."""
    return [Example(((2, 5 + number, 3),), (float(number < positive),)) for number in range(count)]


class TestModel:
    def test_layers_far_from_the_head_learn_slower(self, tiny_classifier_folder: Path) -> None:
        model = build_model(load_checkpoint(tiny_classifier_folder), SCHEMA)
        groups = learning_groups(model, 0.01, 0.5)
        scale = {id(weight): group["scale"] for group in groups for weight in group["params"]}
        assert len(scale) == len(list(model.parameters()))
        assert scale[id(model.classifier.weight)] == scale[id(model.bert.pooler.dense.weight)] == 1.0
        assert scale[id(model.bert.encoder.layer[1].output.dense.weight)] == 0.5
        assert scale[id(model.bert.encoder.layer[0].output.dense.weight)] == 0.25
        assert scale[id(model.bert.embeddings.word_embeddings.weight)] == 0.125
        decays = {id(weight): group["weight_decay"] for group in groups for weight in group["params"]}
        assert (decays[id(model.classifier.weight)], decays[id(model.classifier.bias)]) == (0.01, 0.0)

    @pytest.mark.parametrize("family", ["bert", "roberta"])
    def test_adapters_train_a_small_part_and_are_added_to_the_weights(
        self, write_run: WriteRun, reports: list[ReportRecord], tmp_path: Path, family: tiny.Family
    ) -> None:
        base = load_checkpoint(tiny.mlm_folder(tmp_path / family, family=family))
        config = read_config(write_run(reports, lora_rank=2))
        model = adapt(build_model(base, SCHEMA), config)
        assert isinstance(model, PeftModel)
        trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
        assert any("lora_A" in name for name in trained)
        assert any("classifier" in name for name in trained)
        assert all("lora_" in name or "classifier" in name or "pooler" in name for name in trained)
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.1)
        pool = examples(reports[:6], SCHEMA, base)
        adapted = predict_logits(model, pool, base.encoder.pad_id)
        assert np.allclose(adapted, predict_logits(merged(model), pool, base.encoder.pad_id), atol=1e-5)

    def test_a_run_with_adapters_gives_a_plain_checkpoint(
        self, write_run: WriteRun, reports: list[ReportRecord]
    ) -> None:
        learnable = {"epochs": 40, "patience": 40, "learning_rate": 1e-2, "batch_tokens": 48}
        folder = write_run(reports, lora_rank=4, gradient_checkpointing=True, **learnable)
        metrics = finetune.train(folder)
        assert metrics.f1_micro > 0.9
        assert not any("lora" in name for name in load_checkpoint(folder / "checkpoint").model.state_dict())

    def test_recomputed_activations_give_the_same_model(self, write_run: WriteRun, reports: list[ReportRecord]) -> None:
        hashes = []
        for again in (False, True):
            folder = write_run(reports, f"again-{again}", gradient_checkpointing=again)
            finetune.train(folder)
            hashes.append(weights_hash(folder / "checkpoint"))
        assert hashes[0] == hashes[1]


class TestTargets:
    def test_rare_outputs_weigh_more_within_bounds(self) -> None:
        assert class_weights(tokens(100, positive=20)).tolist() == [2.0]
        assert class_weights(tokens(100, positive=0)).tolist() == [10.0]
        assert class_weights(tokens(100, positive=90)).tolist() == [1.0]

    def test_an_unknown_target_changes_no_loss(self, tiny_classifier_folder: Path) -> None:
        model, outputs = load_checkpoint(tiny_classifier_folder).model, 3 * len(SCHEMA.labels)
        known = Example(((2, 9, 3),), (1.0,) * outputs)
        unknown = replace(known, targets=(1.0,) * (outputs - 1) + (-1.0,))
        losses = [batch_loss(model, collate([each], 0), torch.ones(outputs)) for each in (known, unknown)]
        last = model(input_ids=torch.tensor([[2, 9, 3]])).logits[0, -1]
        assert (losses[0] - losses[1]).item() == pytest.approx(-torch.nn.functional.logsigmoid(last).item(), abs=1e-5)

    @pytest.mark.parametrize(("policy", "positives"), [("absent", 0), ("present", 20), ("ignore", 0)])
    def test_the_policy_decides_what_uncertain_reports_are_measured_as(
        self, write_run: WriteRun, reports: list[ReportRecord], policy: str, positives: int
    ) -> None:
        unsure = [ReportRecord(f"V. a. Tubus {n}.", labels={"Tubus": State.UNCERTAIN}) for n in range(20)]
        test = write_run(unsure + reports[:9], "test")
        folder = write_run(reports, uncertain=policy, test_file=str(test / "labels.jsonl"), epochs=1)
        metrics = finetune.train(folder)
        assert metrics.per_label["Tubus"]["positives"] == positives
        rows = [json.loads(line) for line in (folder / "held_out.jsonl").read_text(encoding="utf-8").splitlines()]
        assert {row["truth"]["Tubus"] for row in rows[:20]} == {{"absent": 0, "present": 1, "ignore": -1}[policy]}


def with_scaler(precision: str) -> Accelerator:
    """As on a GPU: Accelerate scales the loss, here so far that the first gradients leave the range of fp16."""
    made = Accelerator(mixed_precision=precision, cpu=True)
    made.native_amp, made.scaler = True, GradScaler("cpu", init_scale=2.0**30)
    return made


def in_second_epoch(log: Path) -> bool:
    return log.exists() and '"epoch": 2' in log.read_text(encoding="utf-8")


class TestResume:
    @pytest.fixture
    def folders(self, write_run: WriteRun, reports: list[ReportRecord]) -> tuple[Path, Path]:
        """Two runs of the same configuration; a state is kept after every step, and every epoch draws other texts."""
        config = {"epochs": 12, "patience": 12, "checkpoint_minutes": 0, "run_together": 30, **ADVANCED}
        marked = [
            replace(one, rationales=tuple(Rationale(label, 0, len("Kein Erguss")) for label in one.labels))
            for one in reports
        ]
        return write_run(marked, "whole", **config), write_run(marked, "killed", **config)

    def test_a_run_killed_in_its_second_epoch_goes_on_to_the_same_model_and_log(
        self, folders: tuple[Path, Path]
    ) -> None:
        whole, killed = folders
        log = killed / "progress.jsonl"
        with started("train.finetune", str(killed), "--threads", "1") as process:
            deadline = time.monotonic() + DEADLINE_S
            while not in_second_epoch(log) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert in_second_epoch(log)
        assert (killed / "state").exists(), "it ended before it could be killed"
        run("train.finetune", str(killed), "--threads", "1")
        finetune.train(whole)
        assert weights_hash(killed / "checkpoint") == weights_hash(whole / "checkpoint")
        logs = [(folder / "progress.jsonl").read_text(encoding="utf-8").splitlines() for folder in folders]
        facts = [[{**json.loads(line), "elapsed_s": 0} for line in lines] for lines in logs]
        assert facts[0] == facts[1]
        assert not (killed / "state").exists()

    def test_in_fp16_the_loss_scale_goes_on_too(
        self, write_run: WriteRun, reports: list[ReportRecord], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A scale far too large is halved, without a step, until the gradients are finite: anew after every start."""
        monkeypatch.setattr(loop, "accelerator", with_scaler)
        whole, stopped = (
            write_run(reports, name, epochs=4, batch_tokens=48, precision="fp16") for name in ("whole", "stopped")
        )
        finetune.train(whole)

        def stop(epoch: int, loss: float) -> None:
            raise KeyboardInterrupt

        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                finetune.train(stopped, stop)
        finetune.train(stopped)
        assert weights_hash(stopped / "checkpoint") == weights_hash(whole / "checkpoint")

    def test_a_state_of_other_reports_is_refused(self, folders: tuple[Path, Path]) -> None:
        folder, _ = folders

        def stop(epoch: int, loss: float) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            finetune.train(folder, stop)
        lines = (folder / "labels.jsonl").read_text(encoding="utf-8").splitlines()
        (folder / "labels.jsonl").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
        with pytest.raises(TrainingRefused, match="belongs to other texts or settings"):
            finetune.train(folder)


def test_two_processes_give_the_figures_of_one(
    write_run: WriteRun, reports: list[ReportRecord], tmp_path: Path
) -> None:
    base = tiny.classifier_folder(tmp_path / "base")
    model = load_checkpoint(base).model.config
    model.hidden_dropout_prob = model.attention_probs_dropout_prob = 0.0  # each process draws its own
    model.save_pretrained(base)
    config = {"epochs": 6, "learning_rate": 2e-3, "patience": 6, "layer_decay": 0.9, "base_model": str(base)}
    one, two = write_run(reports, "one", **config), write_run(reports, "two", **config)
    finetune.train(one)
    run("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--", "train.finetune", str(two))
    losses = []
    for folder in (one, two):
        lines = (folder / "progress.jsonl").read_text(encoding="utf-8").splitlines()
        losses.append([line["loss"] for line in map(json.loads, lines) if "loss" in line])
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    scores = [
        [json.loads(line)["new"] for line in (folder / "held_out.jsonl").read_text(encoding="utf-8").splitlines()]
        for folder in (one, two)
    ]
    for before, after in zip(*scores, strict=True):
        assert before == pytest.approx(after, abs=2e-3)
