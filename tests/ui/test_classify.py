"""Someone reads a report with the model: findings, evidence, files, and what happens to bad input."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import FilePayload, Page, expect

from tests import tiny
from tests.launch import PHONE, XRAY
from tests.ui.conftest import Site, expect_refusal

TEXT = "Kein Nachweis eines Pneumothorax, kleiner Erguss links."
NASTY = "<script>document.title='offen'</script> Rundherd <5 mm & kein <b>Erguss</b> im Herz."


def read(page: Page, text: str) -> None:
    """Type a report and ask for its findings."""
    page.fill("#read-text textarea", text)
    page.click("#read-run")


def upload(page: Page, name: str, data: bytes) -> None:
    page.set_input_files("#read-input input[type=file]", FilePayload(name=name, mimeType="text/plain", buffer=data))


def test_an_example_comes_with_all_findings_and_a_click_shows_the_words_behind_one(site: Site) -> None:
    page = site.open("Klassifikation")
    page.click("#read-example input")
    page.get_by_role("option", name="Normalbefund in einer Zeile").click()
    expect(page.locator("#read-findings button")).to_have_count(13)
    text = page.input_value("#read-text textarea")
    assert text.startswith("Thorax p.a. im Stehen: Herz normal groß")
    version = site.services.reading.model_version(XRAY)
    expect(page.locator("#read-findings")).to_contain_text(f"Modell: {version}")
    page.click("#read-findings button[data-label=Erguss]")
    expect(page.locator("#read-evidence .mb-report")).to_have_text(text)
    expect(page.locator("#read-evidence h3")).to_contain_text("Pleuraerguss – was für „")
    for fact in ("Layer Integrated Gradients", "Konvergenzabweichung", version):
        expect(page.locator("#read-evidence .mb-facts")).to_contain_text(fact)
    expect(page.locator("#read-findings button[aria-pressed=true]")).to_have_attribute("data-label", "Erguss")


def test_nothing_jumps_when_the_answer_comes(site: Site) -> None:
    page = site.open("Klassifikation")
    before = page.locator("#read-run").bounding_box()
    read(page, f"{TEXT}\n" * 40)
    expect(page.locator("#read-findings button")).to_have_count(13)
    assert page.locator("#read-run").bounding_box() == before


def test_on_a_phone_the_answer_comes_into_view_and_a_refusal_leads_back_to_the_text(site: Site) -> None:
    page = site.open("Klassifikation", **PHONE, reduced_motion="reduce")
    read(page, TEXT)
    expect(page.locator("#read-findings button")).to_have_count(13)
    expect(page.locator("#read-findings h3").first).to_be_in_viewport()
    expect(page.locator("#read-run")).not_to_be_in_viewport()
    read(page, "")
    expect_refusal(page, "Der Text ist leer.")
    expect(page.locator("#read-text textarea")).to_be_in_viewport(ratio=0.9)


def test_findings_beside_another_text_say_that_they_belong_to_the_one_before(site: Site) -> None:
    page = site.open("Klassifikation")
    read(page, TEXT)
    expect(page.locator("#read-findings button")).to_have_count(13)
    remark, findings = page.get_by_text("Gilt für den vorigen Text."), page.locator("#read-findings .mb-group").first
    expect(remark).to_have_count(0)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/queue/join" in request.url else None)
    page.fill("#read-text textarea", "Deutlicher Pneumothorax rechts.")
    expect(remark).to_be_visible()
    expect(findings).to_have_css("opacity", "0.7")
    page.fill("#read-text textarea", TEXT)
    expect(remark).to_have_count(0)
    expect(findings).to_have_css("opacity", "1")
    assert asked == [], "the server is not asked at every key"
    upload(page, "befund.txt", b"Kein Erguss.")
    expect(remark).to_be_visible()
    page.click("#read-run")
    expect(remark).to_have_count(0)
    page.click("#read-example input")
    page.get_by_role("option", name="Normalbefund in einer Zeile").click()
    expect(page.locator("#read-text textarea")).to_have_value(re.compile("^Thorax p.a."))
    expect(remark).to_have_count(0)


def test_a_text_that_cannot_be_read_is_refused_and_stays(site: Site) -> None:
    page = site.open("Klassifikation")
    for text, sentence in {
        "": "Der Text ist leer.",
        " \n\t ": "Der Text ist leer.",
        "Kein Erguss. " * 1_600: "Der Text hat 20.799 Zeichen, erlaubt sind 20.000.",
        "Kein\x00Erguss": "Der Text enthält unlesbare Zeichen",
    }.items():
        read(page, TEXT)
        expect(page.locator("#read-findings button")).to_have_count(13)
        read(page, text)
        expect_refusal(page, sentence)
        assert page.input_value("#read-text textarea") == text
        expect(page.locator("#read-findings")).to_have_text("Die Befunde erscheinen hier.")


def test_an_english_report_is_read_with_a_warning(site: Site) -> None:
    page = site.open("Klassifikation")
    read(page, "There is no evidence of pneumothorax. The heart is normal in size.")
    expect(page.locator("#read-findings .mb-notice")).to_contain_text("Der Text scheint nicht auf Deutsch zu sein.")
    expect(page.locator("#read-findings button")).to_have_count(13)


def test_a_file_that_cannot_be_read_is_refused_and_the_text_stays(site: Site) -> None:
    page = site.open("Klassifikation")
    page.fill("#read-text textarea", TEXT)
    for name, data, sentence in (
        ("befund.txt", "Kein Erguß.".encode("latin-1"), "ist nicht in UTF-8 gespeichert"),
        ("befund.txt", b"PK\x03\x04\x00\x00", "enthält Nullbytes"),
        ("befund.docx", b"Kein Erguss.", "Bitte eine Textdatei (.txt) wählen."),
    ):
        upload(page, name, data)
        expect_refusal(page, sentence)
        assert page.input_value("#read-text textarea") == TEXT


def test_a_text_file_fills_the_field(site: Site) -> None:
    page = site.open("Klassifikation")
    upload(page, "befund.txt", "\ufeffKein Erguß.\r\nHerz groß.".encode())
    expect(page.locator("#read-text textarea")).to_have_value("Kein Erguß.\nHerz groß.")


def test_markup_shows_as_written_and_never_runs(site: Site) -> None:
    page = site.open("Klassifikation")
    read(page, NASTY)
    page.click("#read-findings button >> nth=0")
    expect(page.locator("#read-evidence .mb-report")).to_have_text(NASTY)
    assert page.title() == "medbertde"
    assert page.locator("#read-evidence .mb-report script, #read-evidence .mb-report b").count() == 0


def test_another_examination_brings_its_own_examples_and_clears_the_answer(site: Site) -> None:
    page = site.open("Klassifikation")
    read(page, TEXT)
    expect(page.locator("#read-findings button")).to_have_count(13)
    page.click("#read-schema >> text=CT-Thorax")
    expect(page.locator("#read-findings")).to_have_text("Die Befunde erscheinen hier.")
    page.click("#read-example input")
    page.get_by_role("option", name="HRCT bei Lungenfibrose").click()
    expect_refusal(page, "ist kein Modell aktiv")


def test_words_are_not_shown_for_an_answer_of_another_model(own_site: Site, tmp_path: Path) -> None:
    page = own_site.open("Klassifikation")
    read(page, TEXT)
    expect(page.locator("#read-findings button")).to_have_count(13)
    own_site.services.runtime.swap(XRAY, tiny.classifier_folder(tmp_path / "newer", seed=1))
    page.click("#read-findings button >> nth=0")
    expect_refusal(page, "Inzwischen antwortet ein anderes Modell.")
    read(page, TEXT)
    expect(page.locator("#read-findings .mb-by")).to_contain_text("newer@")
