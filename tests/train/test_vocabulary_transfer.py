"""Another vocabulary for a model that has learnt: what both have stays, what is new begins with its pieces."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, PreTrainedTokenizerBase

from medbertde.types import TrainingRefused
from tests.tiny import SENTENCES, mlm_folder
from train.tokenizer import train_tokenizer
from train.vocabulary_transfer import pieces_of, transfer


@pytest.fixture(scope="module")
def new() -> PreTrainedTokenizerBase:
    return train_tokenizer([*SENTENCES, "Pneumothorax und Pleuraerguss, Pneumothorax und Pleuraerguss"], vocabulary=260)


def test_what_both_vocabularies_have_is_read_and_predicted_as_before(
    tmp_path: Path, new: PreTrainedTokenizerBase
) -> None:
    folder = mlm_folder(tmp_path / "base")
    old = AutoTokenizer.from_pretrained(folder)
    before, after = (AutoModelForMaskedLM.from_pretrained(folder).eval() for _ in range(2))
    with torch.no_grad():
        before.get_output_embeddings().bias.normal_()
        after.load_state_dict(before.state_dict())
    transfer(after, old, new)
    both = sorted(old.get_vocab().keys() & new.get_vocab().keys())
    assert 20 < len(both) < len(new)
    sentence = ["[CLS]", *[entry for entry in both if not entry.startswith("[")][:20], "[MASK]", "[SEP]"]
    with torch.inference_mode():
        was, now = (
            model(torch.tensor([tokenizer.convert_tokens_to_ids(sentence)])).logits[0]
            for model, tokenizer in ((before, old), (after, new))
        )
    shared = [tokenizer.convert_tokens_to_ids(both) for tokenizer in (old, new)]
    torch.testing.assert_close(now[:, shared[1]], was[:, shared[0]])
    assert now.shape[1] == after.config.vocab_size == len(new)


def test_a_new_entry_begins_as_the_mean_of_its_pieces(tmp_path: Path, new: PreTrainedTokenizerBase) -> None:
    folder = mlm_folder(tmp_path / "base")
    old = AutoTokenizer.from_pretrained(folder)
    table = AutoModelForMaskedLM.from_pretrained(folder).get_input_embeddings().weight.detach()
    model = transfer(AutoModelForMaskedLM.from_pretrained(folder), old, new)
    known = old.get_vocab()
    fresh = next(entry for entry in new.get_vocab() if entry not in known and len(pieces_of(entry, known)) > 1)
    expected = table[pieces_of(fresh, known)].mean(0)
    torch.testing.assert_close(model.get_input_embeddings().weight[new.get_vocab()[fresh]].detach(), expected)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


@pytest.mark.parametrize(
    ("entry", "pieces"),
    [
        ("Thorax", [1]),
        ("Thoraxdrain", [1, 2, 3]),
        ("##drain", [2, 3]),
        ("##xy", [0]),
        ("Ödem", [0]),
        ("##", [0]),
        ("###", [7]),
        ("#", [6]),
    ],
)
def test_entries_are_cut_into_the_longest_pieces_from_their_beginning(entry: str, pieces: list[int]) -> None:
    assert (
        pieces_of(entry, {"[UNK]": 0, "Thorax": 1, "##dra": 2, "##in": 3, "Th": 4, "##d": 5, "#": 6, "###": 7})
        == pieces
    )


def test_other_kinds_of_vocabulary_are_refused(tmp_path: Path, new: PreTrainedTokenizerBase) -> None:
    folder = mlm_folder(tmp_path / "base", family="roberta")
    model, old = AutoModelForMaskedLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with pytest.raises(TrainingRefused, match="between WordPiece vocabularies"):
        transfer(model, old, new)
