"""What spares a text a search must not cost a find: every hint holds wherever the pattern behind it matches."""

from __future__ import annotations

import random
import re

import pytest

from medbertde.privacy import contacts, dates, places
from medbertde.privacy.reading import Budget, read
from train.deidentify_quality import PARTS
from train.letters import read_letters

PARTS_OF_LINES = (
    "1 3 7 12 03 19 56 90 101 2021 1956 04155 20210312 123456789 A123456789 756.4411.8820.13 65 120538 . , : ; / - – ( "
    ") + @ ² · Tel Tel. Fax Nr. Fall ID KVNR SN IBAN DE DE12 S A B12 Station Bett ITS Zi. IV Ahornweg Str. straße "
    "Hauptstraße Birkenhof Am Im Zum Bad Köln Essen, jähriger J. Jahre LJ Alter Januar Mai Sept. Dez www. http:// post "
    ".de vom geb. Postfach Platz der Metoprolol Klinikum St. Praxis Haus wohnhaft in Jahrgang ' MÄRZ -MAR-24 -Okt-2023 "
    "12-03-56 Az.12_C_345/20 Personalausweis (at) Rue_de_la_Paix_5"
).split()
PARTS_OF_LINES = [part.replace("_", " ") for part in PARTS_OF_LINES]
RARE = ("", " ", " ", " ", "  ", "\t")


def lines() -> list[str]:
    """Those of all letters, and parts of such lines put together anyhow."""
    chance = random.Random(0)
    mixed = ["".join(chance.choice(PARTS_OF_LINES) + chance.choice(RARE) for _ in range(12)) for _ in range(6_000)]
    return [line for part in PARTS for letter in read_letters(part) for line in letter.text.split("\n")] + mixed


LINES = lines()


def where(pattern: re.Pattern[str]) -> set[str]:
    found = {line for line in LINES if pattern.search(line)}
    assert found, "no line tries this pattern"
    return found


@pytest.mark.parametrize("shape", dates._FULL + dates._PARTIAL, ids=lambda shape: shape.hint.pattern or "month")
def test_a_date_is_searched_for_wherever_one_is(shape: dates._Shape) -> None:
    for line in where(shape.pattern):
        assert shape.hint.search(line), line
        assert not shape.month or dates._ANY_MONTH.search(line), line


@pytest.mark.parametrize("row", contacts._SIMPLE, ids=lambda row: f"{row[0]} {row[3].pattern}")
def test_a_number_or_an_address_is_searched_for_wherever_one_is(
    row: tuple[str, re.Pattern[str], int, re.Pattern[str]],
) -> None:
    kind, pattern, least, hint = row
    for line in where(pattern):
        if kind != "id" or sum(map(str.isdigit, pattern.search(line)["x"])) >= least:
            assert hint.search(line), line
            assert sum(map(str.isdigit, line)) >= least, line


@pytest.mark.parametrize(
    ("hint", "pattern", "digits"),
    [
        (contacts._STREET_HINT, contacts._STREET, 1),
        (contacts._BARE_STREET_HINT, contacts._BARE_STREET, 0),
        (contacts._LOOSE_STREET_HINT, contacts._LOOSE_STREET, 1),
        (contacts._ZIP_HINT, contacts._ZIP, 4),
        (contacts._WARD_HINT, contacts._WARD, 0),
        (contacts._AGE_HINT, contacts._AGE, 2),
        (re.compile(", "), contacts._DATELINE, 1),
    ],
    ids=["street", "bare street", "loose street", "zip", "ward", "age", "date line"],
)
def test_the_other_places_are_searched_for_wherever_they_are(
    hint: re.Pattern[str], pattern: re.Pattern[str], digits: int
) -> None:
    for line in where(pattern):
        assert hint.search(line), line
        assert sum(map(str.isdigit, line)) >= digits, line


def test_every_word_of_a_page_that_heads_a_facility_or_a_town_is_looked_at() -> None:
    facilities, towns = 0, 0
    for line in LINES:
        page = read(line, Budget(60))[1]
        words = [index for index, token in enumerate(page.tokens) if token.text[0].isupper()]
        heads = [index for index in words if places._facility(page.tokens, index)]
        named = [index for index in words if places._town(page.tokens, index) is not None]
        assert len(places.find_facilities(page)) == len(heads), line
        assert len(list(places.find_towns(page))) == len(named), line
        facilities, towns = facilities + len(heads), towns + len(named)
    assert facilities > 100
    assert towns > 100


def test_an_address_of_an_intranet_is_found_in_a_line_without_a_stop() -> None:
    page = read("Bilder unter http://pacs/heute", Budget(60))[1]
    assert [page.text[one.start : one.end] for one in contacts.find_contacts(page)] == ["http://pacs/heute"]
