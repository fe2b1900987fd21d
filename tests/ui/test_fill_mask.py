"""Someone fills a gap in a sentence: candidates, choosing, going back, and what happens to bad input."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.ui.conftest import Site, expect_refusal

SENTENCE = "Kein [MASK] eines Pneumothorax."


def suggest(page: Page, sentence: str) -> None:
    """Type a sentence and ask for words."""
    page.fill("#fill-text textarea", sentence)
    page.click("#fill-run")


def sentence(page: Page) -> str:
    return page.input_value("#fill-text textarea")


def test_the_likeliest_words_come_first_and_a_click_puts_one_in(site: Site) -> None:
    page = site.open("Lückentext")
    suggest(page, SENTENCE)
    expect(page.locator("#fill-card li")).to_have_count(10)
    expect(page.locator("#fill-card")).to_contain_text(f"Modell: {site.services.reading.fill_mask_version()}")
    shares = page.locator("#fill-card .mb-fill").evaluate_all("bars => bars.map(bar => parseFloat(bar.style.width))")
    assert shares == sorted(shares, reverse=True)
    word = page.locator("#fill-card .mb-word").nth(1).inner_text()
    page.click("#fill-card button >> nth=1")
    expect(page.locator("#fill-text textarea")).to_have_value(f"Kein {word} eines Pneumothorax.")
    page.click("#fill-undo")
    expect(page.locator("#fill-text textarea")).to_have_value(SENTENCE)


def test_an_example_is_filled_at_once_and_undo_brings_the_own_sentence_back(site: Site) -> None:
    page = site.open("Lückentext")
    page.fill("#fill-text textarea", "Herz [MASK] groß.")
    page.click("#fill-example input")
    page.get_by_role("option", name="Radiologie: Verneinung").click()
    expect(page.locator("#fill-text textarea")).to_have_value(SENTENCE)
    expect(page.locator("#fill-card li")).to_have_count(10)
    page.click("#fill-undo")
    expect(page.locator("#fill-text textarea")).to_have_value("Herz [MASK] groß.")


def test_several_gaps_are_filled_together(site: Site) -> None:
    page = site.open("Lückentext")
    page.fill("#fill-text textarea", "Kein Erguss,")
    page.click("#fill-insert")
    expect(page.locator("#fill-text textarea")).to_have_value("Kein Erguss, [MASK]")
    suggest(page, "Kein [MASK], kein [MASK].")
    expect(page.locator("#fill-card .mb-word").first).to_contain_text(" … ")
    page.click("#fill-card button >> nth=0")
    expect(page.locator("#fill-text textarea")).not_to_have_value("Kein [MASK], kein [MASK].")
    assert "[MASK]" not in sentence(page)


def test_a_sentence_that_cannot_be_filled_is_refused_and_stays(site: Site) -> None:
    page = site.open("Lückentext")
    for text, refusal in {
        "": "Der Text ist leer.",
        " \n": "Der Text ist leer.",
        "Kein Erguss.": "Der Text enthält 0 Lücken, erwartet werden 1 bis 8.",
        "[MASK] " * 9: "Der Text enthält 9 Lücken",
        "[MASK] Kein Erguss." * 1_200: "erlaubt sind 20.000",
        "Kein\x00 [MASK].": "Der Text enthält unlesbare Zeichen",
    }.items():
        suggest(page, text)
        expect_refusal(page, refusal)
        assert sentence(page) == text
        expect(page.locator("#fill-card")).to_have_text("Die Vorschläge erscheinen hier.")


def test_markup_stays_text(site: Site) -> None:
    page = site.open("Lückentext")
    suggest(page, "<script>document.title='offen'</script> Rundherd <5 mm, kein [MASK].")
    page.click("#fill-card button >> nth=0")
    expect(page.locator("#fill-text textarea")).not_to_have_value("[MASK]")
    assert sentence(page).startswith("<script>document.title='offen'</script> Rundherd <5 mm, kein ")
    assert page.title() == "medbertde"
