"""What the de-identification finds, what it leaves alone, and when it refuses: on sentences and on whole letters."""

from __future__ import annotations

import time
import unicodedata

import pytest

import medbertde
from medbertde.privacy import deidentify as gate
from medbertde.privacy.deidentify import MAX_CHARS, deidentify
from medbertde.privacy.kinds import PLACEHOLDERS, DeidentificationRefused, Kind
from medbertde.types import InvalidText
from tests.privacy.clock import seconds
from train.deidentify_quality import PARTS, outcome, precision, recall
from train.letters import read_letters

LETTERS = [letter for part in PARTS for letter in read_letters(part)]
LETTER = (
    "Betreff: Herr Max Kasulke, geb. 03.04.1956, Rosenweg 3, 04155 Leipzig\n"
    "Herr Kasulke kam am 12.03.2021 und ging am 15.03.2021. Kasulkes Hausarzt ist Dr. Obermüller.\n"
)


def found(text: str) -> list[tuple[str, str]]:
    """Kind and text of what is found."""
    source = unicodedata.normalize("NFC", text)
    return [(span.kind.value, source[span.start : span.end]) for span in deidentify(text).spans]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Herr Max Kasulke hustet.", [("patient", "Max Kasulke")]),
        ("Sehr geehrte Frau Dr. von der Heyden,", [("doctor", "Dr. von der Heyden")]),
        ("Patient: Müller, Anna Maria", [("patient", "Müller, Anna Maria")]),
        ("Yilmaz Ayşe, geb. 12.03.1956", [("patient", "Yilmaz Ayşe"), ("birth", "12.03.1956")]),
        ("Sükrü Baştürk, * 01.01.1958", [("patient", "Sükrü Baştürk"), ("birth", "01.01.1958")]),
        ("Ihre Tochter Salma übersetzt.", [("person", "Salma")]),
        ("Operateur: OA Dr. Vogt", [("doctor", "OA Dr. Vogt")]),
        ("Prof. Dr. med. Dipl.-Ing. Rainer Busch", [("doctor", "Prof. Dr. med. Dipl.-Ing. Rainer Busch")]),
        ("gez. Nörenberg", [("doctor", "Nörenberg")]),
        ("12.-15.03.2021", [("date", "12."), ("date", "15.03.2021")]),
        ("ED 03/2018, seit Mai 2020, OP 2015", [("date", "03/2018"), ("date", "Mai 2020"), ("date", "2015")]),
        ("Die 93-jährige Dame, ihr 89-jähriger Mann", [("age", "93")]),
        ("Am Alten Markt 3, 18055 Rostock", [("street", "Am Alten Markt 3"), ("zip", "18055"), ("city", "Rostock")]),
        ("A-8740 Zeltweg, Spitalgasse 2/1", [("zip", "8740"), ("city", "Zeltweg"), ("street", "Spitalgasse 2/1")]),
        ("Tel. 0201/123456, Fax 0201/123457", [("phone", "0201/123456"), ("fax", "0201/123457")]),
        (
            "Mail a.brand@post.example, www.praxis.example",
            [("email", "a.brand@post.example"), ("url", "www.praxis.example")],
        ),
        (
            "Fall-Nr. 22-104998, KV A123456789, IK 104212059",
            [("id", "22-104998"), ("id", "A123456789"), ("id", "104212059")],
        ),
        ("AHV 756.4411.8820.13; SVNR 3471 120538", [("id", "756.4411.8820.13"), ("id", "3471 120538")]),
        ("Klinik für Innere Medizin I", [("hospital", "Klinik für Innere Medizin I")]),
        ("im Krankenhaus der Barmherzigen Brüder", [("hospital", "Krankenhaus der Barmherzigen Brüder")]),
        ("aus dem St.-Vinzenz-Krankenhaus Menden", [("hospital", "St.-Vinzenz-Krankenhaus Menden")]),
        ("Verlegung auf Station 4B", [("ward", "Station 4B")]),
    ],
)
def test_identifying_text_is_found(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


TRAPS = [
    "RR 120/80 mmHg, Puls 72/min, SpO2 98 %.",
    "cT2b cN2 cM0, R0, pT1 pN0 (0/14).",
    "Lymphknoten mit SUVmax 6.4. Leber unauffällig.",
    "PSA 6.4. Hb 10.2. INR 1.4. CRP 3.5.",
    "LWK 4/5 und BWK 11/12, Kraftgrad 4/5, NRS 7/10.",
    "Das Essen schmeckt nicht. Essen mit Hilfe.",
    "Patient Metoprolol erhalten, Patient Ibuprofen nicht vertragen.",
    "Morbus Crohn, Morbus Hodgkin, M. Parkinson.",
    "Foley-Katheter, Bülau links, Monaldi rechts, Shaldon, Swan-Ganz.",
    "Billroth II, Kerley-B-Linien, Hounsfield, Bochdalek-Hernie, Pancoast.",
    "Weber B Fraktur nach Weber, Lasègue negativ, Osgood-Schlatter.",
    "Im Mai-Thurner-Syndrom nichts Neues.",
    "Herr und Frau im Paargespräch. Herr klagt über Dyspnoe.",
    "Sehr geehrte Frau Kollegin, sehr geehrter Herr Kollege,",
    "Klinik: Dyspnoe. Ins Krankenhaus eingewiesen.",
    "Dichte 2000 HE, 1000 ml NaCl, 10000 E Heparin, 15000 Leukozyten.",
    "1-0-1, 0-0-130, 3 x 2 cm, Serie 4, Bild 88.",
    "Lymphknotenstation: Lymphknoten Station 7 und Station 4R.",
    "Karina 4 cm unter dem Tubus, Iris reizfrei, Mundflora.",
]


@pytest.mark.parametrize("text", TRAPS)
def test_the_traps_of_clinical_german_are_left_alone(text: str) -> None:
    assert found(text) == []


def test_a_name_found_once_by_a_cue_is_found_everywhere() -> None:
    done = deidentify(
        "Frau Zsuzsanna Kereszturi kam. Gestern war Kereszturi müde, Kereszturis Mann nicht. KERESZTURI ging."
    )
    assert "ereszturi" not in done.text.casefold()
    assert {span.kind for span in done.spans} == {Kind.PATIENT}


def test_an_eponym_stays_although_someone_has_that_name() -> None:
    assert deidentify("Frau Weber hat eine Weber B Fraktur. Weber weint.").text == (
        "Frau [PATIENT] hat eine Weber B Fraktur. [PATIENT] weint."
    )


def test_the_letter_comes_out_with_placeholders_and_nothing_else_changed() -> None:
    assert deidentify(LETTER).text == (
        "Betreff: Herr [PATIENT], geb. [GEBURTSDATUM], [STRASSE], [PLZ] [ORT]\n"
        "Herr [PATIENT] kam am [DATUM] und ging am [DATUM]. [PATIENT] Hausarzt ist [ARZT].\n"
    )


def test_only_dates_of_birth_go_when_that_is_asked_for() -> None:
    text = deidentify(LETTER, dates="birth").text
    assert "geb. [GEBURTSDATUM]" in text
    assert "am 12.03.2021 und ging am 15.03.2021" in text


def test_shifted_dates_keep_their_distance_and_their_form() -> None:
    done = deidentify("Am 12.03.2021, 15.3.21 und 2. April 2021; ED 2019, 03/2020.", dates="shift", seed=3)
    first, second, third, *_ = (span.replacement for span in done.spans)
    day, month, year = map(int, first.split("."))
    assert (day, month, year) != (12, 3, 2021)
    assert len(first) == 10
    later_day, later_month, later_year = map(int, second.split("."))
    assert (unix(later_day, later_month, 2000 + later_year) - unix(day, month, year)) == 3
    assert third.split()[1].isalpha()
    assert "[DATUM]" not in done.text


def unix(day: int, month: int, year: int) -> int:
    """Days since an epoch."""
    return int(time.mktime((year, month, day, 12, 0, 0, 0, 0, 0)) // 86_400)


def test_a_day_that_no_calendar_has_is_not_shifted_but_replaced() -> None:
    assert deidentify("Am 31.02.2021 Kontrolle.", dates="shift").text == "Am [DATUM] Kontrolle."


def test_two_documents_are_shifted_by_different_numbers_of_days() -> None:
    shifts = {deidentify("Am 12.03.2021.", dates="shift").text for _ in range(20)}
    assert len(shifts) > 5


def test_a_surrogate_is_the_same_for_the_same_name() -> None:
    done = deidentify(LETTER, replace="surrogate", seed=1)
    names = [span.replacement for span in done.spans if span.kind is Kind.PATIENT]
    family = names[0].split()[-1]
    assert names == [names[0], family, family + "s"]
    assert "Kasulke" not in done.text
    assert done == deidentify(LETTER, replace="surrogate", seed=1)


def test_offsets_are_those_of_the_nfc_form_of_the_input() -> None:
    text = "  \ufeffHerr\u00a0Mu\u0308l\u00adler kam\r\nam 12.03.2021. "
    source = unicodedata.normalize("NFC", text)
    done = deidentify(text)
    assert [source[span.start : span.end] for span in done.spans] == ["Mül\u00adler", "12.03.2021"]
    assert done.text == "  \ufeffHerr\u00a0[PATIENT] kam\r\nam [DATUM]. "


def test_annotations_move_with_the_text() -> None:
    text = "Frau Kasulke, geb. 3.4.1956: Kein Erguss, Dr. Obermüller."
    done = deidentify(text)
    start = text.index("Kein Erguss")
    moved = done.moved(start, start + len("Kein Erguss"))
    assert done.text[slice(*moved)] == "Kein Erguss"
    assert done.moved(0, len(text)) == (0, len(done.text))
    inside = text.index("sulke")
    assert done.text[slice(*done.moved(inside, inside + 3))] == "[PATIENT]"


@pytest.mark.parametrize("letter", LETTERS, ids=lambda letter: letter.name)
def test_every_place_outside_of_the_spans_moves_to_the_same_character(letter: object) -> None:
    text = letter.text  # type: ignore[attr-defined]
    done = deidentify(text)
    covered = {place for span in done.spans for place in range(span.start, span.end)}
    for place in range(0, len(text), 7):
        if place not in covered and place + 1 not in covered:
            start, end = done.moved(place, place + 1)
            assert done.text[start:end] == text[place]


@pytest.mark.parametrize("letter", LETTERS, ids=lambda letter: letter.name)
def test_a_second_pass_changes_nothing(letter: object) -> None:
    once = deidentify(letter.text).text  # type: ignore[attr-defined]
    assert deidentify(once).text == once


def test_the_letters_of_the_held_out_part_are_covered_as_aimed_at() -> None:
    outcomes = [outcome(letter) for letter in LETTERS if letter.name.startswith("heldout")]
    ratios = {
        "all": recall(outcomes)[0].ratio,
        "patient": recall(outcomes, [Kind.PATIENT])[0].ratio,
        "dates": recall(outcomes, [Kind.DATE, Kind.BIRTH])[0].ratio,
        "hospital": recall(outcomes, [Kind.HOSPITAL])[0].ratio,
        "precision": precision(outcomes)[1].ratio,
    }
    aims = {"all": 0.95, "patient": 0.97, "dates": 0.99, "hospital": 0.80, "precision": 0.90}
    assert {name: ratio for name, ratio in ratios.items() if ratio is None or ratio < aims[name]} == {}


def test_every_kind_has_a_placeholder_of_its_own() -> None:
    assert set(PLACEHOLDERS) == set(Kind)
    assert len(set(PLACEHOLDERS.values())) == len(Kind)


def test_the_package_offers_it() -> None:
    assert medbertde.deidentify("Herr Kasulke kam.").text == "Herr [PATIENT] kam."


def test_a_text_without_anything_to_find_comes_back_as_it_is() -> None:
    for text in ("", "Kein Erguss.", "\n\n"):
        assert deidentify(text).text == text


# ---------------------------------------------------------------------------------------------- refusals

HOSTILE = {
    "digits": "1",
    "dots": ".",
    "capitals and dots": "A.",
    "nested brackets": "([{",
    "lines": "\n",
    "names": "Müller, Anna ",
    "dates": "12.03.-",
    "years": "*1950 ",
    "invisible": "a\u200b",
}


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_takes_linear_time(unit: str) -> None:
    whole = (unit * 100_000)[:100_000]
    deidentify("Herr Kasulke")  # the word lists are read
    assert seconds(lambda: deidentify(whole)) < 8 * seconds(lambda: deidentify(whole[:25_000])), (
        "4 times is linear, 16 times is quadratic"
    )


def test_a_text_that_takes_too_long_is_refused_with_what_to_do() -> None:
    with pytest.raises(DeidentificationRefused) as refused:
        deidentify(LETTER * 50, budget_s=0.0)
    assert refused.value.de == (
        "Die De-Identifikation war nach 0 Sekunden nicht fertig; es wird kein Text ausgegeben. Bitte den Text "
        "aufteilen oder prüfen, ob er ein Befund ist."
    )
    assert refused.value.en.startswith("De-identification was not done after 0 seconds; no text is given out.")


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(DeidentificationRefused, match=f"at most {MAX_CHARS} are de-identified"):
        deidentify("a" * (MAX_CHARS + 1))


def test_an_error_in_a_rule_gives_out_nothing_and_tells_nothing_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_page: object) -> list[object]:
        raise ValueError("Kasulke")

    monkeypatch.setattr(gate, "find_contacts", broken)
    with pytest.raises(DeidentificationRefused) as refused:
        deidentify(LETTER)
    assert "Kasulke" not in refused.value.de + refused.value.en + str(refused.value.__cause__)
    assert "gescheitert" in refused.value.de


@pytest.mark.parametrize("text", ["Herr\x00Kasulke", "\ud800"])
def test_unreadable_characters_are_refused(text: str) -> None:
    with pytest.raises(InvalidText):
        deidentify(text)


@pytest.mark.parametrize("options", [{"dates": "some"}, {"replace": "stars"}])
def test_an_unknown_option_is_an_error_of_the_caller(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="is not a valid"):
        deidentify("Kein Erguss.", **options)  # type: ignore[arg-type]
