"""Someone reads what is said about a text: above the answer, in the page's language, in the way of nothing."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.ui.conftest import Site
from tests.ui.test_batch import choose, opened

ENGLISH = "There is no evidence of a pneumothorax, discussed with Dr. Wehmeier."


def first_of(page: Page, card: str) -> str:
    """The class of the first element that a card shows."""
    return str(page.locator(f"{card} .mb-card > *").first.get_attribute("class"))


def test_a_report_that_names_someone_in_english_is_answered_with_two_remarks(site: Site) -> None:
    page = site.open("Klassifikation")
    page.fill("#read-text textarea", ENGLISH)
    page.click("#read-run")
    expect(page.locator("#read-findings button")).to_have_count(13)
    remarks = page.locator("#read-answer .mb-notice")
    expect(remarks).to_have_count(2)
    expect(remarks.nth(0)).to_contain_text("1 Stelle, die eine Person erkennbar machen könnte: 1 Name.")
    expect(remarks.nth(1)).to_contain_text("scheint nicht auf Deutsch zu sein")
    assert first_of(page, "#read-findings") == "mb-notice"
    expect(page.get_by_test_id("toast-text")).to_have_count(0)
    page.click("#mb-language >> text=English")
    expect(remarks.nth(0)).to_contain_text("1 place that could show who a person is: 1 name.")
    expect(remarks.nth(1)).to_contain_text("does not seem to be German")


def test_of_a_long_text_with_a_gap_the_page_says_how_much_was_read(site: Site) -> None:
    page = site.open("Lückentext")
    page.fill("#fill-text textarea", "Herz normal groß. " * 30 + "Kein Nachweis eines [MASK] rechts.")
    page.click("#fill-run")
    expect(page.locator("#fill-card li")).to_have_count(10)
    expect(page.locator("#fill-card .mb-notice")).to_contain_text("Wortteilen, die der Lücke am nächsten stehen.")
    assert first_of(page, "#fill-card") == "mb-notice"
    page.fill("#fill-text textarea", "Kein Nachweis eines [MASK] rechts.")
    page.click("#fill-run")
    expect(page.locator("#fill-card .mb-notice")).to_have_count(0)


def test_the_table_of_many_reports_has_a_column_for_remarks(site: Site) -> None:
    page = opened(site)
    choose(page, ("eins.txt", b"Kein Erguss rechts, Herz normal."), ("zwei.txt", ENGLISH.encode()))
    page.click("#batch-run")
    cells = page.locator("#batch-card td[data-column=Hinweise]")
    expect(cells).to_have_text(["", "Name oder Geburtsdatum: bitte entfernen; nicht deutsch"])
