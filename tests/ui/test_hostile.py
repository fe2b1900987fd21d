"""Hostile texts go through every tab, table, message and file in a real browser: nothing of them runs.

`Site.close_pages` fails a test where the browser asked another host or complained, as it does when the page's own rules
stopped a script at the last moment: nothing may get that far.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from medbertde.report_file import to_json
from medbertde.services.access import Caller
from medbertde.text import clean
from medbertde.types import ReportRecord
from tests.hostile import TEXTS
from tests.launch import XRAY, launched
from tests.ui.annotator import enter
from tests.ui.conftest import Site

ALL = "\n".join(TEXTS)
ACTS = """() => {
  const acting = (one) => (/^on/.test(one.name) && /ran=1/.test(one.value)) || one.name === 'srcdoc'
    || (['href', 'src', 'action', 'formaction', 'data', 'style', 'content'].includes(one.name)
      && /javascript:|evil\\.invalid/.test(one.value));
  return [...document.querySelectorAll('*')].filter((element) => [...element.attributes].some(acting)
    || (element.tagName === 'SCRIPT' && /(window|parent)\\.ran/.test(element.textContent))).map((one) => one.outerHTML);
}"""
NAMES = ("<img src=x onerror=window.ran=1>.csv", "';window.ran=1;'.csv", "=1+1.csv")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, tiny_models: dict[str, str], browser: Browser) -> Iterator[Site]:
    """An app that has all hostile texts as reports."""
    folder = tmp_path_factory.mktemp("hostile")
    with launched(folder, tiny_models, deidentification="off") as (services, url):
        user = services.access.identify(Caller(None, None))
        reports = [ReportRecord(text, id=text, modality="xray", meta={"Station": text}) for text in TEXTS]
        services.annotate.import_reports(user, XRAY, "reports.jsonl", "\n".join(map(to_json, reports)).encode())
        yield Site(services, url, browser, folder)


@pytest.fixture
def attacked(running: Site) -> Iterator[Site]:
    yield running
    running.close_pages()


def opened(site: Site, tab: str) -> Page:
    """A tab of a page in which no dialog is expected."""
    page = site.open(tab)
    page.on("dialog", lambda dialog: site.complaints.append(f"dialog: {dialog.message}"))
    return page


def expect_only_text(page: Page) -> None:
    """No script has run, and nothing of a text has become an element or an attribute that acts."""
    assert page.evaluate("window.ran") is None
    assert page.evaluate(ACTS) == []
    assert page.title() == "medbertde"
    assert page.evaluate("document.baseURI") == page.url


@pytest.mark.parametrize("text", [ALL, TEXTS[4], TEXTS[37]], ids=["all", "an image", "brackets"])
def test_a_report_is_read_explained_and_changed(attacked: Site, text: str) -> None:
    page = opened(attacked, "Klassifikation")
    page.fill("#read-text textarea", text)
    page.click("#read-run")
    expect(page.locator("#read-findings button")).to_have_count(13)
    expect_only_text(page)
    page.click("#read-findings button[data-label=Erguss]")
    expect(page.locator("#read-evidence .mb-report")).to_have_text(clean(text))
    for button in page.locator("#read-evidence .mb-report button").all()[:3]:
        button.hover()
    expect_only_text(page)


def test_many_reports_at_once_their_table_and_their_file(attacked: Site, tmp_path: Path) -> None:
    page = opened(attacked, "Klassifikation")
    page.get_by_text("Mehrere Befunde auf einmal").click()
    rows = "".join(f"{json.dumps({'id': text, 'text': text})}\n" for text in TEXTS)
    file = FilePayload(name="<img src=x onerror=window.ran=1>.jsonl", mimeType="text/plain", buffer=rows.encode())
    page.set_input_files("#batch-files input[type=file]", file)
    expect(page.locator("#batch-files")).to_contain_text("jsonl")
    page.click("#batch-run")
    expect(page.locator("#batch-card tbody tr")).to_have_count(len(TEXTS))
    expect_only_text(page)
    with page.expect_download() as download:
        page.click("#batch-download")
    download.value.save_as(tmp_path / "antworten.csv")
    expect_no_formulas(tmp_path / "antworten.csv")


def test_gaps_and_words(attacked: Site) -> None:
    page = opened(attacked, "Lückentext")
    page.fill("#fill-text textarea", f"{ALL} Kein [MASK].")
    page.click("#fill-run")
    expect(page.locator("#fill-card button").first).to_be_visible()
    expect_only_text(page)
    page.locator("#fill-card button").first.click()
    expect(page.locator("#fill-text textarea")).not_to_have_value(f"{ALL} Kein [MASK].")
    expect_only_text(page)


def test_reports_are_annotated_one_after_the_other(attacked: Site) -> None:
    page = opened(attacked, "Annotation")
    seen = set()
    for _ in TEXTS:
        expect(page.locator(".ma-save:not([data-fresh])")).to_be_visible()
        seen.add(page.locator(".ma-text").inner_text())
        expect_only_text(page)
        enter(page)
    expect(page.locator(".ma-empty h3")).to_be_visible()
    expect_only_text(page)
    assert len(seen) == len(TEXTS)


def test_they_are_searched_for_and_listed(attacked: Site) -> None:
    page = opened(attacked, "Annotation")
    page.get_by_role("tab", name="Übersicht").click()
    box = page.get_by_role("searchbox", name="Im Text suchen")
    for query in (TEXTS[4], '" OR 1=1 --', "*", "NEAR(", "erguss"):
        box.fill(query)
        page.get_by_role("search").get_by_role("button", name="Suchen").click()
        expect(page.locator(".mo-hits [role=status], .mo-alert:not(:empty)").first).to_be_visible()
        expect_only_text(page)
    page.locator(".mo-hit").first.click()
    expect_only_text(page)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_with_hostile_names_columns_and_rows_is_looked_at(attacked: Site, name: str) -> None:
    page = opened(attacked, "Annotation")
    page.get_by_role("tab", name="Dateien").click()
    lines = [[f"{text}", f"Befund {number}: {text}"] for number, text in enumerate(TEXTS)]
    table = as_csv([[TEXTS[4], "Befund", TEXTS[0]], *[[*line, TEXTS[5]] for line in lines]])
    file = FilePayload(name=name, mimeType="text/csv", buffer=table)
    page.set_input_files("#annotate-import input[type=file]", file)
    expect(page.locator("#files-card")).to_contain_text("Zeilen")
    expect_only_text(page)


def test_what_is_exported_holds_no_formulas(attacked: Site, tmp_path: Path) -> None:
    page = opened(attacked, "Annotation")
    page.get_by_role("tab", name="Dateien").click()
    page.click("#annotate-export-format input")
    page.get_by_role("option", name="Tabelle für Excel (.csv)").click()
    with page.expect_download() as download:
        page.click("#annotate-export")
    download.value.save_as(tmp_path / "labels.csv")
    expect_no_formulas(tmp_path / "labels.csv")
    expect_only_text(page)


def as_csv(rows: list[list[str]]) -> bytes:
    """Rows as a CSV file."""
    out = io.StringIO()
    csv.writer(out, delimiter=";").writerows(rows)
    return out.getvalue().encode()


def expect_no_formulas(path: Path) -> None:
    """No cell of a table begins as a spreadsheet's formula does."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert cells
    assert [cell for cell in cells if cell[:1] in "=+-@\t\r" and cell[:1] and not number(cell)] == []


def number(cell: str) -> bool:
    """Whether a cell is a plain number, which may be negative."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
