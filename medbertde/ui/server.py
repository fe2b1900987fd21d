"""The server: sign-in pages, health and metrics, Gradio behind them, the guard before all. One way for each profile.

Owns how the parts are put together and how the server starts and stops.
"""

from __future__ import annotations

import errno
import gc
import secrets
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import gradio as gr
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from medbertde.services import Services
from medbertde.settings import Profile, Settings
from medbertde.types import Role, StorageError, UserError
from medbertde.ui import browser_rules, page_sessions, sign_in
from medbertde.ui.guard import USER, Guard
from medbertde.ui.hub_sign_in import add_hub_sign_in
from medbertde.ui.look import look
from medbertde.ui.server_routes import leave_known
from medbertde.ui.telemetry import Telemetry, log_to_stdout, readiness

_STOP_S = 2  # open event streams are cut after that


def build_server(page: gr.Blocks, services: Services) -> Guard:
    """Everything that answers, as one ASGI app."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    telemetry = Telemetry(lambda: len(page._queue))
    app.add_exception_handler(StorageError, _storage_refusal)
    _add_operations(app, services, telemetry)
    add_hub_sign_in(app, services)
    sign_in.add_routes(app, services)
    page.queue(max_size=services.settings.max_queue, api_open=False)
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        auth_dependency=_name_of,
        server_name=services.settings.host,
        server_port=services.settings.port,
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        ssr_mode=False,
        pwa=False,
        show_error=False,
        footer_links=[],
        max_file_size=f"{services.settings.max_upload_mb}mb",
        **look(),
    )
    page.app = app.routes[-1].app  # type: ignore[attr-defined]  # as after `launch`; `queue` made another one
    leave_known(page.app)
    page_sessions.keep_little(page)
    page.is_running = True  # as after `launch`: event streams send signs of life
    return Guard(app, services, telemetry, page.fns)


def _name_of(request: Request) -> str | None:
    """Under which name Gradio passes the user on to the page's handlers: the one the guard found."""
    user = request.scope.get(USER)
    return user.name if user else None


def _storage_refusal(_request: Request, error: Exception) -> Response:
    """What a page outside of Gradio could not read or store."""
    assert isinstance(error, StorageError)
    return JSONResponse({"detail": f"{error.de} / {error.en}"}, 503)


def _add_operations(app: FastAPI, services: Services, telemetry: Telemetry) -> None:
    """For those who run the server: the process lives, it can answer, figures."""

    @app.get("/health")
    def health() -> Response:
        return PlainTextResponse("ok")

    @app.get("/ready")
    def ready() -> Response:
        missing = readiness(services)
        return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)

    @app.get("/metrics")
    def metrics(request: Request) -> Response:
        if not _may_read_metrics(request, services):
            return JSONResponse({"detail": "MEDBERTDE_METRICS_TOKEN or an admin's session is needed"}, 401)
        figures, media_type = telemetry.metrics()
        return Response(figures, media_type=media_type)


def _may_read_metrics(request: Request, services: Services) -> bool:
    settings, token = services.settings, request.cookies.get(browser_rules.COOKIE, "")
    sent = request.headers.get("authorization", "")
    if settings.metrics_token and secrets.compare_digest(sent.encode(), f"Bearer {settings.metrics_token}".encode()):
        return True
    if settings.served_as is Profile.LOCAL:
        return True
    user = services.accounts.user_of(token) if token else None
    return bool(user and user.role.includes(Role.ADMIN))


class _Server(uvicorn.Server):
    """Ends what Gradio keeps open per page when it stops, instead of waiting for every browser to leave."""

    def __init__(self, page: gr.Blocks, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._page = page

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        self._page.app.stop_event.set()
        await super().shutdown(sockets)


class _Beside(_Server):
    """A server beside the main thread: signals belong to whoever started it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(app: Guard, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        proxy_headers=True,
        forwarded_allow_ips="*" if settings.served_as is Profile.SPACE else settings.proxies,
        timeout_graceful_shutdown=_STOP_S,
    )


def _bound(settings: Settings) -> socket.socket:
    """The listening socket; `OSError` when the port is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named asyncio sends each part of an answer at once; without, it waits 40 ms for the client's
    # acknowledgement of the part before (Nagle, delayed ACK).
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host.strip("[]"), settings.port))
    except OSError:
        listening.close()
        raise
    return listening


@contextmanager
def running(page: gr.Blocks, services: Services) -> Iterator[str]:
    """The page served in a thread of its own for the length of the block; yields its address. For tests, pictures."""
    services.accounts.require_startable()
    with started(page, build_server(page, services), services.settings) as url:
        yield url


@contextmanager
def started(page: gr.Blocks, guard: Guard, settings: Settings) -> Iterator[str]:
    """A server that was built, in a thread of its own."""
    server, listening = _Beside(page, _config(guard, settings)), _bound(settings)
    thread = threading.Thread(target=server.run, args=([listening],), name="server")
    thread.start()
    while not server.started and thread.is_alive():
        thread.join(0.01)
    try:
        yield address(listening)
    finally:
        server.should_exit = True
        thread.join()
        page.close(verbose=False)
        listening.close()


def address(listening: socket.socket) -> str:
    """What to type into a browser on this machine."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(host, host)
    return f"http://{host}:{port}/"


def _not_bound(settings: Settings, error: OSError) -> str:
    """Why the server cannot listen, and what to change."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"Der Port {settings.port} ist belegt. Bitte einen anderen wählen, zum Beispiel: PORT={settings.port + 1} "
            f"make run\nThe port {settings.port} is taken. Please choose another one."
        )
    where, why = f"{settings.host}, Port {settings.port}", error.strerror or error
    return (
        f"Unter dieser Adresse kann der Server nicht antworten: {where} ({why}). Bitte MEDBERTDE_HOST und PORT prüfen."
        f"\nThe server cannot listen at this address: {where} ({why}). Please check MEDBERTDE_HOST and PORT."
    )


def settle() -> None:
    """Leave what was built out of garbage collection: a look at all of it stops every answer for half a second."""
    gc.collect()
    gc.freeze()


def launch(page: gr.Blocks, services: Services) -> None:
    """Serve the page until it is stopped; what cannot start ends in a sentence, not in a traceback."""
    settings = services.settings
    try:
        services.accounts.require_startable()
        listening = _bound(settings)
    except UserError as error:
        sys.exit(f"{error.de}\n{error.en}")
    except OSError as error:
        sys.exit(_not_bound(settings, error))
    if settings.served_as is not Profile.LOCAL:
        log_to_stdout()
    config = _config(build_server(page, services), settings)
    settle()
    print(f"medbertde: {address(listening)}", flush=True)
    with suppress(KeyboardInterrupt):  # which uvicorn passes on once it has stopped
        _Server(page, config).run([listening])
