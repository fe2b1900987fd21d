"""The part "Team & Prüfung" on a schema of spans: two read the same letters, the curator compares and decides."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import Page, expect

from medbertde.report_file import to_json
from medbertde.services.access import Caller
from medbertde.services.annotate import Decision
from medbertde.services.team import NewProject
from medbertde.store import labelled
from medbertde.types import Rationale, ReportRecord, Rules, Source, User
from tests.ui.conftest import Site

MEDICATION = "medication"
TEXT = "💊 Ramipril 5 mg 1-0-1, Metoprolol ret. 47,5 mg."  # the first sign counts as two in the browser


def mark(label: str, words: str) -> Rationale:
    start = TEXT.index(words)
    return Rationale(label, start, start + len(words))


DRUG, DOSE, TIMES = mark("Medikament", "Ramipril"), mark("Dosis", "5 mg"), mark("Frequenz", "1-0-1")
SHORT, LONG, FORM = mark("Medikament", "Metoprolol"), mark("Medikament", "Metoprolol ret."), mark("Darreichung", "ret.")


def user(site: Site, name: str) -> User:
    return site.services.access.identify(Caller(name, None))


def read(site: Site, name: str, *marks: Rationale) -> None:
    """The next letter of this person, saved with these marks."""
    item = site.services.annotate.next_reports(user(site, name), MEDICATION).items[0]
    decision = Decision(str(uuid.uuid4()), MEDICATION, item.report.id, rationales=marks, active_ms=21_000)
    site.services.annotate.save(user(site, name), decision)


@pytest.fixture
def study(shared_site: Site) -> Site:
    """Two letters that anna and ben read blind: of the first they mark two kinds differently, the second alike."""
    records = [ReportRecord(f"{TEXT} Nr. {one}", id=f"m{one}", modality="letter") for one in (1, 2)]
    lines = "\n".join(map(to_json, records)).encode()
    shared_site.services.annotate.import_reports(user(shared_site, "anna"), MEDICATION, "m.jsonl", lines)
    new = NewProject(MEDICATION, "Doppelt", "letter", Rules(overlap_share=1.0, readers=2, bare_share=0.0))
    project = shared_site.services.team.create(user(shared_site, "anna"), new, ["anna", "ben"])
    for name in ("anna", "ben"):
        shared_site.services.team.choose(user(shared_site, name), project.id)
    read(shared_site, "anna", DRUG, DOSE, TIMES, SHORT, FORM)
    read(shared_site, "ben", DRUG, DOSE, TIMES, LONG)
    for name in ("anna", "ben"):
        read(shared_site, name, DRUG, DOSE)
    return shared_site


def open_review(site: Site) -> Page:
    page = site.open("Annotation", name="anna")
    page.click("#annotate-schema >> text=Medikation")
    page.get_by_role("tab", name="Team & Prüfung").click()
    expect(page.locator("#team-findings")).to_contain_text("Häufigkeit")
    return page


def chosen_words(page: Page) -> list[str]:
    return page.locator(".mr-text .mr-decided").all_inner_texts()


def place_of_text(page: Page) -> list[float]:
    """Where the text stands on the page and how high it is, measured in one go: drawing puts a new node there."""
    node = "document.querySelector('.mr-text')"
    return page.evaluate(f"() => [{node}.getBoundingClientRect().top + scrollY, {node}.offsetHeight]")


def gold(site: Site, key: str) -> tuple[str, list[tuple[str, str]], set[Source | None]]:
    """What a letter counts as: provenance, words by kind, and how the marks came about."""
    with site.services.database.read() as session:
        records = {record.id: record for record in labelled.records(session, schema_id=MEDICATION)}
    record = records[key]
    words = [(one.label, record.text[one.start : one.end]) for one in record.rationales]
    return record.meta["provenance"], words, {one.source for one in record.rationales}


def test_marks_stand_side_by_side_with_how_they_differ_and_figures_for_each_kind(study: Site) -> None:
    page = open_review(study)
    expect(page.locator(".mr-count")).to_have_text("1 Befundtext zu prüfen")
    page.locator(".mr-open").click()
    expect(page.locator(".mr-head")).to_contain_text("2 Arten strittig")
    expect(page.locator(".mr-row")).to_have_count(2)
    drug = page.locator(".mr-row[data-label=Medikament]")
    expect(drug.locator("td.mr-spans").first.locator("li")).to_have_text(["„Ramipril“", "„Metoprolol“andere Grenzen"])
    expect(drug.locator(".mr-likeness")).to_have_text("F1 genau 0,50überlappend 1,00")
    form = page.locator(".mr-row[data-label=Darreichung]")
    expect(form.locator("td.mr-spans")).to_have_text(["„ret.“ben: Medikament", "nichts markiert"])
    expect(form.locator(".mr-likeness")).to_have_text("F1 genau 0,00überlappend 0,00")
    expect(page.locator(".mr-piece", has_text="ret.")).to_have_attribute(
        "title", "anna: Darreichung und Weg, ben: Medikament"
    )
    page.click(".mr-decide")
    expect(page.locator(".mr-status")).to_have_text("Noch ohne Entscheidung: Medikament, Darreichung und Weg.")
    page.get_by_role("button", name="Übereinstimmung").click()
    table = page.locator("#team-agreement")
    expect(table.locator("tr", has_text="Alle Arten")).to_contain_text("0,77 (")
    expect(table.locator("tr", has_text="Dauer")).to_contain_text("niemand hat diese Art markiert")
    expect(page.locator("#team-agreement-part")).to_contain_text("κ ist hier nicht definiert")
    page.get_by_role("button", name="Zeit und Vorschläge").click()
    expect(page.locator("#team-effect-said")).to_contain_text("0 Befundtexte sind mit, 0 ohne Vorschlag gelesen")


def test_a_curator_takes_one_persons_marks_by_key_and_changes_them_in_the_text(study: Site) -> None:
    page = open_review(study)
    page.locator(".mr-open").click()
    expect(page.locator(".mr-row")).to_have_count(2)
    before = place_of_text(page)
    page.keyboard.press("m")
    page.keyboard.press("2")
    expect(page.locator(".mr-row[data-label=Medikament] .mr-chip")).to_have_text(["„Ramipril“×", "„Metoprolol ret.“×"])
    expect(page.locator(".mr-selected")).to_have_attribute("data-label", "Darreichung")
    page.keyboard.press("0")
    expect(page.locator(".mr-row[data-label=Darreichung] [data-state='0']")).to_have_attribute("aria-pressed", "true")

    page.keyboard.press("m")
    page.get_by_role("button", name="„Metoprolol ret.“ entfernen").click()
    assert chosen_words(page) == ["Ramipril"]
    page.locator(".mr-text").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".mr-caret")).to_have_text("mg")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press(" ")
    assert chosen_words(page) == ["Ramipril", "5 mg"]
    page.keyboard.press("Delete")
    assert chosen_words(page) == ["Ramipril"]
    expect(page.locator(".mr-text")).to_be_focused()
    page.locator(".mr-text").get_by_text("Metoprolol").dblclick()  # chooses the word
    assert chosen_words(page) == ["Ramipril", "Metoprolol"]
    reason = page.locator(".mr-row[data-label=Medikament] .mr-reason")
    reason.fill("retard ist die Form")
    page.keyboard.press("Enter")
    page.click(".mr-all")
    expect(page.locator(".mr-row")).to_have_count(6)
    assert place_of_text(page) == before, "nothing jumps"
    page.click(".mr-decide")
    expect(page.locator(".mb-review .mb-empty")).to_contain_text("Nichts zu prüfen")
    provenance, words, sources = gold(study, "m1")
    assert (provenance, sources) == ("adjudicated", {Source.ADJUDICATED})
    assert words == [
        ("Medikament", "Ramipril"),
        ("Dosis", "5 mg"),
        ("Frequenz", "1-0-1"),
        ("Medikament", "Metoprolol"),
    ]
    assert gold(study, "m2")[0] == "unanimous"
