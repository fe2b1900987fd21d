"""Searching, looking at a report and the figures, as someone does it in the browser."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from medbertde.services import Services
from medbertde.services.access import Caller
from medbertde.services.annotate import Decision
from medbertde.services.overview import Filters
from medbertde.types import State
from tests.launch import PHONE, XRAY, launched
from tests.ui.conftest import Site
from tests.ui.late import hold, let_go

HOSTILE = '<img src=x onerror="window.ran=1"><b>Erguss</b> & links'
TEXTS = {"first": "Kleiner Pleuraerguß links. ZVK regelrecht.", "second": "Kein Erguss.", "third": HOSTILE}


@dataclass(frozen=True)
class Seen:
    """The page with the overview in front, and the site behind it."""

    page: Page
    site: Site

    def search(self, query: str) -> None:
        self.page.get_by_role("searchbox", name="Im Text suchen").fill(query)
        self.page.get_by_role("search").get_by_role("button", name="Suchen").click()

    @property
    def hits(self) -> list[str]:
        return self.page.locator(".mo-hit .mo-key").all_inner_texts()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, tiny_models: dict[str, str], browser: Browser) -> Iterator[Site]:
    """An app with a few reports, one of them labelled by the local user. The tests below change none of it."""
    folder = tmp_path_factory.mktemp("overview")
    with launched(folder, tiny_models) as (services, url):
        fill(services)
        yield Site(services, url, browser, folder)


def fill(services: Services) -> None:
    user = services.access.identify(Caller(None, None))
    lines = "".join(json.dumps({"text": text, "id": key}) + "\n" for key, text in TEXTS.items())
    services.annotate.import_reports(user, XRAY, "reports.jsonl", lines.encode())
    services.annotate.import_reports(
        user, XRAY, "many.jsonl", "".join(json.dumps({"text": f"Lunge {i}."}) + "\n" for i in range(25)).encode()
    )
    (hit,) = services.overview.find(user, "pleura", Filters(XRAY)).hits
    values = {"Erguss": State.PRESENT, "ZVK": State.ABSENT}
    decision = {"client_uuid": str(uuid.uuid4()), "schema_id": XRAY, "report_id": hit.report.id, "values": values}
    services.annotate.save(user, Decision(**decision))


@pytest.fixture
def labelled(running: Site) -> Iterator[Site]:
    yield running
    running.close_pages()


@pytest.fixture
def seen(labelled: Site) -> Seen:
    page = labelled.open("Annotation")
    page.get_by_role("tab", name="Übersicht").click()
    expect(page.locator(".mo-hit")).to_have_count(20)
    return Seen(page, labelled)


def test_words_find_reports_and_the_hits_are_marked(seen: Seen) -> None:
    seen.search("erguss")
    expect(seen.page.get_by_role("status").get_by_text("3 Befunde")).to_be_visible()
    assert [key.split("\n")[0] for key in seen.hits] == ["first", "second", "third"]
    expect(seen.page.locator(".mo-hit mark").first).to_have_text("erguß")
    seen.search("„kein erguss“")
    expect(seen.page.get_by_text("1 Befund", exact=True)).to_be_visible()
    seen.search("ab")
    expect(seen.page.get_by_role("alert").filter(has_text="mindestens einem Wort")).to_be_visible()
    seen.search("Milz")
    expect(seen.page.get_by_text("Kein Befund passt.")).to_be_visible()


def test_more_reports_come_behind_the_first(seen: Seen) -> None:
    seen.page.get_by_role("button", name="Weitere Befunde").click()
    expect(seen.page.locator(".mo-hit")).to_have_count(28)
    expect(seen.page.get_by_role("button", name="Weitere Befunde")).to_have_count(0)
    expect(seen.page.locator(".mo-hit").nth(20)).to_be_focused()


def test_more_reports_are_those_of_the_search_that_is_shown(seen: Seen) -> None:
    seen.search("Lunge")
    expect(seen.page.get_by_role("status").get_by_text("25 Befunde")).to_be_visible()
    seen.page.get_by_role("searchbox", name="Im Text suchen").fill("erguss")  # not searched for yet
    seen.page.get_by_role("button", name="Weitere Befunde").click()
    expect(seen.page.locator(".mo-hit")).to_have_count(25)


def test_of_two_clicked_reports_the_second_is_shown_also_when_its_answer_comes_first(seen: Seen) -> None:
    seen.search("erguss")
    expect(seen.page.locator(".mo-hit")).to_have_count(3)
    held = hold(seen.page, "look_at_report")
    seen.page.locator(".mo-hit").first.click()
    seen.page.locator(".mo-hit").nth(1).click()
    expect(seen.page.locator(".mo-looked .mb-report")).to_have_text(TEXTS["second"])
    let_go(seen.page, held)
    expect(seen.page.locator(".mo-looked .mb-report")).to_have_text(TEXTS["second"])
    expect(seen.page.locator(".mo-hit[aria-pressed=true]")).to_contain_text("second")


def test_a_report_that_comes_after_a_new_search_is_not_shown(seen: Seen) -> None:
    held = hold(seen.page, "look_at_report")
    seen.page.locator(".mo-hit").first.click()
    seen.search("Milz")
    expect(seen.page.get_by_text("Kein Befund passt.")).to_be_visible()
    let_go(seen.page, held)
    expect(seen.page.locator(".mo-looked .mb-report")).to_have_count(0)


def test_who_types_while_the_part_is_being_filled_goes_on_typing(labelled: Site) -> None:
    page = labelled.open("Annotation")
    held = hold(page, "list_annotators")
    with page.expect_request(lambda request: "list_annotators" in (request.post_data or "")):
        page.get_by_role("tab", name="Übersicht").click()
    field = page.get_by_role("searchbox", name="Im Text suchen")
    field.click()
    page.keyboard.type("ergss")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    let_go(page, held)
    expect(page.get_by_role("combobox", name="Annotiert von").locator("option", has_text="lokal")).to_have_count(1)
    page.keyboard.type("u")
    expect(field).to_have_value("erguss")


def test_filters_narrow_down_by_finding_value_and_work(seen: Seen) -> None:
    seen.page.get_by_role("combobox", name="Befund", exact=True).focus()
    seen.page.get_by_role("combobox", name="Befund", exact=True).select_option(label="Pleuraerguss")
    expect(seen.page.locator(".mo-hit")).to_have_count(1)
    expect(seen.page.get_by_role("combobox", name="Befund", exact=True)).to_be_focused()
    seen.page.get_by_role("combobox", name="Wert", exact=True).select_option(label="verneint")
    expect(seen.page.get_by_text("Kein Befund passt.")).to_be_visible()
    seen.page.get_by_role("combobox", name="Wert", exact=True).select_option(label="alle")
    seen.page.get_by_role("combobox", name="Befund", exact=True).select_option(label="alle")
    seen.page.get_by_role("combobox", name="Bearbeitung").select_option(label="annotiert")
    expect(seen.page.locator(".mo-hit")).to_have_count(1)


def test_a_report_shows_its_values_and_history_and_opens_for_labelling(seen: Seen) -> None:
    seen.search("pleura")
    expect(seen.page.locator(".mo-hit")).to_have_count(1)
    seen.page.locator(".mo-hit").click()
    looked = seen.page.locator(".mo-looked")
    expect(looked.locator(".mb-report")).to_have_text(TEXTS["first"])
    expect(looked.get_by_role("row", name="Pleuraerguss vorhanden lokal")).to_be_visible()
    looked.get_by_text("Verlauf (2)").click()
    expect(looked.get_by_text("nicht erwähnt → vorhanden")).to_be_visible()
    looked.get_by_role("button", name="Zum Annotieren öffnen").click()
    expect(seen.page.locator("#annotate-card .ma-text")).to_contain_text("Kleiner Pleuraerguß links.")


def test_a_report_that_i_did_not_save_is_for_looking_only(seen: Seen) -> None:
    seen.search("kein erguss")
    expect(seen.page.locator(".mo-hit")).to_have_count(1)
    seen.page.locator(".mo-hit").click()
    expect(seen.page.locator(".mo-looked").get_by_text("Noch nicht annotiert.")).to_be_visible()
    expect(seen.page.get_by_role("button", name="Zum Annotieren öffnen")).to_have_count(0)


def test_the_text_of_a_report_stays_text(seen: Seen) -> None:
    seen.search("<b>Erguss</b>")
    expect(seen.page.locator(".mo-hit")).to_have_count(1)
    seen.page.locator(".mo-hit").click()
    expect(seen.page.locator(".mo-looked .mb-report")).to_have_text(HOSTILE)
    assert seen.page.evaluate("window.ran") is None
    assert seen.page.locator(".mb-overview img, .mb-overview b").count() == 0


def test_figures_have_their_numbers_in_tables(seen: Seen) -> None:
    figure = seen.page.locator(".mo-figure").first
    expect(figure.get_by_text("Werte in 1 annotierten Befunden")).to_be_visible()
    figure.get_by_text("Zahlen als Tabelle").click()
    expect(figure.get_by_role("row", name="Pleuraerguss 1 0 0 0")).to_be_visible()
    days = seen.page.locator(".mo-figure").last
    days.get_by_text("Zahlen als Tabelle").click()
    expect(days.get_by_role("row", name="lokal 1")).to_be_visible()


def test_english_follows_the_page(seen: Seen) -> None:
    seen.page.get_by_text("English", exact=True).click()
    expect(seen.page.get_by_role("searchbox", name="Search the text")).to_be_visible()
    expect(seen.page.get_by_text("Often present together")).to_be_visible()


def test_it_opens_in_the_language_and_with_the_examination_of_the_page(labelled: Site) -> None:
    page = labelled.open("Annotation")
    page.click("#mb-language >> text=English")
    page.click("#annotate-schema >> text=Chest CT")
    expect(page.get_by_role("group", name="Pulmonary embolism")).to_be_visible()
    expect_findings_of_ct_in_english(page)


def test_it_opens_with_an_examination_that_was_chosen_before_the_language(labelled: Site) -> None:
    page = labelled.open("Annotation")
    page.click("#annotate-schema >> text=CT-Thorax")
    expect(page.get_by_role("group", name="Lungenembolie")).to_be_visible()
    page.click("#mb-language >> text=English")
    expect_findings_of_ct_in_english(page)


def expect_findings_of_ct_in_english(page: Page) -> None:
    """The overview, opened for the first time, asks for findings of this examination in this language."""
    page.get_by_role("tab", name="Overview").click()
    expect(page.get_by_role("searchbox", name="Search the text")).to_be_visible()
    findings = page.get_by_role("combobox", name="Finding").locator("option")
    expect(findings.filter(has_text="Pulmonary embolism")).to_have_count(1)


def test_on_a_phone_nothing_is_cut_off(labelled: Site) -> None:
    page = labelled.open("Annotation", **PHONE)
    page.get_by_role("tab", name="Übersicht").click()
    expect(page.locator(".mo-hit")).to_have_count(20)
    page.locator(".mo-hit").first.click()
    expect(page.locator(".mo-looked .mb-report")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
