"""The page as a whole: terms, languages, light and dark, phone, and nothing that leaves this machine."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from medbertde.settings import Profile
from medbertde.ui.about import limits
from tests.launch import PHONE, XRAY
from tests.ui.conftest import Site

TABS = ("Klassifikation", "Lückentext", "Annotation", "Training", "Über medbertde")
TABS_ENGLISH = ("Classification", "Fill the gap", "Annotation", "Training", "About")
GERMAN = (
    "ä ö ü ß Befund Satz Bitte Untersuchung Röntgen Modell Durchg vorhanden verneint Annotationen Noch kein".split()
)
TEXT = "Kein Nachweis eines Pneumothorax, kleiner Erguss links."
# The contrast ratio of WCAG between the text of an element and the nearest opaque background.
CONTRAST_JS = """element => {
  const rgb = (css) => css.match(/[\\d.]+/g).map(Number);
  const light = (css) => rgb(css).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  let behind = element;
  while (behind.parentElement && rgb(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  const [low, high] = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor]
    .map(light).sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}"""

# Which tabs are in front and in sight, frame by frame.
SEEN_JS = """
  window.seen = [];
  (function look() {
    const tab = document.querySelector("[role=tab][aria-selected=true]");
    const name = tab?.checkVisibility({ visibilityProperty: true }) ? tab.textContent.trim() : "";
    if (name && name !== seen.at(-1)) seen.push(name);
    requestAnimationFrame(look);
  })();
"""


def classified(page: Page) -> Page:
    """The page with an answer on it."""
    page.fill("#read-text textarea", TEXT)
    page.click("#read-run")
    page.click("#read-findings button[data-label=Erguss]")
    expect(page.locator("#read-evidence .mb-report")).to_have_text(TEXT)
    return page


def test_the_terms_come_before_the_first_answer_and_once(new_site: Site) -> None:
    page = new_site.open()
    expect(page.locator("#mb-terms")).to_contain_text("Ich gebe nur anonymisierte oder frei erfundene Texte ein.")
    expect(page.get_by_role("tab")).to_have_count(0)
    page.click("#mb-accept")
    expect(page.get_by_role("tab", name="Klassifikation")).to_be_visible()
    expect(page.locator("#mb-terms")).to_be_hidden()
    again = new_site.open("Klassifikation")
    expect(again.locator("#mb-terms")).to_be_hidden()


def test_the_header_names_the_model_of_each_task(site: Site) -> None:
    page = site.open()
    reading = site.services.reading
    expect(page.locator("#mb-model")).to_have_text(
        f"Röntgen-Thorax: {reading.model_version(XRAY)} · CT-Thorax: noch kein Modell · "
        f"Lückentext: {reading.fill_mask_version()}"
    )
    expect(page.locator("#mb-research")).to_contain_text("Nur für die Forschung.")


def test_the_language_switch_keeps_text_and_answer_and_changes_every_label(site: Site) -> None:
    page = classified(site.open("Klassifikation"))
    page.get_by_role("tab", name="Lückentext").click()
    page.fill("#fill-text textarea", "Kein [MASK].")
    page.click("#fill-run")
    expect(page.locator("#fill-card li")).to_have_count(10)
    page.click("#mb-language >> text=English")
    expect(page.get_by_role("tab")).to_have_text(TABS_ENGLISH)
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#fill-card .mb-hint")).to_have_text("A click puts the word into the sentence.")
    assert page.input_value("#fill-text textarea") == "Kein [MASK]."
    page.get_by_role("tab", name="Classification").click()
    assert page.input_value("#read-text textarea") == TEXT
    expect(page.locator("#read-evidence h3")).to_contain_text("Pleural effusion – what speaks for “")
    expect(page.locator("#read-findings button[data-label=Erguss]")).to_have_attribute("aria-pressed", "true")
    for tab in TABS_ENGLISH:
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
        assert german_words(page) == []
    site.reload(page)
    expect(page.get_by_role("tab")).to_have_text(TABS_ENGLISH)


def test_the_page_names_its_language_also_in_a_browser_that_speaks_another(site: Site) -> None:
    expect(site.open(locale="en-US").locator("html")).to_have_attribute("lang", "de")


@pytest.mark.parametrize("tab", ["Training", "Über medbertde"])
def test_a_reload_comes_back_to_the_tab_that_was_open_and_shows_no_other_before(site: Site, tab: str) -> None:
    page = site.open(tab)
    expect(page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
    page.wait_for_timeout(300)  # for the browser to keep it
    page.add_init_script(SEEN_JS)
    site.reload(page)
    expect(page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tab", name=tab)).to_be_visible()
    assert page.evaluate("window.seen") == [tab]


@pytest.mark.parametrize("served_as", list(Profile))
def test_the_page_says_where_texts_go(served_as: Profile) -> None:
    said = limits(served_as)
    assert ("verlassen diesen Rechner nicht" in said.de) == (served_as is Profile.LOCAL)
    assert ("do not leave this machine" in said.en) == (served_as is Profile.LOCAL)
    assert ("Hugging Face" in said.de) == (served_as is Profile.SPACE)


def test_a_tab_opened_only_after_the_switch_works_in_the_other_language(site: Site) -> None:
    page = site.open("Klassifikation")
    page.click("#mb-language >> text=English")
    expect(page.get_by_role("tab")).to_have_text(TABS_ENGLISH)
    page.get_by_role("tab", name="Annotation").click()
    expect(page.locator(".ma-empty h3")).to_have_text("No reports for Chest X-ray yet")


def test_a_lost_answer_does_not_end_what_the_page_follows(site: Site) -> None:
    page = site.open()
    config = page.request.get(f"{site.url}config").json()
    ticks = [each for each in config["dependencies"] if any(event == "tick" for _, event in each["targets"])]
    assert len(ticks) == 3
    assert {each["trigger_mode"] for each in ticks} == {"multiple"}, "with once, one lost answer would be the last"


def test_the_switch_asks_the_server_once_and_not_for_every_part_of_the_page(site: Site) -> None:
    page = site.open("Klassifikation")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/queue/join" in request.url else None)
    page.click("#mb-language >> text=English")
    expect(page.get_by_role("tab")).to_have_text(TABS_ENGLISH)
    page.wait_for_timeout(500)  # for more that may come
    assert len(asked) <= 3


def german_words(page: Page) -> list[str]:
    """German that is still to be seen, beside report texts, placeholders of German reports and the language's name."""
    page.wait_for_timeout(300)
    shown = page.evaluate(
        """() => {
          const copy = document.querySelector(".gradio-container main").innerText;
          const reports = [...document.querySelectorAll("[lang=de], #mb-language")].map((node) => node.innerText);
          return reports.reduce((text, report) => text.replace(report, ""), copy);
        }"""
    )
    return [word for word in GERMAN if word in shown]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(site: Site, scheme: str) -> None:
    page = classified(site.open("Klassifikation", color_scheme=scheme))
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, background[4:-1].split(", "))) < 60) == (scheme == "dark")
    for selector in (
        *("#read-run", "#read-upload", "[role=tab][aria-selected=true]", "#mb-model p", "#mb-research p"),
        *(".mb-number", ".mb-count", ".mb-by", ".mb-sign", ".mb-facts dt", "#read-text label > span"),
    ):
        assert page.locator(selector).first.evaluate(CONTRAST_JS) >= 4.5, selector


def test_on_a_phone_all_tabs_are_in_sight_and_nothing_is_wider_than_the_screen(site: Site) -> None:
    page = classified(site.open("Klassifikation", **PHONE))
    for tab in TABS:
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(200)
        expect(page.get_by_role("tab", name=tab)).to_be_in_viewport()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab
    page.get_by_role("tab", name="Klassifikation").click()
    boxes = [page.locator(part).bounding_box() for part in ("#read-text", "#read-findings", "#read-evidence")]
    tops = [box["y"] for box in boxes if box]
    assert tops == sorted(tops), "text, findings, evidence come in the order of use"
    for button in ("#read-run", "#read-upload", "#read-findings button >> nth=0"):
        box = page.locator(button).bounding_box()
        assert box is not None
        assert box["height"] >= 32


def test_a_visitor_with_the_keyboard_only_gets_an_answer(site: Site) -> None:
    page = site.open("Klassifikation")
    page.focus("#read-text textarea")
    page.keyboard.type("Kein Erguss.")
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "read-run":
            break
    page.keyboard.press("Enter")
    expect(page.locator("#read-findings button")).to_have_count(13)
    page.locator("#read-findings button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#read-evidence .mb-report")).to_have_text("Kein Erguss.")
