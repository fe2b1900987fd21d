"""Masked language modelling: what is masked, what the loss is taken on, and that a run learns and can be loaded."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from medbertde.inference.checkpoint import load_checkpoint, weights_hash
from medbertde.inference.fill_mask import fill_mask
from medbertde.types import ReportRecord, Task, TrainingRefused
from tests.train.conftest import write_reports
from train.pretrain import (
    IGNORED,
    PretrainConfig,
    build_model,
    epoch_batches,
    held_out_loss,
    learning_rate,
    main,
    mask_tokens,
    masked_loss,
    read_texts,
    token_rows,
    train,
    windows,
)
from train.tokenizer import train_tokenizer

TEXTS = [f"Aufnahme {number}: kein Erguss, kein Pneumothorax, Herz normal groß." for number in range(150)]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return train_tokenizer(TEXTS, vocabulary=120)


@pytest.fixture
def config(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> PretrainConfig:
    """A run of a few seconds on 150 similar texts."""
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    return PretrainConfig(
        files=[write_reports(tmp_path / "texte.jsonl", [ReportRecord(text) for text in TEXTS])],
        tokenizer=str(tmp_path / "tokenizer"),
        out=tmp_path / "mini",
        layers=1,
        hidden=32,
        heads=2,
        epochs=3,
        batch_tokens=256,
        rate=5e-3,
        warmup=5,
        cues=0,
        cpu=True,
    )


class TestWindows:
    @pytest.mark.parametrize("count", [1, 5, 6, 7, 12, 13, 100])
    def test_no_token_is_lost_or_doubled(self, count: int) -> None:
        rows = windows(list(range(10, 10 + count)), 2, 3, max_tokens=8)
        assert [token for row in rows for token in row[1:-1]] == list(range(10, 10 + count))
        assert all(row[0] == 2 and row[-1] == 3 and len(row) <= 8 for row in rows)

    def test_documents_are_never_joined(self, tokenizer: PreTrainedTokenizerBase) -> None:
        rows = token_rows(["kein Erguss.", "", "Herz normal."], tokenizer, max_tokens=64)
        assert [tokenizer.decode(row, skip_special_tokens=True) for row in rows] == ["kein Erguss.", "Herz normal."]


class TestMasking:
    @pytest.fixture
    def masked(self, tokenizer: PreTrainedTokenizerBase) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        ids = torch.randint(5, len(tokenizer), (200, 200), generator=torch.Generator().manual_seed(0))
        ids[:, 0], ids[:, -1] = 2, 3
        return ids, *mask_tokens(ids, tokenizer, 0.15, torch.Generator().manual_seed(1))

    def test_fifteen_percent_are_chosen_and_the_loss_is_on_all_of_them(
        self, masked: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    ) -> None:
        ids, shown, targets = masked
        chosen = targets != IGNORED
        assert chosen[:, 1:-1].float().mean().item() == pytest.approx(0.15, abs=0.01)
        assert torch.equal(targets[chosen], ids[chosen])
        assert torch.equal(shown[~chosen], ids[~chosen])

    def test_of_the_chosen_80_percent_are_hidden_10_percent_replaced_and_10_percent_stay(
        self, masked: tuple[torch.Tensor, torch.Tensor, torch.Tensor], tokenizer: PreTrainedTokenizerBase
    ) -> None:
        ids, shown, targets = masked
        chosen = targets != IGNORED
        hidden = (shown[chosen] == tokenizer.mask_token_id).float().mean().item()
        kept = (shown[chosen] == ids[chosen]).float().mean().item()
        assert hidden == pytest.approx(0.8, abs=0.02)
        assert kept == pytest.approx(0.1, abs=0.02)

    def test_control_tokens_and_padding_are_never_chosen(
        self, masked: tuple[torch.Tensor, torch.Tensor, torch.Tensor], tokenizer: PreTrainedTokenizerBase
    ) -> None:
        _, _, targets = masked
        assert (targets[:, [0, -1]] == IGNORED).all()
        padding = torch.zeros((50, 50), dtype=torch.long)
        assert (mask_tokens(padding, tokenizer, 0.9, torch.Generator())[1] == IGNORED).all()

    def test_equal_seeds_give_equal_batches_and_epochs_differ(self, tokenizer: PreTrainedTokenizerBase) -> None:
        rows = token_rows(TEXTS, tokenizer, 64)
        first, again, other = (
            [tensor.tolist() for batch in epoch_batches(rows, tokenizer, 256, 0.15, seed) for tensor in batch]
            for seed in (1, 1, 2)
        )
        assert first == again != other


class TestLoss:
    def test_it_is_the_mean_over_the_chosen_positions(
        self, config: PretrainConfig, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        model = build_model(config, tokenizer).eval()
        ids, attention, targets = next(epoch_batches(token_rows(TEXTS, tokenizer, 64), tokenizer, 256, 0.3, seed=0))
        expected = model(input_ids=ids, attention_mask=attention, labels=targets).loss  # -100 is ignored there too
        assert masked_loss(model, ids, attention, targets).item() == pytest.approx(expected.item(), abs=1e-5)

    def test_the_held_out_loss_is_the_same_each_time_and_leaves_the_model_training(
        self, config: PretrainConfig, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        model, rows = build_model(config, tokenizer).train(), token_rows(TEXTS[:20], tokenizer, 64)
        assert held_out_loss(model, rows, tokenizer) == held_out_loss(model, rows, tokenizer)
        assert model.training


class TestLearningRate:
    RATES = [learning_rate(step, total=1_000, warmup=100, peak=1e-3) for step in range(1_000)]

    def test_it_climbs_evenly_to_its_peak(self) -> None:
        assert self.RATES[0] == pytest.approx(1e-5)
        assert self.RATES[49] == pytest.approx(5e-4)
        assert self.RATES[99] == pytest.approx(1e-3)
        assert max(self.RATES) == pytest.approx(1e-3)

    def test_it_falls_to_nothing_at_the_end(self) -> None:
        falling = self.RATES[100:]
        assert falling == sorted(falling, reverse=True)
        assert falling[450] == pytest.approx(5e-4)
        assert self.RATES[-1] < 1e-8

    def test_a_run_shorter_than_its_warm_up_works(self) -> None:
        assert learning_rate(3, total=4, warmup=100, peak=1e-3) == pytest.approx(4e-5)


class TestTexts:
    def test_the_held_out_texts_are_the_same_with_more_texts_and_another_seed(self, tmp_path: Path) -> None:
        few = write_reports(tmp_path / "a.jsonl", [ReportRecord(text) for text in TEXTS])
        more = write_reports(tmp_path / "b.jsonl", [ReportRecord(f"Anderes {number}.") for number in range(100)])
        train_part, held_out = read_texts([few], cues=0, seed=1)
        _, later = read_texts([few, more], cues=50, seed=2)
        assert held_out
        assert not set(held_out) & set(train_part)
        assert set(held_out) <= set(later)

    def test_cue_sentences_join_the_training_part_only(self, tmp_path: Path) -> None:
        file = write_reports(tmp_path / "a.jsonl", [ReportRecord(text) for text in TEXTS])
        without, held_out = read_texts([file], cues=0, seed=1)
        with_cues, still_held_out = read_texts([file], cues=30, seed=1)
        assert len(with_cues) == len(without) + 30
        assert still_held_out == held_out

    def test_too_little_text_is_refused_with_a_sentence(self, tmp_path: Path) -> None:
        file = write_reports(tmp_path / "a.jsonl", [ReportRecord("Kein Erguss.")])
        with pytest.raises(TrainingRefused) as refusal:
            read_texts([file], cues=100, seed=1)
        assert refusal.value.de == (
            "Die 1 Texte reichen nicht: Etwa jeder 50. wird zum Prüfen zurückgehalten, hier sind es 0. Bitte mehr "
            "Texte angeben."
        )


class TestRun:
    def test_it_lowers_the_loss_and_writes_a_model_that_fills_gaps(
        self, config: PretrainConfig, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        _, held_out = read_texts(config.files, 0, config.seed)
        torch.manual_seed(config.seed)
        before = held_out_loss(build_model(config, tokenizer), token_rows(held_out, tokenizer, 256), tokenizer)
        after = train(replace(config, epochs=6))
        loaded = load_checkpoint(config.out)
        assert after < 0.6 * before
        assert (loaded.task, loaded.facts.name) == (Task.FILL_MASK, "mini")
        assert loaded.facts.figures["held_out_loss"] == pytest.approx(after)
        assert fill_mask(loaded, "Herz [MASK] groß.", 3)

    def test_the_kept_weights_are_those_of_the_lowest_held_out_loss(
        self, config: PretrainConfig, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        lowest = train(replace(config, epochs=4, rate=5e-2))
        _, held_out = read_texts(config.files, 0, config.seed)
        kept = load_checkpoint(config.out).model
        assert isinstance(kept, BertForMaskedLM)
        assert held_out_loss(kept, token_rows(held_out, tokenizer, 256), tokenizer) == pytest.approx(lowest, abs=1e-5)

    def test_the_same_seed_gives_the_same_weights(self, config: PretrainConfig, tmp_path: Path) -> None:
        hashes = []
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            train(replace(config, out=tmp_path / name, epochs=1, seed=seed))
            hashes.append(weights_hash(tmp_path / name))
        assert hashes[0] == hashes[1] != hashes[2]

    def test_a_run_that_diverges_is_refused_and_leaves_no_broken_model(self, config: PretrainConfig) -> None:
        with pytest.raises(TrainingRefused, match="diverged"):
            train(replace(config, rate=1e30, warmup=0))
        assert not config.out.exists()

    def test_the_command_stores_weights_in_16_bits(
        self, config: PretrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["--tokenizer", config.tokenizer, "--out", str(config.out), "--name", "winzig", "--half", "--cpu"]
        sizes = ["--layers", "1", "--hidden", "32", "--heads", "2", "--epochs", "1", "--cues", "0"]
        monkeypatch.setattr(sys, "argv", ["train.pretrain", str(config.files[0]), *words, *sizes])
        main()
        loaded = load_checkpoint(config.out)
        assert "lowest held-out loss" in capsys.readouterr().out
        assert loaded.version.startswith("winzig@")
        assert (config.out / "model.safetensors").stat().st_size < 2.5 * loaded.model.num_parameters()
