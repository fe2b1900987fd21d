"""The pages outside of Gradio: signing in and out, and one's own account. Small HTML, German and English.

Owns the forms and their words; the rules are those of `services.accounts`. Whatever a user typed appears escaped or not
at all. A program signs in at the same address and gets JSON (`gradio_client.Client(url, auth=(name, password))`).
"""

from __future__ import annotations

import html
import os
from pathlib import Path
from string import Template
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response

from medbertde.services import Services
from medbertde.services.passwords import FEWEST_CHARACTERS
from medbertde.settings import Profile
from medbertde.types import SignInRefused, UserError
from medbertde.ui import browser_rules
from medbertde.ui.header import ROLES
from medbertde.ui.words import Text
from medbertde.user_names import GUEST

FOLDER = Path(__file__).parent / "login"
FILES = {"page.css": "text/css", "session.js": "text/javascript"}
_PAGE = Template((FOLDER / "page.html").read_text(encoding="utf-8"))

RESEARCH = Text("Nur für die Forschung. Kein Medizinprodukt.", "For research only. Not a medical device.")
SIGN_IN = Text("Anmelden", "Sign in")
SIGN_OUT = Text("Abmelden", "Sign out")
ACCOUNT = Text("Ihr Konto", "Your account")
NAME = Text("Benutzername", "User name")
PASSWORD = Text("Passwort", "Password")
HELP = Text(
    "Noch kein Konto oder das Passwort vergessen? Bitte an die Administration wenden.",
    "No account yet, or forgot the password? Please ask your administrator.",
)
HUB = Text("Mit Hugging Face anmelden", "Sign in with Hugging Face")
NO_HUB = Text("Auf diesem Space meldet sich niemand an.", "Nobody signs in on this Space.")
BACK = Text("Zurück zur Werkbank", "Back to the workbench")
OLD_PASSWORD = Text("Bisheriges Passwort", "Present password")
NEW_PASSWORD = Text(
    f"Neues Passwort (mindestens {FEWEST_CHARACTERS} Zeichen)",
    f"New password (at least {FEWEST_CHARACTERS} characters)",
)
AGAIN = Text("Neues Passwort wiederholen", "Repeat the new password")
CHANGE = Text("Passwort ändern", "Change password")
CHANGED = Text(
    "Das Passwort ist geändert. Alle anderen Sitzungen sind beendet.",
    "The password is changed. All other sessions have ended.",
)
DIFFERENT = Text("Die beiden neuen Passwörter sind verschieden.", "The two new passwords are different.")


def add_routes(app: FastAPI, services: Services) -> None:
    """Add `/login`, `/logout`, `/account` and their style sheet."""
    settings, accounts = services.settings, services.accounts

    @app.get("/login/{asset}")
    def show_file(asset: str) -> Response:
        if asset not in FILES:
            return JSONResponse({"detail": "not found"}, 404)
        return FileResponse(FOLDER / asset, media_type=FILES[asset], headers={"cache-control": "no-cache"})

    @app.get("/login")
    def show_login(request: Request) -> Response:
        if settings.served_as is Profile.LOCAL:
            return RedirectResponse("/", 303)
        return _login_page(_language(request, services), services)

    @app.post("/login")
    async def sign_in(request: Request) -> Response:
        language = _language(request, services)
        name, password = await _typed(request, "username", "password")
        try:
            token = await anyio.to_thread.run_sync(accounts.sign_in, name, password, _address(request))
        except UserError as error:
            status = 401 if isinstance(error, SignInRefused) else 503
            if not _is_browser(request):
                return JSONResponse({"detail": f"{error.de} / {error.en}"}, status)
            return _login_page(language, services, error.sentence(language), status)
        if old := request.cookies.get(browser_rules.COOKIE):
            await anyio.to_thread.run_sync(accounts.sign_out, old)
        answer: Response = RedirectResponse("/", 303) if _is_browser(request) else JSONResponse({"success": True})
        return with_cookie(answer, request, services, token)

    @app.post("/logout")
    async def sign_out(request: Request) -> Response:
        await anyio.to_thread.run_sync(accounts.sign_out, request.scope.get("medbertde.token", ""))
        return with_cookie(RedirectResponse("/login", 303), request, services, "")

    _add_account(app, services)


def _add_account(app: FastAPI, services: Services) -> None:
    @app.get("/account")
    def show_account(request: Request) -> Response:
        return _account_page(request, services)

    @app.post("/account")
    async def change_password(request: Request) -> Response:
        old, new, again = await _typed(request, "old", "new", "again")
        user, token = request.scope["medbertde.user"], request.scope.get("medbertde.token", "")
        if new != again:
            return _account_page(request, services, DIFFERENT, 400)

        def change() -> None:
            services.accounts.change_password(user, token, old, new, _address(request))

        try:
            await anyio.to_thread.run_sync(change)
        except UserError as error:
            return _account_page(request, services, Text(error.de, error.en), 400)
        return _account_page(request, services, CHANGED)


def with_cookie(answer: Response, request: Request, services: Services, token: str) -> Response:
    """The answer with the session's cookie; an empty token takes it away."""
    https = request.url.scheme == "https"
    answer.headers.append("set-cookie", browser_rules.cookie(services.settings, token, https=https))
    return answer


def hub_is_offered(services: Services) -> bool:
    """Whether visitors can sign in through the Hub: a Space with `hf_oauth: true` in its README."""
    return services.settings.served_as is Profile.SPACE and bool(os.environ.get("OAUTH_CLIENT_ID"))


def _hub_link(language: str, services: Services) -> str:
    """In a window of its own: the Hub does not show its sign-in inside the frame of a Space."""
    if not hub_is_offered(services):
        return f"<p>{NO_HUB.say(language)}</p>"
    target = "/login/huggingface?_target_url=/login/done"
    return f'<p><a href="{target}" target="_blank" rel="noopener">{HUB.say(language)}</a></p>'


def _login_page(language: str, services: Services, refusal: str = "", status: int = 200) -> Response:
    if services.settings.served_as is Profile.SPACE:
        content = _hub_link(language, services)
    else:
        content = _form(
            language, f"/login?language={language}", SIGN_IN,
            ("username", NAME, "text", "username"), ("password", PASSWORD, "password", "current-password"),
        ) + f'<p class="hint">{HELP.say(language)}</p>'  # fmt: skip
    return _page(language, SIGN_IN, content, refusal, status)


def _account_page(request: Request, services: Services, said: Text | None = None, status: int = 200) -> Response:
    language, user = _language(request, services), request.scope["medbertde.user"]
    who = f"<p>{html.escape(user.name)} · {ROLES[user.role].say(language)}</p>"
    back = f'<p><a href="/">{BACK.say(language)}</a></p>'
    forms = "" if services.settings.served_as is not Profile.SERVER else _form(
        language, f"/account?language={language}", CHANGE,
        ("old", OLD_PASSWORD, "password", "current-password"), ("new", NEW_PASSWORD, "password", "new-password"),
        ("again", AGAIN, "password", "new-password"),
    )  # fmt: skip
    if user.name.startswith(GUEST):
        forms = _hub_link(language, services)
    elif services.settings.served_as is not Profile.LOCAL:
        forms += _form(language, "/logout", SIGN_OUT, second=True)
    return _page(language, ACCOUNT, who + back + forms, said.say(language) if said else "", status)


def _page(language: str, title: Text, content: str, message: str, status: int) -> Response:
    """`content` is ours alone; the message is escaped."""
    done = " done" if status == 200 else ""
    told = f'<p class="message{done}" role="alert">{html.escape(message)}</p>' if message else ""
    other = "en" if language == "de" else "de"
    return HTMLResponse(
        _PAGE.substitute(
            language=language,
            other_language=other,
            other_name={"en": "English", "de": "Deutsch"}[other],
            title=title.say(language),
            research=RESEARCH.say(language),
            message=told,
            content=content,
        ),
        status,
    )


def _form(language: str, action: str, button: Text, *fields: tuple[str, Text, str, str], second: bool = False) -> str:
    """A form that works without any script."""
    shown = "".join(
        f'<label>{label.say(language)}<input name="{name}" type="{kind}" autocomplete="{complete}" required'
        f"{' autofocus' if position == 0 else ''}></label>"
        for position, (name, label, kind, complete) in enumerate(fields)
    )
    look = ' class="second"' if second else ""
    submit = f'<button type="submit"{look}>{button.say(language)}</button>'
    return f'<form method="post" action="{action}">{shown}{submit}</form>'


async def _typed(request: Request, *names: str) -> list[str]:
    form = await request.form()
    values: list[Any] = [form.get(name, "") for name in names]
    return [value if isinstance(value, str) else "" for value in values]


def _language(request: Request, services: Services) -> str:
    """The one that was clicked, else the browser's, else the configured one."""
    if (asked := request.query_params.get("language")) in ("de", "en"):
        return str(asked)
    accepted = request.headers.get("accept-language", "")[:2].lower()
    return accepted if accepted in ("de", "en") else services.settings.language


def _is_browser(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
