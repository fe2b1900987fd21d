"""Someone classifies many reports at once: progress, the table, the file, bad rows and bad files, and stopping."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import pytest
from gradio.utils import get_upload_folder
from playwright.sync_api import FilePayload, Page, expect

from medbertde.services import bulk
from medbertde.types import UserError
from medbertde.ui.batch_view import Shown, status
from tests.ui.conftest import Site, expect_refusal

NASTY = "<script>document.title='offen'</script> =1+1 kein <b>Erguss</b>."


def opened(site: Site) -> Page:
    page = site.open("Klassifikation")
    expect(page.locator("#batch-run")).to_be_hidden()
    page.get_by_text("Mehrere Befunde auf einmal").click()
    return page


def choose(page: Page, *files: tuple[str, bytes]) -> None:
    payloads = [FilePayload(name=name, mimeType="text/plain", buffer=data) for name, data in files]
    page.set_input_files("#batch-files input[type=file]", payloads)
    expect(page.locator("#batch-files")).to_contain_text(files[0][0].partition(".")[0])


def table(rows: int) -> bytes:
    return ("id;text\n" + "".join(f'r{row};"Kein Erguss, Nr. {row}."\n' for row in range(rows))).encode()


def test_a_table_is_read_and_the_answers_can_be_taken_home(site: Site, tmp_path: Path) -> None:
    page = opened(site)
    expect(page.locator("#batch-download")).to_be_hidden()
    choose(page, ("befunde.csv", table(130)))
    page.click("#batch-run")
    expect(page.locator("#batch-card [role=status]")).to_contain_text("130 von 130 Befunden gelesen in ")
    expect(page.locator("#batch-card [role=status]")).to_contain_text("Die Tabelle zeigt die ersten 100")
    expect(page.locator("#batch-card tbody tr")).to_have_count(100)
    expect(page.locator("#batch-card tbody tr").first).to_contain_text("Kein Erguss, Nr. 0.")
    with page.expect_download() as download:
        page.click("#batch-download")
    assert download.value.suggested_filename == "medbertde_chest_xray.csv"
    download.value.save_as(tmp_path / "antworten.csv")
    with open(tmp_path / "antworten.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [f"r{number}" for number in range(130)]
    assert rows[0]["Erguss:state"] in ("present", "uncertain", "absent", "")
    assert "Nur für die Forschung" in rows[0]["use"]


def test_text_files_together_and_markup_as_written(site: Site) -> None:
    page = opened(site)
    choose(page, ("eins.txt", b"Kein Erguss."), ("zwei.txt", NASTY.encode()))
    page.click("#batch-run")
    expect(page.locator("#batch-card tbody tr")).to_have_count(2)
    expect(page.locator("#batch-card tbody tr").nth(1)).to_contain_text(NASTY)
    expect(page.locator("#batch-card tbody tr").nth(1)).to_contain_text("zwei")
    assert page.title() == "medbertde"


def test_bad_rows_are_listed_and_the_page_can_change_its_language(site: Site) -> None:
    page = opened(site)
    choose(page, ("a.jsonl", b'{"text": "Kein Erguss."}\nkaputt\n'))
    page.click("#batch-run")
    expect(page.locator("#batch-card")).to_contain_text("Die Zeile ist kein JSON-Objekt.")
    expect(page.locator("#batch-card [role=status]")).to_contain_text("1 ausgelassen")
    page.get_by_text("English").click()
    expect(page.locator("#batch-card")).to_contain_text("The row is not a JSON object.")
    expect(page.locator("#batch-download")).to_have_text("Download the results (.csv)")


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.pdf", b"%PDF", "Dateien der Art „.pdf“ werden nicht gelesen."),
        ("a.csv", b"befund\nFrei.\n", "Der CSV-Datei fehlt die Spalte „text“. Gefunden: befund."),
        ("a.csv", "text\nErguß\n".encode("latin-1"), "ist keine Textdatei in UTF-8 (Zeile 2 ist nicht lesbar)"),
        ("a.jsonl", b"\n", "enthält keine Befunde."),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(site: Site, name: str, data: bytes, sentence: str) -> None:
    page = opened(site)
    choose(page, (name, data))
    page.click("#batch-run")
    expect_refusal(page, sentence)
    expect(page.locator("#batch-stop")).to_be_disabled()
    page.click("#batch-run")
    expect_refusal(page, "Bitte zuerst eine Datei wählen.")


def test_stopping_ends_the_computation_and_keeps_what_is_there(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = bulk.classify
    calls: list[int] = []

    def slow(*words: object, **more: object) -> object:
        calls.append(1)
        time.sleep(0.3)
        return plain(*words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(bulk, "classify", slow)
    page = opened(site)
    choose(page, ("befunde.csv", table(3000)))
    page.click("#batch-run")
    expect(page.locator("#batch-card tbody tr").first).to_be_visible()
    page.click("#batch-stop")
    expect(page.locator("#batch-card [role=status]")).to_contain_text("Abgebrochen nach ")
    page.wait_for_timeout(1500)
    made = len(calls)
    page.wait_for_timeout(1500)
    assert len(calls) == made < 90
    expect(page.locator("#batch-download")).to_be_hidden()


def test_a_batch_that_fails_half_way_does_not_look_as_if_it_went_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = bulk.classify
    calls: list[int] = []

    def failing(*words: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) > 3:
            raise UserError("Das Modell ist weg.", "The model is gone.")
        time.sleep(0.6)
        return plain(*words, **more)

    monkeypatch.setattr(bulk, "classify", failing)
    page = opened(site)
    choose(page, ("befunde.csv", table(3000)))
    page.click("#batch-run")
    expect_refusal(page, "Das Modell ist weg.")
    expect(page.locator("#batch-card [role=status]")).to_contain_text("Abgebrochen nach ")
    expect(page.locator("#batch-card [role=progressbar]")).to_have_attribute("data-going", "false")
    expect(page.locator("#batch-card tbody tr").first).to_be_visible()
    expect(page.locator("#batch-stop")).to_be_disabled()


def test_a_batch_of_one_is_counted_as_one() -> None:
    said = status(Shown("chest_xray", done=1, total=1, elapsed_s=2))
    assert said.de == "1 von 1 Befund gelesen in 2,0 s."
    assert said.en == "1 of 1 report read in 2.0 s."


def test_nothing_is_left_on_the_disk_but_the_results(site: Site) -> None:
    page = opened(site)
    choose(page, ("geheim.txt", b"Kein Erguss."))
    page.click("#batch-run")
    expect(page.locator("#batch-card tbody tr")).to_have_count(1)
    assert not list(Path(get_upload_folder()).rglob("geheim.txt"))
