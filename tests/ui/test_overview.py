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


def test_filters_narrow_down_by_finding_value_and_work(seen: Seen) -> None:
    seen.page.get_by_role("combobox", name="Befund", exact=True).focus()
    seen.page.get_by_role("combobox", name="Befund", exact=True).select_option(label="Pleuraerguss")
    expect(seen.page.locator(".mo-hit")).to_have_count(1)
    expect(seen.page.get_by_role("combobox", name="Befund", exact=True)).to_be_focused()
    seen.page.get_by_role("combobox", name="Wert", exact=True).select_option(label="verneint")
    expect(seen.page.get_by_text("Kein Befund passt.")).to_be_visible()
    seen.page.get_by_role("combobox", name="Wert", exact=True).select_option(label="alle")
    seen.page.get_by_role("combobox", name="Befund", exact=True).select_option(label="alle")
    seen.page.get_by_role("combobox", name="Bearbeitung").select_option(label="gelabelt")
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
    looked.get_by_role("button", name="Im Labeln öffnen").click()
    expect(seen.page.locator("#annotate-card .ma-text")).to_contain_text("Kleiner Pleuraerguß links.")


def test_a_report_that_i_did_not_save_is_for_looking_only(seen: Seen) -> None:
    seen.search("kein erguss")
    expect(seen.page.locator(".mo-hit")).to_have_count(1)
    seen.page.locator(".mo-hit").click()
    expect(seen.page.locator(".mo-looked").get_by_text("Noch nicht gelabelt.")).to_be_visible()
    expect(seen.page.get_by_role("button", name="Im Labeln öffnen")).to_have_count(0)


def test_the_text_of_a_report_stays_text(seen: Seen) -> None:
    seen.search("<b>Erguss</b>")
    expect(seen.page.locator(".mo-hit")).to_have_count(1)
    seen.page.locator(".mo-hit").click()
    expect(seen.page.locator(".mo-looked .mb-report")).to_have_text(HOSTILE)
    assert seen.page.evaluate("window.ran") is None
    assert seen.page.locator(".mb-overview img, .mb-overview b").count() == 0


def test_figures_have_their_numbers_in_tables(seen: Seen) -> None:
    figure = seen.page.locator(".mo-figure").first
    expect(figure.get_by_text("Werte in 1 gelabelten Befunden")).to_be_visible()
    figure.get_by_text("Zahlen als Tabelle").click()
    expect(figure.get_by_role("row", name="Pleuraerguss 1 0 0 0")).to_be_visible()
    days = seen.page.locator(".mo-figure").last
    days.get_by_text("Zahlen als Tabelle").click()
    expect(days.get_by_role("row", name="lokal 1")).to_be_visible()


def test_english_follows_the_page(seen: Seen) -> None:
    seen.page.get_by_text("English", exact=True).click()
    expect(seen.page.get_by_role("searchbox", name="Search the text")).to_be_visible()
    expect(seen.page.get_by_text("Often present together")).to_be_visible()


def test_on_a_phone_nothing_is_cut_off(labelled: Site) -> None:
    page = labelled.open("Annotation", **PHONE)
    page.get_by_role("tab", name="Übersicht").click()
    expect(page.locator(".mo-hit")).to_have_count(20)
    page.locator(".mo-hit").first.click()
    expect(page.locator(".mo-looked .mb-report")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
