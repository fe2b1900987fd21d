"""The server guard: an ASGI layer around everything, which lets through what is known, small enough and one's own.

In this order: host, origin, route, session, size of the body, whose session hash, event and file it is. Then the answer
gets its headers. Everything that is refused is refused before Gradio sees it. Knows no report and no model.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import anyio.to_thread
from fastapi import Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from gradio.block_function import BlockFunction
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medbertde.services import Services
from medbertde.settings import Profile
from medbertde.types import StorageError, User
from medbertde.ui import browser_rules
from medbertde.ui.belongings import Belongings
from medbertde.ui.messages import Kept, Outgoing, again, bounded
from medbertde.ui.named import cache, is_answerable, is_name, paths, whole
from medbertde.ui.server_routes import Guarded, Rule, find
from medbertde.ui.streams import Streams
from medbertde.ui.telemetry import Telemetry
from medbertde.ui.words import Text

MAX_JSON_BYTES = 8 * 2**20
MAX_FORM_BYTES = 16 * 2**10
_FORM_AROUND_UPLOAD = 2**16  # what multipart adds to the files
_KNOWN_FOR_S = 10.0  # how long a session is taken as checked for what is the same for everyone
_MOST_KNOWN = 10_000
_PATH = re.compile(rb'"path":\s*("(?:[^"\\]|\\.){1,2000}")')  # inside a text the quotes would be escaped
USER = "medbertde.user"  # where the signed-in user stands in the scope of a request
TOKEN = "medbertde.token"
SESSION = "medbertde.session"  # the session hash of the page that a JSON request names

HOST = Text(
    "Unter diesem Namen antwortet dieser Server nicht. Erlaubte Namen stehen in MEDBERTDE_HOSTS.",
    "This server does not answer under this name. Names that are allowed stand in MEDBERTDE_HOSTS.",
)
FORWARDED = Text(
    "Diese App läuft ohne Anmeldung und antwortet deshalb nicht hinter einem Proxy. Bitte MEDBERTDE_PROFILE=server "
    "setzen und Konten anlegen.",
    "This app runs without accounts and therefore does not answer behind a proxy. Please set MEDBERTDE_PROFILE=server "
    "and add accounts.",
)
ORIGIN = Text("Anfragen von anderen Webseiten werden abgelehnt.", "Requests from other sites are refused.")
SIGN_IN = Text("Bitte melden Sie sich an.", "Please sign in.")
NOT_HERE = Text("Das gibt es hier nicht.", "There is no such thing here.")
TOO_LARGE = Text(
    "Die Anfrage ist zu groß. Erlaubt sind {}; größere Dateien bitte teilen.",
    "The request is too large. Allowed are {}; please split larger files.",
)
NOT_UNDERSTOOD = Text("Die Anfrage ist nicht lesbar.", "The request cannot be read.")
BUSY = Text(
    "Gerade warten schon viele Anfragen. Bitte versuchen Sie es in einer Minute noch einmal.",
    "Many requests are waiting right now. Please try again in a minute.",
)


class _Refused(HTTPException):
    """A request that ends here, also when the app behind finds out while it reads the body."""

    def __init__(self, status: int, said: Text) -> None:
        super().__init__(status, f"{said.de} / {said.en}")


@dataclass(frozen=True)
class Guard:
    """Stands before `app`: the sign-in pages and Gradio behind them."""

    app: ASGIApp
    services: Services
    telemetry: Telemetry
    functions: Mapping[int, BlockFunction] = field(default_factory=dict)  # what the page can be asked, by number
    belongings: Belongings = field(default_factory=Belongings)
    streams: Streams = field(default_factory=Streams)
    known: dict[str, tuple[float, User]] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        nonce = secrets.token_urlsafe(16)
        found = find(scope["method"], scope["path"])
        with self.telemetry.request(scope, found[0].name if found else "unknown") as noted:
            outgoing = Outgoing(send, self._headers(request, nonce), noted)
            try:
                await self._let_through(request, found, outgoing, nonce)
            except (_Refused, StorageError) as error:
                if not outgoing.started:
                    await _refusal(request, error)(scope, receive, outgoing.send)

    async def _let_through(
        self, request: Request, found: tuple[Rule, dict[str, str]] | None, outgoing: Outgoing, nonce: str
    ) -> None:
        self._require_own_page(request)
        if found is None:
            await self._require_user(request, outgoing, cached=False)
            raise _Refused(404, NOT_HERE)
        rule, parts = found
        if rule.guarded is Guarded.OPEN:
            receive = bounded(request.receive, MAX_FORM_BYTES, _too_large(MAX_FORM_BYTES))
            await self.app(request.scope, receive, outgoing.send)
            return
        user = await self._require_user(request, outgoing, cached=rule.guarded is Guarded.ASSET)
        request.scope[USER] = user
        if rule.guarded is Guarded.ASSET:
            outgoing.keep(browser_rules.caching(request.url.path))
        receive = await self._checked_body(request, rule, user, parts)
        self._require_own(request, rule, parts, user)
        await self._pass_on(request, receive, rule, user, outgoing, nonce)

    def _headers(self, request: Request, nonce: str) -> dict[str, str]:
        headers = browser_rules.security_headers(self.services.settings, nonce)
        if request.url.scheme == "https":
            headers["strict-transport-security"] = "max-age=31536000"
        return headers

    def _require_own_page(self, request: Request) -> None:
        settings = self.services.settings
        if not browser_rules.host_is_known(settings, request.headers):
            raise _Refused(421, HOST)
        if settings.served_as is Profile.LOCAL and browser_rules.is_forwarded(request.headers):
            raise _Refused(403, FORWARDED)
        if not browser_rules.origin_is_own(request.headers, request.method):
            raise _Refused(403, ORIGIN)

    async def _require_user(self, request: Request, outgoing: Outgoing, *, cached: bool) -> User:
        """Who is asking; a visitor of a Space becomes a guest with the first page they open."""
        settings, accounts = self.services.settings, self.services.accounts
        if settings.served_as is Profile.LOCAL:
            return await self._local_user()
        token = request.cookies.get(browser_rules.COOKIE, "")
        user = await self._user_of(token, cached=cached) if token else None
        if user is None and settings.served_as is Profile.SPACE and request.url.path in ("/", "/config"):
            token = await anyio.to_thread.run_sync(accounts.welcome_guest)
            user = await anyio.to_thread.run_sync(accounts.user_of, token)
            outgoing.add("set-cookie", browser_rules.cookie(settings, token, https=True))
        if user is None:
            raise _Refused(401, SIGN_IN)
        request.scope[TOKEN] = token
        return user

    async def _local_user(self) -> User:
        """There is only one, so that it is looked up once."""
        if "" not in self.known:
            user = await anyio.to_thread.run_sync(self.services.access.operator)
            self.known[""] = (time.monotonic(), user)
        return self.known[""][1]

    async def _user_of(self, token: str, *, cached: bool) -> User | None:
        """Asks the database, except for files that are the same for everyone."""
        known = self.known.get(token)
        if cached and known and time.monotonic() - known[0] < _KNOWN_FOR_S:
            return known[1]
        user = await anyio.to_thread.run_sync(self.services.accounts.user_of, token)
        self.known.pop(token, None)
        if user:
            self.known[token] = (time.monotonic(), user)
            if len(self.known) > _MOST_KNOWN:
                self.known.pop(next(iter(self.known)))
        return user

    # -------------------------------------------------------------------------------------------- what comes in

    async def _checked_body(self, request: Request, rule: Rule, user: User, parts: Mapping[str, str]) -> Receive:
        """The body as the app gets it: read and checked as a whole where it is JSON, counted where it is a file."""
        limit = {Guarded.JSON: MAX_JSON_BYTES, Guarded.UPLOAD: self._upload_limit}.get(rule.guarded, MAX_FORM_BYTES)
        if int(request.headers.get("content-length") or 0) > limit:
            raise _too_large(limit)
        too_large = MultiPartException("maximum allowed size") if rule.guarded is Guarded.UPLOAD else _too_large(limit)
        receive = bounded(request.receive, limit, too_large)
        if rule.guarded is not Guarded.JSON:
            return receive
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise _Refused(415, NOT_UNDERSTOOD)
        body = await _read(receive)
        try:
            sent = json.loads(body)
        except (ValueError, RecursionError):
            raise _Refused(400, NOT_UNDERSTOOD) from None
        self._require_own_names(sent, user)
        if rule.asks and not is_answerable(self.functions, sent, parts.get("api_name")):
            raise _Refused(400, NOT_UNDERSTOOD)  # Gradio would fail over it and print what was sent
        request.scope[SESSION] = str(sent.get("session_hash", ""))
        return again(body, receive)

    @property
    def _upload_limit(self) -> int:
        return self.services.settings.max_upload_mb * 2**20 + _FORM_AROUND_UPLOAD

    def _require_own_names(self, sent: Any, user: User) -> None:
        """The session hash, the event and every file that a body names must be the user's."""
        if not isinstance(sent, dict):
            raise _Refused(400, NOT_UNDERSTOOD)
        session_hash, event = sent.get("session_hash"), sent.get("event_id")
        if not all(name is None or is_name(name) for name in (session_hash, event)):
            raise _Refused(400, NOT_UNDERSTOOD)
        if session_hash is not None and not self.belongings.claim(user.id, f"session:{session_hash}"):
            raise _Refused(404, NOT_HERE)
        if event is not None and not self.belongings.owns(user.id, f"event:{event}"):
            raise _Refused(404, NOT_HERE)
        for path in paths(sent):
            if path.startswith(("http://", "https://")):
                raise _Refused(400, NOT_UNDERSTOOD)
            file = whole(path)
            if not file or (file.startswith(cache()) and not self.belongings.owns(user.id, f"file:{file}")):
                raise _Refused(404, NOT_HERE)

    def _require_own(self, request: Request, rule: Rule, parts: dict[str, str], user: User) -> None:
        """What the address itself names."""
        mine = True
        if rule.guarded is Guarded.EVENT:
            mine = self.belongings.owns(user.id, f"event:{parts['event_id']}")
        elif rule.guarded is Guarded.FILE:
            mine = self.belongings.owns(user.id, f"file:{whole(parts['path'])}")
        elif rule.guarded in (Guarded.STREAM, Guarded.UPLOAD):
            asked = parse_qs(request.url.query)
            sessions, uploads = (*asked.get("session_hash", ()), *parts.values()), asked.get("upload_id", ())
            if not all(map(is_name, (*sessions, *uploads))):
                raise _Refused(400, NOT_UNDERSTOOD)
            names = {f"session:{name}" for name in sessions} | {f"upload:{name}" for name in uploads}
            mine = all([self.belongings.claim(user.id, name) for name in names])
        if not mine:
            raise _Refused(404, NOT_HERE)

    # -------------------------------------------------------------------------------------------- what goes out

    async def _pass_on(
        self, request: Request, receive: Receive, rule: Rule, user: User, outgoing: Outgoing, nonce: str
    ) -> None:
        """Let the app answer, and note on the way out what the user may ask for next."""
        scope = dict(request.scope)
        if rule.guarded in (Guarded.PAGE, Guarded.JSON, Guarded.UPLOAD, Guarded.STREAM, Guarded.EVENT):
            plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
            scope["headers"] = plain  # what is looked into must not be compressed
        if rule.guarded in (Guarded.STREAM, Guarded.EVENT):

            async def send(message: Message) -> None:
                self._note_files(message.get("body", b""), user)
                await outgoing.send(message)

            session_hash = request.query_params.get("session_hash", "")
            await self.streams.serve(self.app, scope, receive, send, session_hash)
        elif rule.guarded in (Guarded.PAGE, Guarded.JSON, Guarded.UPLOAD):
            answer = Kept()
            await self.app(scope, receive, answer.send)
            if rule.name.endswith("queue/join") and answer.status == 200:
                await self.streams.asked(request.scope[SESSION])
            await outgoing.send_whole(answer, self._changed(rule, answer, user, nonce))
        else:
            await self.app(scope, receive, outgoing.send)

    def _changed(self, rule: Rule, answer: Kept, user: User, nonce: str) -> bytes:
        body = answer.body
        if rule.guarded is Guarded.PAGE and rule.name == "/":
            language = self.services.settings.language.encode()
            return _with_nonce(body.replace(b'lang="en"', b'lang="%s"' % language, 1), nonce.encode())
        if rule.guarded is Guarded.JSON and answer.status == 503:
            return json.dumps({"detail": f"{BUSY.de} / {BUSY.en}"}).encode()
        if answer.status != 200:
            return body
        if rule.guarded is Guarded.UPLOAD:
            for path in json.loads(body):
                self.belongings.share(user.id, f"file:{os.path.realpath(path)}")
        elif rule.asks:
            self.belongings.claim(user.id, f"event:{json.loads(body).get('event_id')}")
        else:
            self._note_files(body, user)
        return body

    def _note_files(self, body: bytes, user: User) -> None:
        """A file that an answer names may be fetched by whoever got the answer."""
        for found in _PATH.findall(body):
            path = whole(json.loads(found))
            if path.startswith(cache()):
                self.belongings.share(user.id, f"file:{path}")


def _with_nonce(body: bytes, nonce: bytes) -> bytes:
    """Gradio's page with its scripts let in, and ours before them. Its JSON holds no `<`, so nothing else is met."""
    before, _, after = body.replace(b"<script", b'<script nonce="%s"' % nonce).partition(b"<script")
    own = b'<script nonce="%s" src="./login/session.js"></script>' % nonce
    return before + own + b"<script" + after if after else body


def _refusal(request: Request, error: _Refused | StorageError) -> Response:
    """A page goes to the sign-in, everything else gets a sentence in both languages."""
    refused = error if isinstance(error, _Refused) else _Refused(503, Text(error.de, error.en))
    wants_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    if refused.status_code == 401 and wants_page:
        return RedirectResponse("/login", status_code=303)
    return JSONResponse({"detail": refused.detail}, refused.status_code)


def _too_large(limit: int) -> _Refused:
    allowed = f"{limit // 2**20} MB" if limit >= 2**20 else f"{limit // 2**10} kB"
    return _Refused(413, Text(TOO_LARGE.de.format(allowed), TOO_LARGE.en.format(allowed)))


async def _read(receive: Receive) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Refused(400, NOT_UNDERSTOOD)
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)
