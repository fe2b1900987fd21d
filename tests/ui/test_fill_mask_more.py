"""The part "Mehr" of the fill-mask tab: own words, a second model, the pieces; and the download of the candidates."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from medbertde.inference.pieces import CutWord, Piece, Tokenisation
from medbertde.ui.fill_mask_pieces import pieces_value
from tests import tiny
from tests.launch import PHONE
from tests.ui.conftest import Site, expect_refusal

SENTENCE = "Kein Nachweis eines [MASK] rechts."


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.mlm_folder(tmp_path_factory.mktemp("second") / "zweites", family="roberta")


def opened(site: Site) -> Page:
    """The tab with a sentence and the part "Mehr" open."""
    page = site.open("Lückentext")
    expect(page.locator("#fill-own")).to_be_hidden()
    page.click("#fill-more > button")
    page.fill("#fill-text textarea", SENTENCE)
    return page


def test_own_words_are_ranked_and_a_click_puts_one_in(site: Site) -> None:
    page = opened(site)
    page.fill("#fill-own textarea", "Erguss, Pneumothorax; Ωmega")
    page.click("#fill-own-run")
    rows = page.locator("#fill-own-card li")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("Logarithmus der Wahrscheinlichkeit")
    expect(rows.nth(2)).to_contain_text("enthält Zeichen, die das Modell nicht kennt")
    word = rows.nth(0).locator(".mb-word").inner_text()
    rows.nth(0).locator("button").click()
    expect(page.locator("#fill-text textarea")).to_have_value(SENTENCE.replace("[MASK]", word))
    page.click("#fill-undo")
    expect(page.locator("#fill-text textarea")).to_have_value(SENTENCE)
    page.fill("#fill-own textarea", "")
    page.click("#fill-own-run")
    expect_refusal(page, "Die Liste enthält 0 Wörter")


def test_two_models_answer_side_by_side_under_their_names(site: Site, second: Path) -> None:
    page = opened(site)
    page.click("#fill-compare")
    expect_refusal(page, "Bitte zuerst ein zweites Modell wählen.")
    choose(page, str(second))
    page.click("#fill-compare")
    expect(page.locator("#fill-right h3")).to_contain_text("zweites@")
    expect(page.locator("#fill-left h3")).to_have_text(str(site.services.reading.fill_mask_version()))
    assert page.locator("#fill-left li").count() == page.locator("#fill-right li").count() == 10
    word = page.locator("#fill-right .mb-word").first.inner_text()
    page.locator("#fill-right button").first.click()
    expect(page.locator("#fill-text textarea")).not_to_have_value(SENTENCE)
    assert word in page.input_value("#fill-text textarea")


def test_a_second_model_that_is_the_first_or_cannot_answer_is_refused(
    site: Site, tiny_mlm_folder: Path, tiny_classifier_folder: Path
) -> None:
    page = opened(site)
    for name, refusal in {
        str(tiny_mlm_folder): "Das zweite Modell ist dasselbe wie das erste",
        str(tiny_classifier_folder): "kann keine Lücken füllen",
        "/nirgends": "liegt nicht auf diesem Rechner",
    }.items():
        choose(page, name)
        page.click("#fill-compare")
        expect_refusal(page, refusal)


def test_the_pieces_of_both_tokenizers_are_shown_with_their_number_per_word(site: Site, second: Path) -> None:
    page = opened(site)
    page.click("#fill-cut")
    expect(page.locator("#fill-pieces section")).to_have_count(1)
    expect(page.locator("#fill-pieces")).to_contain_text(" je Wort.")
    assert "".join(page.locator("#fill-pieces .mb-piece-text").all_inner_texts()) == SENTENCE.replace(" ", "")
    choose(page, str(second))
    page.click("#fill-cut")
    expect(page.locator("#fill-pieces section")).to_have_count(2)
    expect(page.locator("#fill-pieces .mb-comparison")).to_contain_text("Wortteile")
    page.click("#mb-language >> text=English")
    expect(page.locator("#fill-pieces")).to_contain_text(" per word on average.")


def test_one_word_and_one_piece_are_counted_as_one() -> None:
    cut = Tokenisation("modell@1", (CutWord("Erguss", (Piece("Erguss", 1),), counted=True),), 1200)
    said = {language: pieces_value(language, (cut,))["blocks"][0]["summary"] for language in ("de", "en")}
    assert said["de"].startswith("1 Wort, 1 Wortteil: im Mittel 1,00 je Wort. 1 Wort ist ein einziger Wortteil. ")
    assert said["en"].startswith("1 word, 1 piece: 1.00 per word on average. 1 word is one piece. ")


def test_the_candidates_can_be_all_pieces_and_are_a_table_to_take_along(site: Site) -> None:
    page = site.open("Lückentext")
    page.fill("#fill-text textarea", '=HYPERLINK("x") ' + SENTENCE)
    expect(page.locator("#fill-save")).to_be_hidden()
    page.click("#fill-run")
    expect(page.locator("#fill-card li")).to_have_count(10)
    page.click("#fill-mode >> text=alle Wortteile")
    expect(page.locator("#fill-card .mb-word", has_text="##").first).to_be_visible()
    shown = page.locator("#fill-card .mb-word").all_inner_texts()
    with page.expect_download() as started:
        page.click("#fill-save")
    assert started.value.suggested_filename == "medbertde_fill_mask.csv"
    rows = list(csv.DictReader(Path(started.value.path()).read_text(encoding="utf-8-sig").splitlines()))
    assert [row["word"].removeprefix("'") for row in rows] == shown
    assert all(row["sentence"].startswith("'=HYPERLINK") and row["model"] for row in rows)


def test_nothing_is_wider_than_a_phone(site: Site) -> None:
    page = site.open("Lückentext", **PHONE)
    page.click("#fill-more > button")
    page.fill("#fill-text textarea", SENTENCE)
    page.click("#fill-cut")
    expect(page.locator("#fill-pieces section")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def choose(page: Page, name: str) -> None:
    """Type a folder into the list of second models."""
    page.fill("#fill-second input", name)
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
