"""ASGI messages on their way in and out: counted, read twice, kept, and with our headers. Knows no rules."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Send


class Kept:
    """An answer that is looked at as a whole before it goes out."""

    def __init__(self) -> None:
        self.status, self.headers, self.body = 500, list[tuple[bytes, bytes]](), b""

    async def send(self, message: Message) -> None:
        """Keep a message."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.body += message.get("body", b"")


class Outgoing:
    """The way out: adds our headers, drops Gradio's for other sites, and tells the telemetry the status."""

    def __init__(self, send: Send, headers: dict[str, str], noted: dict[str, Any]) -> None:
        self._send, self._headers, self._noted = send, list(headers.items()), noted
        self.started, self.kept_for = False, "no-store"

    def keep(self, how: str) -> None:
        """How browsers may keep this answer if it is one; no answer is kept unless this says so."""
        self.kept_for = how

    def add(self, name: str, value: str) -> None:
        """One more header for this answer."""
        self._headers.append((name, value))

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.started = True
            self._noted["status"] = message["status"]
            headers = MutableHeaders(raw=list(message["headers"]))
            for name in [name for name in headers if name.startswith("access-control-")]:
                del headers[name]
            for name, value in self._headers:
                headers.append(name, value)
            headers.setdefault("cache-control", self.kept_for if message["status"] == 200 else "no-store")
            message = {**message, "headers": headers.raw}
        await self._send(message)

    async def send_whole(self, answer: Kept, body: bytes) -> None:
        """Pass on what was kept, with this body."""
        headers = MutableHeaders(raw=answer.headers)
        headers["content-length"] = str(len(body))
        await self.send({"type": "http.response.start", "status": answer.status, "headers": headers.raw})
        await self.send({"type": "http.response.body", "body": body})


def bounded(receive: Receive, limit: int, too_large: Exception) -> Receive:
    """The body, until it is longer than the limit. Gradio removes a half upload where its own parser refuses it."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise too_large
        return message

    return counted


def again(body: bytes, receive: Receive) -> Receive:
    """The body once more, for the app; then whatever else the client sends."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again
