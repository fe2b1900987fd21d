"""Gaps filled by a language model: ranks and figures by hand, then a real tiny model from set to document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import medbertde
from medbertde.inference.tokens import TextEncoder
from medbertde.types import Candidate, InvalidFile
from tests.tiny import mlm_folder
from train.cloze import DEPTH, SENTENCES, Gap, ask, is_single_piece, main, read_gaps, rows

GAP = Gap("Kein [MASK] links.", ("Erguss", "Pneumothorax"), "radiology")


@pytest.fixture(scope="module")
def encoder(tiny_mlm_folder: Path) -> TextEncoder:
    return medbertde.load(str(tiny_mlm_folder), device="cpu").loaded.encoder


class Says:
    """Fills every gap with the same words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def __call__(self, text: str, top_k: int) -> Sequence[Candidate]:
        return [Candidate(word, 0.1, text.replace("[MASK]", word)) for word in self.words[:top_k]]


def write_set(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"- {line}\n" for line in lines), encoding="utf-8")
    return path


def test_the_shipped_set_has_a_hundred_sentences_that_stand_once() -> None:
    gaps = read_gaps(SENTENCES)
    assert len({gap.text for gap in gaps}) == len(gaps) == 100
    assert {gap.area for gap in gaps} == {"radiology", "internal", "surgery", "neuro_psych", "other"}


def test_the_first_accepted_word_counts(encoder: TextEncoder) -> None:
    outcome = ask(GAP, Says("Herz", "Pneumothorax", "Erguss", "Tubus"), encoder)
    assert outcome.rank == 2
    assert outcome.words == ("Herz", "Pneumothorax", "Erguss")


def test_case_counts_unless_it_is_ignored(encoder: TextEncoder) -> None:
    outcome = ask(GAP, Says("ERGUSS", "Erguss"), encoder)
    assert (outcome.rank, outcome.rank_any_case) == (2, 1)


def test_a_word_that_is_never_said_has_no_rank(encoder: TextEncoder) -> None:
    assert ask(GAP, Says(*["Herz"] * DEPTH, "Erguss"), encoder).rank is None


@pytest.mark.parametrize(
    ("answer", "single"),
    [("Erguss", True), ("Pneumothorax", False), ("Tubus-Lage", False), ("Ωmega", False)],  # Ω is not in the vocabulary
)
def test_an_answer_is_single_if_it_is_one_known_piece(answer: str, single: bool, encoder: TextEncoder) -> None:
    assert is_single_piece("Kein [MASK], links.", answer, encoder) is single


def test_byte_level_pieces_are_counted_with_their_space(tmp_path: Path) -> None:
    encoder = medbertde.load(str(mlm_folder(tmp_path / "roberta", family="roberta")), device="cpu").loaded.encoder
    assert is_single_piece("Zustand [MASK] Magensonde.", "nach", encoder)
    assert not is_single_piece("Zustand [MASK] Magensonde.", "Xylophon", encoder)


def test_figures_are_means_over_the_sentences_of_an_area(encoder: TextEncoder) -> None:
    other = Gap("Kein [MASK].", ("Infarkt",), "internal")
    said = [("Erguss",), ("Herz", "Erguss"), ("a", "b", "c", "d", "e", "Erguss")]
    outcomes = [*(ask(GAP, Says(*words), encoder) for words in said), ask(other, Says("Herz"), encoder)]
    both, radiology, internal = rows(outcomes, any_case=False)
    assert (both.area, radiology.area, internal.area) == ("all", "radiology", "internal")
    assert (both.sentences, both.short, internal.short) == (4, 3, 0)
    assert radiology.top_1
    assert radiology.top_5
    assert radiology.mrr
    assert radiology.top_1.value == pytest.approx(1 / 3)
    assert radiology.top_5.value == pytest.approx(2 / 3)
    assert radiology.mrr.value == pytest.approx((1 + 1 / 2 + 1 / 6) / 3)
    assert radiology.mrr.low < radiology.mrr.value < radiology.mrr.high
    assert internal.top_5
    assert internal.top_5.value == 0.0


def test_the_command_writes_figures_and_misses(
    tmp_path: Path, tiny_mlm_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gaps = write_set(
        tmp_path / "set.yaml",
        '{text: "Kein [MASK] links.", answers: [Erguss, Xylophon], area: radiology}',
        '{text: "Herz [MASK].", answers: [Xylophon], area: internal}',
    )
    out = tmp_path / "cloze.md"
    assert main(["--model", str(tiny_mlm_folder), "--set", str(gaps), "--out", str(out)]) == 0
    document = out.read_text(encoding="utf-8")
    assert "1 of 3 accepted answers are one piece" in document
    assert " of 1 sentences with a one-piece answer and in 0 of 1 of the others" in document
    assert "| internal | 1 | 0 | 0.00 (0.00–0.00) |" in document
    (missed,) = [line for line in document.splitlines() if line.startswith("| Herz [MASK]. |")]
    assert missed.split(" | ")[1] == "*Xylophon*"
    assert missed.split(" | ")[2].count("`") == 6
    assert missed.endswith("| – |")
    assert "of 2 first words accepted" in capsys.readouterr().out


def test_without_a_file_to_write_the_document_is_printed(
    tmp_path: Path, tiny_mlm_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gaps = write_set(tmp_path / "set.yaml", '{text: "Kein [MASK].", answers: [Erguss], area: radiology}')
    assert main(["--model", str(tiny_mlm_folder), "--set", str(gaps)]) == 0
    assert "# Gaps filled by a language model" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    [
        '{text: "Kein Erguss.", answers: [Erguss], area: radiology}',
        '{text: "[MASK] [MASK]", answers: [Erguss], area: radiology}',
        '{text: "Kein [MASK].", answers: [], area: radiology}',
        '{text: "Kein [MASK].", answers: [Erguss, 3], area: radiology}',
        '{text: "Kein [MASK].", answers: [Erguss]}',
    ],
)
def test_a_sentence_that_cannot_be_asked_is_named(tmp_path: Path, line: str) -> None:
    path = write_set(tmp_path / "set.yaml", '{text: "Kein [MASK].", answers: [Erguss], area: radiology}', line)
    with pytest.raises(InvalidFile, match=r"set\.yaml, sentence 2: expected are"):
        read_gaps(path)


@pytest.mark.parametrize("content", ["", "a: b", "[", "Kein Erguss"])
def test_a_file_without_a_list_of_sentences_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "set.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidFile, match="must be a YAML list"):
        read_gaps(path)


def test_a_missing_set_and_a_classifier_are_told_in_one_line(
    tmp_path: Path, tiny_classifier_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--set", str(tmp_path / "fehlt.yaml")]) == 2
    assert capsys.readouterr().err == f"There is no file {tmp_path / 'fehlt.yaml'}.\n"
    assert main(["--model", str(tiny_classifier_folder)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
