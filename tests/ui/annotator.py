"""What an annotator does and sees, for the tests of the annotation tab: the running app, keys, what is on the card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page, expect

from medbertde.report_file import to_json
from medbertde.services.access import Caller
from medbertde.store import labelled
from medbertde.types import ReportRecord, State
from tests.launch import XRAY
from tests.ui.conftest import Site


@dataclass(frozen=True)
class App:
    """The running app with what these tests do behind its back."""

    site: Site

    def bring(self, *texts: str) -> None:
        services = self.site.services
        lines = [
            to_json(ReportRecord(text, id=f"r{number}", modality="xray")) for number, text in enumerate(texts, start=1)
        ]
        user = services.access.identify(Caller("anna", None))
        services.annotate.import_reports(user, XRAY, "befunde.jsonl", "\n".join(lines).encode())

    def open(self, name: str = "anna", **options: Any) -> Page:
        """The tab as `name` sees it."""
        page = self.site.open("Annotation", name=name, **options)
        page.wait_for_selector(".ma-text:visible, .ma-empty h3:visible", timeout=20_000)
        return page

    def history(self, key: str) -> list[tuple[str, State | None, str]]:
        """The changes of a report: finding, new value, source."""
        with self.site.services.database.read() as session:
            rows = [one for found, one in labelled.revisions(session, schema_id=XRAY) if found == key]
        return [(one.label, one.new_value, one.source.value) for one in rows]

    def saved_reports(self) -> int:
        services = self.site.services
        user = services.access.identify(Caller("anna", None))
        return services.annotate.next_reports(user, XRAY, count=0).progress.done


def reload(app: App, page: Page) -> None:
    """Load the page anew and come back to the tab."""
    app.site.reload(page)
    page.get_by_role("tab", name="Annotation").click()


def value_of(page: Page, label: str) -> str | None:
    """The pressed value of a finding."""
    return page.locator(f".ma-row[data-label={label}] .ma-value[aria-pressed=true]").get_attribute("data-state")


def selected(page: Page) -> str | None:
    return page.locator(".ma-row.ma-selected").get_attribute("data-label")


def expect_report(page: Page, text: str) -> None:
    expect(page.locator(".ma-text")).to_have_text(text)


def enter(page: Page) -> None:
    """Save and go on; a report that has just come up takes no Enter yet, or a double one would save it unread."""
    expect(page.locator(".ma-save:not([data-fresh])")).to_be_visible()
    page.keyboard.press("Enter")


def skip(page: Page, key: str = "1") -> None:
    """Put the report aside with the reason of this key."""
    page.keyboard.press("9")
    expect(page.locator(".ma-skip-dialog")).to_be_visible()
    page.keyboard.press(key)


def expect_saved(page: Page) -> None:
    expect(page.locator(".ma-status")).to_have_text("Gespeichert")
