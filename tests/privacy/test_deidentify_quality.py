"""The figures of the de-identification, on letters small enough to count by hand; and its command."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from medbertde.__main__ import main
from medbertde.privacy.kinds import Kind
from medbertde.types import InvalidFile
from train import deidentify_quality as quality
from train import letters


def test_recall_and_precision_are_counted_in_letters_and_spans() -> None:
    letter = letters.parse("a", "Frau {patient:Kasulke} aus {city:Xqz} kam am {date:12.03.2021} zu Dr. Moor.")
    one = quality.outcome(letter)
    chars, spans = quality.recall([one])
    assert (spans.part, spans.whole) == (2, 3)
    assert (chars.part, chars.whole) == (15, 18)
    assert quality.misses(one) == ["city: Xqz"]
    assert quality.extras(one) == ["doctor: Dr. Moor"]
    assert str(quality.precision([one])[1]) == "0.667 (2/3)"


def test_a_mark_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InvalidFile, match="unknown kind 'patiant'"):
        letters.parse("a", "{patiant:Kasulke}")


def test_a_share_of_nothing_is_no_number() -> None:
    assert quality.Share(0, 0).ratio is None
    assert str(quality.Share(0, 0)) == "–"


def test_dates_in_reports_are_no_wrong_spans() -> None:
    clean = quality.clean_reports("x", ["Thorax vom 12.03.2021. Kein Erguss.", "Herr Kasulke: kein Erguss."])
    assert clean.wrong == ("patient: Kasulke",)
    assert clean.rate == pytest.approx(200 / 9)


def test_every_part_has_its_letters() -> None:
    sizes = {part: len(letters.read_letters(part)) for part in quality.PARTS}
    assert sizes["heldout"] == 25
    assert sizes["pure"] == 20
    assert sum(sizes.values()) >= 60
    assert not any(letter.marks for letter in letters.read_letters("pure"))
    assert {mark.kind for letter in letters.read_letters("heldout") for mark in letter.marks} == set(Kind)


def test_a_folder_without_letters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match=r"has no letters tune_\*\.txt"):
        letters.read_letters("tune", tmp_path)


class TestCommand:
    @pytest.fixture(autouse=True)
    def _english(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("LC_ALL", "en_GB.UTF-8")
        monkeypatch.chdir(tmp_path)

    def test_a_file_is_printed_without_what_was_found(self, capsys: pytest.CaptureFixture[str]) -> None:
        Path("brief.txt").write_text("Herr Kasulke kam am 12.03.2021.\n", encoding="utf-8")
        assert main(["deidentify", "brief.txt", "--dates", "birth"]) == 0
        out, err = capsys.readouterr()
        assert out == "Herr [PATIENT] kam am 12.03.2021.\n"
        assert err == "1 places replaced. This is no guarantee: please read the result.\n"

    def test_standard_input_goes_to_a_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("Frau Kasulke, Köln".encode())))
        assert main(["deidentify", "-", "--out", "out.txt"]) == 0
        assert Path("out.txt").read_text(encoding="utf-8") == "Frau [PATIENT], [ORT]"

    def test_a_refusal_writes_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        Path("lang.txt").write_text("a" * 200_001, encoding="utf-8")
        assert main(["deidentify", "lang.txt", "--out", "out.txt"]) == 2
        assert not Path("out.txt").exists()
        assert capsys.readouterr().err.startswith("The text has 200001 characters, at most 200000 are de-identified.")
