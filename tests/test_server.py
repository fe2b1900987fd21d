"""The server guard over real HTTP: who gets in, what belongs to whom, what is too much, and what is told to whom."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
import gradio.oauth
import httpx
import itsdangerous
import pytest
from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI

from medbertde.services import Services, open_services
from medbertde.services.access import Caller
from medbertde.services.accounts import Accounts
from medbertde.settings import Settings
from medbertde.types import Role
from medbertde.ui import server_routes, uploads
from medbertde.ui.guard import Guard
from medbertde.ui.hub_sign_in import add_hub_sign_in
from medbertde.ui.layout import build_page
from medbertde.ui.server import build_server, launch, started
from medbertde.ui.telemetry import Telemetry
from tests.launch import free_port, password_of

T = TypeVar("T")

ROLES = {"chefin": Role.ADMIN, "anna": Role.ANNOTATOR, "ben": Role.VIEWER, "neu": Role.VIEWER}
TEXT = "Kein [MASK] eines Pneumothorax im Befund von Mustermann."
OPEN = {("GET", "/login"), ("GET", "/health"), ("GET", "/ready")}
API = "/gradio_api"


@dataclass(frozen=True)
class Site:
    """The running server and what stands behind it."""

    services: Services
    page: gr.Blocks
    guard: Guard
    url: str

    def visitor(self, name: str = "") -> httpx.Client:
        """Someone with a browser; signed in where a name is given."""
        cookies = httpx.Cookies()
        if name:
            signed_in = {"username": name, "password": password_of(name)}
            answer = httpx.post(f"{self.url}login", data=signed_in, timeout=60)
            assert answer.status_code == 200, answer.text
            cookies = answer.cookies
        return httpx.Client(base_url=self.url, timeout=60, cookies=cookies)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, tiny_mlm_folder: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("server")
    cache = pytest.MonkeyPatch()
    cache.setenv(uploads.VARIABLE, "")
    uploads.keep_in(folder / "cache")
    settings = Settings(var=folder, port=free_port(), profile="server", max_upload_mb=1, metrics_token="zahlen")
    services = open_services(settings, shipped={"fill_mask": str(tiny_mlm_folder)}, busy_timeout_s=5)
    for name, role in ROLES.items():
        services.accounts.add(services.access.operator(), name, role, password_of(name))
        if name != "neu":
            services.access.accept_terms(services.access.identify(Caller(name, None)))
    page = build_page(services)
    guard = build_server(page, services)
    with started(page, guard, settings) as url:
        yield Site(services, page, guard, url)
    services.database.close()
    cache.undo()


@pytest.fixture(scope="module")
def anna(site: Site) -> Iterator[httpx.Client]:
    with site.visitor("anna") as client:
        yield client


@pytest.fixture(scope="module")
def ben(site: Site) -> Iterator[httpx.Client]:
    with site.visitor("ben") as client:
        yield client


def routes(router: Any) -> Iterator[tuple[str, str]]:
    """Every method and path of an app, those of mounted apps and included routers too."""
    for route in getattr(router, "routes", ()):
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        if getattr(route, "methods", None):
            yield from ((method, route.path) for method in route.methods)
        elif inner is not None:
            yield from routes(inner)


def all_of_gradio() -> set[tuple[str, str]]:
    """Every method and path that Gradio would serve."""
    with gr.Blocks() as page:
        gr.Markdown("Befund")
    return set(routes(gr.mount_gradio_app(FastAPI(), page, path="/")))


def asked(path: str) -> str:
    """An address of a route: every part is x."""
    return re.sub(r"\{[^}]+\}", "x", path)


def ask(client: httpx.Client, text: str, **more: Any) -> httpx.Response:
    return client.post(f"{API}/call/fill_mask", json={"data": [text, 3, False], **more})


# ------------------------------------------------------------------------------------------------ who gets in


def test_every_route_there_is_asks_for_a_session_except_login_and_health(site: Site) -> None:
    table = sorted(all_of_gradio() | set(routes(site.guard.app)))
    assert len(table) > 60
    assert {("POST", f"{API}/queue/join"), ("POST", f"{API}/vibe-edit"), ("GET", "/monitoring")} <= set(table)
    with site.visitor() as stranger:
        for method, path in table:
            status = stranger.request(method, asked(path)).status_code
            assert status in ((200,) if (method, path) in OPEN else (401, 404)), (method, path, status)
        page = stranger.get("/", headers={"accept": "text/html"})
        assert (page.status_code, page.headers["location"]) == (303, "/login")


def test_routes_that_the_page_does_not_need_are_not_there_for_anyone(site: Site) -> None:
    with site.visitor("chefin") as client:
        unneeded = {(method, path) for method, path in all_of_gradio() if not server_routes.find(method, asked(path))}
        assert {("POST", f"{API}/vibe-edit"), ("GET", f"{API}/deep_link")} <= unneeded
        served = set(routes(site.guard.app))
        assert ("POST", f"{API}/component_server") in served
        assert not served & unneeded, "nobody has to pass by what is never let through"
        for method, path in unneeded:
            assert client.request(method, asked(path)).status_code == 404, (method, path)


def test_a_program_signs_in_and_out_with_two_requests(site: Site) -> None:
    with site.visitor("anna") as client:
        cookie = client.cookies["medbertde-session"]
        assert client.get("/config").status_code == 200
        assert client.post("/logout").status_code == 303
        client.cookies.set("medbertde-session", cookie)
        assert client.get("/config").status_code == 401, "the session itself has ended, not only the cookie"


def test_a_wrong_password_says_the_same_as_an_unknown_name(site: Site) -> None:
    with site.visitor() as client:
        answers = [
            client.post("/login", data={"username": name, "password": "ganz und gar falsch"})
            for name in ("anna", "xaver")
        ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(site: Site) -> None:
    with site.visitor() as client:
        answer = client.post("/login", data={"username": "ben", "password": password_of("ben")})
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(answer.headers["set-cookie"].split("; "))


@pytest.mark.parametrize("origin", ["https://boese.example", "null", "http://127.0.0.1:1", "http://["])
def test_other_sites_are_refused_and_get_no_leave_to_read(site: Site, anna: httpx.Client, origin: str) -> None:
    for answer in (
        anna.post("/login", data={"username": "anna", "password": "x"}, headers={"origin": origin}),
        anna.post("/logout", headers={"origin": origin}),
        anna.get("/config", headers={"origin": origin}),
        anna.post("/account", headers={"sec-fetch-site": "cross-site"}),
    ):
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    own = anna.get("/config", headers={"origin": site.url.rstrip("/")})
    assert own.status_code == 200
    assert not [name for name in own.headers if name.startswith("access-control-")]


# ------------------------------------------------------------------------------------------------ whose it is


def test_a_session_hash_an_event_and_its_answer_belong_to_who_began_them(anna: httpx.Client, ben: httpx.Client) -> None:
    event = ask(anna, TEXT, session_hash="annas-seite").json()["event_id"]
    cancel = {"session_hash": "annas-seite", "fn_index": 0, "event_id": event}
    tried = [
        ben.get(f"{API}/call/fill_mask/{event}"),
        ben.get(f"{API}/queue/data", params={"session_hash": "annas-seite"}),
        ben.get(f"{API}/heartbeat/annas-seite"),
        ben.post(f"{API}/cancel", json=cancel),
        ben.post(f"{API}/cancel", json={**cancel, "session_hash": "bens-seite"}),
        ben.post(f"{API}/reset", json={"event_id": event, "fn_index": 0}),
        ask(ben, TEXT, session_hash="annas-seite"),
        ben.post(f"{API}/component_server", json={"session_hash": "annas-seite", "component_id": 1, "data": {}}),
    ]
    assert [answer.status_code for answer in tried] == [404] * len(tried)
    answer = anna.get(f"{API}/call/fill_mask/{event}")
    assert "event: complete" in answer.text
    assert "eines Pneumothorax" in answer.text
    assert anna.post(f"{API}/cancel", json=cancel).json() == {"success": True}


@pytest.mark.parametrize("name", ["\ud800", "", "a" * 65, "a b", "\0", "<b>", 7, {"a": 1}])
def test_names_that_gradio_would_not_make_never_reach_its_queue(anna: httpx.Client, name: Any) -> None:
    named = [{"session_hash": name}, {"session_hash": "annas-seite", "event_id": name}]
    for body in named:
        sent = json.dumps({"data": [TEXT, 3, False], **body}).encode()
        answer = anna.post(f"{API}/call/fill_mask", content=sent, headers={"content-type": "application/json"})
        assert (answer.status_code, "nicht lesbar" in answer.json()["detail"]) == (400, True)
    event = ask(anna, TEXT).json()["event_id"]
    assert "event: complete" in anna.get(f"{API}/call/fill_mask/{event}").text, "the queue still answers"


def test_names_in_an_address_are_as_gradio_makes_them_too(anna: httpx.Client) -> None:
    long = "a" * 65
    assert anna.get(f"{API}/heartbeat/{long}").status_code == 400
    assert anna.get(f"{API}/queue/data", params={"session_hash": long}).status_code == 400
    assert anna.get(f"{API}/upload_progress", params={"upload_id": long}).status_code == 400
    file = {"files": ("befunde.txt", b"Kein Erguss.")}
    assert anna.post(f"{API}/upload", params={"upload_id": "a b"}, files=file).status_code == 400
    assert anna.post(f"{API}/upload", params={"upload_id": "k3x9f"}, files=file).status_code == 200


def test_a_question_names_a_function_and_brings_what_it_takes(
    site: Site, anna: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    number = next(number for number, one in site.page.fns.items() if one.api_name == "fill_mask")

    def join(**body: Any) -> int:
        return anna.post(f"{API}/queue/join", json={"session_hash": "annas-frage", **body}).status_code

    given = [TEXT, 3, False]
    for unknown in (-1, 10**30, None, "x", 1.5, True):
        assert join(fn_index=unknown, data=given) == 400
    for data in (None, {}, "x", [], [TEXT]):
        assert join(fn_index=number, data=data) == 400
    assert join(data=given) == 400
    assert anna.post(f"{API}/call/nothing", json={"data": given}).status_code == 400
    assert anna.post(f"{API}/call/fill_mask", json={"data": [TEXT]}).status_code == 400
    assert join(fn_index=number, data=given) == 200
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_path_that_no_file_can_have_is_not_found(anna: httpx.Client) -> None:
    assert anna.get(f"{API}/file=%00").status_code == 404
    assert anna.get(f"{API}/file=/tmp/a%00b").status_code == 404
    for path in ("\0", "\ud800", "a/" * 1_000_000):
        sent = json.dumps({"data": [{"path": path}], "fn_index": 0, "session_hash": "annas-seite"}).encode()
        answer = anna.post(f"{API}/queue/join", content=sent, headers={"content-type": "application/json"})
        assert answer.status_code == 404


def test_a_file_belongs_to_who_uploaded_it(anna: httpx.Client, ben: httpx.Client) -> None:
    (path,) = anna.post(f"{API}/upload", files={"files": ("befunde.txt", b"Kein Erguss bei Anna.")}).json()
    assert anna.get(f"{API}/file={path}").content == b"Kein Erguss bei Anna."
    assert ben.get(f"{API}/file={path}").status_code == 404
    named = {"path": path, "meta": {"_type": "gradio.FileData"}}
    crooked = {"path": path.replace("/cache/", "/cache/../cache/")}
    for file in (named, crooked):
        assert ben.post(f"{API}/queue/join", json={"data": [[file]], "fn_index": 0}).status_code == 404
    assert ben.post(f"{API}/queue/join", json={"data": [{"path": "http://192.0.2.1/x"}]}).status_code == 400
    (same,) = ben.post(f"{API}/upload", files={"files": ("befunde.txt", b"Kein Erguss bei Anna.")}).json()
    assert same == path
    assert ben.get(f"{API}/file={path}").status_code == 200, "who has the same file may have it"
    assert ben.get(f"{API}/file=/etc/passwd").status_code == 404


def test_the_terms_come_before_every_answer_over_http_too(site: Site) -> None:
    with site.visitor("neu") as client:
        event = ask(client, TEXT).json()["event_id"]
        answer = client.get(f"{API}/call/fill_mask/{event}").text
    assert "event: error" in answer
    assert "eines Pneumothorax" not in answer


# ------------------------------------------------------------------------------------------------ how much


def test_a_body_that_is_too_large_is_refused_before_it_is_read(anna: httpx.Client) -> None:
    def parts() -> Iterator[bytes]:
        yield b'{"data": ["'
        for _ in range(9):
            yield b"a" * 2**20
        yield b'"]}'

    for body in (b"".join(parts()), parts()):
        answer = anna.post(f"{API}/queue/join", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 413
        assert "Erlaubt sind 8 MB" in answer.json()["detail"]
    login = anna.post("/login", data={"username": "a" * 20_000, "password": "x"})
    assert login.status_code == 413
    assert "Erlaubt sind 16 kB" in login.json()["detail"]


def test_an_upload_is_limited_as_a_whole_and_leaves_nothing_behind(site: Site, anna: httpx.Client) -> None:
    def files_kept() -> list[Path]:
        return [path for path in (site.services.settings.var / "cache").rglob("*") if path.is_file()]

    before = files_kept()
    three = [("files", (f"{number}.txt", b"a" * 400_000)) for number in range(3)]
    request = anna.build_request("POST", f"{API}/upload", files=three)
    body = request.read()
    assert anna.send(request).status_code == 413
    headers = {"content-type": request.headers["content-type"]}
    chunked = anna.post(f"{API}/upload", content=iter([body[:600_000], body[600_000:]]), headers=headers)
    assert chunked.status_code == 413
    assert files_kept() == before


def test_what_is_no_json_is_refused(anna: httpx.Client) -> None:
    assert anna.post(f"{API}/queue/join", content=b"{}", headers={"content-type": "text/plain"}).status_code == 415
    for body in (b"{", b"[1]", b"[" * 100_000):
        answer = anna.post(f"{API}/queue/join", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400


def test_a_full_queue_answers_busy_in_both_languages(
    site: Site, anna: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert site.page._queue.max_size == 100
    monkeypatch.setattr(site.page._queue, "max_size", 0)
    answer = ask(anna, TEXT)
    assert answer.status_code == 503
    assert "Gerade warten schon viele Anfragen." in answer.json()["detail"]
    assert "Many requests are waiting" in answer.json()["detail"]


# ------------------------------------------------------------------------------------------------ what is told


def test_only_scripts_with_the_nonce_of_this_answer_run(anna: httpx.Client) -> None:
    first, second = anna.get("/"), anna.get("/")
    policies = [answer.headers["content-security-policy"] for answer in (first, second)]
    nonces = [re.findall(r"'nonce-([\w-]+)'", policy) for policy in policies]
    assert nonces[0] != nonces[1]
    scripts = re.findall(r"<script[^>]*>", first.text)
    assert len(scripts) > 4
    assert all(f'nonce="{nonces[0][0]}"' in script for script in scripts)
    assert "frame-ancestors 'none'" in policies[0]
    assert "'unsafe-inline'" not in policies[0].split("style-src")[0]
    assert first.headers["x-content-type-options"] == "nosniff"
    assert first.headers["cache-control"] == "no-store"


def test_browsers_keep_the_files_that_never_change_and_nothing_else(anna: httpx.Client) -> None:
    files = sorted(set(re.findall(r'"\./(assets/[^"]+)"', anna.get("/").text)))
    assert files
    assert {anna.get(f"/{file}").headers["cache-control"] for file in files} == {"private, max-age=31536000, immutable"}
    for other in ("/theme.css", "/config", "/assets/nothing-abcdefgh.js"):
        assert anna.get(other).headers["cache-control"] == "no-store"


def test_the_config_offers_neither_run_history_nor_analytics_nor_monitoring(anna: httpx.Client) -> None:
    config = anna.get("/config").json()
    assert config["run_history"] is False
    assert config["analytics_enabled"] is False
    assert config["username"] == "anna"


def test_alive_and_ready_are_told_to_everyone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.visitor() as client:
        assert client.get("/health").text == "ok"
        assert client.get("/ready").json() == {"ready": True, "missing": {}}
        monkeypatch.setattr(type(site.services.runtime), "versions", lambda self: {})
        answer = client.get("/ready")
    assert (answer.status_code, answer.json()["missing"]) == (503, {"models": "no model is loaded"})


def test_metrics_are_for_admins_and_the_token_and_name_nobody(site: Site, anna: httpx.Client) -> None:
    ask(anna, TEXT)
    with site.visitor() as stranger, site.visitor("chefin") as chefin:
        assert stranger.get("/metrics").status_code == 401
        assert anna.get("/metrics").status_code == 401
        assert stranger.get("/metrics", headers={"authorization": "Bearer falsch"}).status_code == 401
        with_token = stranger.get("/metrics", headers={"authorization": "Bearer zahlen"})
        assert with_token.status_code == chefin.get("/metrics").status_code == 200
    figures = with_token.text
    assert 'medbertde_requests_total{method="POST",route="/gradio_api/call/{api_name}",status="200"}' in figures
    assert "medbertde_request_seconds_bucket" in figures
    assert "medbertde_waiting" in figures
    for secret in ("anna", "chefin", "Mustermann", "annas-seite"):
        assert secret not in figures


def test_each_request_leaves_one_json_line_without_report_text(
    anna: httpx.Client, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    def lines() -> list[dict[str, Any]]:
        """What was logged, without the line of a test before, which follows its answer and may come only now."""
        found = [json.loads(record.message) for record in caplog.records if record.name == "medbertde.requests"]
        return [line for line in found if line["route"] != "/metrics"]

    with caplog.at_level(logging.INFO):
        event = ask(anna, TEXT).json()["event_id"]
        anna.get(f"{API}/call/fill_mask/{event}")
        anna.get(f"/Mustermann/{TEXT}")
        deadline = time.monotonic() + 30
        while len(lines()) < 3 and time.monotonic() < deadline:  # a line follows its answer
            time.sleep(0.01)
    assert [line["route"] for line in lines()] == [
        f"{API}/call/{{api_name}}", f"{API}/call/{{api_name}}/{{event_id}}", "unknown",
    ]  # fmt: skip
    assert [line["status"] for line in lines()] == [200, 200, 404]
    user = site.services.access.identify(Caller("anna", None))
    assert all(line["user"] in (user.id, None) and line["ms"] >= 0 and len(line["request"]) == 32 for line in lines())
    assert lines()[0]["user"] == user.id
    assert "Mustermann" not in json.dumps(lines())


# ------------------------------------------------------------------------------------------------ the start


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EADDRINUSE, "Der Port 7861 ist belegt."),
        (errno.EADDRNOTAVAIL, "(Cannot assign requested address). Bitte MEDBERTDE_HOST und PORT prüfen."),
        (errno.EACCES, "(Permission denied). Bitte MEDBERTDE_HOST und PORT prüfen."),
    ],
)
def test_an_address_that_cannot_be_listened_at_is_told_as_what_it_is(
    site: Site, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("medbertde.ui.server.socket.socket.bind", refuse)
    settings = Settings(var=site.services.settings.var, port=7861)
    accounts = Accounts(site.services.database, site.services.access, settings)
    with pytest.raises(SystemExit) as ended:
        launch(site.page, replace(site.services, settings=settings, accounts=accounts))
    assert said in str(ended.value)


# ------------------------------------------------------------------------------------------------ the other profiles


def in_a_loop(ask: Callable[..., Awaitable[T]], *arguments: object) -> T:
    """Run in an event loop of its own: the browser tests have one running in this thread."""
    with start_blocking_portal() as portal:
        return portal.call(ask, *arguments)


def answered(site: Site, profile: str, path: str, **headers: str) -> httpx.Response:
    """What the guard answers in another profile, before an app that says who is asking."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": scope["medbertde.user"].name.encode()})

    settings = Settings(var=site.services.settings.var, profile=profile)
    accounts = Accounts(site.services.database, site.services.access, settings)
    guard = Guard(app, replace(site.services, settings=settings, accounts=accounts), Telemetry(lambda: 0))

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=guard)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:7860") as client:
            return await client.get(path, headers=headers)

    return in_a_loop(ask)


def test_on_a_laptop_only_its_own_names_are_answered_and_no_proxy(site: Site) -> None:
    assert answered(site, "local", "/config").text == "lokal"
    assert answered(site, "local", "/config", host="boese.example").status_code == 421
    assert answered(site, "local", "/config", host="127.0.0.1.boese.example").status_code == 421
    assert answered(site, "local", "/config", **{"x-forwarded-for": "10.0.0.1"}).status_code == 403
    assert answered(site, "local", "/config", **{"sec-fetch-site": "cross-site"}).status_code == 403


def test_each_visitor_of_a_space_is_a_guest_of_their_own(site: Site) -> None:
    first, second = (answered(site, "space", "/") for _ in range(2))
    assert first.text.startswith("gast-")
    assert first.text != second.text
    assert {"HttpOnly", "SameSite=None", "Secure", "Partitioned"} <= set(first.headers["set-cookie"].split("; "))
    assert "frame-ancestors 'self' https://huggingface.co" in first.headers["content-security-policy"]
    assert "x-frame-options" not in first.headers
    again = answered(site, "space", "/", cookie=first.headers["set-cookie"].split(";")[0])
    assert again.text == first.text
    assert answered(site, "space", f"{API}/queue/data").status_code == 401


def test_who_signs_in_through_the_hub_annotates_under_that_name(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTH_CLIENT_ID", "space")
    monkeypatch.setattr(gradio.oauth, "get_space", lambda: "someone/medbertde")
    for name in ("CLIENT_ID", "CLIENT_SECRET", "SCOPES"):
        monkeypatch.setattr(gradio.oauth, f"OAUTH_{name}", "space")
    monkeypatch.setattr(gradio.oauth, "OPENID_PROVIDER_URL", "https://hub.example")
    settings = Settings(var=site.services.settings.var, profile="space")
    accounts = Accounts(site.services.database, site.services.access, settings)
    app = FastAPI()
    add_hub_sign_in(app, replace(site.services, settings=settings, accounts=accounts))
    said = base64.b64encode(json.dumps({"oauth_info": {"userinfo": {"preferred_username": "mia"}}}).encode())
    signer = itsdangerous.TimestampSigner(hashlib.sha256(b"space-v4").hexdigest())  # as Gradio keeps what the Hub said

    async def come_back(cookie: str) -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="https://space.example") as client:
            return await client.get("/login/done", headers={"cookie": cookie})

    done = in_a_loop(come_back, f"session={signer.sign(said).decode()}")
    assert (done.status_code, done.headers["location"]) == (303, "/")
    token = re.search(r"medbertde-session=([\w-]+)", ", ".join(done.headers.get_list("set-cookie")))
    assert token is not None
    user = accounts.user_of(token[1])
    assert user is not None
    assert (user.name, user.role) == ("hf-mia", Role.ANNOTATOR)
    forged = in_a_loop(come_back, f"session={said.decode()}")
    assert (forged.status_code, forged.headers["location"]) == (303, "/login")
    assert "medbertde-session" not in str(forged.headers)
