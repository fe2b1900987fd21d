"""A pretraining run: it learns, keeps the best weights, can be killed and gone on with, goes on from other models."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from transformers import AutoModelForMaskedLM, PreTrainedTokenizerBase

import train.pretrain
from medbertde.inference.checkpoint import load_checkpoint, weights_hash
from medbertde.inference.fill_mask import fill_mask
from medbertde.inference.tokens import text_encoder
from medbertde.settings import ROOT
from medbertde.types import ReportRecord, Task, TrainingRefused
from tests.tiny import SENTENCES, mlm_folder
from tests.train.conftest import write_reports
from train.mlm import Batch, MaskedModel, Masking, held_out_batches, held_out_sums, masking
from train.pretrain import main
from train.pretrain_config import MEDBERT, MINI, PretrainConfig, Recipe, parse
from train.pretrain_start import build_model, positions
from train.schedule import Phase
from train.texts import Document
from train.token_store import Windows, cut, tokenise
from train.tokenizer import train_tokenizer

# Spelled-out numbers: texts that differ in digits only are held out together.
TEXTS = [
    f"Aufnahme {chr(97 + n // 26)}{chr(97 + n % 26)}: kein Erguss, kein Pneumothorax, Herz normal groß."
    for n in range(150)
]
PHASE = Phase(max_tokens=64, rate=5e-3, warmup=5, decay="cosine", epochs=3, batch_tokens=256)
JOBS = sorted(path.stem for path in (ROOT / "train").glob("*.py") if "\ndef main(" in path.read_text(encoding="utf-8"))
TINY = Recipe(layers=1, hidden=32, heads=2, phases=(PHASE,), evaluate_every=20)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return train_tokenizer(TEXTS, vocabulary=120)


@pytest.fixture
def config(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> PretrainConfig:
    """A run of a second on 150 similar texts."""
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    return PretrainConfig(
        files=[write_reports(tmp_path / "texte.jsonl", [ReportRecord(text) for text in TEXTS])],
        tokenizer=str(tmp_path / "tokenizer"),
        out=tmp_path / "mini",
        recipe=TINY,
        cpu=True,
    )


def with_recipe(config: PretrainConfig, **changes: Any) -> PretrainConfig:
    return replace(config, recipe=replace(config.recipe, **changes))


def with_phase(config: PretrainConfig, **changes: Any) -> PretrainConfig:
    return with_recipe(config, phases=(replace(config.recipe.phases[0], **changes),))


def run(config: PretrainConfig) -> float:
    """A run as in a process of its own."""
    AcceleratorState._reset_state(reset_partial_state=True)
    return train.pretrain.train(config)


def loss_of(folder: Path, texts: list[str], max_tokens: int = 64) -> float:
    """Held-out loss of a stored model."""
    loaded = load_checkpoint(folder)
    windows = cut(tokenise(texts, loaded.encoder), text_encoder(loaded.tokenizer, 512), max_tokens)
    total, chosen = held_out_sums(loaded.model, held_out_batches(windows, masking(loaded.tokenizer, 0.15)))
    return total / chosen


class TestRun:
    def test_it_lowers_the_loss_and_writes_a_model_that_fills_gaps(
        self, config: PretrainConfig, capsys: pytest.CaptureFixture[str]
    ) -> None:
        after = run(with_phase(config, epochs=8))
        loaded = load_checkpoint(config.out)
        figures = [float(value) for value in re.findall(r"held-out ([\d.]+)", capsys.readouterr().out)]
        assert after == pytest.approx(min(figures), abs=1e-3)
        assert after < 0.6 * 4.6  # nats of a guess among 100 pieces
        assert (loaded.task, loaded.facts.name) == (Task.FILL_MASK, "mini")
        assert loaded.facts.figures["held_out_loss"] == pytest.approx(after)
        assert loaded.facts.lineage.data_hash
        assert fill_mask(loaded, "Herz [MASK] groß.", 3)
        assert not config.out.with_name("mini.state").exists()

    def test_the_kept_weights_are_those_of_the_lowest_held_out_loss(self, config: PretrainConfig) -> None:
        lowest = run(with_phase(config, epochs=4, rate=5e-2))
        held_out = [text for text in TEXTS if Document(text).is_held_out(50)]
        assert loss_of(config.out, held_out) == pytest.approx(lowest, abs=1e-5)

    def test_the_same_seed_gives_the_same_weights(self, config: PretrainConfig, tmp_path: Path) -> None:
        hashes = []
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            run(replace(with_phase(config, epochs=1), out=tmp_path / name, seed=seed))
            hashes.append(weights_hash(tmp_path / name))
        assert hashes[0] == hashes[1] != hashes[2]

    def test_a_run_that_diverges_is_refused_and_leaves_no_broken_model(self, config: PretrainConfig) -> None:
        with pytest.raises(TrainingRefused, match="diverged"):
            run(with_phase(config, rate=1e30, warmup=0))
        assert not config.out.exists()

    def test_too_little_text_is_refused_with_a_sentence_and_leaves_nothing(
        self, config: PretrainConfig, tmp_path: Path
    ) -> None:
        file = write_reports(tmp_path / "a.jsonl", [ReportRecord("Kein Erguss.")])
        with pytest.raises(TrainingRefused) as refusal:
            run(replace(config, files=[file]))
        assert refusal.value.de == (
            "Die 1 Texte reichen nicht: Etwa jeder 50. wird zum Prüfen zurückgehalten, hier sind es 0. Bitte mehr "
            "Texte angeben."
        )
        assert not config.out.with_name("mini.state").exists()

    def test_two_phases_with_accumulation_lamb_and_bf16_work(
        self, config: PretrainConfig, capsys: pytest.CaptureFixture[str]
    ) -> None:
        phases = (
            Phase(max_tokens=16, rate=1e-2, warmup=2, steps=4, sequences=40),
            Phase(max_tokens=64, rate=1e-2, warmup=1, steps=3, sequences=20),
        )
        recipe = replace(TINY, phases=phases, optimizer="lamb", precision="bf16", whole_words=True, evaluate_every=2)
        run(replace(config, recipe=recipe, micro_tokens=128))
        lines = re.findall(r"phase (\d)/2 step (\d+)/(\d+)", capsys.readouterr().out)
        assert lines == [("1", "2", "4"), ("1", "4", "4"), ("2", "2", "3"), ("2", "3", "3")]
        assert load_checkpoint(config.out).max_tokens == 64

    def test_gradients_summed_over_small_parts_are_those_of_the_whole_step(
        self, config: PretrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found: list[dict[str, torch.Tensor]] = []

        def remember(accelerator: Accelerator, model: torch.nn.Module, *_: object) -> None:
            found.append(
                {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
            )

        monkeypatch.setattr(train.pretrain, "make_batch", every_token)
        monkeypatch.setattr(train.pretrain, "apply_gradients", remember)
        for name, micro in (("whole", 100_000), ("parts", 64)):
            one = with_recipe(with_phase(config, epochs=1, batch_tokens=100_000), dropout=0.0)
            run(replace(one, out=tmp_path / name, micro_tokens=micro))
        whole, parts = found
        assert all(torch.allclose(whole[name], parts[name], atol=1e-6) for name in whole)
        assert max(float(gradient.abs().max()) for gradient in whole.values()) > 1e-3


def every_token(windows: Windows, rows: np.ndarray, how: Masking, seed: int) -> Batch:
    """A batch in which nothing is left to chance: all tokens are shown and all are to be named."""
    ids = torch.from_numpy(windows.padded(rows, how.pad_id))
    chosen = (~how.special[ids]).flatten().nonzero()[:, 0]
    return Batch(ids, (ids != how.pad_id).long(), chosen, ids.flatten()[chosen])


class TestCommand:
    def test_it_stores_weights_in_16_bits(
        self, config: PretrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert config.tokenizer
        words = ["--tokenizer", config.tokenizer, "--out", str(config.out), "--name", "winzig", "--half", "--cpu"]
        sizes = ["--layers", "1", "--hidden", "32", "--heads", "2", "--start", "local", "--dropout", "0.2"]
        length = ["--epochs", "1", "--batch-tokens", "512", "--rate", "1e-3", "--cues", "10"]
        monkeypatch.setattr(sys, "argv", ["train.pretrain", *words, *sizes, *length, str(config.files[0])])
        main()
        loaded = load_checkpoint(config.out)
        assert "lowest held-out loss" in capsys.readouterr().out
        assert loaded.version.startswith("winzig@")
        assert loaded.max_tokens == 128
        assert (config.out / "model.safetensors").stat().st_size < 2.5 * loaded.model.num_parameters()

    def test_a_refusal_is_a_sentence(self, config: PretrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "argv", ["train.pretrain", "nicht-da.jsonl", "--out", str(config.out), "--cpu"])
        with pytest.raises(SystemExit, match="Please name a tokenizer"):
            main()

    def test_mini_is_the_default_and_values_are_for_all_phases_or_one_each(self) -> None:
        assert parse(["a.jsonl", "--out", "m"]).recipe == MINI
        phases = parse(["a", "--out", "m", "--preset", "medbert", "--steps", "10,20", "--rate", "1e-3"]).recipe.phases
        assert [(phase.steps, phase.rate) for phase in phases] == [(10, 1e-3), (20, 1e-3)]
        tokens = parse(
            ["a", "--out", "m", "--preset", "medbert", "--epochs", "2", "--batch-tokens", "64"]
        ).recipe.phases
        assert [(p.steps, p.epochs, p.sequences, p.batch_tokens) for p in tokens] == [(None, 2, None, 64)] * 2
        with pytest.raises(TrainingRefused, match="needs one value, or one for each of the 2 phases; found: 3"):
            parse(["a", "--out", "m", "--preset", "medbert", "--steps", "1,2,3"])

    @pytest.mark.parametrize(
        "words",
        [
            *("--layers 0", "--hidden 0", "--heads 0", "--max-tokens 2", "--rate 0.0", "--rate nan", "--warmup -1"),
            *("--steps 0", "--steps -3", "--epochs 0", "--epochs -1", "--sequences 0", "--batch-tokens 0"),
            *("--micro-tokens -5", "--micro-tokens 0", "--weight-decay -1.0", "--share 0.0", "--dropout 1.0"),
            *("--cues -1", "--held-out-of 0", "--held-out-of 1", "--evaluate-every 0", "--seed -1"),
        ],
    )
    def test_a_number_that_cannot_work_is_refused_with_its_option(self, config: PretrainConfig, words: str) -> None:
        option, value = words.split()
        given = parse([*map(str, config.files), "--out", str(config.out), "--cpu", f"{option}={value}"])
        with pytest.raises(TrainingRefused) as refusal:
            run(replace(given, tokenizer=config.tokenizer))
        assert refusal.value.de == f"{words} ist kein möglicher Wert."
        assert refusal.value.en == f"{words} is not a possible value."

    @pytest.mark.parametrize("words", [("--steps", "--epochs"), ("--sequences", "--batch-tokens")])
    def test_two_options_for_the_same_length_are_refused(self, words: tuple[str, str]) -> None:
        one, other = words
        with pytest.raises(TrainingRefused) as refusal:
            parse(["a", "--out", "m", one, "5", other, "2"])
        assert refusal.value.de == f"{one} und {other} schließen einander aus. Bitte nur eines davon angeben."

    def test_a_run_that_ends_within_its_warm_up_says_so(
        self, config: PretrainConfig, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run(with_phase(config, steps=4, rate=1e-3, warmup=8))
        assert capsys.readouterr().out.startswith(
            "phase 1/1 all 4 steps are warm-up (8): the rate climbs to 5.0e-04 of 1.0e-03 and does not fall; --warmup"
        )
        run(with_phase(config, steps=4, rate=1e-3, warmup=3))
        assert "warm-up" not in capsys.readouterr().out


class TestRecipes:
    def test_medbert_is_the_published_recipe(self) -> None:
        first, second = MEDBERT.phases
        assert (first.max_tokens, first.steps, first.rate, first.warmup, first.sequences) == (
            128,
            7038,
            6e-3,
            2000,
            65536,
        )
        assert (second.max_tokens, second.steps, second.rate, second.warmup, second.sequences) == (
            512,
            1563,
            4e-3,
            200,
            32768,
        )
        assert (MEDBERT.optimizer, MEDBERT.precision, MEDBERT.weight_decay, MEDBERT.share) == (
            "lamb",
            "bf16",
            0.01,
            0.15,
        )

    def test_medbert_has_the_published_size(self) -> None:
        class Vocabulary:
            pad_token_id = 0

            def __len__(self) -> int:
                return 30_000

        with torch.device("meta"):
            model = build_model(PretrainConfig([], Path("m"), recipe=MEDBERT), Vocabulary(), [])  # type: ignore[arg-type]
        config = model.config
        assert (config.num_hidden_layers, config.hidden_size, config.intermediate_size) == (12, 768, 3072)
        assert config.num_attention_heads == 8
        assert round(model.num_parameters() / 1e6, 1) == 109.1
        assert positions(model) == 512

    def test_mini_starts_locally_with_one_phase_of_128_tokens(self) -> None:
        assert (MINI.layers, MINI.hidden, MINI.heads, MINI.start) == (4, 256, 4, "local")
        assert [phase.max_tokens for phase in MINI.phases] == [128]

    def test_heads_that_do_not_fit_are_refused(
        self, config: PretrainConfig, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        with pytest.raises(TrainingRefused, match="3 heads do not fit the hidden size 32"):
            build_model(with_recipe(config, heads=3), tokenizer, [])


class Killed(Exception):
    """Stands for SIGKILL: nothing of the run's own code catches it."""


class TestResume:
    @pytest.fixture
    def two_phases(self, config: PretrainConfig) -> PretrainConfig:
        phases = (
            Phase(max_tokens=16, rate=5e-3, warmup=2, steps=6, sequences=30),
            Phase(max_tokens=64, rate=5e-3, warmup=1, epochs=2, batch_tokens=1024),
        )
        recipe = replace(TINY, phases=phases, evaluate_every=3, dropout=0.1)
        return replace(config, recipe=recipe, micro_tokens=256)

    @pytest.mark.parametrize("optimizer", ["adamw", "lamb"])
    def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(
        self, two_phases: PretrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
    ) -> None:
        whole = replace(with_recipe(two_phases, optimizer=optimizer), out=tmp_path / "whole")
        loss = run(whole)
        for steps in (4, 6, 8):
            killed = replace(whole, out=tmp_path / f"killed-after-{steps}", resume=True)
            with monkeypatch.context() as patch:
                kill_after(patch, steps)
                with pytest.raises(Killed):
                    run(killed)
            assert run(killed) == loss, killed.out
            assert weights_hash(killed.out) == weights_hash(whole.out), killed.out

    def test_it_goes_on_and_does_not_start_anew(
        self, two_phases: PretrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with monkeypatch.context() as patch:
            kill_after(patch, 5)
            with pytest.raises(Killed):
                run(two_phases)
        capsys.readouterr()
        run(replace(two_phases, resume=True))
        assert capsys.readouterr().out.startswith("phase 1/2 step 6/6")

    def test_without_resume_it_starts_anew(
        self, two_phases: PretrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with monkeypatch.context() as patch:
            kill_after(patch, 5)
            with pytest.raises(Killed):
                run(two_phases)
        capsys.readouterr()
        run(two_phases)
        assert capsys.readouterr().out.startswith("phase 1/2 step 3/6")

    def test_a_state_of_another_run_is_refused(
        self, two_phases: PretrainConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            kill_after(patch, 5)
            with pytest.raises(Killed):
                run(two_phases)
        with pytest.raises(TrainingRefused) as refusal:
            run(replace(two_phases, resume=True, seed=1))
        assert refusal.value.de.startswith("Der angefangene Lauf in mini.state gehört zu anderen Texten")


def kill_after(patch: pytest.MonkeyPatch, steps: int) -> None:
    """End a run in the middle of the step after `steps` of its steps."""
    take, done = train.pretrain.take_batches, iter(range(steps))

    def step(*args: Any) -> float:
        if next(done, None) is None:
            raise Killed
        return take(*args)

    patch.setattr(train.pretrain, "take_batches", step)


class TestGoingOn:
    @pytest.fixture
    def onward(self, config: PretrainConfig, tmp_path: Path) -> PretrainConfig:
        """From a base on its own kind of text, so that every piece is in its vocabulary."""
        texts = [
            f"{SENTENCES[n % 4]} {SENTENCES[n % 3][:20]} {'Herz ' * (n % 7)}{'Erguss ' * (n % 11)}" for n in range(300)
        ]
        file = write_reports(tmp_path / "texte.jsonl", [ReportRecord(text) for text in dict.fromkeys(texts)])
        return replace(with_recipe(config, held_out_of=8), files=[file], tokenizer=None)

    @pytest.mark.parametrize("family", ["bert", "roberta"])
    def test_a_base_of_either_family_learns_with_its_own_mask_and_control_tokens(
        self, onward: PretrainConfig, tmp_path: Path, family: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        base = mlm_folder(tmp_path / "base", family=family)
        run(with_phase(replace(onward, base=str(base)), rate=3e-3))
        losses = [float(value) for value in re.findall(r"held-out ([\d.]+)", capsys.readouterr().out)]
        assert losses[-1] < losses[0] - 0.5
        loaded = load_checkpoint(onward.out)
        assert type(loaded.model).__name__ == {"bert": "BertForMaskedLM", "roberta": "RobertaForMaskedLM"}[family]
        assert loaded.tokenizer.get_vocab() == load_checkpoint(base).tokenizer.get_vocab()
        assert loaded.facts.lineage.base_model == str(base)
        assert fill_mask(loaded, "Kein [MASK] links.", 3)

    def test_a_tokenizer_of_another_model_is_refused(self, config: PretrainConfig, tmp_path: Path) -> None:
        base = mlm_folder(tmp_path / "base")
        with pytest.raises(TrainingRefused, match="Please leave out --tokenizer"):
            run(replace(config, base=str(base)))

    def test_a_base_takes_another_vocabulary_where_that_is_asked_for(
        self, config: PretrainConfig, tmp_path: Path, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        base = mlm_folder(tmp_path / "base")
        run(with_phase(replace(config, base=str(base), transfer=True), rate=3e-3))
        loaded = load_checkpoint(config.out)
        assert loaded.tokenizer.get_vocab() == tokenizer.get_vocab() != load_checkpoint(base).tokenizer.get_vocab()
        assert loaded.model.config.vocab_size == len(tokenizer)
        assert loss_of(config.out, TEXTS[:20]) < 3.5  # uniform: 4.7

    def test_windows_longer_than_the_base_reads_are_refused(self, onward: PretrainConfig, tmp_path: Path) -> None:
        for family in ("bert", "roberta"):
            base = mlm_folder(tmp_path / family, family=family, max_tokens=32)  # type: ignore[arg-type]
            assert positions(AutoModelForMaskedLM.from_pretrained(base)) == 32
            with pytest.raises(TrainingRefused, match="reads at most 32 tokens at once, 64 are asked for"):
                run(replace(onward, base=str(base)))

    def test_a_base_that_is_not_there_is_refused(self, onward: PretrainConfig, tmp_path: Path) -> None:
        with pytest.raises(TrainingRefused, match="cannot be loaded"):
            run(replace(onward, base=str(tmp_path / "keines")))


@pytest.mark.parametrize("name", JOBS)
def test_every_job_can_be_imported_and_asked_for_help(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault 8 of the published scripts: names that are imported nowhere."""
    job = import_module(f"train.{name}")
    monkeypatch.setattr(sys, "argv", [f"train.{name}", "--help"])
    with pytest.raises(SystemExit) as end:
        job.main()
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("usage: ")


def test_no_job_holds_a_secret() -> None:
    secret = re.compile(r"hf_[A-Za-z0-9]{20,}|(?:password|api_key|token)\s*=\s*[\"'][^\"']{8,}", re.IGNORECASE)
    for source in (ROOT / "train").glob("*.py"):
        assert not secret.search(source.read_text(encoding="utf-8")), source


def test_the_forward_pass_is_the_loss(config: PretrainConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    model = build_model(config, tokenizer, []).eval()
    how = masking(tokenizer, 0.3)
    windows = cut(tokenise(TEXTS[:9], text_encoder(tokenizer, 512)), text_encoder(tokenizer, 512), 64)
    batch = next(held_out_batches(windows, how))
    labels = torch.full_like(batch.ids, -100).flatten().index_put((batch.chosen,), batch.targets).view_as(batch.ids)
    expected = model(input_ids=batch.ids, attention_mask=batch.attention, labels=labels).loss
    assert MaskedModel(model)(batch).item() / len(batch.targets) == pytest.approx(expected.item(), abs=1e-5)
