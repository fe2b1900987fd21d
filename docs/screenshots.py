"""Take the pictures in `docs/screenshots/`: `python -m docs.screenshots` (needs what the tests need, a few minutes).

The real page with the embedded models over a throw-away folder: shipped reports are imported, some with their labels,
and one short training run on those alone is started and awaited, so that every tab has something to show.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from medbertde.services import EMBEDDED, Services
from medbertde.services.access import Caller
from medbertde.settings import ROOT
from medbertde.types import RunState
from tests.launch import CHROMIUM, FLAGS, PHONE, XRAY, launched

FOLDER = ROOT / "docs" / "screenshots"
LABELLED = ROOT / "data" / "reports" / f"test_{XRAY}.jsonl"
LOOKS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": PHONE,
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
}
EXAMPLE = "Verdacht auf Pneumonie mit Unsicherheit"
EPOCHS = 4


def main() -> None:
    """Take every picture anew."""
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        launched(Path(folder), EMBEDDED) as (services, url),
        sync_playwright() as playwright,
    ):
        prepare(services)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for look in LOOKS:
            take(browser, url, look)
        browser.close()


def prepare(services: Services) -> None:
    """Labelled reports, reports that wait, and a finished training run."""
    user = services.access.identify(Caller(None, None))
    services.annotate.import_reports(user, XRAY, LABELLED.name, LABELLED.read_bytes())
    services.annotate.import_examples(user, XRAY)
    run = services.training.start(user, XRAY, EPOCHS)
    while services.training.status(user, run.id).run.state is RunState.RUNNING:
        time.sleep(1)


def take(browser: Browser, url: str, look: str) -> None:
    """The four tabs in one look."""
    context = browser.new_context(**LOOKS[look])
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.goto(url)
    for tab, show in (
        ("classify", show_classification),
        ("fill_mask", show_gap),
        ("annotate", show_annotation),
        ("training", show_training),
    ):
        show(page)
        page.mouse.move(0, 0)
        page.wait_for_timeout(800)  # until nothing moves any more
        page.screenshot(path=FOLDER / f"{tab}-{look}.png", full_page=tab == "classify" and look != "phone")
    context.close()


def show_classification(page: Page) -> None:
    """An example with its findings and the words behind one."""
    page.get_by_role("tab", name="Klassifikation").click()
    page.click("#read-example input")
    page.get_by_role("option", name=EXAMPLE).click()
    page.click("#read-findings button[data-label=Verschattung]")
    expect(page.locator("#read-evidence .mb-report")).to_be_visible()
    page.wait_for_timeout(800)  # the evidence scrolls into view
    narrow = "document.querySelector('#read-findings').scrollIntoView()"
    page.evaluate(f"window.innerWidth < 600 ? {narrow} : window.scrollTo(0, 0)")


def show_gap(page: Page) -> None:
    """An example sentence with the candidates."""
    page.get_by_role("tab", name="Lückentext").click()
    page.evaluate("window.scrollTo(0, 0)")
    page.click("#fill-example input")
    page.get_by_role("option").nth(1).click()
    page.wait_for_selector("#fill-card li")


def show_annotation(page: Page) -> None:
    """The next report with the model's suggestions."""
    page.get_by_role("tab", name="Annotation").click()
    page.wait_for_selector(".ma-text:visible")


def show_training(page: Page) -> None:
    """The finished run: curve, old and new figures."""
    page.get_by_role("tab", name="Training").click()
    page.wait_for_selector("#train-figures tr", state="attached")


if __name__ == "__main__":
    main()
