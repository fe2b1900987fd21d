"""Whoever runs the app looks at the models and changes one; everybody else sees which one answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from huggingface_hub import constants
from playwright.sync_api import Page, expect

from medbertde.inference.catalogue import CATALOGUE
from medbertde.services import open_services
from medbertde.store import users
from medbertde.types import Role
from tests import tiny
from tests.launch import PHONE, XRAY
from tests.ui.conftest import Site
from tests.ui.test_classify import read

WAIT_S = 60.0
SWITCH_MS = 90_000  # a change of language is an event per tab; on a busy machine that adds up


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)


def opened(page: Page, task: str = "Röntgen-Thorax") -> Page:
    """The page with the models of a task in sight."""
    page.click("#models > button")
    page.click(f"#models-slot >> text={task}")
    expect(page.locator("#models-list li").first).to_be_visible()
    return page


def use(page: Page, typed: str) -> None:
    page.fill("#models-typed textarea, #models-typed input", typed)
    page.click("#models-use")


@contextmanager
def held_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Models are loaded, but do not answer before the end of the block."""
    go_on, load = threading.Event(), site.services.runtime.load

    def slow(*args: object, **options: object) -> object:
        model = load(*args, **options)  # type: ignore[arg-type]
        assert go_on.wait(WAIT_S)
        return model

    monkeypatch.setattr(site.services.runtime, "load", slow)
    try:
        yield
    finally:
        go_on.set()


def test_the_old_model_answers_until_the_new_one_is_ready_then_every_page_learns_of_it(
    own_site: Site, tiny_models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, reader = opened(own_site.open()), own_site.open("Klassifikation")
    old = own_site.services.reading.model_version(XRAY)
    with held_back(own_site, monkeypatch):
        use(admin, str(tiny.classifier_folder(tmp_path / "neu", seed=3, family="deberta-v2")))
        status = admin.locator("#models-status")
        expect(status).to_contain_text("wird geprüft und gestartet. Das bisherige Modell antwortet weiter.")
        expect(status.get_by_role("progressbar")).to_be_visible()
        expect(admin.locator("#models-list button").first).to_have_attribute("aria-disabled", "true")
        read(reader, "Kein Erguss.")
        expect(reader.locator("#read-findings .mb-by")).to_have_text(f"Modell: {old}")
    expect(status).to_contain_text("Ab jetzt antwortet neu@")
    new = own_site.services.reading.model_version(XRAY)
    expect(admin.locator("#mb-model")).to_contain_text(f"Röntgen-Thorax: {new}")
    expect(admin.locator(f'#models-list li[data-model="{new}"]')).to_contain_text("antwortet jetzt")
    expect(reader.locator("#mb-model")).to_contain_text(f"Röntgen-Thorax: {old}")
    read(reader, "Kleiner Erguss links.")
    expect(reader.locator("#mb-model")).to_contain_text(f"Röntgen-Thorax: {new}")
    restarted = open_services(own_site.services.settings, shipped=tiny_models)
    assert restarted.reading.model_version(XRAY) == new
    restarted.database.close()

    admin.locator(f'#models-list button[data-name="{old}"]').press("Enter")
    expect(admin.locator("#mb-model")).to_contain_text(f"Röntgen-Thorax: {old}")


def test_a_language_model_is_changed_and_the_next_gap_is_filled_by_it(own_site: Site, tmp_path: Path) -> None:
    page = opened(own_site.open(), "Lückentext")
    use(page, str(tiny.mlm_folder(tmp_path / "gottbert", family="roberta")))
    expect(page.locator("#mb-model")).to_contain_text("Lückentext: gottbert@")
    page.get_by_role("tab", name="Lückentext").click()
    page.fill("#fill-text textarea", "Kein [MASK].")
    page.click("#fill-run")
    expect(page.locator("#fill-card .mb-by")).to_contain_text("gottbert@")


def test_a_refusal_is_a_plain_sentence_that_stays_and_nothing_changes(
    site: Site, tiny_classifier_folder: Path, tmp_path: Path
) -> None:
    page = opened(site.open(), "Lückentext")
    before = page.locator("#mb-model code").all_inner_texts()
    for typed, reason in {
        "/gibt/es/nicht": "Das Modell „/gibt/es/nicht“ gibt es nicht.",
        str(tmp_path): "die Datei config.json fehlt",
        str(tiny_classifier_folder): "kann nicht für „fill_mask“ antworten",
        "niemand/<b>nichts</b>": "gibt es nicht",
        "uklfr/gottbert-base": "der Hugging Face Hub ist nicht erreichbar",
    }.items():
        use(page, typed)
        expect(page.locator("#models-status [role=alert]")).to_contain_text(reason)
        expect(page.locator("#models-status [role=alert]")).to_contain_text("Das bisherige Modell antwortet weiter.")
    assert page.locator("#models-status b").count() == 0
    assert page.locator("#mb-model code").all_inner_texts() == before
    page.click("#mb-language >> text=English")
    english = "The model before goes on answering."
    expect(page.locator("#models-status [role=alert]")).to_contain_text(english, timeout=SWITCH_MS)
    assert "antwortet" not in page.locator("#models").inner_text()


def test_every_model_is_shown_with_what_one_must_know(site: Site) -> None:
    page = opened(site.open(), "Lückentext")
    rows = page.locator("#models-list li")
    language_models = [entry for entry in CATALOGUE if entry.schema_id is None]
    expect(rows).to_have_count(len(language_models) + 1)
    for entry in language_models:
        row = page.locator(f'#models-list li[data-model="{entry.id}"]')
        for text in (entry.title["de"], entry.good_for["de"], entry.licence["de"], entry.terms["de"], " Parameter, "):
            expect(row).to_contain_text(text)
    gated = page.locator('#models-list li[data-model="GerMedBERT/medbert-512"]')
    expect(gated).to_contain_text("gesperrt")
    expect(gated).to_contain_text("Umgebungsvariable HF_TOKEN setzen")
    expect(gated.locator("button")).to_have_count(0)
    expect(page.locator('#models-list li[data-model="medbertde-mini"]')).to_contain_text("eingebaut")
    expect(page.locator('#models-list li[data-where="offline"]')).to_have_count(5)
    expect(page.locator("#models-list")).to_contain_text("Der Hugging Face Hub ist von hier aus nicht erreichbar.")
    expect(page.locator("#models-list li", has_text="antwortet jetzt")).to_have_count(1)


def test_who_does_not_run_the_app_looks_but_changes_nothing(shared_site: Site) -> None:
    with shared_site.services.database.write() as session:
        ben = users.find_user(session, name="ben")
        assert ben
        users.set_role(session, user_id=ben.id, role=Role.ANNOTATOR)
    page = opened(shared_site.open(name="ben"))
    expect(page.locator("#models-status")).to_contain_text("Wechseln kann es nur, wer die App verwaltet")
    expect(page.locator("#models-list button")).to_have_count(0)
    expect(page.locator("#models-own")).to_be_hidden()
    admin = opened(shared_site.open(name="anna"))
    expect(admin.locator("#models-own")).to_be_visible()
    expect(admin.locator("#models-list button")).to_have_count(1)


def test_on_a_phone_the_models_fit_and_are_easy_to_touch(site: Site) -> None:
    page = opened(site.open(**PHONE), "Röntgen-Thorax")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for button in ("#models > button", "#models-list button >> nth=0", "#models-use"):
        box = page.locator(button).bounding_box()
        assert box is not None
        assert box["height"] >= 32
        assert box["x"] + box["width"] <= 390
