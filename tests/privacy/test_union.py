"""Rules and classifier together: what either finds is replaced, offsets stay, a classifier that fails is a refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

import medbertde
from medbertde.inference.identify import Identifier
from medbertde.privacy.deidentify import deidentify
from medbertde.privacy.kinds import DeidentificationRefused, Found, Kind
from medbertde.privacy.reading import Budget, read
from medbertde.privacy.union import Classifier, added
from medbertde.services.screening import Screener, ScreeningRefused
from medbertde.types import FoundSpan
from tests import tiny
from tests.privacy.clock import seconds
from tests.privacy.test_deidentify import TRAPS
from train.deidentify_quality import both, clean_reports, outcome, precision, recall, rules
from train.letters import read_letters

PATIENT, CITY, DATE = Kind.PATIENT, Kind.CITY, Kind.DATE


def marking(*words: tuple[str, str]) -> Classifier:
    """A classifier that finds exactly these words, wherever they stand for the first time."""

    def find(text: str, _places: Sequence[int], _check: Callable[[], None]) -> Iterable[FoundSpan]:
        return [FoundSpan(kind, text.index(word), text.index(word) + len(word), 0.9) for word, kind in words]

    return find


def together(text: str, rules: list[Found], more: list[Found]) -> list[tuple[str, Kind]]:
    page = read(text, Budget(5.0))[1]
    return [(text[one.start : one.end], one.kind) for one in added(rules, more, page)]


TEXT = "Anna Xqz, Ulm, kam am 12.03."


@pytest.mark.parametrize(
    ("rules", "more", "expected"),
    [
        ([], [Found(0, 8, PATIENT)], [("Anna Xqz", PATIENT)]),
        ([Found(0, 4, PATIENT)], [Found(0, 8, PATIENT)], [("Anna Xqz", PATIENT)]),
        ([Found(0, 8, PATIENT)], [Found(0, 4, CITY)], [("Anna Xqz", PATIENT)]),
        ([Found(0, 8, PATIENT)], [Found(5, 13, CITY)], [("Anna Xqz", PATIENT), ("Ulm", CITY)]),
        (
            [Found(10, 13, CITY)],
            [Found(0, 27, PATIENT)],
            [("Anna Xqz", PATIENT), ("Ulm", CITY)],
        ),
        ([], [Found(8, 10, CITY)], []),
        ([Found(0, 8, PATIENT), Found(22, 28, DATE)], [], [("Anna Xqz", PATIENT), ("12.03.", DATE)]),
    ],
    ids=["added", "longer", "the rules name it", "beside", "around", "only signs", "nothing more"],
)
def test_everything_that_either_found_is_covered_and_the_rules_say_what_it_is(
    rules: list[Found], more: list[Found], expected: list[tuple[str, Kind]]
) -> None:
    assert together(TEXT, rules, more) == expected


def test_what_only_the_classifier_finds_is_replaced_too() -> None:
    text = "Frau Kasulke mag Xqzheim."
    assert deidentify(text).text == "Frau [PATIENT] mag Xqzheim."
    assert deidentify(text, classifier=marking(("Xqzheim", "city"))).text == "Frau [PATIENT] mag [ORT]."


@pytest.mark.parametrize("word", ["Metoprolol", "Crohn", "Befund", "Virchow-Drüse", "gestern", "120"])
def test_a_word_that_the_rules_take_for_no_name_is_none_for_the_classifier_either(word: str) -> None:
    text = f"Heute Xqzheim, {word} nicht."
    found = deidentify(text, classifier=marking(("Xqzheim", "city"), (word, "patient")))
    assert found.text == f"Heute [ORT], {word} nicht."


def test_the_classifier_is_asked_only_where_a_name_could_stand() -> None:
    asked: list[list[str]] = []

    def asking(text: str, places: Sequence[int], _check: Callable[[], None]) -> list[FoundSpan]:
        asked.append([text[place : place + 3] for place in places])
        return []

    deidentify("Kein Erguss, RR 120/80, Metoprolol.", classifier=asking)
    deidentify("Herr Kasulke mag Xqzheim. Kein Erguss.", classifier=asking)
    assert asked == [["Xqz"]]


def test_offsets_stay_those_of_the_nfc_input_and_annotations_move() -> None:
    text = "\ufeffKu\u0308n\u00adlechner war da. Kein Erguss."
    done = deidentify(text, classifier=marking(("Künlechner", "person")))
    assert done.text == "\ufeff[PERSON] war da. Kein Erguss."
    start = len("\ufeffKün\u00adlechner war da. ")
    assert done.text[slice(*done.moved(start, start + 4))] == "Kein"


def test_a_missing_model_refuses_with_what_to_do(tmp_path: Path) -> None:
    missing = Identifier(tmp_path / "nichts")
    with pytest.raises(DeidentificationRefused) as refused:
        deidentify("Kasulke", classifier=missing)
    assert "Es wird kein Text ausgegeben." in refused.value.de
    assert "MEDBERTDE_DEIDENTIFICATION_BY=rules" in refused.value.en
    with pytest.raises(ScreeningRefused):
        Screener(classifier=missing).screen("Kasulke")


def test_a_model_of_something_else_refuses(tmp_path: Path) -> None:
    folder = tiny.tagger_folder(tmp_path / "medication")
    with pytest.raises(DeidentificationRefused, match="is not that of the de-identification"):
        deidentify("Kasulke", classifier=Identifier(folder))


@pytest.mark.parametrize("error", [RuntimeError("Kasulke"), ValueError("Kasulke"), MemoryError()])
def test_a_classifier_that_fails_gives_out_nothing_and_tells_nothing_of_the_text(error: Exception) -> None:
    def broken(_text: str, _places: Sequence[int], _check: Callable[[], None]) -> list[FoundSpan]:
        raise error

    with pytest.raises(DeidentificationRefused) as refused:
        deidentify("Kasulke", classifier=broken)
    assert "Kasulke" not in refused.value.de + refused.value.en + str(refused.value.__cause__)


def test_a_classifier_that_takes_too_long_is_stopped() -> None:
    def endless(_text: str, _places: Sequence[int], check: Callable[[], None]) -> list[FoundSpan]:
        while True:
            check()

    with pytest.raises(DeidentificationRefused, match=r"was not done after 0\.05 seconds"):
        deidentify("Kasulke", classifier=endless, budget_s=0.05)


# ---------------------------------------------------------------------------------------------- the shipped model

SHIPPED = Identifier()
HELD_OUT = [letter for letter in read_letters("heldout")]


@pytest.mark.parametrize("text", TRAPS)
def test_the_traps_of_clinical_german_are_left_alone_with_the_model_too(text: str) -> None:
    assert deidentify(text, classifier=SHIPPED).text == text


def test_with_the_model_less_is_missed_in_the_held_out_letters_and_hardly_more_is_wrong() -> None:
    ruled, joint = ([outcome(letter, find) for letter in HELD_OUT] for find in (rules, both(SHIPPED)))
    assert recall(joint)[0].part > recall(ruled)[0].part
    ratios = {
        "all": recall(joint)[0].ratio,
        "patient": recall(joint, [Kind.PATIENT])[0].ratio,
        "dates": recall(joint, [Kind.DATE, Kind.BIRTH])[0].ratio,
        "hospital": recall(joint, [Kind.HOSPITAL])[0].ratio,
        "precision": precision(joint)[1].ratio,
    }
    aims = {"all": 0.95, "patient": 0.97, "dates": 0.99, "hospital": 0.80, "precision": 0.90}
    assert {name: ratio for name, ratio in ratios.items() if ratio is None or ratio < aims[name]} == {}


def test_radiology_without_anybody_in_it_keeps_its_words() -> None:
    texts = [letter.text for letter in read_letters("pure")]
    assert clean_reports("pure", texts, both(SHIPPED)).rate <= 1


@pytest.mark.parametrize("unit", ["A.", "Xqz, Anna ", "12.03.-", "\n"])
def test_the_model_takes_linear_time_over_hostile_texts(unit: str) -> None:
    whole = (unit * 12_000)[:12_000]
    SHIPPED("Kasulke")  # the model is loaded
    assert seconds(lambda: SHIPPED(whole)) < 8 * seconds(lambda: SHIPPED(whole[:3_000])), (
        "4 times is linear, 16 times is quadratic"
    )


def test_long_letters_are_read_to_their_end_and_stopped_when_the_time_is_over() -> None:
    text = "Kein Erguss. " * 400 + "\nName: Xqzinger, Vorname: Ortrud\n"
    assert "Xqzinger" not in deidentify(text, classifier=SHIPPED).text
    with pytest.raises(DeidentificationRefused):
        deidentify("Xqzinger Anna, " * 4_000, classifier=SHIPPED, budget_s=0.05)


def test_the_package_asks_the_model_unless_it_is_told_not_to() -> None:
    text = "Die Ergotherapeutin Sönke Brackelmann kam. Zu Besuch: Otto."
    assert medbertde.deidentify(text, by="rules").text == deidentify(text).text
    assert medbertde.deidentify(text).text == deidentify(text, classifier=SHIPPED).text
