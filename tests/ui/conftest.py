"""What the browser tests share: one Chromium, and the app launched over a folder of its own.

Whoever opens a page through `Site.open` also checks that the browser complains about nothing and asks no other host.
Where no Chromium is installed these tests are not collected, and the end of the run says so; `.ci/run` installs one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from medbertde.services import Services
from tests.launch import CHROMIUM, FLAGS, XRAY, launched, password_of

TIMEOUT_MS = 20_000

collect_ignore_glob = [] if CHROMIUM else ["test_*.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not tested and what would change that."""
    if not CHROMIUM:
        terminalreporter.write_line("No Chromium found: the browser tests (tests/ui) did not run. Install `chromium`.")


@dataclass(frozen=True)
class Site:
    """The running app, what lies behind it, and what browsers had to complain about."""

    services: Services
    url: str
    browser: Browser
    folder: Path
    complaints: list[str] = field(default_factory=list)

    def open(self, tab: str = "", *, name: str = "", **options: Any) -> Page:
        """The page as `name` sees it (the local user where nobody has to sign in), with this tab in front."""
        context = self.browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(TIMEOUT_MS)
        if name:
            context.request.post(f"{self.url}login", form={"username": name, "password": password_of(name)})
        page = context.new_page()
        _listen(page, self.url, self.complaints)
        page.goto(self.url)
        page.wait_for_selector("#mb-accept:visible, [role=tab]:visible")
        if tab:
            page.get_by_role("tab", name=tab).click()
        return page

    def close_pages(self) -> None:
        """Close what was opened; a complaint fails the test."""
        for context in self.browser.contexts:
            context.close()
        found = self.complaints.copy()
        self.complaints.clear()
        assert found == []

    def reload(self, page: Page) -> None:
        """Load a page anew; what its script says of its own stream, which breaks off then, is no complaint."""
        found = self.complaints.copy()
        page.reload()
        self.complaints[:] = found


def _listen(page: Page, url: str, complaints: list[str]) -> None:
    """Note errors on the console and in scripts, and requests to another host."""

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(f"console: {message.text}")

    def on_request(request: Request) -> None:
        if not request.url.startswith((url, "data:", "blob:")):
            complaints.append(f"request: {request.url}")

    page.on("console", on_console)
    page.on("request", on_request)
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))


def expect_refusal(page: Page, sentence: str) -> None:
    """A toast says so, headed in the page's language; it is closed, so that the next one stands alone."""
    expect(page.get_by_test_id("toast-text")).to_contain_text(sentence)
    assert heading(page) == {"de": "Nicht möglich", "en": "Not possible"}[page.input_value("#mb-language :checked")]
    page.get_by_test_id("toast-close").click()
    expect(page.get_by_test_id("toast-text")).to_have_count(0)


def heading(page: Page) -> str:
    """What is to be seen above the sentence of a toast: our style sheet's word, unless Gradio's own is visible."""
    return str(
        page.locator(".toast-title").evaluate(
            """title => getComputedStyle(title).visibility === "hidden"
                 ? getComputedStyle(title, "::before").content.slice(1, -1) : title.innerText"""
        )
    )


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session", autouse=True)
def patience() -> None:
    expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="session")
def tiny_models(tiny_mlm_folder: Path, tiny_classifier_folder: Path) -> dict[str, str]:
    """A model per slot; chest CT has none."""
    return {"fill_mask": str(tiny_mlm_folder), XRAY: str(tiny_classifier_folder)}


@contextmanager
def _site(folder: Path, models: dict[str, str], browser: Browser, **options: Any) -> Iterator[Site]:
    with launched(folder, models, **options) as (services, url):
        yield Site(services, url, browser, folder)


@pytest.fixture(scope="session")
def running_site(
    tmp_path_factory: pytest.TempPathFactory, tiny_models: dict[str, str], browser: Browser
) -> Iterator[Site]:
    with _site(tmp_path_factory.mktemp("shared"), tiny_models, browser) as site:
        yield site


@pytest.fixture
def site(running_site: Site) -> Iterator[Site]:
    """The app for tests that leave nothing behind: terms accepted, no reports. Shared by all of them."""
    yield running_site
    running_site.close_pages()


@pytest.fixture
def own_site(tmp_path: Path, tiny_models: dict[str, str], browser: Browser) -> Iterator[Site]:
    """An app of the test's own, terms accepted."""
    with _site(tmp_path, tiny_models, browser) as site:
        yield site
        site.close_pages()


@pytest.fixture
def new_site(tmp_path: Path, tiny_models: dict[str, str], browser: Browser) -> Iterator[Site]:
    """An app that nobody has used yet."""
    with _site(tmp_path, tiny_models, browser, terms_accepted=False) as site:
        yield site
        site.close_pages()


@pytest.fixture
def shared_site(tmp_path: Path, tiny_models: dict[str, str], browser: Browser) -> Iterator[Site]:
    """An app of the test's own where anna and ben sign in."""
    with _site(tmp_path, tiny_models, browser, users=("anna", "ben")) as site:
        yield site
        site.close_pages()
