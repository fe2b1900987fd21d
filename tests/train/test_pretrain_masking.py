"""Masked language modelling: windows without lost tokens, what is masked, what the loss is taken on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, DistilBertConfig, DistilBertForMaskedLM

from medbertde.inference.tokens import TextEncoder, text_encoder
from medbertde.types import TrainingRefused
from tests.tiny import SENTENCES, mlm_folder
from train import token_store
from train.mlm import (
    IGNORED,
    Batch,
    Masking,
    chosen_logits,
    held_out_batches,
    held_out_sums,
    loss_sum,
    make_batch,
    mask_tokens,
    masking,
    require_same_logits,
)
from train.token_store import cut, tokenise

TEXTS = [" ".join(SENTENCES[n % 4 :] * (1 + n % 3)) for n in range(12)]


@pytest.fixture(scope="module", params=["bert", "roberta"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of either family."""
    return mlm_folder(tmp_path_factory.mktemp("base") / request.param, family=request.param, max_tokens=64)


@pytest.fixture(scope="module")
def encoder(folder: Path) -> TextEncoder:
    return text_encoder(AutoTokenizer.from_pretrained(folder), 64)


@pytest.fixture(scope="module")
def how(folder: Path) -> Masking:
    return masking(AutoTokenizer.from_pretrained(folder), 0.15)


class TestWindows:
    @pytest.mark.parametrize("max_tokens", [3, 8, 17, 64])
    def test_no_token_is_lost_or_doubled_and_documents_are_never_joined(
        self, encoder: TextEncoder, max_tokens: int
    ) -> None:
        """Faults 2 and 3: windows stepped by max_len but kept max_len - 2, and documents ran into each other."""
        windows = cut(tokenise(TEXTS, encoder), encoder, max_tokens)
        (first,), (last,) = encoder.prefix, encoder.suffix
        rows = [windows[row] for row in range(len(windows))]
        assert all(row[0] == first and row[-1] == last and len(row) <= max_tokens for row in rows)
        left = iter(rows)
        for pieces in encoder.pieces(TEXTS):
            got: list[int] = []
            while len(got) < len(pieces.ids):
                got += next(left)[1:-1]
            assert got == list(pieces.ids)
        assert next(left, None) is None

    def test_padded_rows_are_the_rows(self, encoder: TextEncoder, how: Masking) -> None:
        windows = cut(tokenise([*TEXTS, "", "Herz"], encoder), encoder, 20)
        rows = np.random.default_rng(0).permutation(len(windows))
        for row, padded in zip(rows, windows.padded(rows, how.pad_id).tolist(), strict=True):
            length = int(windows.lengths[row])
            assert padded[:length] == windows[int(row)]
            assert set(padded[length:]) <= {how.pad_id}

    def test_what_is_on_disk_is_what_was_tokenised(self, encoder: TextEncoder, tmp_path: Path) -> None:
        parts = [("train" if number % 3 else "held_out", text) for number, text in enumerate(TEXTS)]
        token_store.write(parts, encoder, tmp_path, ("train", "held_out"))
        assert token_store.key_in(tmp_path) is None
        token_store.complete(tmp_path, "abc")
        assert token_store.key_in(tmp_path) == "abc"
        for name in ("train", "held_out"):
            stored = token_store.read(tmp_path, name, encoder)
            expected = tokenise([text for part, text in parts if part == name], encoder)
            assert stored.flat.tolist() == expected.flat.tolist()
            assert stored.ends.tolist() == expected.ends.tolist()

    def test_a_control_token_in_a_text_is_read_as_characters(self, encoder: TextEncoder, how: Masking) -> None:
        pieces = tokenise(["Kein [MASK] </s> Herz [SEP] <mask>"], encoder).flat
        assert not {how.mask_id, *encoder.prefix, *encoder.suffix} & set(pieces.tolist())


class TestMasking:
    @pytest.fixture
    def masked(self, how: Masking) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        draw = torch.randint(len(how.ordinary), (200, 200), generator=torch.Generator().manual_seed(0))
        ids = how.ordinary[draw]
        ids[:, 0] = ids[:, -1] = how.special.nonzero()[1, 0]
        return ids, *mask_tokens(ids, how, torch.Generator().manual_seed(1))

    def test_fifteen_percent_are_chosen_and_the_loss_is_on_all_of_them(
        self, masked: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    ) -> None:
        """Fault 4: the loss was taken only where the input was the mask, on 12 % of the tokens."""
        ids, shown, targets = masked
        chosen = targets != IGNORED
        assert chosen[:, 1:-1].float().mean().item() == pytest.approx(0.15, abs=0.01)
        assert torch.equal(targets[chosen], ids[chosen])
        assert torch.equal(shown[~chosen], ids[~chosen])

    def test_of_the_chosen_80_percent_are_hidden_by_the_models_own_mask_10_percent_replaced_and_10_percent_stay(
        self, masked: tuple[torch.Tensor, torch.Tensor, torch.Tensor], how: Masking, folder: Path
    ) -> None:
        """Fault 4: the mask was number 4 whatever the model."""
        ids, shown, targets = masked
        chosen = targets != IGNORED
        assert how.mask_id == AutoTokenizer.from_pretrained(folder).mask_token_id
        assert (shown[chosen] == how.mask_id).float().mean().item() == pytest.approx(0.8, abs=0.02)
        assert (shown[chosen] == ids[chosen]).float().mean().item() == pytest.approx(0.1, abs=0.02)
        replaced = shown[chosen & (shown != ids) & (shown != how.mask_id)]
        assert not how.special[replaced].any()

    def test_control_tokens_and_padding_are_never_chosen(
        self, masked: tuple[torch.Tensor, torch.Tensor, torch.Tensor], how: Masking
    ) -> None:
        _, _, targets = masked
        assert (targets[:, [0, -1]] == IGNORED).all()
        padding = torch.full((50, 50), how.pad_id)
        assert (mask_tokens(padding, how, torch.Generator())[1] == IGNORED).all()

    def test_whole_words_are_chosen_together_at_the_same_share(self, folder: Path, encoder: TextEncoder) -> None:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        how = masking(tokenizer, 0.15, whole_words=True)
        assert how.continues is not None
        windows = cut(tokenise(TEXTS * 40, encoder), encoder, 64)
        shares = []
        for batch in held_out_batches(windows, how):
            chosen = torch.zeros(batch.ids.numel(), dtype=torch.bool)
            chosen[batch.chosen] = True
            chosen = chosen.view_as(batch.ids)
            true = batch.ids.flatten().index_put((batch.chosen,), batch.targets).view_as(batch.ids)
            inside = how.continues[true] & ~how.special[true.roll(1, 1)]
            assert torch.equal(chosen[inside], chosen.roll(1, 1)[inside])
            shares.append(chosen[~how.special[true]].float().mean().item())
        assert np.mean(shares) == pytest.approx(0.15, abs=0.02)

    def test_equal_seeds_give_equal_batches(self, encoder: TextEncoder, how: Masking) -> None:
        windows, rows = cut(tokenise(TEXTS, encoder), encoder, 32), np.arange(8)
        first, again, other = (make_batch(windows, rows, how, seed) for seed in (1, 1, 2))
        assert torch.equal(first.ids, again.ids)
        assert torch.equal(first.chosen, again.chosen)
        assert not torch.equal(first.ids, other.ids)

    def test_a_tokenizer_without_mask_is_refused(self, folder: Path) -> None:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.mask_token = None
        with pytest.raises(TrainingRefused, match="no mask token"):
            masking(tokenizer, 0.15)


class TestLoss:
    @pytest.fixture
    def model(self, folder: Path) -> Any:
        return AutoModelForMaskedLM.from_pretrained(folder).eval()

    def test_it_is_the_sum_over_the_chosen_positions(self, model: Any, encoder: TextEncoder, how: Masking) -> None:
        windows = cut(tokenise(TEXTS, encoder), encoder, 32)
        for rows in (np.arange(6), np.array([int(windows.lengths.argmax())])):  # with padding and without
            batch = make_batch(windows, rows, how, seed=5)
            labels = torch.full_like(batch.ids, IGNORED).flatten()
            labels[batch.chosen] = batch.targets
            attention = torch.ones_like(batch.ids) if batch.attention is None else batch.attention
            loss = model(input_ids=batch.ids, attention_mask=attention, labels=labels.view_as(batch.ids)).loss
            assert loss_sum(model, batch).item() / len(batch.targets) == pytest.approx(loss.item(), rel=1e-4)

    def test_a_batch_without_chosen_tokens_costs_nothing(self, model: Any) -> None:
        nothing = torch.zeros(0, dtype=torch.long)
        loss = loss_sum(model, Batch(torch.tensor([[5, 6, 7]]), None, nothing, nothing))
        loss.backward()
        assert loss.item() == 0

    def test_the_head_runs_on_the_chosen_positions_only(self, model: Any) -> None:
        ids = torch.randint(5, 30, (4, 10))
        logits = chosen_logits(model, ids, None, torch.tensor([3, 17]))
        assert logits.shape == (2, model.config.vocab_size)
        whole = model(input_ids=ids).logits.flatten(0, 1)
        assert torch.allclose(logits, whole[[3, 17]], atol=1e-5)

    def test_the_held_out_loss_is_the_same_each_time_however_many_share_it_and_leaves_the_model_training(
        self, model: Any, encoder: TextEncoder, how: Masking
    ) -> None:
        windows = cut(tokenise(TEXTS * 30, encoder), encoder, 32)
        total, chosen = held_out_sums(model, held_out_batches(windows, how))
        assert (total, chosen) == held_out_sums(model, held_out_batches(windows, how))
        assert model.training
        parts = [held_out_sums(model, held_out_batches(windows, how, rank, 3)) for rank in range(3)]
        assert sum(part[0] for part in parts) == pytest.approx(total)
        assert sum(part[1] for part in parts) == chosen

    def test_a_model_with_another_kind_of_head_is_refused(self, model: Any, how: Masking) -> None:
        require_same_logits(model, how)
        other = DistilBertForMaskedLM(DistilBertConfig(vocab_size=200, dim=16, n_layers=1, n_heads=2, hidden_dim=16))
        with pytest.raises(TrainingRefused, match="DistilBertForMaskedLM cannot be trained further here"):
            require_same_logits(other, how)
