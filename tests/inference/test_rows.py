"""Rows to logits: distinct ones once, the same whatever the batch, stopped between batches, halved when too large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from medbertde.inference import forward as forwards
from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.classify import classify
from medbertde.inference.forward import Forward, prepare
from medbertde.inference.rows import Cancelled, batches, row_logits
from medbertde.types import ModelUnavailable
from tests import tiny

Batches = list[Sequence[Sequence[int]]]
TEXTS = ["Kein Nachweis eines Pneumothorax.", "Kleiner Erguss links, Herz normal groß.", "Erguss."]


@pytest.fixture
def model(tmp_path: Path) -> LoadedModel:
    loaded = load_checkpoint(tiny.classifier_folder(tmp_path / "tiny"))
    prepare(loaded, "fp32")
    return loaded


def rows_of(model: LoadedModel, texts: Sequence[str] = TEXTS) -> list[list[int]]:
    return [model.encoder.model_ids(pieces.ids) for pieces in model.encoder.pieces(texts)]


def watched(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch, *, most_rows: int = 1000, tokens: int = 1000
) -> Batches:
    """The batches that the model computes from now on; one of more than `most_rows` rows has no memory."""
    computed: Batches = []
    plain = prepare(model, "fp32")

    def logits(rows: Sequence[Sequence[int]]) -> Tensor:
        computed.append(rows)
        if len(rows) > most_rows:
            raise torch.OutOfMemoryError("no memory left")
        return plain.logits(rows)

    monkeypatch.setitem(forwards._CHOSEN, model, replace(plain, logits=logits, tokens=tokens))
    return computed


def test_equal_rows_are_computed_once_and_come_back_in_their_places(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(model)
    expected = row_logits(model, rows)
    computed = watched(model, monkeypatch)
    repeated = row_logits(model, [rows[1], rows[0], rows[1], rows[2], rows[0]])
    assert sum(len(batch) for batch in computed) == 3
    assert torch.allclose(repeated, expected[[1, 0, 1, 2, 0]], atol=1e-5)


@pytest.mark.parametrize("tokens", [1, 8, 30])
def test_the_size_of_a_batch_does_not_change_the_logits(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch, tokens: int
) -> None:
    rows = rows_of(model, [*TEXTS, TEXTS[1] * 3])
    expected = row_logits(model, rows)
    watched(model, monkeypatch, tokens=tokens)
    assert torch.allclose(row_logits(model, rows), expected, atol=1e-5)


def test_no_batch_is_larger_than_the_budget_and_every_row_is_in_one() -> None:
    lengths = [9, 2, 7, 2, 30, 5, 9]
    for padded in (True, False):
        found = list(batches(lengths, 18, padded=padded))
        assert sorted(row for batch in found for row in batch) == list(range(7))
        for batch in found:
            size = [lengths[row] for row in batch]
            assert len(batch) == 1 or (max(size) * len(size) if padded else sum(size)) <= 18


def test_a_cancelled_call_computes_no_further_batch(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = watched(model, monkeypatch, tokens=1)
    with pytest.raises(Cancelled) as stopped:
        classify(model, TEXTS, stop=lambda: len(computed) == 2)
    assert len(computed) == 2
    assert stopped.value.de == "Die Berechnung wurde abgebrochen."


def test_without_memory_the_halves_are_computed_once(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(model)
    expected = row_logits(model, rows)
    computed = watched(model, monkeypatch, most_rows=2)
    assert torch.allclose(row_logits(model, rows), expected, atol=1e-5)
    assert [len(batch) for batch in computed] == [3, 1, 2]


def test_without_memory_for_the_halves_either_it_says_what_to_do(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched(model, monkeypatch, most_rows=0)
    for rows in (rows_of(model), rows_of(model)[:1]):
        with pytest.raises(ModelUnavailable, match="not even for half as many texts"):
            row_logits(model, rows)


def test_the_record_of_the_way_says_how_it_computes(model: LoadedModel) -> None:
    way = prepare(model, "fp32")
    assert isinstance(way, Forward)
    assert (way.precision, way.padded, way.difference) == ("fp32", False, 0.0)
