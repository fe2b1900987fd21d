"""Someone turns labels into a better model: start, follow, compare, take over, go back, cancel."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from playwright.sync_api import FilePayload, Page, expect

from medbertde.report_file import to_json
from medbertde.schema import load_schema
from medbertde.services import open_services, run_files
from medbertde.services.training_data import TrainingPreview
from medbertde.store import runs
from medbertde.types import ReportRecord, RunState, State
from medbertde.ui.run_view import preview_value
from tests import tiny
from tests.launch import PHONE, XRAY
from tests.ui.conftest import Site, expect_refusal
from tests.ui.test_classify import read
from train.compare import Judged, by_report, comparison
from train.evaluate import measure
from train.run_folder import write_lines, write_metrics

TRAINING_MS = 240_000


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
    page.get_by_role("tab", name="Dateien").click()
    page.set_input_files("#annotate-import input[type=file]", file)
    page.click("#annotate-import-start")
    expect(page.locator("#annotate-imported")).to_contain_text(f"{count} davon mit Labels übernommen.")


def open_training(page: Page) -> None:
    page.get_by_role("tab", name="Training").click()
    expect(page.locator("#train-amount")).to_contain_text("annotierte Befunde")


def expect_state(page: Page, said: str) -> None:
    expect(page.locator("#train-progress h3")).to_contain_text(said, timeout=TRAINING_MS)


def test_on_a_phone_the_arrow_stands_beside_the_name_of_the_base_model(site: Site) -> None:
    page = site.open("Training", **PHONE)
    field = page.locator("#train-base input")
    expect(field).to_have_css("text-overflow", "ellipsis")
    expect(field).to_have_css("padding-right", "28px")


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
    expect(page.locator("#train-amount dt")).to_have_count(3)
    page.click("#train-start")
    expect_state(page, "läuft")
    expect_state(page, "abgeschlossen")
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")
    assert page.locator("#train-progress polyline").first.get_attribute("points").count(",") >= 4  # type: ignore[union-attr]
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
    page = own_site.open()
    expect(page.locator("#mb-model")).to_contain_text(f"Röntgen-Thorax: {after}")
    restarted = open_services(own_site.services.settings, shipped=tiny_models)
    assert restarted.reading.model_version(XRAY) == after
    restarted.database.close()

    open_training(page)
    page.click("text=Frühere Trainings und Modelle")
    page.click("#train-version input")
    page.get_by_role("option", name=before).click()
    page.click("#train-back")
    expect(page.locator("#mb-model")).to_contain_text(f"Röntgen-Thorax: {before}")


def test_a_second_run_waits_visibly_begins_after_the_first_and_a_cancelled_one_can_go_on(own_site: Site) -> None:
    first, second = own_site.open(), own_site.open("Training")
    before = own_site.services.reading.model_version(XRAY)
    bring_labels(first, 30)
    open_training(first)
    first.click("#train-start")
    expect_state(first, "läuft")
    second.click("#train-start")
    expect_state(second, "wartet")
    expect(second.locator("#train-progress")).to_contain_text("Beginnt, sobald das Training vom")
    expect(second.locator("#train-start")).to_be_disabled()
    first.click("#train-cancel")
    expect_state(first, "abgebrochen")
    expect(first.locator("#train-result")).to_be_hidden()
    expect_state(second, "läuft")
    second.click("#train-cancel")
    expect_state(second, "abgebrochen")
    first.click("#train-resume")
    expect_state(first, "läuft")
    first.click("#train-cancel")
    expect_state(first, "abgebrochen")
    assert own_site.services.reading.model_version(XRAY) == before
    assert not list(Path(own_site.services.settings.runs).glob("*/checkpoint"))


def finished_run(site: Site) -> str:
    """A run with results that are known: the new model is right on every report, the old one on half of them."""
    services, run_id = site.services, "20260101-120000-000"
    folder = services.settings.runs / run_id
    records = [
        ReportRecord(
            f"Aufnahme {number}: <b>Erguss</b> links?",
            id=f"r{number}",
            labels={"Erguss": State.PRESENT if number % 2 else State.ABSENT},
        )
        for number in range(40)
    ]
    write_run(folder, records)
    user = services.access.operator()
    services.annotate.import_reports(user, XRAY, "b.jsonl", "\n".join(map(to_json, records)).encode())
    with services.database.write() as session:
        runs.add_run(session, run_id=run_id, schema_id=XRAY, base_model="alt@1", folder=str(folder), user_id=user.id)
        runs.set_run_state(session, run_id=run_id, state=RunState.FINISHED)
    return run_id


def write_run(folder: Path, records: list[ReportRecord]) -> None:
    """What the job would have left."""
    run_files.write_inputs(folder, records, {"seed": 7}, {})
    checkpoint = tiny.classifier_folder(folder / "checkpoint", seed=5)
    facts = json.loads((checkpoint / "medbertde.json").read_text(encoding="utf-8")) | {"name": "neu"}
    (checkpoint / "medbertde.json").write_text(json.dumps(facts), encoding="utf-8")
    labels = load_schema(XRAY).label_ids
    truth = np.array([[int(label == "Erguss") * (number % 2) for label in labels] for number in range(len(records))])
    thresholds = [0.5] * len(labels)
    new = Judged(np.where(truth == 1, 0.9, 0.1), thresholds)
    old = Judged(np.where(np.arange(len(records))[:, None] < 20, new.scores, 1 - new.scores), thresholds)
    measured = {
        name: asdict(measure(truth, judged.scores, thresholds, labels)) for name, judged in (("new", new), ("old", old))
    }
    keys = [record.id or "" for record in records]
    write_lines(folder / "held_out.jsonl", by_report(keys, labels, truth, new, old))
    doubt = {"report": "r3", "label": "Erguss", "given": "present", "probability": 0.04, "part": "test"}
    write_lines(folder / "doubted.jsonl", [doubt])
    shared = {"reports": {"train": 90, "validation": 10, "test": 40}, "thresholds": dict.fromkeys(labels, 0.5)}
    write_metrics(folder, measured | shared | comparison(truth, new, old))


def test_a_finished_run_is_compared_in_plain_words_its_doubts_go_to_review_and_going_back_is_one_click(
    own_site: Site,
) -> None:
    before = own_site.services.reading.model_version(XRAY)
    finished_run(own_site)
    page = own_site.open("Training")
    result = page.locator("#train-figures")
    expect(result.locator(".mt-verdict")).to_contain_text("Das neue Modell ist besser: F1 +")
    row = result.locator(".mt-figures tr", has_text="F1 (alle Entscheidungen)")
    expect(row.locator("td").nth(1)).to_have_text("1,0001,00–1,00")
    result.get_by_text("Verlässlichkeit der Wahrscheinlichkeiten").click()
    plot = result.get_by_role("img", name="Verlässlichkeit der Wahrscheinlichkeiten")
    expect(plot).to_be_visible()
    expect(plot.locator("text").last).to_have_text("tatsächlich vorhanden")
    told = plot.get_attribute("aria-label") or ""
    assert "neu: Wahrscheinlichkeit des Modells 10 %, tatsächlich vorhanden 0 %; " in told
    assert "bisher: " in told
    result.get_by_text("Je Befund", exact=True).click()
    expect(result.locator("tr", has_text="Pleuraerguss").locator("td").first).to_have_text("20")

    result.locator("summary", has_text="unterscheiden").click()
    entry = result.locator("[data-key='dispute 0']")
    expect(entry).to_contain_text("bisher: ")
    entry.click()
    expect(result.locator(".mt-text")).to_have_text("Aufnahme 20: <b>Erguss</b> links?")
    expect(entry).to_be_focused()
    entry.click()
    expect(result.locator(".mt-text")).to_have_count(0)

    result.locator("summary", has_text="zweifelt").click()
    expect(result.locator("[data-key='doubt 0']")).to_contain_text("Modell: 4 % vorhanden")
    result.get_by_role("button", name="Zur Prüfung geben").click()
    expect(result.get_by_text("Liegt bei der Kuration")).to_be_visible()
    waiting = own_site.services.review.waiting(own_site.services.access.operator(), XRAY)
    assert [one.key for one in waiting] == ["r3"]

    page.click("text=Frühere Trainings und Modelle")
    expect(page.locator("#train-runs tbody tr")).to_contain_text("alt@1")
    page.click("#train-take")
    expect(page.locator("#mb-model")).to_contain_text("neu@")
    expect(page.locator("#train-runs tbody tr")).to_contain_text("übernommen")
    page.get_by_role("button", name=f"Zurück zu {before}").click()
    expect(page.locator("#mb-model")).to_contain_text(f"Röntgen-Thorax: {before}")
    expect(page.locator("#train-take")).to_be_enabled()


def test_a_day_that_cannot_be_read_is_said_in_the_preview_and_everything_else_is_drawn_anew(own_site: Site) -> None:
    finished_run(own_site)
    page = own_site.open("Training")
    expect(page.locator("#train-figures .mt-verdict")).to_be_visible()
    page.click("text=Befunde auswählen")
    page.locator("#train-since :is(input, textarea)").fill("gestern")
    page.keyboard.press("Tab")
    refusal = page.locator("#train-amount .mt-refusal")
    expect(refusal).to_contain_text("Das Datum ist nicht lesbar.")
    expect(page.locator("#train-amount")).to_contain_text("40 annotierte Befunde.")
    page.click("#train-take")
    expect(page.locator("#mb-model")).to_contain_text("neu@")
    expect(page.locator("#train-take")).to_be_disabled()
    page.click("#mb-language >> text=English")
    expect(refusal).to_contain_text("The date cannot be read.")


def test_a_single_report_is_counted_as_one_in_the_preview() -> None:
    parts = dict.fromkeys(("train", "validation", "test"), 0)
    preview = TrainingPreview(1, {}, parts, fixed_test=1, disputed=1, overlapping=1)
    german, english = (preview_value(language, XRAY, preview) for language in ("de", "en"))
    assert (german["lead"], english["lead"]) == ("1 annotierter Befund.", "1 labelled report.")
    assert [note.partition(" ")[2] for note in german["notes"]] == [
        "davon gehört zum festen Prüfteil eines Projekts.",
        "ist strittig und nicht entschieden: Es zählt, was zuletzt gelesen wurde.",
        "Markierung überlappt eine längere; gelernt wird nur die längere.",
    ]


def test_the_chosen_base_model_stays_chosen_and_speaks_the_new_language(own_site: Site) -> None:
    page = own_site.open("Training")
    base = page.locator("#train-base input")
    active = own_site.services.reading.model_version(XRAY)
    expect(base).to_have_value(f"aktives Modell ({active})")
    page.click("#mb-language >> text=English")
    expect(base).to_have_value(f"active model ({active})")
    bases = own_site.services.training.bases(own_site.services.access.operator(), XRAY)
    other = next(one for one in bases if one.title["de"] != one.title["en"] and one.name)
    base.click()
    page.get_by_role("option", name=other.title["en"], exact=True).click()
    page.click("#mb-language >> text=Deutsch")
    expect(base).to_have_value(other.title["de"])
    before = base.input_value()
    page.click("#train-schema >> text=CT-Thorax")
    expect(base).to_have_value(before.replace("aktives Modell", ""))


def test_a_folder_that_is_typed_in_counts_instead_of_the_list(own_site: Site) -> None:
    page = own_site.open()
    bring_labels(page, 30)
    open_training(page)
    page.locator("#train-folder :is(input, textarea)").fill("gibtesnicht")
    page.click("#train-start")
    expect_refusal(page, "Ein Ausgangsmodell „gibtesnicht“ gibt es auf diesem Rechner nicht.")


def test_too_few_labels_are_refused_with_what_to_do(site: Site) -> None:
    page = site.open("Training")
    expect(page.locator("#train-amount")).to_contain_text("0 annotierte Befunde.")
    page.click("#train-start")
    expect_refusal(page, "für ein Training sind mindestens 12 nötig")
    page.click("#train-schema >> text=CT-Thorax")
    page.click("text=Annotationen im Einzelnen")
    expect(page.locator("#train-counts")).to_contain_text("Lungenembolie")
