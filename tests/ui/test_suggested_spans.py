"""The annotation card of a schema of spans beside a model: its marks come open and count only once somebody says so."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from medbertde.report_file import to_json
from medbertde.services.access import Caller
from medbertde.store import labelled, labels, reports, suggestions
from medbertde.types import FoundSpan, ReportRecord, Source, Suggestion
from tests import tiny
from tests.ui.annotator import App, enter, expect_saved
from tests.ui.conftest import Site
from tests.ui.test_annotate_card import choose_caret

MEDICATION = "medication"
TEXT = "💊 Ramipril 5 mg 1-0-1 seit 2 Wochen."
# As the model says it: the dose is cut, and the frequency is taken for a form.
SUGGESTED = (
    FoundSpan("Medikament", 2, 10, 0.97),
    FoundSpan("Dosis", 11, 12, 0.61),
    FoundSpan("Darreichung", 16, 21, 0.44),
)


@pytest.fixture
def app(shared_site: Site) -> App:
    """Two letters; the active model has suggested spans for the first, and found nothing in the second."""
    services = shared_site.services
    version = services.runtime.swap(MEDICATION, tiny.tagger_folder(shared_site.folder / "marken")).version
    anna = services.access.identify(Caller("anna", None))
    records = [ReportRecord(text, id=key, modality="letter") for key, text in (("m1", TEXT), ("m2", "Kein Wort."))]
    services.annotate.import_reports(anna, MEDICATION, "m.jsonl", "\n".join(map(to_json, records)).encode())
    with services.database.write() as session:
        found = [reports.find_report(session, key=record.id or "") for record in records]
        made = {
            report.id: Suggestion(version, {}, {}, spans)
            for report, spans in zip(found, (SUGGESTED, ()), strict=True)
            if report
        }
        suggestions.put(session, schema_id=MEDICATION, suggestions=made)
    return App(shared_site)


def open_medication(app: App) -> Page:
    page = app.open()
    page.click("#annotate-schema >> text=Medikation")
    expect(page.locator(".ma-text")).to_have_text(TEXT)
    return page


def saved_marks(app: App, key: str = "m1") -> list[tuple[str, str, Source | None]]:
    """The marks of the last save: label, words, source."""
    with app.site.services.database.read() as session:
        report = reports.find_report(session, key=key)
        assert report is not None
        saved = labels.latest_submission(session, report_id=report.id, schema_id=MEDICATION)
    assert saved is not None
    return [(one.label, report.text[one.start : one.end], one.source) for one in saved.rationales]


def offered(page: Page) -> list[str]:
    """The words that are drawn open, in the text."""
    return page.locator(".ma-text .ma-offered").all_inner_texts()


def test_open_marks_stand_in_the_text_and_in_their_rows_and_saving_confirms_them_as_shown(app: App) -> None:
    page = open_medication(app)
    assert offered(page) == ["Ramipril", "5", "1-0-1"]
    expect(page.locator(".ma-text mark")).to_have_count(0)
    expect(page.locator(".ma-row[data-label=Medikament] .ma-proposal")).to_have_text(["Ramipril97 %×"])
    note = page.locator(".ma-open-note")
    expect(note).to_contain_text(
        "3 Vorschläge des Modells, noch nicht bestätigt. Speichern bestätigt alle wie gezeigt."
    )
    enter(page)
    expect_saved(page)
    accepted = Source.SUGGESTION_ACCEPTED
    assert saved_marks(app) == [
        ("Medikament", "Ramipril", accepted),
        ("Dosis", "5", accepted),
        ("Darreichung", "1-0-1", accepted),
    ]
    expect(page.locator(".ma-text")).to_have_text("Kein Wort.")
    expect(note).to_have_text("Das Modell schlägt hier nichts vor.")
    page.keyboard.press("Control+z")
    expect(page.locator(".ma-text")).to_have_text(TEXT)
    assert offered(page) == []
    expect(page.locator(".ma-row[data-label=Medikament] .ma-chip")).to_have_text(["Ramipril×"])


def test_an_own_mark_takes_the_place_of_an_open_one_and_one_that_is_turned_down_is_not_saved(app: App) -> None:
    page = open_medication(app)
    choose_caret(page, "5")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("d")
    expect(page.locator(".ma-row[data-label=Dosis] .ma-chip")).to_have_text(["5 mg×"])
    choose_caret(page, "1-0-1")
    page.keyboard.press("z")
    expect(page.locator(".ma-row[data-label=Frequenz] .ma-chip")).to_have_text(["1-0-1×"])
    expect(page.locator(".ma-row[data-label=Darreichung] .ma-proposal")).to_have_count(0)
    assert offered(page) == ["Ramipril"]
    page.get_by_role("button", name="Vorschlag „Ramipril“ verwerfen").click()
    expect(page.locator(".ma-open-note")).to_have_text("Kein Vorschlag ist mehr offen.")
    page.keyboard.press("Control+z")
    assert offered(page) == ["Ramipril"]
    page.get_by_role("button", name="„Ramipril“ als Markierung übernehmen").click()
    expect(page.locator(".ma-row[data-label=Medikament] .ma-chip")).to_have_text(["Ramipril×"])
    page.click(".ma-save")
    expect_saved(page)
    assert saved_marks(app) == [
        ("Medikament", "Ramipril", Source.SUGGESTION_ACCEPTED),
        ("Dosis", "5 mg", Source.SUGGESTION_CHANGED),
        ("Frequenz", "1-0-1", Source.SUGGESTION_CHANGED),
    ]


def test_one_key_confirms_or_turns_down_all_that_is_open_and_nothing_is_saved_by_it(app: App) -> None:
    page = open_medication(app)
    page.keyboard.press("+")
    assert offered(page) == []
    expect(page.locator(".ma-text mark")).to_have_text(["Ramipril", "5", "1-0-1"])
    page.keyboard.press("Control+z")
    assert offered(page) == ["Ramipril", "5", "1-0-1"]
    page.keyboard.press("-")
    expect(page.locator(".ma-chip, .ma-proposal")).to_have_count(0)
    with app.site.services.database.read() as session:
        assert not list(labelled.records(session, schema_id=MEDICATION))
    page.keyboard.press("?")
    expect(page.locator(".ma-help")).to_contain_text("Alle vorgeschlagenen Markierungen bestätigen, verwerfen")
    page.keyboard.press("Escape")
    enter(page)
    expect_saved(page)
    assert saved_marks(app) == []
