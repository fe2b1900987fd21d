"""Pairs of texts that differ in sex, age or name only: what the rules change, and what they leave alone."""

from __future__ import annotations

import json

import pytest

from medbertde.settings import ROOT
from train.counterfactuals import OLD, YOUNG, lined, swapped_sex, with_age, worded

BOTH_WAYS = [
    ("54-jähriger Patient, Husten.", "54-jährige Patientin, Husten."),
    ("Klinik: 54-jähriger Mann nach Sturz.", "Klinik: 54-jährige Frau nach Sturz."),
    ("Ein 81-jähriger Patient mit Dyspnoe.", "Eine 81-jährige Patientin mit Dyspnoe."),
    ("Der 31-jährige Patient mit Fieber.", "Die 31-jährige Patientin mit Fieber."),
    ("Der Patient ist extubiert.", "Die Patientin ist extubiert."),
    ("Thorax im Liegen. Patient beatmet.", "Thorax im Liegen. Patientin beatmet."),
    ("Lagerung beim Patienten nicht möglich.", "Lagerung bei der Patientin nicht möglich."),
    ("Anamnese: 58 J., männlich, Husten.", "Anamnese: 58 J., weiblich, Husten."),
]


@pytest.mark.parametrize(("he", "she"), BOTH_WAYS)
def test_sex_is_exchanged_with_all_that_agrees_with_it(he: str, she: str) -> None:
    assert swapped_sex(he) == she
    assert swapped_sex(she) == he


@pytest.mark.parametrize(
    ("he", "she"),
    [
        ("Die Aufnahme des Patienten ist verkippt.", "Die Aufnahme der Patientin ist verkippt."),
        ("Bei dem Patienten kein Erguss.", "Bei der Patientin kein Erguss."),
        ("Frage, ob der Patient punktiert wurde.", "Frage, ob die Patientin punktiert wurde."),
    ],
)
def test_what_has_one_reading_only_one_way_is_exchanged_that_way(he: str, she: str) -> None:
    assert swapped_sex(he) == she


@pytest.mark.parametrize(
    "text",
    [
        "Kein Pneumothorax.",  # nobody is named
        "Die Aufnahme der Patientin ist verkippt.",  # genitive or dative
        "Wir sahen die Patientin heute.",  # nominative or accusative
        "Der Patient hat seine Bilder dabei.",  # a pronoun
        "Ihr 54-jähriger Patient kam zur Kontrolle.",  # a determiner that would not agree
        "Befund zu o. g. Patientin.",  # an abbreviation before it
        "Den Patienten gelagert.",  # a case without a rule
        "Mehrere Patienten auf dem Bild.",
        "72-jähriger Patient, ehemaliger Bergmann.",  # another word of that sex
        "Sehr geehrter Herr Kollege, der Patient ist afebril.",
        "Der Patient und die Patientin im Nachbarbett.",
        "71-jähriger Patient, Prostatakarzinom.",  # of one sex only
        "Die Patientin ist schwanger.",
    ],
)
def test_what_cannot_be_exchanged_safely_makes_no_pair(text: str) -> None:
    assert swapped_sex(text) is None


@pytest.mark.parametrize(
    ("text", "young"),
    [
        ("65-jährige Patientin, COPD.", "28-jährige Patientin, COPD."),
        ("Mann, 81 Jahre alt, 2 Jahre Husten.", "Mann, 28 Jahre alt, 2 Jahre Husten."),
        ("Alter: 73. Kein Erguss.", "Alter: 28. Kein Erguss."),
        ("Patient 81 J., Sturz vor 20 Jahren.", "Patient 28 J., Sturz vor 20 Jahren."),
    ],
)
def test_the_age_changes_where_it_is_one_and_nowhere_else(text: str, young: str) -> None:
    assert with_age(text, YOUNG) == young


@pytest.mark.parametrize(
    "text",
    [
        "Seit 20 Jahren COPD.",
        "12-jähriges Mädchen.",
        "65-jährige Rentnerin.",
        "65-jähriger Patient, Spender ist die 40-jährige Frau.",
        "15-jährige Patientin.",
    ],
)
def test_where_the_age_is_not_clear_or_not_all_there_is_no_pair(text: str) -> None:
    assert with_age(text, OLD) is None


def test_below_lines_only_the_line_differs_and_all_origins_and_sexes_come_up() -> None:
    pairs = lined(["Kein Erguss."] * 16)
    assert [pair.kind for pair in pairs[:3]] == ["sex (line)", "age (line)", "name (line)"]
    for pair in pairs:
        first, second = pair.first.split("\n", 1), pair.second.split("\n", 1)
        assert first[0] != second[0]
        assert first[0].endswith(":")
        assert first[1] == second[1] == "Kein Erguss."
    names = [pair.second.split("\n")[0] for pair in pairs if pair.kind == "name (line)"]
    assert len(set(names)) == 16
    assert {name.split()[0] for name in names} == {"Herr", "Frau"}


def test_pairs_of_the_fictional_reports_keep_everything_but_the_person() -> None:
    lines = (ROOT / "data" / "reports" / "chest_xray.jsonl").read_text(encoding="utf-8").splitlines()
    pairs = worded([json.loads(line)["text"] for line in lines])
    assert {pair.kind for pair in pairs} == {"sex", "age"}
    assert len(pairs) > 50
    for pair in pairs:
        first, second = pair.first.split(), pair.second.split()
        assert first != second
        assert abs(len(first) - len(second)) <= 1
        assert len(set(first) ^ set(second)) <= 8
