"""The local start: a BERT that begins as an n-gram model in its own parts and learns from there."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from train.local_start import OFFSETS, log_frequencies, pmi, start_locally, word_directions
from train.mlm import Masking, held_out_batches, held_out_sums, loss_sum, make_batch
from train.schedule import micro_batches
from train.steps import adamw
from train.token_store import Pieces, Windows

VOCABULARY = 60
FIRST, LAST, MASK = 2, 3, 4


def chain(rng: random.Random, length: int) -> list[int]:
    """Words of which each names its successor: three in four times the next one, else any."""
    row = [rng.randrange(5, VOCABULARY)]
    while len(row) < length:
        after = 5 + (row[-1] - 4) % (VOCABULARY - 5)
        row.append(after if rng.random() < 0.75 else rng.randrange(5, VOCABULARY))
    return row


def windows(seed: int, documents: int = 150, length: int = 20) -> Windows:
    rng = random.Random(seed)
    flat = torch.tensor([token for _ in range(documents) for token in chain(rng, length)]).numpy()
    starts = torch.arange(documents).numpy() * length
    counts = torch.full((documents,), length).numpy()
    return Windows(Pieces(flat, starts + length), starts, counts, (FIRST,), (LAST,))


def untrained(hidden: int = 64, heads: int = 4, layers: int = 2) -> BertForMaskedLM:
    torch.manual_seed(0)
    return BertForMaskedLM(
        BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * hidden,
            max_position_embeddings=64,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            attn_implementation="eager",
        )
    )


@pytest.fixture(scope="module")
def rows() -> Windows:
    return windows(seed=1)


@pytest.fixture(scope="module")
def how() -> Masking:
    special = torch.arange(VOCABULARY) < 5
    return Masking(0.15, MASK, 0, special, (~special).nonzero()[:, 0])


def held_out_loss(model: BertForMaskedLM, how: Masking) -> float:
    total, chosen = held_out_sums(model, held_out_batches(windows(seed=2), how))
    return total / chosen


def learn(model: BertForMaskedLM, rows: Windows, how: Masking, steps: int) -> None:
    optimizer = adamw(model, weight_decay=0.01)
    batches = micro_batches(rows.lengths, 22 * 16, np.random.default_rng(0))
    for step in range(steps):
        loss = loss_sum(model, batch := make_batch(rows, batches[step % len(batches)], how, seed=step))
        (loss / len(batch.targets)).backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize(("hidden", "heads"), [(64, 4), (128, 4), (96, 2), (96, 6)])
def test_the_heads_of_the_first_layers_look_at_their_neighbours(rows: Windows, hidden: int, heads: int) -> None:
    model = start_locally(untrained(hidden, heads), rows, seed=0).eval()
    ids = torch.tensor([rows[row] for row in range(32)])
    attentions = model(input_ids=ids, output_attentions=True).attentions  # per layer (rows, heads, tokens, tokens)
    for head, offset in enumerate(OFFSETS[0][:heads]):
        looked_at = attentions[0][:, head].diagonal(offset, dim1=1, dim2=2)[:, 4:-4]
        size = hidden // heads
        assert looked_at.mean().item() > (0.5 if size >= 16 else 1.5 / ids.shape[1]), (head, offset)


def test_it_knows_the_text_after_a_few_steps_while_a_random_start_knows_word_frequencies_at_best(
    rows: Windows, how: Masking
) -> None:
    unigram = math.log(VOCABULARY - 5)  # every word is equally frequent
    local, usual = start_locally(untrained(), rows, seed=0), untrained()
    assert held_out_loss(local, how) < unigram + 0.5
    for model in (local, usual):
        learn(model, rows, how, steps=60)
    assert held_out_loss(local, how) < 0.75 * unigram
    assert held_out_loss(usual, how) > 0.95 * unigram


def test_equal_seeds_give_equal_weights(rows: Windows) -> None:
    first, again, other = (start_locally(untrained(), rows, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(("hidden", "heads", "layers"), [(32, 2, 1), (48, 3, 3), (96, 8, 2), (256, 4, 4)])
def test_other_sizes_work_and_stay_an_ordinary_bert(rows: Windows, hidden: int, heads: int, layers: int) -> None:
    model = start_locally(untrained(hidden, heads, layers), rows, seed=0)
    tied = model.cls.predictions.decoder.weight
    assert tied is model.bert.embeddings.word_embeddings.weight
    assert all(torch.isfinite(weight).all() for weight in model.parameters())
    loss = model(input_ids=torch.tensor([rows[0]]), labels=torch.tensor([rows[0]])).loss
    loss.backward()
    assert torch.isfinite(loss)


def test_the_bias_of_the_decoder_is_the_logarithm_of_the_frequencies() -> None:
    logs = log_frequencies([[1, 1, 1, 2]], vocabulary=4)
    assert logs.exp().sum().item() == pytest.approx(1)
    assert (logs[1] - logs[2]).exp().item() == pytest.approx(3.5 / 1.5)


def test_pmi_counts_the_neighbour_at_the_offset_and_nothing_else() -> None:
    after, before = pmi([[1, 2, 3]] * 3, 5, offset=1), pmi([[1, 2, 3]] * 3, 5, offset=-1)
    assert set(zip(*(index.tolist() for index in after.nonzero()), strict=True)) == {(1, 2), (2, 3)}
    assert set(zip(*(index.tolist() for index in before.nonzero()), strict=True)) == {(2, 1), (3, 2)}


def test_words_with_the_same_neighbours_point_the_same_way() -> None:
    text = [[1, 3, 2], [1, 4, 2], [5, 6, 7]] * 4
    directions = word_directions([pmi(text, 8, offset) for offset in (-1, 1)], size=3)
    assert torch.dot(directions[3], directions[4]).item() == pytest.approx(1, abs=1e-3)
    assert abs(torch.dot(directions[3], directions[6]).item()) < 0.1
    assert directions[0].tolist() == [0, 0, 0]
