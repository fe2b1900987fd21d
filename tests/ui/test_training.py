"""Someone turns labels into a better model: start, follow, compare, take over, go back, cancel."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import FilePayload, Page, expect

from medbertde.services import open_services
from tests.launch import XRAY
from tests.ui.conftest import Site, expect_refusal
from tests.ui.test_classify import read

TRAINING_MS = 60_000


def bring_labels(page: Page, count: int) -> None:
    """Import labelled reports as a user does."""
    states = ("present", "absent", "uncertain")
    rows = [
        {
            "id": f"r{n}",
            "text": f"Aufnahme {n}: Erguss links.",
            "labels": {"Erguss": states[n % 3], "ZVK": states[n % 2]},
        }
        for n in range(count)
    ]
    data = "\n".join(map(json.dumps, rows)).encode()
    page.get_by_role("tab", name="Annotation").click()
    file = FilePayload(name="annotiert.jsonl", mimeType="application/json", buffer=data)
    page.set_input_files("#annotate-import input[type=file]", file)
    expect(page.locator("#annotate-imported")).to_contain_text(f"{count} davon mit Labels übernommen.")


def open_training(page: Page) -> None:
    page.get_by_role("tab", name="Training").click()
    expect(page.locator("#train-amount")).to_contain_text("annotierte Befunde")


def expect_state(page: Page, said: str) -> None:
    expect(page.locator("#train-progress h3")).to_contain_text(said, timeout=TRAINING_MS)


def test_labels_become_a_model_that_answers_without_a_reload_and_after_a_restart(
    own_site: Site, tiny_models: dict[str, str]
) -> None:
    page = own_site.open()
    before = own_site.services.reading.model_version(XRAY)
    expect(page.locator("#mb-model")).to_contain_text(f"Röntgen-Thorax: {before}")
    bring_labels(page, 30)
    open_training(page)
    expect(page.locator("#train-amount")).to_contain_text("30 annotierte Befunde.")
    expect(page.locator("#train-result")).to_be_hidden()
    page.click("#train-start")
    expect(page.locator("#train-start")).to_be_disabled()
    expect_state(page, "läuft")
    expect_state(page, "abgeschlossen")
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")
    assert page.locator("#train-progress polyline").get_attribute("points").count(",") >= 4  # type: ignore[union-attr]
    expect(page.locator("#train-progress")).to_contain_text("zurückgehaltenen Befunden.")
    cells = page.locator("#train-figures tr", has_text="F1 (alle Entscheidungen)").locator("td")
    expect(cells).to_have_count(3)
    assert all("," in figure for figure in cells.all_inner_texts())
    page.click("#train-take")
    expect(page.locator("#mb-model")).not_to_contain_text(before)
    after = own_site.services.reading.model_version(XRAY)
    expect(page.locator("#mb-model")).to_contain_text(f"Röntgen-Thorax: {after}")
    expect(page.locator("#train-take")).to_be_disabled()
    page.get_by_role("tab", name="Klassifikation").click()
    read(page, "Kein Erguss.")
    expect(page.locator("#read-findings .mb-by")).to_have_text(f"Modell: {after}")
    page.reload()
    expect(page.locator("#mb-model")).to_contain_text(f"Röntgen-Thorax: {after}")
    restarted = open_services(own_site.services.settings, shipped=tiny_models)
    assert restarted.reading.model_version(XRAY) == after
    restarted.database.close()

    open_training(page)
    page.click("text=Frühere Modelle und Protokoll")
    page.click("#train-version input")
    page.get_by_role("option", name=before).click()
    page.click("#train-back")
    expect(page.locator("#mb-model")).to_contain_text(f"Röntgen-Thorax: {before}")


def test_a_second_start_is_refused_visibly_and_a_cancelled_run_leaves_the_old_model(own_site: Site) -> None:
    first, second = own_site.open(), own_site.open("Training")
    before = own_site.services.reading.model_version(XRAY)
    bring_labels(first, 30)
    open_training(first)
    first.click("#train-start")
    expect_state(first, "läuft")
    second.click("#train-start")
    expect_refusal(second, "Es läuft schon ein Training")
    first.click("#train-cancel")
    expect_state(first, "abgebrochen")
    expect(first.locator("#train-start")).to_be_enabled()
    expect(first.locator("#train-result")).to_be_hidden()
    assert own_site.services.reading.model_version(XRAY) == before
    assert not list(Path(own_site.services.settings.runs).glob("*/checkpoint"))


def test_too_few_labels_are_refused_with_what_to_do(site: Site) -> None:
    page = site.open("Training")
    expect(page.locator("#train-amount")).to_contain_text("0 annotierte Befunde.")
    page.click("#train-start")
    expect_refusal(page, "für ein Training sind mindestens 12 nötig")
    page.click("#train-schema >> text=CT-Thorax")
    page.click("text=Annotationen je Befund")
    expect(page.locator("#train-counts")).to_contain_text("Lungenembolie")
