"""Sentences come with the heading that decides what they mean."""

from __future__ import annotations

import pytest

from medbertde.passages import passages


def read(text: str) -> list[str]:
    """Each passage as `heading | sentence`."""
    return [
        f"{text[slice(*part.heading)] if part.heading else ''} | {text[part.start : part.end]}"
        for part in passages(text)
    ]


def test_a_second_sentence_of_the_indication_is_not_a_finding() -> None:
    assert read("Klinische Angaben: Husten. V. a. Pneumonie.\nKein Infiltrat.") == [
        " | Klinische Angaben: Husten.",
        "Klinische Angaben: | V. a. Pneumonie.",
        " | Kein Infiltrat.",
    ]


def test_sections_on_one_line_end_where_the_next_begins() -> None:
    assert read("Klinik: Sturz. Fraktur? Befund: Kein Pneu. Herz schlank.")[1:] == [
        "Klinik: | Fraktur?",
        " | Befund: Kein Pneu.",
        " | Herz schlank.",
    ]


def test_a_heading_on_its_own_line_holds_over_its_paragraph_even_after_a_blank_line() -> None:
    text = "Fragestellung\n\nErguss? Stauung?\nInfiltrat?\n\nHerz schlank."
    assert read(text)[1:] == [
        "Fragestellung | Erguss?",
        "Fragestellung | Stauung?",
        "Fragestellung | Infiltrat?",
        " | Herz schlank.",
    ]


def test_a_list_keeps_what_stands_over_it() -> None:
    assert read("Pleura:\n- frei\n- zart\nMediastinum:\n- schmal")[1::2] == ["Pleura: | - frei", " | Mediastinum:"]


@pytest.mark.parametrize("heading", ["Befund", "Befund:", "Beurteilung:", "BEFUND:", "Zusammenfassung"])
def test_a_heading_that_only_announces_findings_counts_as_none(heading: str) -> None:
    assert read(f"{heading}\nKein Erguss.")[1] == " | Kein Erguss."


@pytest.mark.parametrize(
    "person", ["Patientin, weiblich, 64 Jahre:", "Herr Max Musterfall:", "Name:", "Alter 34 Jahre:"]
)
def test_a_line_about_the_person_says_nothing_about_the_sentences_below(person: str) -> None:
    assert read(f"{person}\nKein Erguss.")[1] == " | Kein Erguss."


HOSTILE = [
    *("." * 20_000, ":" * 20_000, " " * 19_999 + "a", "Klinik:\n" * 2_500, "Befund: a. " * 1_800, "Z. n. " * 3_300),
    *("\n" + " " * 19_990 + ":", "Klinik" + " " * 19_000 + "x", '."' * 9_000, "\n-" * 9_000, "1. " * 6_000),
]


@pytest.mark.parametrize("text", [":", "::\n:", "a:\n\n\n", "\n", "Klinik:", "x" * 5_000, *HOSTILE], ids=range(17))
def test_odd_texts_are_cut_without_loss(text: str) -> None:
    found = passages(text)
    assert "".join("".join(text[part.start : part.end].split()) for part in found) == "".join(text.split())
