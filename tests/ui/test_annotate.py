"""The annotation tab in a real browser: every key, the mouse, saving, going back, refusals, files in and out.

Each test has a database file of its own. Anna and Ben sign in, so that two people can work at the same time.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Dialog, Page, Route, expect

from medbertde.store import sqlite
from medbertde.types import State
from tests.launch import PHONE
from tests.ui.annotator import App, enter, expect_report, expect_saved, reload, selected, skip, value_of
from tests.ui.conftest import Site

NASTY = "<script>document.title='offen'</script> Rundherd <5 mm & „größenkonstant“ 🫁"


@pytest.fixture
def app(shared_site: Site) -> App:
    return App(shared_site)


def test_every_key_does_what_the_help_says(app: App) -> None:
    app.bring("Eins.", "Zwei.")
    page = app.open()
    expect_report(page, "Eins.")
    for key, state in (("1", "present"), ("2", "uncertain"), ("3", "absent"), ("0", "none")):
        label = selected(page)
        assert label is not None
        page.keyboard.press(key)
        assert value_of(page, label) == state
        assert selected(page) != label, "a value moves on to the next finding"
    page.keyboard.press("e")
    assert selected(page) == "Erguss"
    page.keyboard.press("ArrowUp")
    assert selected(page) == "Verschattung"
    page.keyboard.press("ArrowDown")
    assert selected(page) == "Erguss"
    before = value_of(page, "Erguss")
    page.keyboard.press("2" if before != "uncertain" else "1")
    page.keyboard.press("Control+z")
    assert (value_of(page, "Erguss"), selected(page)) == (before, "Erguss")
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_contain_text("Pleuraerguss jeder Größe")
    page.keyboard.press("1")
    assert value_of(page, "Erguss") == before, "keys rest while the help is open"
    page.keyboard.press("Escape")
    enter(page)
    expect_report(page, "Zwei.")
    expect_saved(page)
    page.keyboard.press("ArrowLeft")
    expect_report(page, "Eins.")
    assert value_of(page, "Verschattung") == "uncertain"


def test_a_suggestion_is_marked_as_open_until_a_key_or_saving_confirms_it(app: App) -> None:
    app.bring("Eins.", "Zwei.")
    page = app.open()
    row = page.locator(".ma-row[data-label=Stauung]")
    expect(row).to_have_class("ma-row ma-open ma-selected")
    expect(row.locator(".ma-hint")).to_contain_text("Vorschlag")
    proposed = value_of(page, "Stauung")
    page.keyboard.press({"present": "3", "absent": "1"}.get(str(proposed), "1"))
    expect(row).to_have_class("ma-row")
    expect(row.locator(".ma-hint")).to_contain_text("Vorschlag war")
    enter(page)
    expect_saved(page)
    sources = {label: source for label, _, source in app.history("r1")}
    assert sources.pop("Stauung") == "suggestion_changed"
    assert set(sources.values()) == {"suggestion_accepted"}


def test_with_the_mouse_only(app: App) -> None:
    app.bring("Eins.", "Zwei.")
    page = app.open()
    page.click(".ma-row[data-label=Fraktur] [data-state=present]")
    assert selected(page) == "Fraktur"
    page.fill(".ma-comment", "alt oder frisch?")
    page.click("text=Zur Klärung")
    page.wait_for_timeout(400)  # a click right after a report came up counts as half of a double click
    page.click(".ma-save")
    expect_report(page, "Zwei.")
    expect_saved(page)
    expect(page.locator(".ma-progress")).to_have_text("1 von 2")
    page.click(".ma-recent summary")
    page.click(".ma-recent-list button")
    expect_report(page, "Eins.")
    assert page.input_value(".ma-comment") == "alt oder frisch?"
    expect(page.locator(".ma-flag")).to_have_attribute("aria-pressed", "true")
    assert value_of(page, "Fraktur") == "present"


def test_correcting_an_earlier_report_keeps_both_revisions_and_comes_back(app: App) -> None:
    app.bring("Eins.", "Zwei.", "Drei.")
    page = app.open()
    page.keyboard.press("s")
    page.keyboard.press("1")
    enter(page)
    expect_report(page, "Zwei.")
    page.keyboard.press("v")
    page.keyboard.press("3")
    expect(page.locator(".ma-status")).to_have_text("Änderungen offen")
    page.keyboard.press("ArrowLeft")
    expect_report(page, "Eins.")
    page.keyboard.press("s")
    page.keyboard.press("3")
    enter(page)
    expect_report(page, "Zwei.")
    assert value_of(page, "Verschattung") == "absent", "what was begun is still there"
    expect(page.locator(".ma-status")).to_have_text("Änderungen offen")
    expect(page.locator(".ma-progress")).to_have_text("1 von 3")
    changes = [(value, source) for label, value, source in app.history("r1") if label == "Stauung"]
    assert [value for value, _ in changes] == [State.PRESENT, State.ABSENT]
    assert changes[1][1] == "human"


def test_back_works_after_a_reload(app: App) -> None:
    app.bring("Eins.", "Zwei.", "Drei.")
    page = app.open()
    enter(page)
    expect_report(page, "Zwei.")
    enter(page)
    expect_report(page, "Drei.")
    expect_saved(page)
    reload(app, page)
    expect_report(page, "Drei.")
    page.keyboard.press("ArrowLeft")
    expect_report(page, "Zwei.")
    page.keyboard.press("ArrowLeft")
    expect_report(page, "Eins.")


def test_two_people_never_get_the_same_report(app: App) -> None:
    app.bring(*(f"Befund {number}." for number in range(1, 13)))
    seen: dict[str, list[str]] = {"anna": [], "ben": []}
    pages = {name: app.open(name) for name in seen}
    for _ in range(4):
        for name, page in pages.items():
            seen[name].append(page.inner_text(".ma-text"))
            enter(page)
            expect_saved(page)
    assert len(set(seen["anna"] + seen["ben"])) == 8
    assert app.saved_reports() == 8


def test_a_double_click_saves_one_report(app: App) -> None:
    app.bring("Eins.", "Zwei.", "Drei.")
    page = app.open()
    page.wait_for_timeout(400)
    page.dblclick(".ma-save")
    expect_report(page, "Zwei.")
    expect_saved(page)
    assert app.saved_reports() == 1


def refused(app: App) -> tuple[Page, Callable[[], None]]:
    """A save that the database refuses, because somebody else writes, and what ends that."""
    app.bring("Eins.", "Zwei.")
    page = app.open()
    page.keyboard.press("s")
    page.keyboard.press("1")
    blocker = sqlite.driver().connect(app.site.folder / "medbertde.sqlite", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    enter(page)
    expect(page.locator(".ma-alert")).to_contain_text("Nicht gespeichert: Die Datenbank ist gerade")

    def unlock() -> None:
        blocker.execute("ROLLBACK")
        blocker.close()

    return page, unlock


def test_a_refused_save_shows_its_sentence_keeps_the_values_and_is_tried_again(app: App) -> None:
    page, unlock = refused(app)
    expect(page.locator(".ma-status")).to_have_text("1 offen")
    page.click("text=Befundtext ansehen")
    expect_report(page, "Eins.")
    assert value_of(page, "Stauung") == "present"
    unlock()
    page.click("text=Erneut versuchen")
    expect_saved(page)
    expect(page.locator(".ma-alert")).to_be_hidden()
    assert ("Stauung", State.PRESENT) in [(label, value) for label, value, _ in app.history("r1")]
    assert app.saved_reports() == 1


def test_a_refused_save_of_another_examination_is_opened_there(app: App) -> None:
    page, unlock = refused(app)
    unlock()
    page.click("#annotate-schema >> text=CT-Thorax")
    expect(page.locator(".ma-empty h3")).to_have_text("Noch keine Befundtexte für CT-Thorax")
    page.click("text=Befundtext ansehen")
    expect_report(page, "Eins.")
    assert value_of(page, "Stauung") == "present"
    page.click("text=Erneut versuchen")
    expect_saved(page)
    assert ("Stauung", State.PRESENT) in [(label, value) for label, value, _ in app.history("r1")]


def test_a_save_that_got_no_answer_is_sent_again_and_stored_once(app: App) -> None:
    app.bring("Eins.", "Zwei.")
    page = app.open()
    swallowed: list[str] = []

    def swallow_answer(route: Route) -> None:
        """The server does its work, the answer is lost."""
        swallowed.append(route.fetch().text())
        route.abort()

    page.route("**/component_server/", swallow_answer, times=1)
    enter(page)
    expect(page.locator(".ma-alert")).to_contain_text("Der Server antwortet nicht")
    page.click("text=Erneut versuchen")
    expect_saved(page)
    assert json.loads(swallowed[0])["ok"]
    assert app.saved_reports() == 1
    app.site.complaints.clear()  # the browser complains about the lost answer


def test_text_shows_as_written_and_never_runs(app: App) -> None:
    app.bring(NASTY)
    page = app.open()
    expect_report(page, NASTY)
    assert page.title() != "offen"
    assert page.locator(".ma-text script").count() == 0


def test_keys_rest_while_someone_types_on_another_tab_and_with_modifiers(app: App) -> None:
    app.bring("Eins.", "Zwei.")
    page = app.open()
    before = page.locator(".ma-value[aria-pressed=true]").evaluate_all("nodes => nodes.map(n => n.dataset.state)")
    page.click(".ma-comment")
    page.keyboard.type("123 see")
    page.keyboard.press("Escape")
    page.keyboard.press("Alt+1")
    page.keyboard.press("Control+0")
    page.get_by_role("tab", name="Lückentext").click()
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.get_by_role("tab", name="Annotation").click()
    expect_report(page, "Eins.")
    after = page.locator(".ma-value[aria-pressed=true]").evaluate_all("nodes => nodes.map(n => n.dataset.state)")
    assert (after, page.input_value(".ma-comment")) == (before, "123 see")
    enter(page)
    expect_report(page, "Zwei.")


def test_an_empty_queue_offers_examples_and_a_skipped_report_comes_back(app: App) -> None:
    page = app.open()
    expect(page.locator(".ma-empty")).to_contain_text("Noch keine Befundtexte für Röntgen-Thorax")
    offer = page.locator(".ma-empty .ma-primary")
    offer.focus()
    page.keyboard.press("ArrowDown")  # the card is painted anew
    expect(offer).to_be_focused()
    page.click("text=Beispielbefunde laden")
    page.wait_for_selector(".ma-text:visible")
    shown = page.inner_text(".ma-text")
    skip(page)
    expect(page.locator(".ma-text")).not_to_have_text(shown)
    assert app.saved_reports() == 0


def test_at_the_end_the_page_says_so_and_offers_what_was_skipped(app: App) -> None:
    app.bring("Eins.", "Zwei.")
    page = app.open()
    skip(page)
    expect_report(page, "Zwei.")
    enter(page)
    closing = page.locator(".ma-empty p")
    expect(closing).to_have_text("1 von 2 Befundtexten sind annotiert. Einen Befundtext haben Sie übersprungen.")
    reload(app, page)
    page.click("text=Übersprungene vorlegen")
    expect_report(page, "Eins.")
    ben = app.open("ben")
    expect(ben.locator(".ma-empty p")).to_have_text(
        "1 von 2 Befundtexten sind annotiert. Der übrige ist gerade bei jemand anderem."
    )
    expect(ben.locator(".ma-empty .ma-primary")).to_have_count(0)


def test_the_card_speaks_english_and_keeps_what_was_entered(app: App) -> None:
    app.bring("Eins.")
    page = app.open()
    page.keyboard.press("s")
    page.keyboard.press("1")
    page.click("#mb-language >> text=English")
    expect(page.locator(".ma-save")).to_contain_text("Save & next")
    expect(page.locator(".ma-row[data-label=Erguss]")).to_contain_text("Pleural effusion")
    assert value_of(page, "Stauung") == "present"
    page.click("#annotate-schema >> text=Chest CT")
    expect(page.locator(".ma-empty")).to_contain_text("No reports for Chest CT yet")
    page.click("#annotate-schema >> text=Chest X-ray")
    expect_report(page, "Eins.")
    assert value_of(page, "Stauung") == "present"


def test_the_browser_warns_before_unsaved_values_are_lost(app: App) -> None:
    app.bring("Eins.")
    page = app.open()
    asked: list[str] = []

    def accept(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", accept)
    page.keyboard.press("1")
    app.site.reload(page)
    assert asked == ["beforeunload"]


def test_who_stays_after_the_warning_goes_on_annotating(app: App) -> None:
    app.bring("Eins.", "Zwei.")
    page = app.open()
    asked: list[str] = []

    def decline(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", decline)
    page.keyboard.press("1")
    page.evaluate("location.reload()")
    enter(page)
    expect_report(page, "Zwei.")
    expect_saved(page)
    assert asked == ["beforeunload"]
    app.site.complaints.clear()


def test_on_a_phone_the_buttons_stay_in_reach_and_nothing_is_cut_off(app: App) -> None:
    app.bring("Eins. " * 300)
    page = app.open(**PHONE)
    save = page.locator(".ma-save").bounding_box()
    assert save is not None
    assert save["y"] + save["height"] <= 844
    assert save["height"] >= 40
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
