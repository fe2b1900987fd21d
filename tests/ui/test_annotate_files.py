"""Files in and out in a real browser: look at a file, say what it means, import it; take labels out again."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from openpyxl import Workbook
from playwright.sync_api import FilePayload, Page, expect

from medbertde.report_file import to_json
from medbertde.services.access import Caller
from medbertde.types import ReportRecord, State
from tests.launch import PHONE, XRAY
from tests.ui.annotator import enter
from tests.ui.conftest import Site, expect_refusal


def open_files(site: Site, **options: object) -> Page:
    """The part “Dateien” as the local user sees it."""
    page = site.open("Annotation", **options)
    page.get_by_role("tab", name="Dateien").click()
    return page


def choose(page: Page, name: str, data: bytes) -> None:
    """Hand the page a file."""
    file = FilePayload(name=name, mimeType="application/octet-stream", buffer=data)
    page.set_input_files("#annotate-import input[type=file]", file)


def store(page: Page) -> None:
    page.click("#annotate-import-start")


def meaning(page: Page, key: str, chosen: str) -> None:
    """Say what a column, a name or a value is read as, and wait until the page has looked again."""
    select = page.locator(f"select[data-key='{key}']")
    select.focus()
    select.select_option(label=chosen)


def stored(site: Site) -> list[tuple[str, str]]:
    """Key and text of every report."""
    from medbertde.store import search

    with site.services.database.read() as session:
        page = search.search(session, wanted=(), filters=search.Filters("chest_xray"), limit=10_000)
    return [(hit.report.key, hit.report.text) for hit in page.hits]


def download(page: Page, button: str) -> tuple[str, bytes]:
    with page.expect_download() as started:
        page.click(button)
    return started.value.suggested_filename, Path(started.value.path()).read_bytes()


def take_format(page: Page, name: str) -> None:
    page.click("#annotate-export-format input")
    page.get_by_role("option", name=name).click()


def test_a_table_is_looked_at_before_anything_is_stored_and_its_columns_can_be_given_a_meaning(own_site: Site) -> None:
    page = open_files(own_site)
    table = "Nr;Freier Text;PE;Station\n7;Kein Erguss.;0;<b>A1</b>\n8;Erguss rechts.;fraglich;A2\n9;Frei.;egal;A3\n"
    choose(page, "befunde.csv", table.encode("cp1252"))
    expect_refusal(page, "Keine Spalte ist als Befundtext erkannt.")
    choose(page, "revisions.csv", b"report,label,old_value,new_value\r\n7,Erguss,present,absent\r\n")
    expect_refusal(page, "Die Datei enthält Änderungen von Labels und keine Befundtexte")
    table = table.replace("Freier Text", "Befund").replace("Kein Erguss", "Kein Ödem")
    choose(page, "befunde.csv", table.encode("cp1252"))
    card = page.locator("#files-card")
    expect(card).to_contain_text("in Windows-1252 gespeichert")
    expect(card).to_contain_text("3 Zeilen · Trennzeichen: „;“")
    expect(card).to_contain_text("<b>A1</b>")
    meaning(page, "columns:Nr", "Kennung")
    expect(card.locator("tr", has_text="Kein Ödem.").last).to_contain_text("7")
    meaning(page, "columns:PE", "Pleuraerguss")
    expect(card).to_contain_text("1 der ersten 3 Zeilen würden abgelehnt")
    meaning(page, "values:egal", "unsicher")
    expect(card).not_to_contain_text("abgelehnt")
    assert page.evaluate("document.activeElement.dataset.key") == "values:egal", "the focus stays where it was"
    assert stored(own_site) == []
    store(page)
    expect(page.locator("#annotate-imported")).to_have_text(
        "3 neu, 0 doppelt, 0 abgelehnt. 3 davon mit Labels übernommen."
    )
    assert stored(own_site) == [("7", "Kein Ödem."), ("8", "Erguss rechts."), ("9", "Frei.")]
    assert page.evaluate("document.querySelectorAll('#files-card b').length") == 0, "cells never become markup"


def test_rejected_rows_are_listed_and_can_be_downloaded_without_formulas(own_site: Site) -> None:
    page = open_files(own_site)
    choose(
        page, "a.jsonl", b'{"text": "Frei.", "id": "a"}\nkaputt\n{"text": "Ganz neu.", "id": "a"}\n{"text": "Frei."}\n'
    )
    expect(page.locator("#files-card")).to_contain_text("1 der ersten 4 Zeilen würden abgelehnt")
    store(page)
    expect(page.locator("#annotate-imported")).to_have_text("1 neu, 1 doppelt, 2 abgelehnt.")
    expect(page.locator("#files-card")).to_contain_text("Die Zeile ist kein JSON-Objekt.")
    name, data = download(page, "#annotate-import-faults")
    rows = list(csv.DictReader(data.decode("utf-8-sig").splitlines()))
    assert name == "abgelehnt.csv"
    assert [row["Zeile"] for row in rows] == ["2", "3"]
    assert rows[1]["Grund"].startswith("Die Kennung (id) gehört schon zu einem anderen Befundtext.")


def test_cancelling_stores_nothing_and_empties_the_panel(own_site: Site) -> None:
    page = open_files(own_site)
    choose(page, "a.txt", b"Kein Erguss.")
    page.click("#annotate-import-stop")
    expect(page.locator("#files-buttons")).to_be_hidden()
    expect(page.locator("#files-card")).not_to_contain_text("Kein Erguss.")
    assert stored(own_site) == []


def test_a_workbook_lets_its_sheet_be_chosen(own_site: Site) -> None:
    book = Workbook()
    book.active.title = "Deckblatt"
    book.active.append(["text"])
    book.active.append(["Nur ein Deckblatt."])
    sheet = book.create_sheet("Befunde")
    sheet.append(["id", "text", "Pneumothorax"])
    sheet.append([1, "Kein Pneumothorax.", 0])
    buffer = io.BytesIO()
    book.save(buffer)
    page = open_files(own_site)
    choose(page, "befunde.xlsx", buffer.getvalue())
    expect(page.locator("#files-card")).to_contain_text("Nur ein Deckblatt.")
    page.locator("select[data-key='sheet:']").select_option("Befunde")
    expect(page.locator("#files-card")).to_contain_text("Pneumothorax: verneint")
    store(page)
    expect(page.locator("#annotate-imported")).to_contain_text("1 neu, 0 doppelt, 0 abgelehnt.")
    assert stored(own_site) == [("1", "Kein Pneumothorax.")]


def test_names_from_label_studio_are_assigned_to_findings(own_site: Site) -> None:
    tasks = [
        {
            "id": 1,
            "data": {"text": "Erguss links."},
            "annotations": [
                {"result": [{"from_name": "befund", "type": "choices", "value": {"choices": ["Pleural fluid"]}}]}
            ],
        }
    ]
    page = open_files(own_site)
    choose(page, "export.json", json.dumps(tasks).encode())
    expect(page.locator("#files-card")).to_contain_text("Export aus Label Studio (JSON)")
    expect(page.locator("#files-card")).to_contain_text("„…“ gehört nicht zum Schema")
    expect(page.locator("#annotate-import-start")).to_be_disabled()
    meaning(page, "names:Pleural fluid", "Pleuraerguss")
    expect(page.locator("#files-card")).to_contain_text("Pleuraerguss: vorhanden")
    store(page)
    expect(page.locator("#annotate-imported")).to_contain_text("1 davon mit Labels übernommen.")


@pytest.fixture
def labelled(own_site: Site) -> Site:
    """Two imported reports with labels."""
    records = [
        ReportRecord("Kein Erguss.", "r1", "xray", {"Erguss": State.ABSENT}),
        ReportRecord("=Erguss rechts.", "r2", "xray", {"Erguss": State.PRESENT}),
    ]
    services = own_site.services
    user = services.access.identify(Caller(None, None))
    services.files.import_file(user, XRAY, "a.jsonl", "\n".join(map(to_json, records)).encode())
    return own_site


def test_what_was_imported_can_be_labelled_at_once_and_comes_out_with_its_label(own_site: Site) -> None:
    page = open_files(own_site)
    choose(page, "a.jsonl", b'{"text": "Kein Erguss.", "id": "a"}\n')
    store(page)
    page.get_by_role("tab", name="Labeln").click()
    expect(page.locator(".ma-text")).to_have_text("Kein Erguss.")
    page.keyboard.press("e")
    page.keyboard.press("3")
    enter(page)
    expect(page.locator(".ma-status")).to_have_text("Gespeichert")
    page.get_by_role("tab", name="Dateien").click()
    _, data = download(page, "#annotate-export")
    record = json.loads(data)
    assert (record["id"], record["labels"]["Erguss"], record["meta"]["annotator"]) == ("a", "absent", "lokal")


def test_labels_are_exported_in_the_chosen_format(labelled: Site) -> None:
    page = open_files(labelled)
    name, data = download(page, "#annotate-export")
    assert name == "medbertde_chest_xray_labels.jsonl"
    assert [json.loads(line)["labels"] for line in data.splitlines()] == [{"Erguss": "absent"}, {"Erguss": "present"}]
    take_format(page, "Tabelle für Excel (.csv)")
    name, data = download(page, "#annotate-export")
    rows = list(csv.DictReader(data.decode("utf-8-sig").splitlines()))
    assert name == "medbertde_chest_xray_labels.csv"
    assert [row["text"] for row in rows] == ["Kein Erguss.", "'=Erguss rechts."]
    take_format(page, "Alle Änderungen, ohne Texte (.csv)")
    name, data = download(page, "#annotate-export")
    assert name == "medbertde_chest_xray_revisions.csv"
    assert b"rechts" not in data


def test_an_export_can_be_narrowed_and_says_when_nothing_is_left(labelled: Site) -> None:
    page = open_files(labelled)
    page.click("#export-filters >> text=Auswahl einschränken")
    page.click("#export-finding input")
    page.get_by_role("option", name="Pleuraerguss").click()
    page.click("#export-values input")
    page.get_by_role("option", name="verneint").click()
    page.keyboard.press("Escape")
    _, data = download(page, "#annotate-export")
    assert [json.loads(line)["id"] for line in data.splitlines()] == ["r1"]
    page.click("#mb-language >> text=English")
    expect(page.locator("#annotate-export")).to_have_text("Export")
    expect(page.locator("#export-finding input")).to_have_value("Pleural effusion")
    page.click("#mb-language >> text=Deutsch")
    expect(page.locator("#export-finding input")).to_have_value("Pleuraerguss")
    page.fill("#export-since textarea, #export-since input", "01.01.2100")
    page.click("#annotate-export")
    expect_refusal(page, "Kein annotierter Befund passt zu dieser Auswahl.")
    page.fill("#export-since textarea, #export-since input", "bald")
    page.click("#annotate-export")
    expect_refusal(page, "Das Datum ist nicht lesbar.")


def test_the_part_speaks_english_and_fits_a_phone(own_site: Site) -> None:
    page = open_files(own_site, **PHONE)
    choose(page, "a.csv", b"text;Erguss;Anmerkung\nKein Erguss.;0;" + b"x" * 300 + b"\n")
    expect(page.locator("#files-card")).to_contain_text("Die ersten Zeilen")
    expect(page.locator("#files-card")).to_contain_text(re.compile(r"\b1 Zeile\b"))
    page.click("#mb-language >> text=English")
    expect(page.locator("#files-card")).to_contain_text("The first rows")
    expect(page.locator("#files-card")).to_contain_text(re.compile(r"\b1 row\b"))
    expect(page.locator("#files-card")).to_contain_text("Pleural effusion: absent")
    expect(page.locator("#annotate-import-start")).to_have_text(re.compile("Import"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    height = page.locator("select[data-key='columns:Erguss']").bounding_box()
    assert height is not None
    assert height["height"] >= 40
