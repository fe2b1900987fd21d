"""Someone enters texts that could show who a person is: they are told, they decide, and nothing goes on before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio.utils import get_upload_folder
from playwright.sync_api import Browser, Page, expect

from medbertde.report_file import to_json
from medbertde.types import ReportRecord, State
from tests.launch import PHONE
from tests.ui.conftest import Site, _site
from tests.ui.test_annotate_files import choose, download, open_files, store, stored
from tests.ui.test_batch import choose as choose_several
from tests.ui.test_batch import opened
from tests.ui.test_classify import read, upload

NAMED = "Patientin Gerda Kasulke, geb. 3.4.1956. Kein Pneumothorax, kleiner Erguss links. Befund an Dr. Wehmeier."
WITHOUT = "Patientin [PATIENT], geb. [GEBURTSDATUM]. Kein Pneumothorax, kleiner Erguss links. Befund an [ARZT]."
CLEAN = "Kein Erguss. Herz normal groß."
NASTY = "Frau <img src=x onerror=document.title='offen'> Gerda Kasulke: kein <b>Erguss</b>."
HELD = "3 Stellen, die eine Person erkennbar machen könnten: 2 Namen, 1 Geburtsdatum. Der Text wurde deshalb noch nicht"


@pytest.fixture(scope="module")
def careful_site(
    tmp_path_factory: pytest.TempPathFactory, tiny_models: dict[str, str], browser: Browser
) -> Iterator[Site]:
    with _site(tmp_path_factory.mktemp("careful"), tiny_models, browser, deidentification="confirm") as site:
        yield site


@pytest.fixture
def careful(careful_site: Site) -> Iterator[Site]:
    """The app where a decision is demanded before a model reads a text that could show who a person is."""
    yield careful_site
    careful_site.close_pages()


def field(page: Page) -> str:
    return page.input_value("#read-text textarea")


def press(page: Page, choice: str, where: str = "#read-screening") -> None:
    page.click(f"{where} [data-choice={choice}]")


def answered(page: Page) -> None:
    expect(page.locator("#read-findings button")).to_have_count(13)


def test_a_text_is_held_back_with_its_places_marked_until_placeholders_take_their_place(careful: Site) -> None:
    page = careful.open("Klassifikation")
    read(page, NAMED)
    note = page.locator("#read-screening")
    expect(note).to_contain_text(HELD)
    expect(page.locator("#read-findings")).to_have_text("Die Befunde erscheinen hier.")
    marks = note.locator("mark")
    expect(marks).to_have_text([re.compile("^Gerda Kasulke"), re.compile("^3.4.1956"), re.compile("^Dr. Wehmeier")])
    expect(note.locator(".ms-kind")).to_have_text(["Name", "Geburtsdatum", "Name (Personal)"])
    expect(marks.first).to_have_css("text-decoration-line", "underline")
    expect(note.locator("button")).to_have_text(
        ["Durch Platzhalter ersetzen", "Durch erfundene Angaben ersetzen", "So lassen"]
    )
    note.locator("button").first.press("Enter")
    answered(page)
    assert field(page) == WITHOUT
    expect(note).to_have_text("3 Stellen ersetzt. Es kann etwas übersehen sein: Bitte den Text noch einmal lesen.")
    page.click("#read-run")
    expect(note).to_have_text("")
    assert "Kasulke" not in page.content()


def test_a_text_that_is_left_as_it_is_is_asked_about_once_and_a_new_name_anew(careful: Site) -> None:
    page = careful.open("Klassifikation")
    text = NAMED.replace("Gerda Kasulke", "Ilse Brenneke")
    read(page, text)
    press(page, "keep")
    answered(page)
    assert field(page) == text
    expect(page.locator("#read-screening")).to_have_text("")
    page.click("#read-findings button[data-label=Erguss]")
    expect(page.locator("#read-evidence .mb-report")).to_have_text(text)
    read(page, text + " Ebenso an Frau Dr. Tannhofer.")
    expect(page.locator("#read-screening mark", has_text="Tannhofer")).to_be_visible()
    expect(page.locator("#read-findings")).to_have_text("Die Befunde erscheinen hier.")


def test_what_was_typed_since_the_question_is_not_let_through_with_it(careful: Site) -> None:
    page = careful.open("Klassifikation")
    read(page, "Frau Hedwig Lindwurm: kein Erguss.")
    expect(page.locator("#read-screening mark")).to_have_count(1)
    page.fill("#read-text textarea", "Frau Elfriede Zantopp: kein Erguss.")
    press(page, "keep")
    expect(page.locator("#read-screening mark", has_text="Zantopp")).to_be_visible()
    expect(page.locator("#read-findings")).to_have_text("Die Befunde erscheinen hier.")


def test_invented_details_take_the_place_of_the_true_ones_and_are_not_asked_about(careful: Site) -> None:
    page = careful.open("Klassifikation")
    read(page, NAMED)
    press(page, "surrogate")
    answered(page)
    changed = field(page)
    assert "Kasulke" not in changed
    assert "Wehmeier" not in changed
    assert "[PATIENT]" not in changed
    assert changed.endswith(".")
    page.click("#mb-language >> text=English")
    expect(page.locator("#read-run")).to_have_text("Classify")
    page.click("#read-run")
    expect(page.locator("#read-screening")).to_have_text("")
    answered(page)


def test_the_note_follows_the_language_and_fits_a_phone(careful: Site) -> None:
    page = careful.open("Klassifikation", **PHONE)
    read(page, NAMED)
    expect(page.locator("#read-screening")).to_contain_text(HELD)
    page.click("#mb-language >> text=English")
    expect(page.locator("#read-screening")).to_contain_text("2 names, 1 date of birth. The text was therefore not read")
    expect(page.locator("#read-screening .ms-kind").nth(1)).to_have_text("date of birth")
    expect(page.locator("#read-screening button").last).to_have_text("Leave as it is")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_markup_in_a_marked_text_shows_as_written_and_never_runs(careful: Site) -> None:
    page = careful.open("Klassifikation")
    read(page, NASTY)
    expect(page.locator("#read-screening .ms-text")).to_contain_text("<img src=x onerror=document.title='offen'>")
    assert page.locator("#read-screening img, #read-screening .ms-text b").count() == 0
    assert page.title() == "medbertde"


def test_a_loaded_file_is_looked_at_before_anybody_asks_for_an_answer(careful: Site) -> None:
    page = careful.open("Klassifikation")
    upload(page, "befund.txt", NAMED.encode())
    expect(page.locator("#read-screening mark")).to_have_count(3)
    page.click("#read-schema >> text=CT-Thorax")
    expect(page.locator("#read-screening")).to_have_text("")


def test_a_sentence_with_a_gap_passes_the_same_gate(careful: Site) -> None:
    page = careful.open("Lückentext")
    page.fill("#fill-text textarea", "Frau Gerda Kasulke: kein [MASK] rechts.")
    page.click("#fill-run")
    expect(page.locator("#fill-screening mark")).to_have_count(1)
    expect(page.locator("#fill-card li")).to_have_count(0)
    press(page, "placeholder", "#fill-screening")
    expect(page.locator("#fill-card li")).to_have_count(10)
    assert page.input_value("#fill-text textarea") == "Frau [PATIENT]: kein [MASK] rechts."


def test_of_many_reports_those_are_left_out_until_the_user_chooses_otherwise(careful: Site) -> None:
    page = opened(careful)
    choose_several(page, ("eins.txt", CLEAN.encode()), ("zwei.txt", NAMED.encode()))
    page.click("#batch-run")
    expect(page.locator("#batch-card")).to_contain_text("1 ausgelassen")
    expect(page.locator("#batch-card")).to_contain_text("Zurückgehalten: 3 Stellen")
    choose_several(page, ("zwei.txt", NAMED.encode()))
    page.click("#batch-identifying >> text=Durch Platzhalter ersetzen")
    page.click("#batch-run")
    expect(page.locator("#batch-card td[data-column=Befund]")).to_contain_text("Patientin [PATIENT]")


def test_on_a_laptop_the_answer_comes_with_the_note_and_the_places_on_demand(site: Site) -> None:
    page = site.open("Klassifikation")
    read(page, NAMED)
    answered(page)
    note = page.locator("#read-screening")
    expect(note).to_contain_text("1 Geburtsdatum. Bitte nur anonymisierte Texte eingeben.")
    expect(note.locator("mark").first).to_be_hidden()
    note.locator("summary").click()
    expect(note.locator("mark").first).to_be_visible()
    expect(page.locator("#read-findings")).not_to_contain_text("erkennbar machen")
    press(page, "placeholder")
    expect(page.locator("#read-text textarea")).to_have_value(WITHOUT)
    answered(page)


class TestImport:
    FILE = "\n".join(
        map(
            to_json,
            (
                ReportRecord(CLEAN, id="a"),
                ReportRecord(NAMED, id="b", labels={"Erguss": State.PRESENT}),
                ReportRecord("Kein Erguss, gesehen mit Frau Dr. Tannhofer.", id="c"),
            ),
        )
    ).encode()

    def ask(self, site: Site) -> Page:
        """The page with the question."""
        page = open_files(site)
        choose(page, "befunde.jsonl", self.FILE)
        expect(page.locator("#files-card")).to_contain_text("Schon in den ersten Zeilen: 4 Stellen")
        store(page)
        expect(page.locator("#files-card")).to_contain_text("In 2 Befunden stehen 4 Stellen")
        expect(page.locator("#files-card")).to_contain_text("3 Namen, 1 Geburtsdatum")
        return page

    def test_rows_are_held_back_on_the_users_word_and_their_numbers_can_be_downloaded(self, own_site: Site) -> None:
        page = self.ask(own_site)
        assert stored(own_site) == []
        page.click("#mb-language >> text=English")
        expect(page.locator("#files-card")).to_contain_text("In 2 reports there are 4 places")
        expect(page.locator("#files-card button")).to_have_text(
            ["Hold these rows back", "Replace by placeholders", "Take them as they are"]
        )
        press(page, "hold", "#files-card")
        expect(page.locator("#annotate-imported")).to_contain_text("1 new, 0 known already, 0 rejected.")
        expect(page.locator("#annotate-imported")).to_contain_text("These rows were held back.")
        assert stored(own_site) == [("a", CLEAN)]
        _, data = download(page, "#annotate-import-faults")
        lines = data.decode("utf-8-sig").splitlines()
        assert [line.split(",")[0] for line in lines] == ["row", "2", "3"]
        assert "Kasulke" not in data.decode()

    def test_or_stored_with_placeholders_or_as_they_are(self, own_site: Site) -> None:
        page = self.ask(own_site)
        press(page, "replace", "#files-card")
        expect(page.locator("#annotate-imported")).to_contain_text("3 neu, 0 doppelt, 0 abgelehnt. 1 davon mit Labels")
        assert stored(own_site)[1:] == [("b", WITHOUT), ("c", "Kein Erguss, gesehen mit Frau [ARZT].")]
        again = ReportRecord("Erguss rechts, gesehen mit Frau Dr. Tannhofer.", id="d")
        choose(page, "weitere.jsonl", to_json(again).encode())
        expect(page.locator("#files-card")).to_contain_text("Schon in den ersten Zeilen")
        store(page)
        press(page, "keep", "#files-card")
        expect(page.locator("#annotate-imported")).to_contain_text("Diese Zeilen sind unverändert übernommen.")
        assert stored(own_site)[-1] == ("d", again.text)

    def test_whoever_cancels_at_the_question_leaves_nothing_behind(self, own_site: Site) -> None:
        page = self.ask(own_site)
        page.click("#annotate-import-stop")
        expect(page.locator("#files-card")).to_have_text("")
        assert stored(own_site) == []
        assert not list(Path(get_upload_folder()).rglob("befunde.jsonl"))
