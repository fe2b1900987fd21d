"""Event streams on which no question is lost that comes right after an answer.

Gradio's server ends a page's stream with the last answer. Its script in the browser takes a stream for open until it
has read that; a question it asks in between, such as a click right after an answer, is never answered (4 of 16 such
clicks, measured). Here the end is held back: a question that comes meanwhile is answered in the same stream. By the
time the end is sent the browser is idle and reads it at once.

A step of an answer is held back for a moment too, so that the last step arrives together with the word that the answer
is complete: until the browser has that word, it drops every further click of the same kind.

Used from the event loop only. Knows no users.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATIENCE_S = 1.5  # how long the end is held back; longer than the page waits between two looks at a training
CROSSING_S = 0.4  # how long after an end was sent a question is confirmed at the earliest
STEP_S = 0.3  # how long a step of an answer is held back; Gradio's server looks for what comes next every 0.05 s
_END = b'"msg":"close_stream"'  # not in an answer: quotes within a text are escaped there
_STEP = b'"msg":"process_generating"'


class Streams:
    """The open streams by the session hash of their page."""

    def __init__(self, patience_s: float = PATIENCE_S, crossing_s: float = CROSSING_S, step_s: float = STEP_S) -> None:
        self._patience_s, self._crossing_s, self._step_s = patience_s, crossing_s, step_s
        self._open: dict[str, set[asyncio.Event]] = {}
        self._ended: dict[str, asyncio.Event] = {}  # set once the browser has had time to read the end

    async def asked(self, session_hash: str) -> None:
        """A page has asked something, and the app has taken the question; returns when that may be confirmed."""
        for more in self._open.get(session_hash, ()):
            more.set()
        if session_hash in self._ended:
            await self._ended[session_hash].wait()

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, session_hash: str) -> None:
        """Let the app answer for as long as questions come."""
        more = asyncio.Event()
        self._open.setdefault(session_hash, set()).add(more)
        stream = _Stream(send, more.clear, self._step_s)
        try:
            await app(dict(scope), receive, stream.send)
            while stream.end and await self._in_time(more, receive):
                stream.end = b""
                await app(dict(scope), receive, stream.send)
        finally:
            stream.drop()
            self._open[session_hash].discard(more)
            if not self._open[session_hash]:
                del self._open[session_hash]
        read = self._ended[session_hash] = asyncio.Event()
        try:
            await stream.close()
        finally:
            self._forget_later(session_hash, read)

    def _forget_later(self, session_hash: str, read: asyncio.Event) -> None:
        """The end has been sent; questions wait until the browser has had time to read it."""

        def forget() -> None:
            read.set()
            if self._ended.get(session_hash) is read:
                del self._ended[session_hash]

        asyncio.get_running_loop().call_later(self._crossing_s, forget)

    async def _in_time(self, more: asyncio.Event, receive: Receive) -> bool:
        """Whether a question comes before the patience ends or the browser leaves."""
        waiting = [asyncio.create_task(more.wait()), asyncio.create_task(_disconnected(receive))]
        await asyncio.wait(waiting, timeout=self._patience_s, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        return more.is_set()


async def _disconnected(receive: Receive) -> bool:
    while (await receive())["type"] != "http.disconnect":
        pass
    return True


class _Stream:
    """One answer to the browser, made of one or more answers of the app; `end` is what has been held back."""

    def __init__(self, send: Send, on_end: Callable[[], None], step_s: float) -> None:
        self._send, self._on_end, self._step_s = send, on_end, step_s
        self._started = False
        self._step = b""
        self._later: asyncio.Task[None] | None = None
        self._in_order = asyncio.Lock()
        self.end = b""

    async def send(self, message: Message) -> None:
        """Pass on what is no end, a step of an answer together with what comes next or a moment later."""
        if message["type"] == "http.response.start":
            if not self._started:
                await self._send(message)
            self._started = True
        elif _END in (body := message.get("body", b"")):
            self.end = body
            self._on_end()
            await self._pass_on()
        elif _STEP in body:
            await self._pass_on()
            self._step = body
            self._later = asyncio.create_task(self._pass_on_later(body))
        else:
            await self._pass_on(body)

    async def _pass_on(self, body: bytes = b"") -> None:
        body, self._step = self._step + body, b""
        async with self._in_order:
            if body:
                await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def _pass_on_later(self, step: bytes) -> None:
        await asyncio.sleep(self._step_s)
        if self._step is step:
            await self._pass_on()

    def drop(self) -> None:
        """Forget a step that is still held back: the app has ended without an answer."""
        self._step = b""

    async def close(self) -> None:
        """The end that was held back, and the end of the answer."""
        async with self._in_order:
            await self._send({"type": "http.response.body", "body": self.end, "more_body": False})
