"""The tokenizer reads German as it is written: cased, with umlauts, in NFC."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerBase

from medbertde.settings import ROOT
from medbertde.text import clean
from medbertde.types import ReportRecord
from tests.tiny import mlm_folder
from tests.train.conftest import write_reports
from train.merges import learn_pieces
from train.tokenizer import fertility, main, measure, train_tokenizer

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
    header, _, row = capsys.readouterr().out.splitlines()
    assert header == "| tokenizer | entries | pieces per word | single characters | [UNK] |"
    assert row.startswith(f"| tokenizer | {len(loaded)} | ")


def test_another_process_gives_the_same_vocabulary_entry_by_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ties are everywhere: most words of the text occur as often as another one."""
    rng = random.Random(0)
    words = ["".join(rng.choices("aeiourstnlmß", k=rng.randint(2, 9))) for _ in range(400)]
    (tmp_path / "texte.txt").write_text(" ".join(words * 3), encoding="utf-8")
    words = ["train.tokenizer", str(tmp_path / "texte.txt"), "--vocabulary", "300", "--out"]
    monkeypatch.setattr(sys, "argv", [*words, str(tmp_path / "here")])
    main()
    other_order = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"  # of the sets in that process
    environment = {**os.environ, "PYTHONHASHSEED": other_order, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", *words, str(tmp_path / "there")]
    subprocess.run(command, check=True, cwd=ROOT, env=environment, timeout=240)
    here, there = ((tmp_path / name / "tokenizer.json").read_bytes() for name in ("here", "there"))
    assert here == there
    assert len(AutoTokenizer.from_pretrained(tmp_path / "here")) == 300


def test_the_order_of_the_texts_does_not_matter() -> None:
    first, other = (train_tokenizer(texts, vocabulary=100).get_vocab() for texts in (TEXTS, TEXTS[::-1]))
    assert first == other


def test_the_most_frequent_pair_is_merged_first() -> None:
    pieces = learn_pieces({"aab": 5, "cab": 4, "ab": 3}, 100)
    assert pieces[:6] == ["a", "b", "c", "##a", "##b", "##c"]
    assert pieces[6:] == ["##ab", "aab", "cab", "ab"]  # ##a ##b: 9 times, then a ##ab: 5, c ##ab: 4, a ##b: 3


def test_pairs_that_overlap_are_merged_from_the_left_and_rare_ones_are_not() -> None:
    assert learn_pieces({"aaaaa": 2}, 100)[2:] == ["##aa", "##aaaa", "aaaaa"]
    assert learn_pieces({"ab": 1}, 100) == ["a", "b", "##a", "##b"]


def test_a_word_of_known_letters_is_never_unknown(tokenizer: PreTrainedTokenizerBase) -> None:
    assert tokenizer.unk_token not in tokenizer.tokenize("sKaPeR Gg )<5")
    assert tokenizer.tokenize("☃") == ["[UNK]"]


def test_rare_characters_beyond_a_thousand_are_no_entries() -> None:
    rare = [chr(0x4E00 + number) for number in range(1100)]
    entries = train_tokenizer(["Erguss " * 50, " ".join(rare)], vocabulary=3000).get_vocab()
    assert "Erguss" in entries
    assert sum(letter in entries for letter in rare) == 1000 - len(set("Erguss"))


class TestMeasures:
    def test_they_are_those_counted_by_hand(self) -> None:
        entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Herz", "##muskel", "g", "##r", "."]
        tokenizer = BertTokenizer(vocab={entry: number for number, entry in enumerate(entries)}, do_lower_case=False)
        facts = measure(tokenizer, ["Herz Herzmuskel.", "Lunge gr"])
        assert facts.entries == 10
        assert facts.pieces_per_word == 7 / 4  # Herz | Herz ##muskel . | [UNK] | g ##r
        assert facts.single_characters == 3 / 5  # g, ##r and the stop
        assert facts.unknown == 1 / 7

    @pytest.mark.parametrize("family", ["bert", "roberta"])
    def test_another_tokenizer_is_measured_beside_the_own_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], family: Any
    ) -> None:
        other = mlm_folder(tmp_path / "other", family=family)
        file = write_reports(tmp_path / "texte.jsonl", [ReportRecord(text) for text in TEXTS])
        held_out = write_reports(tmp_path / "andere.jsonl", [ReportRecord("Kein Nachweis, Größe ☃.")])
        words = [str(file), "--out", str(tmp_path / "own"), "--compare", str(other), "--measure", str(held_out)]
        monkeypatch.setattr(sys, "argv", ["train.tokenizer", *words])
        main()
        rows = capsys.readouterr().out.splitlines()[2:]
        assert rows[0].startswith("| own | ")
        assert rows[1].startswith(f"| {other} | {len(AutoTokenizer.from_pretrained(other))} | ")

    def test_a_tokenizer_that_is_not_there_is_refused_before_anything_is_trained(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = write_reports(tmp_path / "texte.jsonl", [ReportRecord(text) for text in TEXTS])
        words = [str(file), "--out", str(tmp_path / "own"), "--compare", str(tmp_path / "keiner")]
        monkeypatch.setattr(sys, "argv", ["train.tokenizer", *words])
        with pytest.raises(SystemExit, match="cannot be loaded"):
            main()
        assert not (tmp_path / "own").exists()
