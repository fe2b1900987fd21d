"""The part "Team & Prüfung" in a real browser: two annotators work through the services, the curator at the page."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import Page, expect

from medbertde.report_file import to_json
from medbertde.services.access import Caller
from medbertde.services.annotate import Decision
from medbertde.services.team import NewProject
from medbertde.store import labelled
from medbertde.types import ReportRecord, Rules, State, User
from tests.launch import PHONE, XRAY
from tests.ui.conftest import Site
from tests.ui.late import hold, let_go

P, U, A = State.PRESENT, State.UNCERTAIN, State.ABSENT


def user(site: Site, name: str) -> User:
    return site.services.access.identify(Caller(name, None))


def bring(site: Site, count: int) -> None:
    lines = [
        to_json(
            ReportRecord(f"Thorax {one}: Randwinkel rechts verschattet, ZVK regelrecht.", id=f"r{one}", modality="xray")
        )
        for one in range(1, count + 1)
    ]
    site.services.annotate.import_reports(user(site, "anna"), XRAY, "studie.jsonl", "\n".join(lines).encode())


def read(site: Site, name: str, values: dict[str, State | None], **given: object) -> None:
    """The next report of this person, saved with these values."""
    item = site.services.annotate.next_reports(user(site, name), XRAY).items[0]
    fields = {"values": values, "active_ms": 21_000, **given}
    decision = Decision(str(uuid.uuid4()), XRAY, item.report.id, **fields)  # type: ignore[arg-type]
    site.services.annotate.save(user(site, name), decision)


@pytest.fixture
def study(shared_site: Site) -> Site:
    """Three reports that anna and ben read blind; they differ on two findings of the first and agree on the rest."""
    bring(shared_site, 3)
    new = NewProject(XRAY, "Doppelbefundung", "xray", Rules(overlap_share=1.0, readers=2, bare_share=0.0))
    project = shared_site.services.team.create(user(shared_site, "anna"), new, ["anna", "ben"])
    for name in ("anna", "ben"):
        shared_site.services.team.choose(user(shared_site, name), project.id)
    read(shared_site, "anna", {"Erguss": P, "ZVK": P, "Stauung": A})
    read(shared_site, "ben", {"Erguss": U, "ZVK": P}, active_ms=300, comment="Seite unklar")
    for name in ("anna", "ben"):
        read(shared_site, name, {"Erguss": A, "ZVK": P})
        read(shared_site, name, {"Erguss": P, "ZVK": P}, flagged=name == "ben")
    return shared_site


def open_team(site: Site, name: str = "anna", **options: object) -> Page:
    page = site.open("Annotation", name=name, **options)
    page.get_by_role("tab", name="Team & Prüfung").click()
    page.wait_for_selector("#team-people :is(table, .mb-hint):visible")
    return page


def gold(site: Site) -> dict[str, tuple[str, dict[str, State]]]:
    """What the reports count as, by key: provenance and labels."""
    with site.services.database.read() as session:
        records = list(labelled.records(session, schema_id=XRAY))
    return {str(record.id): (record.meta["provenance"], dict(record.labels)) for record in records}


def test_the_first_reader_of_a_blind_project_is_told_what_she_has_done_and_that_the_rest_is_not_hers(
    shared_site: Site,
) -> None:
    bring(shared_site, 5)
    new = NewProject(XRAY, "Doppelbefundung", "xray", Rules(overlap_share=1.0, readers=2, bare_share=0.0))
    project = shared_site.services.team.create(user(shared_site, "anna"), new, ["anna", "ben"])
    shared_site.services.team.choose(user(shared_site, "anna"), project.id)
    for _ in range(5):
        read(shared_site, "anna", {"Erguss": P})
    page = shared_site.open("Annotation", name="anna")
    expect(page.locator(".ma-empty p")).to_have_text(
        "5 von 10 Lesungen sind erledigt, 5 davon von Ihnen. Die übrigen Lesungen macht jemand anderes."
    )
    expect(page.locator(".ma-progress")).to_have_text("5 von 10 Lesungen, 5 von Ihnen")
    expect(page.locator(".ma-empty button")).to_have_text(["Letzten Befundtext ansehen"])
    phone = shared_site.open("Annotation", name="anna", **PHONE)
    expect(phone.locator(".ma-progress")).to_have_text("5 von 10 Lesungen, 5 von Ihnen")
    assert phone.locator(".ma-top").evaluate("node => node.scrollWidth <= node.clientWidth")


def test_a_curator_decides_with_the_keyboard_and_with_the_mouse(study: Site) -> None:
    page = open_team(study)
    expect(page.locator(".mr-count")).to_have_text("2 Befundtexte zu prüfen")
    first = page.locator(".mr-open").first
    expect(first).to_contain_text("2 Befunde strittig")
    first.click()
    expect(page.locator(".mr-text")).to_contain_text("Randwinkel rechts verschattet")
    expect(page.locator(".mr-row")).to_have_count(2)
    effusion = page.locator(".mr-row[data-label=Erguss]")
    expect(effusion.locator(".mr-said")).to_have_text(["vorhanden", "unsicher"])
    expect(page.locator(".mr-table thead")).to_contain_text("zu schnell")
    expect(page.locator(".mr-comments")).to_contain_text("ben: Seite unklar")
    page.click(".mr-decide")
    expect(page.locator(".mr-status")).to_contain_text("Noch ohne Entscheidung: Stauung, Pleuraerguss.")
    page.keyboard.press("e")
    expect(effusion).to_have_class("mr-row mr-selected")
    page.keyboard.press("1")
    expect(effusion.locator("[data-state=present]")).to_have_attribute("aria-pressed", "true")
    effusion.locator(".mr-reason").fill("Randwinkel genannt")
    page.keyboard.press("Enter")  # leaves the field, decides nothing yet
    page.locator(".mr-row[data-label=Stauung] [data-state=none]").click()
    page.click(".mr-decide")
    expect(page.locator(".mr-count")).to_have_text("1 Befundtext zu prüfen")
    expect(page.locator(".mr-status")).to_have_text("Gespeichert")
    assert gold(study)["r1"] == ("adjudicated", {"Erguss": P, "ZVK": P})
    expect(page.locator(".mr-head")).to_contain_text("r3")  # the flagged one, open by itself
    page.locator(".mr-text").click()
    page.keyboard.press("Enter")
    expect(page.locator(".mb-review .mb-empty")).to_contain_text("Nichts zu prüfen")
    assert gold(study)["r3"] == ("adjudicated", {"Erguss": P, "ZVK": P})
    assert gold(study)["r2"] == ("unanimous", {"Erguss": A, "ZVK": P})


def test_a_report_chosen_while_a_decision_is_being_saved_stays_open(study: Site) -> None:
    page = open_team(study)
    page.locator(".mr-open").first.click()
    expect(page.locator(".mr-head")).to_contain_text("r1")
    page.locator(".mr-row[data-label=Erguss] [data-state=present]").click()
    page.locator(".mr-row[data-label=Stauung] [data-state=none]").click()
    held = hold(page, "decide_review")
    page.click(".mr-decide")
    page.locator(".mr-open").nth(1).click()
    expect(page.locator(".mr-head")).to_contain_text("r3")
    let_go(page, held)
    expect(page.locator(".mr-status")).to_have_text("Gespeichert")
    expect(page.locator(".mr-open .mr-key")).to_have_text(["r3"])
    expect(page.locator(".mr-head")).to_contain_text("r3")
    assert gold(study)["r1"] == ("adjudicated", {"Erguss": P, "ZVK": P})
    page.click(".mr-decide")
    expect(page.locator(".mb-review .mb-empty")).to_contain_text("Nichts zu prüfen")
    assert gold(study)["r3"] == ("adjudicated", {"Erguss": P, "ZVK": P})


def test_another_examination_chosen_while_a_decision_is_being_saved_is_told_that_it_was(study: Site) -> None:
    page = open_team(study)
    page.locator(".mr-open").nth(1).click()
    expect(page.locator(".mr-head")).to_contain_text("r3")
    held = hold(page, "decide_review")
    page.click(".mr-decide")
    page.click("#annotate-schema >> text=CT-Thorax")
    expect(page.locator(".mb-review .mb-empty")).to_contain_text("Nichts zu prüfen")
    let_go(page, held)
    expect(page.locator(".mr-status")).to_have_text("Gespeichert")
    assert gold(study)["r3"] == ("adjudicated", {"Erguss": P, "ZVK": P})


def test_of_two_reports_clicked_for_review_the_second_is_open_also_when_its_answer_comes_first(study: Site) -> None:
    page = open_team(study)
    held = hold(page, "review_case")
    page.locator(".mr-open").first.click()
    page.locator(".mr-open").nth(1).click()
    expect(page.locator(".mr-head")).to_contain_text("r3")
    let_go(page, held)
    expect(page.locator(".mr-head")).to_contain_text("r3")


def test_the_review_speaks_english_at_once(study: Site) -> None:
    page = open_team(study)
    page.locator(".mr-open").first.click()
    expect(page.locator(".mr-decide")).to_contain_text("Entscheiden und weiter")
    page.click("#mb-language >> text=English")
    expect(page.locator(".mr-count")).to_have_text("2 reports to review")
    expect(page.locator(".mr-decide")).to_contain_text("Decide and go on")


def test_progress_and_agreement_are_told_in_plain_words(study: Site) -> None:
    page = open_team(study)
    expect(page.locator("#team-summary")).to_contain_text("6 von 6 Lesungen erledigt.")
    expect(page.locator("#team-people tbody tr")).to_have_count(2)
    expect(page.locator("#team-people tbody")).to_contain_text("21,0 s")
    page.get_by_role("button", name="Übereinstimmung").click()
    effusion = page.locator("#team-agreement tr", has_text="Pleuraerguss")
    expect(effusion).to_contain_text("0,67 (")
    expect(page.locator("#team-agreement tr", has_text="Tubus")).to_contain_text("alle Angaben gleich")
    expect(page.locator("#team-agreement-part")).to_contain_text(
        "Bei seltenen Befunden fallen beide auch dann niedrig aus"
    )


def test_an_admin_makes_a_project_orders_it_and_works_in_it(shared_site: Site) -> None:
    bring(shared_site, 4)
    page = open_team(shared_site)
    expect(page.locator("#team-summary")).to_contain_text("0 von 4 Lesungen")
    page.get_by_role("button", name="Projekte und Reihenfolge").click()
    page.locator("#team-new-name input, #team-new-name textarea").fill("Stichprobe")
    page.locator("#team-new-keys textarea").fill("r2 r4")
    page.click("#team-create")
    expect(page.locator("#team-new-name input, #team-new-name textarea")).to_have_value("", timeout=60_000)
    expect(page.locator("#team-project input")).to_have_value("Stichprobe")
    expect(page.locator("#team-summary")).to_contain_text("von 2 Lesungen")
    expect(page.locator("#team-summary")).to_contain_text("Reihenfolge: wo das Modell am unsichersten ist")
    page.locator("#team-order input").click()
    page.get_by_role("option", name="wie importiert").click()
    page.click("#team-order-start")
    expect(page.locator("#team-summary")).to_contain_text("Reihenfolge: wie importiert.")
    expect(page.locator("#team-order-said")).to_have_text("Die Reihenfolge gilt ab jetzt.")
    page.click("#team-here")
    expect(page.locator("#team-project input")).to_have_value("Stichprobe (hier annotieren Sie)")
    page.get_by_role("tab", name="Labeln").click()
    expect(page.locator(".ma-text")).to_contain_text("Thorax 2")
    expect(page.locator(".ma-progress")).to_have_text("0 von 2")
