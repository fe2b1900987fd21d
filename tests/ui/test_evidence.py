"""Someone asks why: sentences and words behind a finding, another wording, another model, another threshold, files."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from medbertde.services import reading
from medbertde.services.access import Caller
from medbertde.types import Progress
from medbertde.types import Reading as Reads
from tests import tiny
from tests.launch import XRAY
from tests.ui.conftest import Site, expect_refusal

TEXT = "Kein Nachweis eines Pneumothorax. Kleiner Erguss links.\nRundherd <5 mm im linken Oberlappen & keine Fraktur."
EVIDENCE, CHANGED = "#read-evidence", "#what-if-card"


def explained(page: Page, label: str = "Erguss", text: str = TEXT) -> Page:
    """Classify a report and ask for one finding's evidence."""
    page.fill("#read-text textarea", text)
    page.click("#read-run")
    expect(page.locator("#read-findings button")).to_have_count(13)
    page.click(f"#read-findings button[data-label={label}]")
    expect(page.locator(f"{EVIDENCE} .mb-report")).to_have_text(text)
    return page


def test_a_report_is_shown_by_sentences_and_one_opens_into_its_words_with_mouse_and_keyboard(site: Site) -> None:
    page = explained(site.open("Klassifikation"))
    sentences, words = page.locator(f"{EVIDENCE} .mb-sentence"), page.locator(f"{EVIDENCE} .mb-report mark")
    expect(sentences).to_have_text(
        [
            "Kein Nachweis eines Pneumothorax.",
            "Kleiner Erguss links.",
            "Rundherd <5 mm im linken Oberlappen & keine Fraktur.",
        ]
    )
    expect(words).to_have_count(0)
    sentences.nth(1).click()
    expect(words).to_have_text(["Kleiner", "Erguss", "links."])
    expect(page.locator(f"{EVIDENCE} .mb-chip")).to_have_count(3)
    assert page.locator(f"{EVIDENCE} .mb-report").inner_text() == TEXT
    sentences.nth(2).focus()
    page.keyboard.press("Enter")
    expect(sentences.nth(2)).to_have_attribute("aria-expanded", "true")
    expect(words.nth(4)).to_have_text("<5")
    for part in ("spricht dafür", "spricht dagegen", "Logit-Einheiten", "[CLS] [PAD] … [SEP]", "Rechenschritte"):
        expect(page.locator(EVIDENCE)).to_contain_text(part)
    page.get_by_role("button", name="Wörter aller Sätze").click()
    assert words.count() == len(TEXT.split())


def test_a_sentence_that_adds_nothing_opens_into_words_that_are_computed_then_and_kept(
    own_site: Site, tmp_path: Path
) -> None:
    services = own_site.services
    services.runtime.swap(XRAY, tiny.classifier_folder(tmp_path / "m", reads=Reads.SENTENCES))
    label, numbers = left_out(own_site)
    page = explained(own_site.open("Klassifikation"), label)
    sentences, strongest = page.locator(f"{EVIDENCE} .mb-sentence"), page.locator(f"{EVIDENCE} .mb-pair")
    listed = strongest.inner_text()
    first = sentences.nth(numbers[0])
    first.focus()
    page.keyboard.press("Enter")
    words = first.inner_text().split()
    expect(first).to_have_attribute("aria-expanded", "true")
    expect(first.locator("mark")).to_have_text(words)
    expect(first).to_be_focused()
    expect(first).to_have_attribute("aria-busy", "false")
    expect(page.locator(f"{EVIDENCE} .mb-chip")).to_have_count(len(words))
    assert strongest.inner_text() == listed
    first.click()
    with page.expect_download() as download:
        page.click(f"{EVIDENCE} [data-kind=json]")
    saved = json.loads(download.value.path().read_text(encoding="utf-8"))
    assert all(passage["words"] for passage in saved["passages"]), "a file holds the words of all sentences"
    services.runtime.swap(XRAY, tiny.classifier_folder(tmp_path / "newer", seed=1))
    page.get_by_role("button", name="Wörter aller Sätze").click()
    expect(page.locator(f"{EVIDENCE} .mb-report mark")).to_have_count(
        len(TEXT.split())
    )  # they are kept with the answer


def words_that_wait(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """The words of a sentence are computed once this is set."""
    asked, real = threading.Event(), reading.with_words

    def slow(*args: Any, **options: Any) -> Any:
        assert asked.wait(20)
        return real(*args, **options)

    monkeypatch.setattr(reading, "with_words", slow)
    return asked


def test_a_sentence_says_that_its_words_are_coming_and_nothing_else_moves(
    own_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_site.services.runtime.swap(XRAY, tiny.classifier_folder(tmp_path / "m", reads=Reads.SENTENCES))
    label, numbers = left_out(own_site)
    page = explained(own_site.open("Klassifikation"), label)
    asked = words_that_wait(monkeypatch)
    below, sentence = page.locator(f"{EVIDENCE} .mb-detail"), page.locator(f"{EVIDENCE} .mb-sentence").nth(numbers[0])
    sentence.click()
    expect(sentence).to_have_attribute("aria-busy", "true")
    expect(below).to_contain_text("Die Wörter werden berechnet …")
    height = below.evaluate("node => node.offsetHeight")
    expect(page.locator(f"{EVIDENCE} [role=progressbar]")).to_have_count(0)
    asked.set()
    expect(sentence).to_have_attribute("aria-busy", "false")
    expect(below.locator(".mb-chip").first).to_be_visible()
    assert abs(below.evaluate("node => node.offsetHeight") - height) <= 4


def test_a_sentence_opened_while_another_one_still_waits_gets_its_words_too(
    own_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_site.services.runtime.swap(XRAY, tiny.classifier_folder(tmp_path / "m", reads=Reads.SENTENCES))
    label, numbers = left_out(own_site, at_least=2)
    page = explained(own_site.open("Klassifikation"), label)
    asked = words_that_wait(monkeypatch)
    sentences = [page.locator(f"{EVIDENCE} .mb-sentence").nth(number) for number in numbers[:2]]
    for sentence in sentences:
        sentence.click()
        expect(sentence).to_have_attribute("aria-busy", "true")
    asked.set()
    for sentence in sentences:
        expect(sentence).to_have_attribute("aria-busy", "false")
        expect(sentence.locator("mark").first).to_be_visible()
    expect(page.locator(f"{EVIDENCE} .mb-detail .mb-chip").first).to_be_visible()


def test_words_that_another_model_would_have_to_add_are_refused_and_the_sentence_stays_as_it_was(
    own_site: Site, tmp_path: Path
) -> None:
    own_site.services.runtime.swap(XRAY, tiny.classifier_folder(tmp_path / "m", reads=Reads.SENTENCES))
    label, numbers = left_out(own_site)
    page = explained(own_site.open("Klassifikation"), label)
    own_site.services.runtime.swap(XRAY, tiny.classifier_folder(tmp_path / "newer", seed=1))
    sentence = page.locator(f"{EVIDENCE} .mb-sentence").nth(numbers[0])
    sentence.click()
    expect_refusal(page, "Inzwischen antwortet ein anderes Modell. Bitte den Befund noch einmal klassifizieren.")
    expect(sentence).to_have_attribute("aria-expanded", "false")
    expect(page.locator(f"{EVIDENCE} .mb-detail")).to_have_text("")


def left_out(site: Site, *, at_least: int = 1) -> tuple[str, list[int]]:
    """A finding of which some sentences add nothing to the score, and which ones."""
    services = site.services
    found = services.reading.explain_all(
        services.access.identify(Caller(None, None)), XRAY, TEXT, model_version=services.reading.model_version(XRAY)
    )
    for label, attribution in found.items():
        numbers = [number for number, each in enumerate(attribution.passages) if each.words is None]
        if len(numbers) >= at_least:
            return label, numbers
    pytest.fail("too many sentences add something to every finding; another text is needed")


def test_several_findings_are_explained_at_once_and_each_can_be_looked_at(site: Site) -> None:
    page = explained(site.open("Klassifikation"))
    page.get_by_role("button", name="Alle auffälligen Befunde begründen").click()
    rows = page.locator("#read-reasons .mb-overall")
    notable = page.locator("#read-findings [data-state=present] button, #read-findings [data-state=uncertain] button")
    expect(rows).to_have_count(notable.count())
    rows.nth(1).click()
    expect(rows.nth(1)).to_have_attribute("aria-pressed", "true")
    chosen = rows.nth(1).get_attribute("data-label")
    expect(page.locator("#read-findings button[aria-pressed=true]")).to_have_attribute("data-label", str(chosen))


def test_an_explanation_is_saved_as_page_picture_table_and_json(site: Site, tmp_path: Path) -> None:
    page = explained(site.open("Klassifikation"))
    saved = {}
    for kind in ("html", "png", "csv", "json"):
        with page.expect_download() as download:
            page.click(f"{EVIDENCE} [data-kind={kind}]")
        assert download.value.suggested_filename == f"medbertde_Erguss.{kind}"
        saved[kind] = tmp_path / f"saved.{kind}"
        download.value.save_as(saved[kind])
    assert saved["png"].read_bytes().startswith(b"\x89PNG")
    alone = page.context.new_page()
    alone.goto(saved["html"].as_uri())
    assert "Rundherd <5 mm im linken Oberlappen & keine Fraktur." in alone.locator(".report").inner_text()
    assert site.services.reading.model_version(XRAY) in alone.locator("body").inner_text()


def test_a_struck_sentence_and_a_changed_word_are_compared_with_the_original_and_one_click_goes_back(
    own_site: Site, tmp_path: Path
) -> None:
    page = explained(own_site.open("Klassifikation"))
    page.locator(f"{EVIDENCE} .mb-sentence").nth(1).click()
    page.click(f"{EVIDENCE} [data-do=strike]")
    expect(page.locator(f"{CHANGED} del")).to_have_text(["Kleiner", "Erguss", "links."])
    expect(page.locator("#what-if-text textarea")).to_have_value(TEXT.replace(" Kleiner Erguss links.", ""))
    page.fill("#what-if-text textarea", TEXT.replace("Kleiner", "Großer"))
    page.click("#what-if-run")
    expect(page.locator(f"{CHANGED} ins")).to_have_text("Großer")
    expect(page.locator(f"{CHANGED} tbody th").first).to_have_text("Pleuraerguss")
    page.click("#what-if-back")
    expect(page.locator("#what-if-text textarea")).to_have_value(TEXT)
    expect(page.locator(CHANGED)).to_have_text("")
    page.click("#what-if-run")
    expect_refusal(page, "Der Text ist noch unverändert.")
    own_site.services.runtime.swap(XRAY, tiny.classifier_folder(tmp_path / "newer", seed=1))
    page.fill("#what-if-text textarea", "Kein Erguss.")
    page.click("#what-if-run")
    expect_refusal(page, "Inzwischen antwortet ein anderes Modell.")


def test_another_threshold_and_another_model_are_set_beside_the_answer(
    own_site: Site, tmp_path: Path, tiny_models: dict[str, str]
) -> None:
    user = own_site.services.access.identify(Caller(None, None))
    other = tiny.classifier_folder(tmp_path / "other", seed=3)
    for folder in (str(other), tiny_models[XRAY]):  # both are known now, the first of the app answers
        own_site.services.models.switch(user, XRAY, folder)
    page = explained(own_site.open("Klassifikation"))
    page.click("#threshold button >> nth=0")
    said = page.locator("#threshold-card")
    expect(said).to_contain_text("Mit der Schwelle 0,50 heißt Pleuraerguss in diesem Befund")
    expect(said).to_contain_text("Das Modell enthält für diesen Befund keine gemessenen Zahlen.")
    page.locator("#threshold-slider input[type=range]").fill("0.01")
    expect(said).to_contain_text("Mit der Schwelle 0,01 heißt Pleuraerguss in diesem Befund „vorhanden“")
    page.click("#second button >> nth=0")
    page.click("#second-name input")
    page.get_by_role("option", name="other@").click()
    page.click("#second-run")
    expect(page.locator("#second-card .mb-report")).to_have_text([TEXT, TEXT])
    expect(page.locator("#second-card .mb-by").nth(1)).to_contain_text("Modell: other@")


def test_a_click_on_another_finding_right_after_an_explanation_is_answered(site: Site) -> None:
    page = site.open("Klassifikation")
    page.fill("#read-text textarea", TEXT)
    page.click("#read-run")
    expect(page.locator("#read-findings button")).to_have_count(13)
    page.evaluate(
        """() => new MutationObserver((_changes, observer) => {
            if (!document.querySelector("#read-evidence .mb-report")) return;
            observer.disconnect();
            setTimeout(() => document.querySelector("#read-findings button[data-label=ZVK]").click(), 20);
        }).observe(document.querySelector("#read-evidence"), { childList: true, subtree: true })"""
    )
    page.click("#read-findings button[data-label=Erguss]")
    expect(page.locator(f"{EVIDENCE} h3")).to_contain_text("Zentraler Venenkatheter – was für „")


def test_a_long_explanation_shows_how_far_it_is_and_can_be_cancelled(
    own_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = explained(own_site.open("Klassifikation"))
    real: Callable[..., Any] = reading.explain_all

    def slow(*args: Any, on_progress: Any, stop: Any, **options: Any) -> Any:
        on_progress(Progress(1, 4))
        while not stop():
            time.sleep(0.01)
        return real(*args, stop=stop, **options)

    monkeypatch.setattr(reading, "explain_all", slow)
    page.click("#read-findings button[data-label=ZVK]")
    expect(page.locator(EVIDENCE)).to_contain_text("Wird begründet … 25 %")
    page.locator(EVIDENCE).get_by_role("button", name="Abbrechen").click()
    expect(page.locator(f"{EVIDENCE} h3")).to_contain_text("Pleuraerguss – was für „")
