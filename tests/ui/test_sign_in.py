"""Accounts as people meet them: signing in, what each role sees, what ends a session, and administration."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from medbertde.services import accounts as rules
from medbertde.store import sessions
from medbertde.types import Role
from tests.launch import PHONE, password_of
from tests.ui.conftest import Site, _site

READING = ["Klassifikation", "Lückentext"]
TABS = {
    "vera": (Role.VIEWER, [*READING, "Über medbertde"]),
    "anna": (Role.ANNOTATOR, [*READING, "Annotation", "Über medbertde"]),
    "karl": (Role.CURATOR, [*READING, "Annotation", "Training", "Über medbertde"]),
    "chefin": (Role.ADMIN, [*READING, "Annotation", "Training", "Über medbertde"]),
}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, tiny_models: dict[str, str], browser: Browser) -> Iterator[Site]:
    users = {name: role for name, (role, _) in TABS.items()}
    with _site(tmp_path_factory.mktemp("hospital"), tiny_models, browser, users=users) as site:
        yield site


@pytest.fixture
def site(hospital: Site) -> Iterator[Site]:
    yield hospital
    hospital.close_pages()


def login_page(site: Site, **options: object) -> Page:
    """Where a stranger ends up. A refused sign-in is answered with 401, which the browser notes on its console."""
    context = site.browser.new_context(**{"locale": "de-DE", "viewport": {"width": 1280, "height": 900}, **options})
    page = context.new_page()
    page.goto(site.url)
    expect(page).to_have_url(f"{site.url}login")
    return page


def sign_in(page: Page, name: str, password: str) -> None:
    page.fill("[name=username]", name)
    page.fill("[name=password]", password)
    page.click("button[type=submit]")


def signed_in(site: Site, name: str, **options: object) -> Page:
    """The page of someone who will meet refusals: the browser notes those on its console, which is no complaint."""
    page = login_page(site, **options)
    sign_in(page, name, password_of(name))
    expect(page.get_by_role("tab", name="Klassifikation")).to_be_visible()
    return page


def test_a_stranger_signs_in_after_a_wrong_password_and_signs_out(site: Site) -> None:
    page = login_page(site)
    sign_in(page, "anna", "ganz und gar falsch")
    expect(page.get_by_role("alert")).to_have_text("Benutzername oder Passwort stimmt nicht.")
    sign_in(page, "anna", password_of("anna"))
    expect(page.locator("#mb-who")).to_contain_text("Angemeldet als anna (Annotation)")
    page.click("#mb-account")
    page.click("text=Abmelden")
    expect(page).to_have_url(f"{site.url}login")
    page.goto(site.url)
    expect(page).to_have_url(f"{site.url}login")


def test_the_sign_in_speaks_both_languages_and_fits_a_phone(site: Site) -> None:
    page = login_page(site, **{**PHONE, "locale": "en-US"})
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_role("link", name="Deutsch").click()
    expect(page.get_by_role("heading", name="Anmelden")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.activeElement.name") == "username"
    box = page.locator("button[type=submit]").bounding_box()
    assert box is not None
    assert box["height"] >= 44


def test_too_many_tries_are_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "TRIES_PER_NAME", 1)
    page = login_page(site)
    for _ in range(2):
        sign_in(page, "niemand", "ganz und gar falsch")
    expect(page.get_by_role("alert")).to_contain_text("Zu viele Fehlversuche. Bitte warten Sie 15 Minuten")


@pytest.mark.parametrize("name", list(TABS))
def test_each_role_sees_its_tabs(site: Site, name: str) -> None:
    page = site.open(name=name)
    role, tabs = TABS[name]
    expect(page.get_by_role("tab")).to_have_text(tabs)
    page.get_by_role("tab", name="Über medbertde").click()
    expect(page.locator("#about-models")).to_be_visible()
    expect(page.locator("#manage")).to_be_visible(visible=role is Role.ADMIN)


def test_a_tab_that_another_role_left_is_not_shown_to_a_viewer(site: Site) -> None:
    page = site.open("Training", name="karl")
    page.context.request.post(f"{site.url}login", form={"username": "vera", "password": password_of("vera")})
    site.reload(page)
    expect(page.get_by_role("tab")).to_have_text(TABS["vera"][1])
    expect(page.get_by_role("tab", name="Klassifikation")).to_have_attribute("aria-selected", "true")


def test_a_viewer_changes_the_language_and_meets_no_refusal(site: Site) -> None:
    page = site.open(name="vera")
    expect(page.locator("#mb-who")).to_contain_text("Angemeldet als vera (Lesen)")
    page.click("#mb-language >> text=English")
    expect(page.get_by_role("tab")).to_have_text(["Classification", "Fill the gap", "About"])
    expect(page.locator("#mb-who")).to_contain_text("Signed in as vera (Viewer)")
    page.get_by_role("tab", name="Fill the gap").click()
    page.fill("#fill-text textarea", "Kein [MASK].")
    page.click("#fill-run")
    expect(page.locator("#fill-card li")).to_have_count(10)
    expect(page.get_by_test_id("toast-text")).to_have_count(0)


def test_nothing_breaks_the_content_policy_on_any_tab(site: Site) -> None:
    page = site.open("Klassifikation", name="chefin")
    page.evaluate(
        "document.addEventListener('securitypolicyviolation', (e) => (window.broken ??= []).push(e.violatedDirective))"
    )
    page.fill("#read-text textarea", "Kein Nachweis eines Pneumothorax, kleiner Erguss links.")
    page.click("#read-run")
    expect(page.locator("#read-findings button")).to_have_count(13)
    for tab in TABS["chefin"][1]:
        page.get_by_role("tab", name=tab, exact=True).click()
        expect(page.get_by_role("tab", name=tab, exact=True)).to_have_attribute("aria-selected", "true")
    expect(page.locator("#about-models")).to_be_visible()
    assert page.evaluate("window.broken") is None


def test_a_script_without_the_nonce_does_not_run(site: Site) -> None:
    page = signed_in(site, "vera")
    page.evaluate(
        "() => { const own = document.createElement('script'); own.textContent = 'window.ran = 1';"
        " document.body.append(own); }"
    )
    assert page.evaluate("window.ran") is None
    page.evaluate(
        "() => { const own = document.createElement('a'); own.href = 'javascript:window.ran = 1';"
        " document.body.append(own); own.click(); }"
    )
    assert page.evaluate("window.ran") is None


def test_a_session_that_ends_says_so_and_what_was_typed_stays(site: Site) -> None:
    page = signed_in(site, "anna", locale="en-US")
    page.fill("#read-text textarea", "Kein Erguss.")
    site.services.accounts.reset_password(site.services.access.operator(), "anna", password_of("anna"))
    page.click("#read-run")
    bar = page.locator("#mb-session-ended")
    expect(bar).to_contain_text("Ihre Sitzung ist abgelaufen. Ihre Eingaben sind noch da.")
    page.wait_for_timeout(500)  # for more that may come
    expect(page.get_by_test_id("toast-text")).to_have_count(0)
    page.context.request.post(f"{site.url}login", form={"username": "anna", "password": password_of("anna")})
    bar.get_by_role("button").click()
    page.click("#read-run")
    expect(page.locator("#read-findings button")).to_have_count(13)
    assert page.input_value("#read-text textarea") == "Kein Erguss."


def test_an_expired_session_leads_to_the_sign_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    page = signed_in(site, "vera")
    monkeypatch.setattr(sessions, "utc_now", lambda: datetime.now(UTC) + timedelta(hours=13))
    page.goto("about:blank")
    page.goto(site.url)
    expect(page).to_have_url(f"{site.url}login")


def test_one_changes_the_own_password(site: Site) -> None:
    page = signed_in(site, "karl")
    page.click("#mb-account")
    for field, typed in {"old": password_of("karl"), "new": "kurz", "again": "kurz"}.items():
        page.fill(f"[name={field}]", typed)
    page.click("text=Passwort ändern")
    expect(page.get_by_role("alert")).to_contain_text("mindestens 12")
    for field, typed in {
        "old": password_of("karl"),
        "new": "Lunge frei belüftet",
        "again": "Lunge frei belüftet",
    }.items():
        page.fill(f"[name={field}]", typed)
    page.click("text=Passwort ändern")
    expect(page.get_by_role("alert")).to_contain_text("Das Passwort ist geändert.")
    assert site.services.accounts.sign_in("karl", "Lunge frei belüftet", "here")
    site.services.accounts.reset_password(site.services.access.operator(), "karl", password_of("karl"))


def test_an_administrator_adds_and_disables_people_and_reads_who_did_what(site: Site) -> None:
    page = site.open("Über medbertde", name="chefin")
    page.get_by_role("button", name="Personen").click()
    page.fill("#manage-name input, #manage-name textarea", "doris")
    page.fill("#manage-password input", password_of("doris"))
    page.click("#manage-add")
    row = page.locator("#manage-table tr", has_text="doris")
    expect(row).to_contain_text("möglich")
    page.fill("#manage-name input, #manage-name textarea", "doris")
    page.click("#manage-disable")
    expect(row).to_contain_text("gesperrt")
    page.get_by_role("button", name="Protokoll").click()
    trail = page.locator("#manage-trail tbody tr")
    expect(trail.first).to_contain_text("Konto gesperrt")
    expect(trail.first).to_contain_text("Konto: doris")
    expect(trail.nth(1)).to_contain_text("Konto angelegt")


def test_a_busy_server_says_so_politely_in_the_page(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from gradio import queueing

    page = signed_in(site, "anna")
    page.fill("#read-text textarea", "Kein Erguss.")
    monkeypatch.setattr(queueing.Queue, "__len__", lambda self: 1_000)
    page.click("#read-run")
    expect(page.get_by_test_id("toast-text").first).to_contain_text("Gerade warten schon viele Anfragen.")


def test_on_a_laptop_the_page_says_that_nobody_signs_in(own_site: Site) -> None:
    page = own_site.open()
    expect(page.locator("#mb-who")).to_contain_text(
        "Ohne Anmeldung, nur auf diesem Rechner. Gespeichert wird als lokal."
    )
    page.click("#mb-language >> text=English")
    expect(page.locator("#mb-who")).to_contain_text("Without sign-in, on this machine only.")
