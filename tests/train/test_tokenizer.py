"""The tokenizer reads German as it is written: cased, with umlauts, in NFC."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from medbertde.text import clean
from medbertde.types import ReportRecord
from tests.train.conftest import write_reports
from train.tokenizer import fertility, main, train_tokenizer

TEXTS = ["Größenprogredienter Pleuraerguss rechts.", "Kein Pleuraerguss, größenkonstanter Rundherd (<5 mm)."] * 5


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return train_tokenizer(TEXTS, vocabulary=200)


def test_special_tokens_stand_where_medbertde_has_them(tokenizer: PreTrainedTokenizerBase) -> None:
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert tokenizer.convert_tokens_to_ids(names) == [0, 1, 2, 3, 4]
    assert tokenizer("Kein Erguss")["input_ids"][0] == 2
    assert tokenizer("Kein Erguss")["input_ids"][-1] == 3


def test_case_and_umlauts_are_kept(tokenizer: PreTrainedTokenizerBase) -> None:
    pieces = tokenizer.tokenize("Pleuraerguss pleuraerguss größenkonstant")
    assert pieces[0] == "Pleuraerguss"
    assert "".join(piece.removeprefix("##") for piece in pieces) == "Pleuraergusspleuraergussgrößenkonstant"


def test_a_decomposed_umlaut_is_read_once_the_text_is_cleaned(tokenizer: PreTrainedTokenizerBase) -> None:
    assert tokenizer.tokenize("größenkonstant") == tokenizer.tokenize(clean("gro\u0308ßenkonstant"))


def test_no_text_it_was_trained_on_has_unknown_pieces(tokenizer: PreTrainedTokenizerBase) -> None:
    assert all(tokenizer.unk_token not in tokenizer.tokenize(text) for text in TEXTS)


def test_a_larger_vocabulary_needs_fewer_pieces_per_word() -> None:
    small, large = (train_tokenizer(TEXTS, vocabulary=size) for size in (60, 200))
    assert len(small) < len(large) <= 200
    assert fertility(small, TEXTS) > fertility(large, TEXTS) >= 1


def test_the_command_writes_a_folder_that_can_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_reports(tmp_path / "texte.jsonl", [ReportRecord(text) for text in TEXTS])
    out = tmp_path / "tokenizer"
    monkeypatch.setattr(sys, "argv", ["train.tokenizer", str(file), "--out", str(out), "--vocabulary", "120"])
    main()
    loaded = AutoTokenizer.from_pretrained(out)
    assert len(loaded) <= 120
    assert loaded.tokenize("Pleuraerguss") == train_tokenizer(TEXTS, vocabulary=120).tokenize("Pleuraerguss")
    assert "pieces per word" in capsys.readouterr().out
