"""A schema of spans in the tab "Training": what the preview says of marks, and what a finished run shows of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from playwright.sync_api import Page, expect

from medbertde.parts import TEST_SHARE, VALIDATION_SHARE, Parts, divide
from medbertde.report_file import to_json
from medbertde.schema import load_schema
from medbertde.services import run_files
from medbertde.store import runs
from medbertde.types import FoundSpan, Rationale, ReportRecord, RunState
from tests import tiny
from tests.ui.conftest import Site
from train.span_figures import compare_spans, spans_of
from train.span_run import MarkedReports, write_results

MEDICATION = load_schema("medication")
RUN = "20260101-120000-000"


def letter(number: int) -> ReportRecord:
    """A drug and a dose, behind a sign that counts as two in the browser."""
    text = f"💊 Ramipril {number} mg <b>morgens</b>."
    dose = f"{number} mg"
    spans = (Rationale("Medikament", 2, 10), Rationale("Dosis", 11, 11 + len(dose)))
    return ReportRecord(text, id=f"m{number}", modality="letter", rationales=spans)


LETTERS = [letter(number) for number in range(40)]


def found(records: Sequence[ReportRecord], see: Callable[[Rationale], tuple[int, int] | None]) -> MarkedReports:
    """What a model marks that turns every annotated span into what it sees of it."""
    said = [
        [FoundSpan(span.label, *place, 0.9) for span in record.rationales if (place := see(span))] for record in records
    ]
    truth = [spans_of(record.rationales) for record in records]
    return MarkedReports(said, compare_spans(truth, [spans_of(one) for one in said], MEDICATION.label_ids))


def right(span: Rationale) -> tuple[int, int]:
    return span.start, span.end


def cut(span: Rationale) -> tuple[int, int] | None:
    """Every dose is missed and every drug cut."""
    return (2, 6) if span.label == "Medikament" else None


def write_run(folder: Path, see: Callable[[Rationale], tuple[int, int] | None] = right) -> Parts:
    """What the job would have left: the new model is right, or as `see` says, and the old one cuts."""
    parts = divide(LETTERS, test_share=TEST_SHARE, validation_share=VALIDATION_SHARE)
    run_files.write_inputs(folder, LETTERS, {"seed": 7}, {})
    checkpoint = tiny.tagger_folder(folder / "checkpoint", seed=5)
    facts = json.loads((checkpoint / "medbertde.json").read_text(encoding="utf-8")) | {"name": "neu"}
    (checkpoint / "medbertde.json").write_text(json.dumps(facts), encoding="utf-8")
    write_results(folder, parts, MEDICATION, found(parts.test, see), found(parts.test, cut))
    return parts


def finished_run(site: Site, see: Callable[[Rationale], tuple[int, int] | None] = right) -> Parts:
    """A run with known results beside a model that marks now."""
    services = site.services
    services.runtime.swap(MEDICATION.id, tiny.tagger_folder(site.folder / "alt"))
    user = services.access.operator()
    services.annotate.import_reports(user, MEDICATION.id, "m.jsonl", "\n".join(map(to_json, LETTERS)).encode())
    folder = services.settings.runs / RUN
    parts = write_run(folder, see)
    with services.database.write() as session:
        runs.add_run(
            session, run_id=RUN, schema_id=MEDICATION.id, base_model="alt@1", folder=str(folder), user_id=user.id
        )
        runs.set_run_state(session, run_id=RUN, state=RunState.FINISHED)
    return parts


def open_medication(page: Page) -> None:
    page.click("#train-schema >> text=Medikation")
    expect(page.locator("#train-uncertain")).to_be_hidden()


def test_the_preview_counts_marks_and_says_what_stands_in_the_way(own_site: Site) -> None:
    page = own_site.open("Training")
    expect(page.locator("#train-uncertain")).to_be_visible()
    open_medication(page)
    amount = page.locator("#train-amount")
    expect(amount).to_contain_text("0 annotierte Befunde.")
    expect(amount.locator(".mt-refusal")).to_contain_text("für ein Training sind mindestens 12 nötig")
    services = own_site.services
    data = "\n".join(map(to_json, LETTERS)).encode()
    services.annotate.import_reports(services.access.operator(), MEDICATION.id, "m.jsonl", data)
    own_site.reload(page)
    page.get_by_role("tab", name="Training").click()
    open_medication(page)
    expect(amount).to_contain_text("40 annotierte Befunde.")
    expect(amount.locator(".mt-refusal")).to_have_count(0)
    expect(amount.locator("dd").nth(1)).to_have_text("Mit ihnen wird der beste Durchgang bestimmt.")
    page.click("text=Annotationen im Einzelnen")
    counts = page.locator("#train-counts")
    expect(counts.locator("thead th")).to_have_text(["Art der Textstelle", "Markierungen", "Befunde mit Markierung"])
    parts = divide(LETTERS, test_share=TEST_SHARE, validation_share=VALIDATION_SHARE)
    expected = " / ".join(str(len(part)) for part in (parts.own, parts.validation, parts.test))
    expect(counts.locator("tr", has_text="Dosis").locator("td")).to_have_text([expected, expected])
    expect(counts.locator("tr", has_text="Diagnose").locator("td")).to_have_text(["–", "–"])


def test_a_finished_run_shows_strict_figures_of_each_kind_where_the_models_differ_and_can_be_taken_over_and_back(
    own_site: Site,
) -> None:
    parts = finished_run(own_site)
    before = own_site.services.runtime.versions()[MEDICATION.id]
    page = own_site.open("Training")
    expect(page.locator("#mb-model")).to_contain_text(f"Medikation: {before}")
    open_medication(page)
    result = page.locator("#train-figures")
    expect(result.locator(".mt-verdict")).to_contain_text("Das neue Modell ist besser: F1 +1,000")
    expect(result.locator(".mt-figures")).not_to_contain_text("AUROC")
    row = result.locator(".mt-figures tr", has_text="F1 (alle Markierungen)")
    expect(row.locator("td").nth(1)).to_have_text("1,0001,00–1,00")
    result.get_by_text("Je Art der Textstelle", exact=True).click()
    of_dose = result.locator("tr", has_text="Dosis").locator("td")
    tested = str(len(parts.test))
    expect(of_dose.nth(0)).to_have_text(tested)
    expect(of_dose.nth(1)).to_have_text("0,00 (0,00–0,00)")
    expect(of_dose.nth(2)).to_have_text("1,00 (1,00–1,00)")
    expect(result.locator("tr", has_text="Diagnose").locator("td").nth(2)).to_have_text("–")
    result.locator("summary", has_text="anders setzt (0)").click()
    expect(result).to_contain_text("Das neue Modell markiert alle geprüften Befunde wie annotiert.")

    result.locator("summary", has_text="unterscheiden").click()
    first = result.locator(".mt-row", has_text="Medikament").first
    expect(first).to_contain_text("bisher: 0 richtig, 1 zu viel, 1 fehlt")
    expect(first).to_contain_text("neu: 1 richtig")
    first.get_by_role("button").click()
    number = parts.test[0].id
    expect(first.locator(".mt-text")).to_have_text(f"💊 Ramipril {(number or '')[1:]} mg <b>morgens</b>.")
    expect(first.locator(".mt-by-truth")).to_have_text(["Rami", "pril"])
    expect(first.locator(".mt-by-old")).to_have_text("Rami")
    lines = first.locator(".mt-by-old").evaluate("node => getComputedStyle(node).backgroundImage")
    assert lines.count("linear-gradient") == 3, "a line for each of the three"
    expect(first.locator(".mt-spans dd")).to_have_text(["„Ramipril“", "„Rami“", "„Ramipril“"])

    result.locator("summary", has_text="Modellkarte").click()
    expect(result.locator(".mt-card")).to_contain_text("Marks spans in German clinical text")
    page.click("#train-take")
    expect(page.locator("#mb-model")).to_contain_text("Medikation: neu@")
    page.get_by_role("button", name=f"Zurück zu {before}").click()
    expect(page.locator("#mb-model")).to_contain_text(f"Medikation: {before}")


def test_reports_that_the_new_model_marks_differently_are_listed_and_go_to_review(own_site: Site) -> None:
    def sees(span: Rationale) -> tuple[int, int] | None:
        return (2, 6) if span.label == "Medikament" else (span.start, span.end)

    parts = finished_run(own_site, sees)
    page = own_site.open("Training")
    open_medication(page)
    result = page.locator("#train-figures")
    summary = result.locator("summary", has_text=f"anders setzt ({len(parts.test)})")
    summary.click()
    expect(result).to_contain_text("Wer recht hat, sagt die Liste nicht")
    first = result.locator("[data-part*='anders setzt'] .mt-row").first
    expect(first).to_contain_text("1 Stelle anders, 1 gleich1 andere Grenzen")
    first.locator(".mt-open").click()
    expect(first.locator(".mt-apart")).to_have_text("Medikamentannotiert: „Ramipril“neu: „Rami“")
    expect(first.locator(".mt-by-new")).to_have_text("Rami")
    key = first.locator(".mt-report").inner_text()
    first.get_by_role("button", name="Zur Prüfung geben").click()
    expect(first.get_by_text("Liegt bei der Kuration")).to_be_visible()

    page.get_by_role("tab", name="Annotation").click()
    page.click("#annotate-schema >> text=Medikation")
    page.get_by_role("tab", name="Team & Prüfung").click()
    waiting = page.locator(".mr-open")
    expect(waiting).to_have_text(f"{key}das Modell zweifelt")
    waiting.click()
    expect(page.locator(".mr-chip")).to_have_count(2)
    page.locator(".mr-text").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".mb-review .mb-empty")).to_contain_text("Nichts zu prüfen")
