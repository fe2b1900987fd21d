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
        ("CT vom 12.03.24/15.03.24", [("date", "12.03.24"), ("date", "15.03.24")]),
        ("CT vom 12.03.2024/15.03.2024", [("date", "12.03.2024"), ("date", "15.03.2024")]),
        ("12. MÄRZ 2024, 12. Maerz 2024", [("date", "12. MÄRZ 2024"), ("date", "12. Maerz 2024")]),
        ("12-MAR-2024, 12-OCT-23, MAI 2020", [("date", "12-MAR-2024"), ("date", "12-OCT-23"), ("date", "MAI 2020")]),
        ("geb. 12-03-56, Geburtsdatum: 12/03/56", [("birth", "12-03-56"), ("birth", "12/03/56")]),
        ("Jahrgang 56, geb. '57", [("birth", "56"), ("birth", "57")]),
        ("Wintersaison 2019/2020", [("date", "2019/2020")]),
        ("Nussbaumstraße 4, Kirschbaumweg 12", [("street", "Nussbaumstraße 4"), ("street", "Kirschbaumweg 12")]),
        ("Mainzer Landstraße 50", [("street", "Mainzer Landstraße 50")]),
        ("wohnhaft Bundesstraße 12", [("street", "Bundesstraße 12")]),
        ("Museumstraße 3, Scharnstraße 4", [("street", "Museumstraße 3"), ("street", "Scharnstraße 4")]),
        ("Hauptstraße 12 in Berlin", [("street", "Hauptstraße 12"), ("city", "Berlin")]),
        ("Hauptstraße 12 a in Berlin", [("street", "Hauptstraße 12 a"), ("city", "Berlin")]),
        ("Rue de la Paix 5", [("street", "Rue de la Paix 5")]),
        ("0151.12345678, +49.30.450570000", [("phone", "0151.12345678"), ("phone", "+49.30.450570000")]),
        ("max.mueller(at)web.de", [("email", "max.mueller(at)web.de")]),
        ("Az. 12 C 345/20", [("id", "12 C 345/20")]),
        ("Personalausweis T22000129", [("id", "T22000129")]),
        ("in der 2. Klinik", [("hospital", "2. Klinik")]),
        ("Zi. 4, Station: 3, IMC II", [("ward", "Zi. 4"), ("ward", "Station: 3"), ("ward", "IMC II")]),
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
    "RR 120/80, 1.2.24/l, Katheter 12-03-56, 3. SEP und 2. OKT.",
    "Unfall auf der Landstraße. Ergussstraße 2 cm, am Rollator 15 m.",
    "ABI links 0,82. Klinik: Gehstrecke 120 m. Cefuroxim 1-0-1. Krankenhaus lehnt sie ab.",
    "Verlegt auf Normalstation. NIHSS 4. Auf der IMC 24 Stunden, Station 11.50 Uhr, Station 14:05 Uhr.",
    "Sitzt im Bett 80°, mobilisiert vor das Bett. 3. Tag: besser. Auf ITS 3 Tage. Auf Station: RR 120/80.",
    "Klasse 6, Jahrgang 12, L'56 und geb. 56 cm.",
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


@pytest.mark.parametrize(
    ("text", "later"),
    [
        ("vom 12.-15.03.2024", "vom 14.-17.04.2023"),
        ("12./13.03.", "14./15.04."),
        ("12.03.-15.03.", "14.04.-17.04."),
        ("am 10. und 11. März", "am 12. und 13. April"),
        ("28.-30.03.2024", "30.-2.05.2023"),
        ("12.3./15.3.2024", "14.4./17.4.2023"),
        ("12. MÄRZ 2024, 12-MAR-2024", "14. APRIL 2023, 14-APR-2023"),
        ("geb. 12-03-56", "geb. 14-04-55"),
        ("Kontrolle 2019/20, 1999/2000.", "Kontrolle 2018/19, 1998/1999."),
        ("Kontrolle 2019/12.", "Kontrolle [DATUM]."),
    ],
)
def test_ranges_and_other_spellings_are_shifted_in_all_their_parts(text: str, later: str) -> None:
    assert deidentify(text, dates="shift", seed=3).text == later


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


# ---------------------------------------------------------------------------------------------- particles, cues, lines


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Dr. med. Anna-Lena von der Heide hat befundet.", ["Dr. med. Anna-Lena von der Heide"]),
        ("Frau Anna von der Heide kam.", ["Anna von der Heide"]),
        ("Herr von der Heide kam.", ["von der Heide"]),
        ("Herr zu Guttenberg kam.", ["zu Guttenberg"]),
        ("Herr vom Hofe kam.", ["vom Hofe"]),
        ("Frau zur Mühlen kam.", ["zur Mühlen"]),
        ("Dr. zur Mühlen hat befundet.", ["Dr. zur Mühlen"]),
        ("Herr dos Santos kam.", ["dos Santos"]),
        ("Frau del Rio kam.", ["del Rio"]),
        ("Herr di Matteo kam.", ["di Matteo"]),
        ("Frau la Torre kam.", ["la Torre"]),
        ("Herr von und zu Stein kam.", ["von und zu Stein"]),
        ("Frau Petra Winter, geb. zur Mühlen", ["Petra Winter", "zur Mühlen"]),
        ("Frau Maria den Hartog kam.", ["Maria den Hartog"]),
        ("gez. vom Hofe", ["vom Hofe"]),
    ],
)
def test_a_particle_does_not_hide_the_name_behind_it(text: str, names: list[str]) -> None:
    assert [name for kind, name in found(text) if kind != "birth"] == names


@pytest.mark.parametrize("text", ["Hr Müller kam.", "Hrn Müller gesehen.", "Fam Müller war da."])
def test_an_abbreviated_salutation_needs_no_stop(text: str) -> None:
    assert [name for _, name in found(text)] == ["Müller"]


@pytest.mark.parametrize(
    "text",
    [
        "Fr Kontrolle, Mo Entlassung.",
        "HR Kontrolle. HR 80/min.",
        "Fam Anamnese leer. Hr Verlegung.",
        "Frau zur Abklärung. Herr zum CT. Frau zu Hause. Herr Kollege zur Mitbeurteilung.",
        "Kontrolle beim Hausarzt. Kleine Mahlzeiten.",
        "War lange nicht beim Arzt. Der Nüchternzucker war hoch.",
        "Keine Schmerzen, weiter ASS. Stenting als Möglichkeit.",
        "Der Vater ist verstorben. Schwester Lungenembolie.",
        "Bruder Kolonpolypen. Vater Apoplex mit 71.",
        "Vor Freigabe des Blutstroms wird gespült.",
        "Kam mit der Partnerin zum Erstgespräch.",
        "Befundet durch den Radiologen.",
        "Kleine, unspezifische LK mediastinal.",
        "Große Lungenvolumina, tropfenförmiges Herz.",
        "Pat. mit Port, zur Chemo.",
        "Raumforderung verschwunden (Knopf).",
        "Der Punktionspneu, vor dem Sie gewarnt haben.",
        "Kein Erguss.\nKein Infiltrat.\nHerz normal.\nRundherd, vom Kanonenkugeltyp.",
    ],
)
def test_what_only_reads_like_the_cue_of_a_name_is_left_alone(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Prim. Huber visitiert. OA. Große kommt.", ["Huber", "Große"]),
        ("Arzt: Huber", ["Huber"]),
        ("Tochter Huber ruft an. Bruder (Kasulke) auch.", ["Huber", "Kasulke"]),
        ("Dr. Kleine", ["Dr. Kleine"]),
        ("OA Große", ["OA Große"]),
        ("Kein Erguss.\nHuber", ["Huber"]),
        ("Kein Erguss.\nHuber, Oberarzt", ["Huber"]),
        ("Kein Erguss.\nK. Xylander, Fachärztin", ["K. Xylander"]),
        ("Kein Erguss.\nvan den Berg", ["van den Berg"]),
        ("Paul, 6;3 Jahre, hustet.", ["Paul"]),
        ("Befund:\nKein Erguss.\nKeine Rundherde.\nHerz normal.\n\nMüller", ["Müller"]),
        ("Kein Erguss.\nMit freundlichen Grüßen\nvom Hofe", ["vom Hofe"]),
    ],
)
def test_a_role_a_relative_and_the_last_line_still_give_a_name_away(text: str, names: list[str]) -> None:
    assert [name for _, name in found(text)] == names
