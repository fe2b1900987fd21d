"""Whoever opens "Über medbertde" reads in plain words how the models that answer were audited."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from medbertde.inference.checkpoint import weights_hash
from medbertde.model_audit import LIMITS, Figure, ModelAudit, write_audit
from medbertde.services.models import FILL_MASK_SLOT
from tests.launch import PHONE, XRAY
from tests.ui.conftest import Site

WITHIN = Figure("membership_auc", 0.52, 800, 0.48, 0.56)
ABOVE = Figure("membership_auc", 0.71, 800, 0.67, 0.75)
PAIRS = (
    Figure("flip_rate", 0.02, 150, 0.0, 0.05, "sex (line)"),
    Figure("flip_rate", 0.0, 1000, 0.0, 0.0, "name (line)"),
)


def audit(site: Site, folder: Path, slot: str, *figures: Figure) -> None:
    """Let a copy of the model answer that has an audit with these figures."""
    answering = site.services.runtime.models()[slot]
    copy = Path(shutil.copytree(answering.folder, folder))
    made = ModelAudit(answering.version, weights_hash(copy), "2026-11-29T02:00:00", "c", "", "texts", figures)
    write_audit(copy, made)
    site.services.runtime.swap(slot, copy)


def opened(site: Site, **options: object) -> Page:
    page = site.open("Über medbertde", **options)
    expect(page.locator("#about-audits section").first).to_be_visible()
    return page


def test_each_model_that_answers_has_a_verdict_in_plain_words(own_site: Site, tmp_path: Path) -> None:
    audit(own_site, tmp_path / "befunde", XRAY, ABOVE, *PAIRS)
    page = opened(own_site)
    xray, gaps = page.locator("#about-audits section").all()
    expect(xray).to_contain_text("Röntgen-Thorax")
    expect(xray.locator(".mb-audit-verdict")).to_have_text("Über den Grenzen")
    expect(xray).to_contain_text("in 71 von 100 Vergleichen")
    expect(xray).to_contain_text("Von 1.150 Paaren von Befunden, die sich nur in Geschlecht und Name unterscheiden")
    expect(xray).to_contain_text("änderte sich bei 3 eine Entscheidung")
    expect(xray).to_contain_text("nur, wenn ein Administrator das begründet")
    expect(gaps.locator(".mb-audit-verdict")).to_have_text("Nicht geprüft")


def test_the_figures_open_by_keyboard_with_their_limits_and_reasons(own_site: Site, tmp_path: Path) -> None:
    audit(own_site, tmp_path / "befunde", XRAY, WITHIN, *PAIRS)
    page = opened(own_site)
    section = page.locator("#about-audits section").first
    expect(section.locator(".mb-audit-verdict")).to_have_text("Alle Grenzen eingehalten")
    expect(section.locator("table")).to_be_hidden()
    section.locator("summary").focus()
    page.keyboard.press("Enter")
    row = section.locator("tbody tr").first
    expect(row).to_contain_text("0,520 (0,480–0,560)")
    expect(row).to_contain_text(f"≤ {LIMITS.membership_auc:g}".replace(".", ","))
    expect(section.locator("dd").first).to_contain_text("Bei 0,5 rät ein Angreifer")


def test_another_model_is_told_of_when_the_tab_is_opened_again(own_site: Site, tmp_path: Path) -> None:
    page = opened(own_site)
    verdict = page.locator("#about-audits section .mb-audit-verdict").last
    expect(verdict).to_have_text("Nicht geprüft")
    audit(own_site, tmp_path / "luecken", FILL_MASK_SLOT, WITHIN)
    page.get_by_role("tab", name="Lückentext").click()
    page.get_by_role("tab", name="Über medbertde").click()
    expect(verdict).to_have_text("Alle Grenzen eingehalten")


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desktop", "phone"])
def test_it_is_said_in_english_too_and_fits_the_screen(
    options: dict[str, object], own_site: Site, tmp_path: Path
) -> None:
    audit(own_site, tmp_path / "befunde", XRAY, WITHIN, *PAIRS)
    page = opened(own_site, **options)
    page.locator("#mb-language").get_by_text("English").click()
    section = page.locator("#about-audits section").first
    expect(section).to_contain_text("Within all limits")
    expect(section).to_contain_text("Single training texts are not given away.")
    section.locator("summary").click()
    expect(section.locator("table")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
