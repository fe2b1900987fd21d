"""What goes wrong in eight hours of annotating: nothing is lost or stored twice, and a plain sentence says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from gradio.context import Context
from playwright.sync_api import APIResponse, Browser, Dialog, Page, Route, expect

from medbertde import schema as schemas
from medbertde.services.access import Caller
from medbertde.services.team import NewProject
from medbertde.types import Rules, State
from tests.launch import XRAY, free_port, launched
from tests.ui.annotator import App, enter, expect_report, expect_saved, selected, value_of
from tests.ui.conftest import Site
from tests.ui.late import CALLS, hold


@pytest.fixture
def app(shared_site: Site) -> App:
    return App(shared_site)


def alert(page: Page) -> str:
    return page.locator(".ma-alert").inner_text()


def sql(app: App, statement: str) -> None:
    """Do something behind the app's back."""
    with app.site.services.database.write() as session:
        session.connection().exec_driver_sql(statement)


def own_schemas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of schemas that the test may change."""
    folder = tmp_path / "schemas"
    shutil.copytree(schemas.SCHEMA_FOLDER, folder)
    for function in (schemas.load_schema, schemas.schema_ids):
        monkeypatch.setattr(
            function,
            "__defaults__",
            tuple(folder if one == schemas.SCHEMA_FOLDER else one for one in function.__defaults__ or ()),
        )
    return folder


def add_scar(folder: Path) -> None:
    """Version 2 of the chest X-ray, with one finding more."""
    path = folder / "chest_xray.yaml"
    changed = yaml.safe_load(path.read_text(encoding="utf-8"))
    changed["version"] = 2
    changed["labels"].append({**changed["labels"][0], "id": "Narbe", "key": "n", "name": {"de": "Narbe", "en": "Scar"}})
    path.write_text(yaml.safe_dump(changed, allow_unicode=True), encoding="utf-8")


def values(app: App, key: str, label: str) -> list[State | None]:
    return [value for name, value, _ in app.history(key) if name == label]


def saved_differently(app: App) -> tuple[Page, Page]:
    """The same report in two windows: saved as present in the first, then as absent in the second, which is refused."""
    app.bring("Eins.")
    here, there = app.open(), app.open()
    for page, key in ((here, "1"), (there, "3")):
        expect_report(page, "Eins.")
        page.keyboard.press("s")
        page.keyboard.press(key)
        enter(page)
    expect_saved(here)
    return here, there


def test_two_tabs_of_one_person_get_different_reports(app: App) -> None:
    app.bring(*(f"Befund {number}." for number in range(1, 11)))
    first = app.open()
    second = first.context.new_page()
    second.goto(app.site.url)
    second.get_by_role("tab", name="Annotation").click()
    second.wait_for_selector(".ma-text:visible")
    expect(second.locator(".ma-text")).not_to_have_text(first.inner_text(".ma-text"))
    for page in (first, second):
        for _ in range(2):
            enter(page)
            expect_saved(page)
    assert app.saved_reports() == 4


def test_two_browsers_of_one_person_with_the_same_report_ask_which_values_hold(app: App) -> None:
    _, there = saved_differently(app)
    expect(there.locator(".ma-alert")).to_contain_text("in einem anderen Fenster gespeichert")
    assert values(app, "r1", "Stauung") == [State.PRESENT]
    there.click("text=Meine Angaben hier gelten")
    expect_saved(there)
    assert values(app, "r1", "Stauung") == [State.PRESENT, State.ABSENT]


def test_what_was_saved_in_the_other_window_can_be_taken(app: App) -> None:
    _, there = saved_differently(app)
    there.click("text=Das dort Gespeicherte gilt")
    chosen = there.locator(".ma-row[data-label=Stauung] .ma-value[aria-pressed=true]")
    expect(chosen).to_have_attribute("data-state", "present")
    expect(there.locator(".ma-alert")).to_be_hidden()
    assert values(app, "r1", "Stauung") == [State.PRESENT]


def test_what_was_saved_there_can_be_taken_while_another_examination_is_on_the_screen(app: App) -> None:
    _, there = saved_differently(app)
    expect(there.locator(".ma-alert")).to_contain_text("in einem anderen Fenster gespeichert")
    there.click("#annotate-schema >> text=CT-Thorax")
    expect(there.locator(".ma-empty h3")).to_have_text("Noch keine Befundtexte für CT-Thorax")
    there.click("text=Das dort Gespeicherte gilt")
    expect_report(there, "Eins.")
    assert value_of(there, "Stauung") == "present"
    expect(there.locator(".ma-alert")).to_be_hidden()


def test_a_double_enter_saves_one_report_and_says_so(app: App) -> None:
    app.bring("Eins.", "Zwei.", "Drei.")
    page = app.open()
    expect(page.locator(".ma-save:not([data-fresh])")).to_be_visible()
    page.evaluate(
        """() => {
            const enter = () => new KeyboardEvent("keydown", { key: "Enter", bubbles: true });
            for (const press of [1, 2]) document.body.dispatchEvent(enter());
        }"""
    )
    expect_report(page, "Zwei.")
    expect(page.locator(".ma-alert")).to_contain_text("Das zweite Mal wurde übergangen")
    expect_saved(page)
    assert app.saved_reports() == 1


def test_when_the_lease_ran_out_and_someone_else_saved_the_values_stay_and_a_sentence_says_why(app: App) -> None:
    app.bring("Eins.")
    anna = app.open()
    expect_report(anna, "Eins.")
    anna.keyboard.press("s")
    anna.keyboard.press("1")
    sql(app, "UPDATE assignments SET expires_at = '2020-01-01 00:00:00' WHERE expires_at IS NOT NULL")
    ben = app.open("ben")
    expect_report(ben, "Eins.")
    enter(ben)
    expect_saved(ben)
    enter(anna)
    expect(anna.locator(".ma-alert")).to_contain_text("inzwischen von jemand anderem gespeichert")
    anna.click("text=Befundtext ansehen")
    assert value_of(anna, "Stauung") == "present"
    anna.click("text=Verwerfen")
    expect(anna.locator(".ma-alert")).to_be_hidden()
    assert app.saved_reports() == 1
    anna.on("dialog", lambda dialog: dialog.accept())


def test_when_the_lease_ran_out_and_nobody_took_the_report_it_is_saved(app: App) -> None:
    app.bring("Eins.", "Zwei.")
    page = app.open()
    sql(app, "UPDATE assignments SET expires_at = '2020-01-01 00:00:00' WHERE expires_at IS NOT NULL")
    enter(page)
    expect_saved(page)
    assert app.saved_reports() == 1


def test_a_report_that_was_deleted_meanwhile_is_named_and_the_others_go_on(app: App) -> None:
    app.bring("Eins.", "Zwei.")
    page = app.open()
    expect_report(page, "Eins.")
    sql(app, "DELETE FROM suggestions WHERE report_id = 1")
    sql(app, "DELETE FROM assignments WHERE report_id = 1")
    sql(app, "DELETE FROM reports WHERE id = 1")
    enter(page)
    expect(page.locator(".ma-alert")).to_contain_text("gibt es nicht oder nicht mehr")
    expect_report(page, "Zwei.")
    page.click("text=Verwerfen")
    enter(page)
    expect_saved(page)
    assert app.saved_reports() == 1


def test_a_schema_that_changed_is_taken_over_and_the_report_is_open_again_with_its_values(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_schemas(tmp_path, monkeypatch)
    app.bring("Eins.", "Zwei.")
    page = app.open()
    page.keyboard.press("s")
    page.keyboard.press("1")
    add_scar(folder)
    enter(page)
    expect(page.locator(".ma-alert")).to_contain_text("wurde geändert (Version 1 auf 2)")
    expect_report(page, "Eins.")
    expect(page.locator(".ma-row[data-label=Narbe]")).to_be_visible()
    assert value_of(page, "Stauung") == "present"
    enter(page)
    expect_saved(page)
    assert values(app, "r1", "Stauung") == [State.PRESENT]


def test_a_schema_that_changed_behind_another_one_changes_nothing_there_and_loses_no_value(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_schemas(tmp_path, monkeypatch)
    app.bring("Eins.", "Zwei.")
    page = app.open()
    page.keyboard.press("s")
    page.keyboard.press("1")
    caught = hold(page, "save_report")
    enter(page)
    saving = caught()
    add_scar(folder)
    page.click("#annotate-schema >> text=CT-Thorax")
    page.click("text=Beispielbefunde laden")
    page.wait_for_selector(".ma-text:visible")
    label = selected(page)
    assert label is not None
    page.keyboard.press("1")
    saving.continue_()
    expect(page.locator(".ma-alert")).to_contain_text("Das Schema Röntgen-Thorax wurde geändert (Version 1 auf 2)")
    assert value_of(page, label) == "present"
    page.click("#annotate-schema >> text=Röntgen-Thorax")
    expect_report(page, "Eins.")
    expect(page.locator(".ma-row[data-label=Narbe]")).to_be_visible()
    assert value_of(page, "Stauung") == "present"
    page.unroute(CALLS)
    enter(page)
    expect_saved(page)
    assert values(app, "r1", "Stauung") == [State.PRESENT]


def test_examples_that_come_after_a_change_of_examination_are_there_on_coming_back(app: App) -> None:
    page = app.open()
    page.click("#annotate-schema >> text=CT-Thorax")
    expect(page.locator(".ma-empty h3")).to_have_text("Noch keine Befundtexte für CT-Thorax")
    caught = hold(page, "load_examples")
    page.click("text=Beispielbefunde laden")
    loading = caught()
    page.click("#annotate-schema >> text=Röntgen-Thorax")
    expect(page.locator(".ma-empty h3")).to_have_text("Noch keine Befundtexte für Röntgen-Thorax")
    with page.expect_response(lambda response: '"load_examples"' in (response.request.post_data or "")):
        loading.continue_()
    page.click("#annotate-schema >> text=CT-Thorax")
    page.wait_for_selector(".ma-text:visible")


def test_an_answer_that_comes_after_a_change_of_project_brings_no_report_of_the_former_one(app: App) -> None:
    app.bring(*(f"Befund {number}." for number in range(1, 8)))
    anna = app.site.services.access.identify(Caller("anna", None))
    new = NewProject(XRAY, "Stichprobe", "xray", Rules(), keys=("r6", "r7"))
    app.site.services.team.create(anna, new, ["anna"])
    page = app.open()
    answers: list[tuple[Route, APIResponse]] = []

    def come_late(route: Route) -> None:
        if '"save_report"' in (route.request.post_data or ""):
            answers.append((route, route.fetch()))
        else:
            route.continue_()

    page.route(CALLS, come_late)
    enter(page)
    expect_report(page, "Befund 2.")
    page.get_by_role("tab", name="Team & Prüfung").click()
    page.wait_for_selector("#team-people :is(table, .mb-hint):visible")
    page.locator("#team-project input").click()
    page.get_by_role("option", name="Stichprobe").click()
    expect(page.locator("#team-summary")).to_contain_text("von 2 Lesungen")
    page.click("#team-here")
    expect(page.locator("#team-project input")).to_have_value("Stichprobe (hier annotieren Sie)")
    page.get_by_role("tab", name="Labeln").click()
    expect_report(page, "Befund 6.")
    ((route, response),) = answers  # it brings number 5
    route.fulfill(response=response)
    page.unroute(CALLS)
    expect_saved(page)
    enter(page)
    expect_report(page, "Befund 7.")
    enter(page)
    expect(page.locator(".ma-empty h3")).to_have_text("Alles erledigt")


def test_what_the_model_said_of_one_finding_is_never_shown_for_another_and_a_lost_answer_is_asked_for_again(
    app: App,
) -> None:
    app.bring("Kein Pneumothorax. Kleiner Erguss links.")
    page = app.open()
    version = app.site.services.reading.model_version(XRAY)
    for key in ("v1", "p0", "e1"):
        page.keyboard.press(key[0])
        page.keyboard.press(key[1])
    page.keyboard.press("e")
    page.keyboard.press("7")
    figures, coloured = page.locator(".ma-figures"), page.locator(".ma-text [style*=background-color]")
    expect(figures).to_contain_text(version)
    expect(coloured).not_to_have_count(0)
    caught = hold(page, "weigh_words")
    page.keyboard.press("p")
    expect(figures).to_contain_text("Zuerst einen Wert wählen")
    expect(coloured).to_have_count(0)
    page.keyboard.press("v")
    expect(figures).to_have_text("Wird berechnet …")
    caught().abort()
    expect(figures).to_have_text("Der Server antwortet nicht.")
    page.unroute(CALLS)
    page.keyboard.press("7")
    expect(figures).to_have_text("")
    page.keyboard.press("7")
    expect(figures).to_contain_text(version)
    app.site.complaints.clear()  # the browser complains about the lost call


def test_while_the_network_is_gone_one_works_on_and_everything_is_saved_by_itself_when_it_is_back(app: App) -> None:
    app.bring("Eins.", "Zwei.", "Drei.", "Vier.", "Fünf.")
    page = app.open()
    expect_report(page, "Eins.")
    page.route(CALLS, lambda route: route.abort())
    for text in ("Eins.", "Zwei.", "Drei."):
        expect_report(page, text)
        enter(page)
    expect(page.locator(".ma-alert")).to_contain_text("Der Server antwortet nicht. Ihre Angaben sind noch da")
    expect(page.locator(".ma-status")).to_have_text("3 offen")
    assert app.saved_reports() == 0
    page.unroute(CALLS)
    expect_saved(page)
    expect(page.locator(".ma-alert")).to_be_hidden()
    assert app.saved_reports() == 3
    app.site.complaints.clear()  # the browser complains about the lost calls


def test_a_restart_of_the_server_loses_nothing(
    tmp_path: Path, tiny_models: dict[str, str], browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    context = browser.new_context()
    monkeypatch.setattr(Context, "id", 0)  # a new process counts the parts of its page from 0
    page = context.new_page()
    with launched(tmp_path, tiny_models, port=port) as (services, url):
        user = services.access.identify(Caller("", None))
        services.annotate.import_reports(user, XRAY, "a.txt", b"Eins.")
        services.annotate.import_reports(user, XRAY, "b.txt", b"Zwei.")
        page.goto(url)
        page.get_by_role("tab", name="Annotation").click()
        expect_report(page, "Eins.")
        page.keyboard.press("s")
        page.keyboard.press("1")
    enter(page)
    expect(page.locator(".ma-status")).to_have_text("1 offen")
    Context.id = 0
    with launched(tmp_path, tiny_models, port=port) as (services, _):
        expect_saved(page)
        user = services.access.identify(Caller("", None))
        assert services.annotate.next_reports(user, XRAY, count=0).progress.done == 1
        context.close()


def test_who_is_signed_out_is_told_and_nothing_is_lost(app: App) -> None:
    app.bring("Eins.", "Zwei.")
    page = app.open()
    expect_report(page, "Eins.")
    cookies = page.context.cookies()
    page.context.clear_cookies()
    enter(page)
    expect(page.locator(".ma-alert")).to_contain_text("Ihre Anmeldung ist abgelaufen")
    page.context.add_cookies(cookies)  # signed in again in a second window
    expect_saved(page)
    assert app.saved_reports() == 1
    app.site.complaints.clear()


def test_two_people_on_one_report_never_overwrite_each_other(app: App) -> None:
    app.bring("Eins.")
    anna = app.open()
    expect_report(anna, "Eins.")
    sql(app, "UPDATE assignments SET expires_at = '2020-01-01 00:00:00' WHERE expires_at IS NOT NULL")
    ben = app.open("ben")
    expect_report(ben, "Eins.")
    enter(anna)
    expect(anna.locator(".ma-alert")).to_contain_text("wird inzwischen von jemand anderem bearbeitet")
    enter(ben)
    expect_saved(ben)
    assert app.saved_reports() == 1
    anna.click("text=Verwerfen")


def test_closing_the_tab_with_an_unsent_save_asks_first(app: App) -> None:
    app.bring("Eins.", "Zwei.")
    page = app.open()
    asked: list[str] = []

    def accept(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", accept)
    page.route(CALLS, lambda route: route.abort())
    enter(page)
    expect(page.locator(".ma-status")).to_have_text("1 offen")
    app.site.reload(page)
    assert asked == ["beforeunload"]
    app.site.complaints.clear()
