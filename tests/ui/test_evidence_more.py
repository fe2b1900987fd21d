"""Someone asks more about an explanation: how reliable it is, another method, a proposal on the annotation card."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from medbertde.report_file import to_json
from medbertde.services import reading
from medbertde.services.access import Caller
from medbertde.store import labelled
from medbertde.types import Progress, ReportRecord, Role
from tests.launch import XRAY, launched
from tests.ui.annotator import enter, expect_saved
from tests.ui.conftest import Site
from tests.ui.test_evidence import EVIDENCE, TEXT, explained

MORE = "#read-more"


def bring(site: Site, text: str) -> None:
    """Put a report among those to annotate."""
    line = to_json(ReportRecord(text, id="r1", modality="xray")).encode()
    user = site.services.access.identify(Caller(None, None))
    site.services.annotate.import_reports(user, XRAY, "befunde.jsonl", line)


def marked(site: Site) -> list[tuple[str, str]]:
    """The marked words of all saved reports."""
    with site.services.database.read() as session:
        records = list(labelled.records(session, schema_id=XRAY))
    return [(one.label, record.text[one.start : one.end]) for record in records for one in record.rationales]


def violations(page: Page, part: str) -> list[str]:
    found = Axe().run(page, context=part, options={"runOnly": ["wcag2a", "wcag2aa"]})
    return [each["id"] for each in found.response["violations"]]


def test_the_reliability_of_an_explanation_is_told_beside_chance(site: Site) -> None:
    page = explained(site.open("Klassifikation"))
    page.get_by_role("button", name="Wie verlässlich ist diese Erklärung?").click()
    expect(page.locator(f"{MORE} [role=status]")).to_contain_text("Erklärung")
    expect(page.locator(f"{MORE} h4")).to_contain_text(["Ohne die wichtigsten Wörter", "Nur mit den wichtigsten"])
    expect(page.locator(f"{MORE} .me-check")).to_contain_text("von 20 zufälligen Reihenfolgen der Wörter")
    assert violations(page, MORE) == []
    page.get_by_text("English").click()
    expect(page.locator(f"{MORE} h4").first).to_contain_text("Without the most important words")
    page.click("#read-findings button[data-label=ZVK]")
    expect(page.locator(f"{EVIDENCE} h3")).to_contain_text("entral")
    expect(page.locator(f"{MORE} .me-check")).to_have_count(0)


def test_checking_shows_how_far_it_is_and_can_be_cancelled(own_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    page = explained(own_site.open("Klassifikation"))
    real: Callable[..., Any] = reading.against_chance

    def slow(*args: Any, on_progress: Any, stop: Any) -> Any:
        on_progress(Progress(1, 4))
        while not stop():
            time.sleep(0.01)
        return real(*args, stop=stop)

    monkeypatch.setattr(reading, "against_chance", slow)
    page.click(f"{MORE} [data-do=check]")
    expect(page.locator(MORE)).to_contain_text("Wird geprüft … 25 %")
    expect(page.locator(f"{EVIDENCE} .mb-report")).to_have_text(TEXT)
    page.locator(MORE).get_by_role("button", name="Abbrechen").click()
    expect(page.locator(f"{MORE} [data-do=check]")).to_be_visible()
    expect(page.locator(f"{MORE} .me-check")).to_have_count(0)


def test_another_method_is_folded_away_and_explains_the_same_finding_anew(site: Site) -> None:
    page = explained(site.open("Klassifikation"))
    facts = page.locator(f"{EVIDENCE} .mb-facts")
    expect(facts).to_contain_text("Layer Integrated Gradients")
    expect(page.locator(f"{MORE} input[value=occlusion]")).not_to_be_visible()
    page.click(f"{MORE} summary")
    page.check(f"{MORE} input[value=occlusion]")
    expect(facts).to_contain_text("Weglassen, Wort für Wort (Occlusion)")
    expect(page.locator(f"{MORE} input[value=occlusion]")).to_be_checked()
    expect(page.locator(f"{MORE} input[value=occlusion]")).to_be_visible()
    page.check(f"{MORE} input[value=mask]")
    expect(facts).to_contain_text("[CLS] [MASK] … [SEP]")
    page.check(f"{MORE} input[value=saliency]")
    expect(page.locator(EVIDENCE)).to_contain_text("nicht, ob es dafür oder dagegen spricht")
    expect(page.locator(f"{MORE} input[value=mask]")).to_have_count(0)
    assert violations(page, MORE) == []


def test_the_plot_shows_how_often_the_probabilities_came_true(
    tmp_path: Path, tiny_models: dict[str, str], browser: Any
) -> None:
    folder = Path(shutil.copytree(tiny_models[XRAY], tmp_path / "model"))
    facts = json.loads((folder / "medbertde.json").read_text(encoding="utf-8"))
    facts["reliability"] = [{"probability": 0.5, "observed": 0.4, "n": 30}]
    (folder / "medbertde.json").write_text(json.dumps(facts), encoding="utf-8")
    with launched(tmp_path / "app", {**tiny_models, XRAY: str(folder)}) as (services, url):
        site = Site(services, url, browser, tmp_path)
        page = explained(site.open("Klassifikation"))
        page.click("#threshold button >> nth=0")
        expect(page.locator("#threshold-card .mc-said")).to_have_text(
            "Von den Befunden, denen das Modell etwa 50 % gab, waren 40 % vorhanden (n = 30)."
        )
        line = page.locator("#threshold-card .mc-threshold")
        before = line.get_attribute("x1")
        page.locator("#threshold-slider input[type=range]").fill("0.9")
        expect(line).not_to_have_attribute("x1", str(before))
        assert violations(page, "#threshold-card") == []
        site.close_pages()


class TestProposals:
    def test_words_are_proposed_for_a_stored_report_and_become_marks_only_when_accepted(self, own_site: Site) -> None:
        bring(own_site, TEXT)
        page = explained(own_site.open("Klassifikation"))
        page.click(f"{MORE} [data-do=propose]")
        expect(page.locator(f"{MORE} .me-proposed")).to_contain_text("Befund r1")
        quotes = page.locator(f"{MORE} .me-quotes li").all_inner_texts()
        assert quotes
        page.click(f"{MORE} [data-do=open]")
        expect(page.locator(".ma-text")).to_have_text(TEXT)
        page.click(".ma-row[data-label=Erguss] .ma-name")
        expect(page.locator(".ma-proposal .ma-chip-text")).to_have_text(quotes)
        expect(page.locator(".ma-text mark")).to_have_count(0)
        assert violations(page, "#annotate-card") == []
        page.keyboard.press("+")
        expect(page.locator(".ma-chips .ma-chip-text")).to_have_text(quotes)
        expect(page.locator(".ma-proposal")).to_have_count(0)
        page.keyboard.press("1")
        enter(page)
        expect_saved(page)
        assert marked(own_site) == [("Erguss", quote) for quote in quotes]

    def test_what_is_not_accepted_or_is_turned_down_is_not_saved(self, own_site: Site) -> None:
        bring(own_site, TEXT)
        page = explained(own_site.open("Klassifikation"))
        page.click(f"{MORE} [data-do=propose]")
        expect(page.locator(f"{MORE} .me-quotes li").first).to_be_visible()
        count = page.locator(f"{MORE} .me-quotes li").count()
        page.get_by_role("tab", name="Annotation").click()
        expect(page.locator(".ma-text")).to_have_text(TEXT)
        page.click(".ma-row[data-label=Erguss] .ma-name")
        expect(page.locator(".ma-proposal")).to_have_count(count)
        page.keyboard.press("-")
        expect(page.locator(".ma-proposal")).to_have_count(0)
        page.keyboard.press("Control+z")
        expect(page.locator(".ma-proposal")).to_have_count(count)
        enter(page)
        expect_saved(page)
        assert marked(own_site) == []

    def test_a_report_in_hand_shows_what_was_proposed_meanwhile(self, own_site: Site) -> None:
        bring(own_site, TEXT)
        page = own_site.open("Annotation")
        expect(page.locator(".ma-text")).to_have_text(TEXT)
        page.get_by_role("tab", name="Klassifikation").click()
        explained(page)
        page.click(f"{MORE} [data-do=propose]")
        expect(page.locator(f"{MORE} .me-quotes li").first).to_be_visible()
        page.get_by_role("tab", name="Annotation").click()
        page.click(".ma-row[data-label=Erguss] .ma-name")
        expect(page.locator(".ma-proposal").first).to_be_visible()

    def test_an_unknown_text_is_taken_in_and_opened_on_the_card(self, own_site: Site) -> None:
        page = explained(own_site.open("Klassifikation"))
        page.click(f"{MORE} [data-do=propose]")
        expect(page.locator(MORE)).to_contain_text("Dieser Text liegt nicht unter den Befunden zum Annotieren.")
        expect(page.locator(f"{MORE} [data-do=take_in]")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator(f"{MORE} .me-quotes li").first).to_be_visible()
        expect(page.locator(f"{MORE} [data-do=open]")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator(".ma-text")).to_have_text(TEXT)

    def test_a_visitor_is_not_offered_to_propose(
        self, tmp_path: Path, tiny_models: dict[str, str], browser: Any
    ) -> None:
        with launched(tmp_path, tiny_models, users={"vera": Role.VIEWER, "anna": Role.ADMIN}) as (services, url):
            site = Site(services, url, browser, tmp_path)
            page = explained(site.open("Klassifikation", name="vera"))
            expect(page.locator(f"{MORE} [data-do=check]")).to_be_visible()
            expect(page.locator(f"{MORE} [data-do=propose]")).to_have_count(0)
            site.close_pages()
