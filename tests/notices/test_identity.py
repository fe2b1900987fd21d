"""Names and dates of birth are noticed, what only looks like them is not; the hints lose nothing that matters."""

from __future__ import annotations

import pytest

from medbertde.notices.identity import names_someone
from medbertde.notices.language import letters_only
from tests.notices.test_language import report_texts


def told(text: str) -> bool:
    return names_someone(text, letters_only(text))


@pytest.mark.parametrize(
    "text",
    [
        "Befund telefonisch an Dr. Wehmeier durchgegeben.",
        "Sehr geehrter Herr Kollege Kranzbühler, kein Erguss.",
        "Patientin geb. 14.02.1951, Thorax in zwei Ebenen.",
        "Sandkuhl, Marlies *03.07.1949\nKein Pneumothorax.",
        "Name: Habermehl\nVorname: Jutta\nHerz normal groß.",
        "Kein Infiltrat.\n\nOberärztin Dr. med. K. Lindhorst",
        "Verlaufskontrolle bei Frau Tannhuber, 72 Jahre.",
        "Thiemann, Rolf, 12.11.1938: Zustand nach ZVK-Anlage.",
        "Patient Hans Müller",
        "Patientin: Erika Musterfrau, kein Erguss.",
        "Pat. Müller, Hans, Röntgen-Thorax",
        "Hr Müller: kein Infiltrat.",
        "Verlauf bei Frau zur Mühlen.",
    ],
)
def test_a_name_or_a_date_of_birth_is_noticed(text: str) -> None:
    assert told(text)


@pytest.mark.parametrize(
    "text",
    [
        "CT Thorax vom 12.03.2024, Vergleich mit 01.12.2023.",
        "Der Patient ist intubiert, Tubus 4 cm oberhalb der Carina.",
        "72-jährige Patientin mit Husten.",
        "Verlauf bei Frau K., 86 Jahre.",
        "Z. n. Billroth II, Hiatushernie, Kerley-B-Linien.",
        "Morbus Hodgkin, Pancoast-Tumor, Swan-Ganz-Katheter.",
        "Rücksprache mit dem Hausarzt empfohlen.",
        "Mutter mit Mammakarzinom, sonst leere Familienanamnese.",
        "Patient Metoprolol erhalten, Pat. Husten.",
        "Kontrolle beim Hausarzt. Kleine Noduli.",
    ],
)
def test_a_study_date_an_initial_or_an_eponym_is_none(text: str) -> None:
    assert not told(text)


def test_of_36000_statements_without_names_two_at_most_raise_an_alarm() -> None:
    texts = [text for pattern in ("statements_*", "queue_*") for text in report_texts(pattern)]
    alarms = [text for text in texts if "Dr." not in text and told(text)]
    assert len(texts) > 36_000
    assert len(alarms) <= 2, alarms


def test_what_cannot_be_read_in_time_counts_as_naming_someone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medbertde.notices.identity.BUDGET_S", -1.0)
    assert told("Herr K. hustet, Erguss 12.03.2024. " * 50)


@pytest.mark.parametrize("text", ["Dr. " * 5_000, "geb. 1.1.1950 " * 1_500, "Herr " + "A" * 20_000, "Müller, " * 2_500])
def test_hostile_texts_are_read_to_the_end(text: str) -> None:
    assert told(text) in (True, False)
