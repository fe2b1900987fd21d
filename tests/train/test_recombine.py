"""Letters about other people: every kind changes, the same word stays the same word, the marks still fit."""

from __future__ import annotations

import random
import re

import pytest

from medbertde.privacy.kinds import Kind
from train.letters import Letter, parse, read_letters, segments
from train.recombine import recombined
from train.scuffed import scuffed

LETTERS = read_letters("train")


def marked(letter: Letter) -> str:
    return "".join(f"{{{kind}:{text}}}" if kind else text for text, kind in segments(letter))


def texts(letter: Letter, kind: Kind) -> list[str]:
    return [text for text, its in segments(letter) if its is kind]


def test_there_are_letters_of_every_kind_and_some_without_anything_to_find() -> None:
    assert sum(bool(letter.marks) for letter in LETTERS) >= 80
    assert sum(not letter.marks for letter in LETTERS) >= 8
    assert {mark.kind for letter in LETTERS for mark in letter.marks} == set(Kind)


def test_no_training_letter_is_one_that_is_measured() -> None:
    measured = {letter.text for part in ("heldout", "tune", "pure") for letter in read_letters(part)}
    assert not measured & {letter.text for letter in LETTERS}


@pytest.mark.parametrize("letter", LETTERS, ids=lambda letter: letter.name)
def test_only_what_is_marked_changes(letter: Letter) -> None:
    other = recombined(letter, random.Random(1))
    assert [text for text, kind in segments(other) if not kind] == [text for text, kind in segments(letter) if not kind]
    assert [mark.kind for mark in other.marks] == [mark.kind for mark in letter.marks]


def test_the_same_word_becomes_the_same_other_word_with_its_case_and_its_genitive() -> None:
    letter = parse("a", "Frau {patient:Kasulke}, {patient:KASULKE}, {patient:Kasulkes} Mann, {doctor:Dr. Kasulke}")
    for seed in range(20):
        first, capitals, genitive, doctor = (
            text for text, kind in segments(recombined(letter, random.Random(seed))) if kind
        )
        assert first != "Kasulke"
        assert (capitals, genitive, doctor) == (first.upper(), f"{first}s", f"Dr. {first}")


def test_numbers_keep_their_form() -> None:
    source = "{birth:03.04.1956} {date:12/2021} {date:2. Mai} {phone:0201/12-34} {zip:04155} {id:A12 34} {age:93}"
    for seed in range(20):
        other = recombined(parse("a", source), random.Random(seed)).text
        assert re.fullmatch(
            r"[0-2]\d\.[01]\d\.(19|20)\d\d [01]\d/(19|20)\d\d \d\. \w+ 0\d{3}/\d\d-\d\d \d{5} [A-Z]\d\d \d\d (9|10)\d",
            other,
        ), other


def test_a_clinic_keeps_the_words_that_say_what_it_is() -> None:
    letter = parse("a", "{hospital:Klinikum Rabenfels} {hospital:Ludmillenstift}")
    seen = {recombined(letter, random.Random(seed)).text for seed in range(40)}
    assert sum(text.startswith("Klinikum ") and "stift" in text for text in seen) > 25
    assert len(seen) > 30


def test_scuffed_letters_keep_their_marks_in_place() -> None:
    rng = random.Random(3)
    letter = parse(
        "a", "Frau {patient:Anna Xqz}\nkam am {date:12.03.2021}\naus {city:Bad Ulm}\nund ging.\nKein Erguss."
    )
    ways = {marked(scuffed(letter, rng)) for _ in range(300)}
    assert len(ways) > 25
    assert any("{patient:ANNA XQZ}" in way for way in ways)
    assert any("Frau [PATIENT]" in way for way in ways)
    for way in ways:
        for kind, text in re.findall(r"\{(\w+):([^{}]*)\}", way):
            assert text.strip(), f"an empty mark of {kind}"
