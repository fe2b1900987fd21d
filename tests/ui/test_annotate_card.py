"""The annotation card beyond values: marked words, the model beside them, rules, search, skipping, undo, access."""

from __future__ import annotations

import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from medbertde.services.access import Caller
from medbertde.store import labelled
from medbertde.types import SkipReason
from tests.launch import XRAY
from tests.ui.annotator import App, enter, expect_report, expect_saved, reload, selected, value_of
from tests.ui.conftest import Site

# Before the words: characters of two UTF-16 units, and a dot that no letter takes up, so that NFC keeps it.
EMOJI = "🫁🫀 q\u0307 Kleiner Erguss links. Kein Pneu."
TABLET = {"viewport": {"width": 820, "height": 1180}, "has_touch": True}


@pytest.fixture
def app(shared_site: Site) -> App:
    return App(shared_site)


def marked(app: App, key: str = "r1", schema_id: str = XRAY) -> list[tuple[str, str]]:
    """The marked words as the database has them: label and text, cut out by code points."""
    with app.site.services.database.read() as session:
        records = {record.id: record for record in labelled.records(session, schema_id=schema_id)}
    record = records[key]
    return [(one.label, record.text[one.start : one.end]) for one in record.rationales]


def box_of(page: Page, words: str) -> dict[str, float]:
    """Where these words stand in the report."""
    box: dict[str, float] = page.evaluate(
        """(words) => {
            const walker = document.createTreeWalker(document.querySelector('.ma-text'), NodeFilter.SHOW_TEXT);
            while (walker.nextNode()) {
                const at = walker.currentNode.data.indexOf(words);
                if (at < 0) continue;
                const range = document.createRange();
                range.setStart(walker.currentNode, at + 1);
                range.setEnd(walker.currentNode, at + words.length - 1);
                const { left, right, top, bottom } = range.getBoundingClientRect();
                return { left, right, middle: (top + bottom) / 2 };
            }
        }""",
        words,
    )
    return box


def drag(page: Page, words: str) -> None:
    """Select these words with the mouse, from within the first to within the last one."""
    box = box_of(page, words)
    page.mouse.move(box["left"], box["middle"])
    page.mouse.down()
    page.mouse.move(box["right"], box["middle"], steps=4)
    page.mouse.up()


def tap_word(page: Page, word: str) -> None:
    box = box_of(page, word)
    page.touchscreen.tap((box["left"] + box["right"]) / 2, box["middle"])


def choose_caret(page: Page, word: str) -> None:
    """Move the caret right until it stands on this word."""
    for _ in range(40):
        if page.locator(".ma-caret").all_inner_texts() == [word]:
            return
        page.keyboard.press("ArrowRight")
    raise AssertionError(f"the caret never came to {word}")


def first_word_marked(app: App) -> Page:
    """A report whose first word is marked for Erguss by keys."""
    app.bring("Erguss links.")
    page = app.open()
    for key in ("e", "1", "e", "6", "Space"):
        page.keyboard.press(key)
    return page


class TestMarking:
    def test_by_keyboard_several_words_and_overlapping_findings_also_after_emoji(self, app: App) -> None:
        app.bring(EMOJI)
        page = app.open()
        page.keyboard.press("e")
        page.keyboard.press("1")
        page.keyboard.press("e")
        page.keyboard.press("6")
        choose_caret(page, "Kleiner")
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Space")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("v")  # "Erguss links" for Verschattung, over the mark of Erguss
        page.keyboard.press("1")
        assert selected(page) == "Verschattung", "while marking a value does not move on"
        expect(page.locator("mark.ma-piece")).to_have_text(["Kleiner ", "Erguss", " links"])
        page.keyboard.press("Escape")
        expect(page.locator(".ma-mark-toggle")).to_have_attribute("aria-pressed", "false")
        expect_report(page, EMOJI)
        enter(page)
        expect_saved(page)
        assert marked(app) == [("Erguss", "Kleiner Erguss"), ("Verschattung", "Erguss links")]

    def test_with_the_mouse_snapping_to_words_or_to_the_letter(self, app: App) -> None:
        app.bring(EMOJI)
        page = app.open()
        page.keyboard.press("e")
        page.keyboard.press("1")
        page.keyboard.press("e")
        page.click(".ma-mark-toggle")
        drag(page, "Kleiner Erguss")
        expect(page.locator(".ma-chip")).to_have_text(["Kleiner Erguss×"])
        page.click(".ma-whole")
        drag(page, " Pneu")
        enter(page)
        expect_saved(page)
        first, second = marked(app)
        assert first == ("Erguss", "Kleiner Erguss")
        assert second[1] in "Pneu", "not snapped to the word"

    def test_a_mark_is_removed_by_its_chip_or_by_a_key_and_comes_back_with_undo(self, app: App) -> None:
        page = first_word_marked(app)
        expect(page.locator(".ma-chip")).to_have_count(1)
        page.keyboard.press("Delete")
        expect(page.locator(".ma-chip")).to_have_count(0)
        page.keyboard.press("Control+z")
        expect(page.locator(".ma-chip")).to_have_count(1)
        page.click(".ma-chip")
        expect(page.locator(".ma-chip")).to_have_count(0)

    def test_a_chip_keeps_the_focus_and_a_click_that_has_begun_while_the_card_is_painted_anew(self, app: App) -> None:
        page = first_word_marked(app)
        chip = page.locator(".ma-chip")
        expect(page.locator(".ma-row[data-label=Erguss] .ma-count")).to_have_attribute("title", "1 markierte Stelle")
        chip.focus()
        page.keyboard.press("4")
        expect(page.locator(".ma-flag")).to_have_attribute("aria-pressed", "true")
        expect(chip).to_be_focused()
        chip.hover()
        page.mouse.down()
        page.keyboard.press("4")
        expect(page.locator(".ma-flag")).to_have_attribute("aria-pressed", "false")
        page.mouse.up()
        expect(chip).to_have_count(0)

    def test_by_touch_the_first_and_the_last_word(self, app: App) -> None:
        app.bring("Kleiner Erguss links.")
        page = app.open(**TABLET)
        page.tap(".ma-row[data-label=Erguss] [data-state=present]")
        page.tap(".ma-mark-toggle")
        tap_word(page, "Kleiner")
        expect(page.locator(".ma-chips")).to_contain_text("das letzte Wort")
        tap_word(page, "Erguss")
        expect(page.locator(".ma-chip")).to_have_text(["Kleiner Erguss×"])

    def test_words_without_a_value_are_not_saved_and_the_page_says_what_is_missing(self, app: App) -> None:
        app.bring("Erguss links.")
        page = app.open()
        page.keyboard.press("e")
        page.keyboard.press("0")
        page.keyboard.press("e")
        page.keyboard.press("6")
        page.keyboard.press("Space")
        page.keyboard.press("Escape")
        enter(page)
        expect(page.locator(".ma-alert")).to_contain_text(
            "Für Pleuraerguss sind Wörter markiert, aber kein Wert gewählt."
        )
        expect_report(page, "Erguss links.")
        page.keyboard.press("1")
        enter(page)
        expect_saved(page)
        assert marked(app) == [("Erguss", "Erguss")]

    def test_marks_come_back_when_a_report_is_opened_again(self, app: App) -> None:
        app.bring(EMOJI, "Zwei.")
        page = app.open()
        page.keyboard.press("e")
        page.keyboard.press("1")
        page.keyboard.press("e")
        page.keyboard.press("6")
        choose_caret(page, "Erguss")
        page.keyboard.press("Space")
        enter(page)
        expect_report(page, "Zwei.")
        expect_saved(page)
        reload(app, page)
        expect_report(page, "Zwei.")
        page.keyboard.press("ArrowLeft")
        expect(page.locator("mark.ma-piece")).to_have_text(["Erguss"])


class TestTheModelBeside:
    def test_its_words_and_the_agreement_come_on_demand_for_the_chosen_value(self, app: App) -> None:
        app.bring("Kein Pneumothorax. Kleiner Erguss links.")
        page = app.open()
        page.keyboard.press("e")
        page.keyboard.press("0")
        page.keyboard.press("e")
        page.keyboard.press("7")
        expect(page.locator(".ma-figures")).to_contain_text("Zuerst einen Wert wählen")
        page.keyboard.press("1")
        page.keyboard.press("e")
        version = app.site.services.reading.model_version(XRAY)
        expect(page.locator(".ma-figures")).to_contain_text(version)
        page.keyboard.press("6")
        choose_caret(page, "Erguss")
        page.keyboard.press("Space")
        expect(page.locator(".ma-figures")).to_contain_text("AUPRC")
        enter(page)
        expect_saved(page)
        page.click("text=Markierte Wörter und Modell im Vergleich")
        page.click("text=Berechnen")
        row = page.locator(".ma-table tbody tr")
        expect(row).to_contain_text(f"{version} (aktiv)")
        expect(page.locator(".ma-table thead")).to_contain_text("Einzelbefunde")
        expect(row.locator("td").nth(1)).to_have_text("1")


class TestRules:
    def test_explanation_and_guideline_are_one_key_away_and_the_text_does_not_move(self, app: App) -> None:
        app.bring("Erguss links. " * 60)
        page = app.open()
        before = page.locator(".ma-text").bounding_box()
        page.keyboard.press("e")
        page.keyboard.press("8")
        sheet = page.locator(".ma-sheet")
        expect(sheet).to_contain_text("Pleuraerguss jeder Größe")
        expect(sheet).to_contain_text("Perikarderguss und Aszites gehören nicht hierher.")
        assert page.locator(".ma-text").bounding_box() == before
        page.keyboard.press("p")
        expect(sheet).to_contain_text("Mantelpneumothorax")
        page.keyboard.press("Escape")
        expect(sheet).to_be_hidden()

    def test_closing_the_explanation_gives_the_focus_to_the_button_that_opens_it(self, app: App) -> None:
        app.bring("Eins.")
        page = app.open()
        explain, sheet = page.locator(".ma-explain"), page.locator(".ma-sheet")
        expect(explain).to_have_attribute("aria-expanded", "false")
        page.keyboard.press("e")
        explain.click()
        expect(explain).to_have_attribute("aria-expanded", "true")
        expect(sheet).to_contain_text("Aszites gehören nicht hierher")  # the guideline has come
        sheet.get_by_role("button", name="Schließen").click()
        expect(sheet).to_be_hidden()
        expect(explain).to_be_focused()
        expect(explain).to_have_attribute("aria-expanded", "false")

    def test_a_save_tells_which_guideline_its_annotator_had(self, app: App) -> None:
        app.bring("Eins.")
        page = app.open()
        enter(page)
        expect_saved(page)
        with app.site.services.database.read() as session:
            (version,) = session.connection().exec_driver_sql("SELECT guideline_version FROM submissions").scalars()
        assert len(version) == 12


class TestManyFindings:
    def test_they_stand_in_groups_and_a_search_finds_by_name_or_phrasing(self, app: App) -> None:
        page = app.open()
        page.click("#annotate-schema >> text=CT-Thorax")
        expect(page.locator(".ma-empty h3")).to_have_text("Noch keine Befundtexte für CT-Thorax")
        page.click("text=Beispielbefunde laden")
        page.wait_for_selector(".ma-text:visible")
        expect(page.locator(".ma-group-name")).to_have_text(
            ["Lunge", "Rundherde und Tumoren", "Atemwege", "Pleura", "Herz und Gefäße", "Skelett und Material"]
        )
        page.keyboard.press("/")
        page.keyboard.type("koronarkalk")
        expect(page.locator(".ma-row:visible")).to_have_attribute("data-label", "Koronarsklerose")
        page.keyboard.press("Enter")
        expect(page.locator(".ma-row:visible")).to_have_count(24)
        assert selected(page) == "Koronarsklerose"
        page.keyboard.press("3")
        assert value_of(page, "Koronarsklerose") == "absent", "the keys are the card's again"

    def test_keys_follow_the_order_on_the_screen(self, app: App) -> None:
        app.bring("Eins.")
        page = app.open()
        rows = page.locator(".ma-row").evaluate_all("nodes => nodes.map(node => node.dataset.label)")
        for label in rows[:8]:
            assert selected(page) == label
            page.keyboard.press("ArrowDown")


class TestSpans:
    def test_labels_are_only_marked_by_their_letters_and_saved(self, app: App) -> None:
        services = app.site.services
        anna = services.access.identify(Caller("anna", None))
        line = json.dumps({"id": "m1", "modality": "letter", "text": "💊 Ramipril 5 mg 1-0-1 seit 2 Wochen."})
        services.annotate.import_reports(anna, "medication", "m.jsonl", line.encode())
        page = app.open()
        page.click("#annotate-schema >> text=Medikation")
        page.wait_for_selector(".ma-text:visible")
        expect(page.locator(".ma-value")).to_have_count(0)
        choose_caret(page, "Ramipril")
        page.keyboard.press("m")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("d")
        chip = page.locator(".ma-row[data-label=Dosis] .ma-chip")
        expect(chip).to_have_text(["5 mg×"])
        chip.focus()
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".ma-caret")).to_have_text(["5"])
        expect(chip).to_be_focused()
        enter(page)
        expect_saved(page)
        assert marked(app, "m1", "medication") == [("Medikament", "Ramipril"), ("Dosis", "5 mg")]


class TestSkipUndoAndFlag:
    def test_a_skip_keeps_its_reason_and_remark(self, app: App) -> None:
        app.bring("Eins.", "Zwei.")
        page = app.open()
        page.keyboard.press("9")
        page.fill(".ma-skip-dialog textarea", "Seite 2 fehlt")
        page.keyboard.press("Escape")
        expect(page.locator(".ma-skip-dialog")).to_be_visible()
        page.keyboard.press("1")
        expect_report(page, "Zwei.")
        expect(page.locator(".ma-status")).to_have_text("")
        anna = app.site.services.access.identify(Caller("anna", None))
        (kept,) = app.site.services.annotate.skipped(anna, XRAY)
        assert (kept.key, kept.reason, kept.comment) == ("r1", SkipReason.UNREADABLE, "Seite 2 fehlt")

    def test_undo_goes_back_across_reports(self, app: App) -> None:
        app.bring("Eins.", "Zwei.", "Drei.")
        page = app.open()
        proposed = value_of(page, "Stauung")
        other, key = ("absent", "3") if proposed == "present" else ("present", "1")
        page.keyboard.press(key)
        enter(page)
        expect_report(page, "Zwei.")
        enter(page)
        expect_report(page, "Drei.")
        expect_saved(page)
        page.keyboard.press("Control+z")
        expect_report(page, "Zwei.")
        page.keyboard.press("Control+z")
        expect_report(page, "Eins.")
        assert value_of(page, "Stauung") == other
        page.keyboard.press("Control+z")
        assert value_of(page, "Stauung") == proposed
        expect(page.locator(".ma-status")).to_have_text("Änderungen offen")

    def test_what_is_taken_back_is_no_change_any_more(self, app: App) -> None:
        app.bring("Eins.", "Zwei.")
        page = app.open()
        status, further = page.locator(".ma-status"), page.locator(".ma-save")
        page.keyboard.press("4")
        expect(status).to_have_text("Änderungen offen")
        page.keyboard.press("Control+z")
        expect(status).to_have_text("")
        page.keyboard.press("1")
        enter(page)
        expect_report(page, "Zwei.")
        expect_saved(page)
        page.keyboard.press("ArrowLeft")
        expect_report(page, "Eins.")
        for change, back in (("4", "Control+z"), ("4", "4"), ("s3", "s1")):
            for key in change:
                page.keyboard.press(key)
            expect(status).to_have_text("Änderungen offen")
            expect(further).to_contain_text("Speichern & weiter")
            for key in [back] if "+" in back else back:
                page.keyboard.press(key)
            expect_saved(page)
            expect(further).to_contain_text("Weiter")
        page.fill(".ma-comment", "links?")
        expect(status).to_have_text("Änderungen offen")
        page.fill(".ma-comment", "")
        expect_saved(page)

    def test_a_refused_save_that_is_discarded_leaves_the_report_with_changes(self, app: App) -> None:
        app.bring("Eins.", "Zwei.")
        page = app.open()
        enter(page)
        expect_report(page, "Zwei.")
        expect_saved(page)
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("4")
        page.route("**/component_server/", lambda route: route.abort(), times=1)
        enter(page)
        page.click("text=Verwerfen")
        page.keyboard.press("ArrowLeft")
        expect_report(page, "Eins.")
        expect(page.locator(".ma-status")).to_have_text("Änderungen offen")
        app.site.complaints.clear()  # the browser complains about the request that went nowhere

    def test_flag_and_remark_have_keys(self, app: App) -> None:
        app.bring("Eins.", "Zwei.")
        page = app.open()
        page.keyboard.press("4")
        expect(page.locator(".ma-flag")).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("5")
        page.keyboard.type("4 cm? 123")
        page.keyboard.press("Escape")
        enter(page)
        expect_report(page, "Zwei.")
        expect_saved(page)
        page.keyboard.press("ArrowLeft")
        assert page.input_value(".ma-comment") == "4 cm? 123"
        expect(page.locator(".ma-flag")).to_have_attribute("aria-pressed", "true")


class TestForEveryone:
    def test_after_a_click_on_the_language_every_key_is_still_the_cards(self, app: App) -> None:
        app.bring("Eins.", "Zwei.", "Drei.")
        page = app.open()
        page.click("#mb-language >> text=English")
        expect(page.locator(".ma-save")).to_contain_text("Save & next")
        expect(page.locator("#mb-language input:checked")).to_be_focused()
        enter(page)
        expect_report(page, "Zwei.")
        page.keyboard.press("6")
        page.locator("#mb-language input:checked").click()
        page.keyboard.press("Space")
        expect(page.locator(".ma-row[data-label=Stauung] .ma-count")).to_have_text("1")
        page.locator("#mb-language input:checked").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        expect_report(page, "Zwei.")

    def test_the_help_tells_a_report_from_a_finding(self, app: App) -> None:
        app.bring("Eins.")
        page = app.open()
        told = {}
        for language, ready in (("English", "Save & next"), ("Deutsch", "Speichern & weiter")):
            page.click(f"#mb-language >> text={language}")
            expect(page.locator(".ma-save")).to_contain_text(ready)
            page.keyboard.press("?")
            told[language] = page.locator(".ma-keys dd").all_inner_texts()
            page.keyboard.press("Escape")
        pairs = list(zip(told["Deutsch"], told["English"], strict=True))
        of_report, of_finding = ([pair for pair in pairs if word in pair[1]] for word in ("report", "finding"))
        assert (len(of_report), len(of_finding)) == (3, 5)
        assert all("Befundtext" in de for de, _ in of_report)
        assert not any("Befundtext" in de for de, _ in of_finding)

    def test_from_opening_the_page_to_the_last_report_with_the_keyboard_only(self, new_site: Site) -> None:
        page = new_site.open()
        expect(page.locator("#mb-accept")).to_be_visible()
        _tab_to(page, "#mb-accept")
        page.keyboard.press("Enter")
        expect(page.get_by_role("tab", name="Annotation")).to_be_visible()
        user = new_site.services.access.identify(Caller("", None))
        lines = "\n".join(json.dumps({"text": text, "modality": "xray"}) for text in ("Eins.", "Zwei."))
        new_site.services.annotate.import_reports(user, XRAY, "a.jsonl", lines.encode())
        _tab_to(page, "[role=tab]:has-text('Annotation')")
        page.keyboard.press("Enter")
        expect_report(page, "Eins.")
        page.keyboard.press("e")
        page.keyboard.press("1")
        enter(page)
        expect_report(page, "Zwei.")
        enter(page)
        expect(page.locator(".ma-empty h3")).to_have_text("Alles erledigt")
        assert new_site.services.annotate.next_reports(user, XRAY, count=0).progress.done == 2

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_contrast_names_and_roles_pass_axe(self, app: App, scheme: str) -> None:
        app.bring(EMOJI)
        page = app.open(color_scheme=scheme)
        page.keyboard.press("e")
        page.keyboard.press("1")
        page.keyboard.press("e")
        page.keyboard.press("6")
        page.keyboard.press("Space")
        page.keyboard.press("8")
        expect(page.locator(".ma-sheet")).to_be_visible()
        rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa"]}
        found = Axe().run(page, context="#annotate-card", options=rules).response["violations"]
        assert [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in found] == []

    def test_on_a_tablet_every_button_is_large_enough_for_a_finger(self, app: App) -> None:
        app.bring("Eins.")
        page = app.open(**TABLET)
        sizes = page.locator("#annotate-card button:visible").evaluate_all(
            "nodes => nodes.map(n => [n.className, n.getBoundingClientRect()]).map(([c, b]) => [c, b.width, b.height])"
        )
        assert sizes
        assert [one for one in sizes if min(one[1:]) < 44] == []


def _tab_to(page: Page, selector: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.locator(selector).first.evaluate("node => node === document.activeElement"):
            return
    raise AssertionError(f"Tab never came to {selector}")
