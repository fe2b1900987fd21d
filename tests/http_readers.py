"""Clients that classify reports over HTTP for `tests.bench_load`, in a process of their own, each on one connection.

Run: python -m tests.http_readers URL CLIENTS REQUESTS < texts.json; prints a JSON object with the seconds it took and
one entry per request: which text, the milliseconds, and what came back (`answer`, or the sentence of a refusal in
`busy`).
"""

from __future__ import annotations

import http.client
import itertools
import json
import sys
import time
import uuid
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from tests.threads import at_once

SCHEMA = "chest_xray"
PATIENCE_S = 120.0


def ask(connection: http.client.HTTPConnection, session: str, text: str) -> dict[str, Any]:
    """One question to the public endpoint: join the queue, then read the event's stream.

    A client keeps one `session` as a page does; for each new one Gradio writes down the whole page first.
    """
    body = json.dumps({"data": [text, SCHEMA, False], "session_hash": session})
    connection.request("POST", "/gradio_api/call/classify", body, {"Content-Type": "application/json"})
    joined = connection.getresponse()
    told = json.loads(joined.read())
    if joined.status == 503:
        return {"busy": told["detail"]}
    assert joined.status == 200, told
    connection.request("GET", f"/gradio_api/call/classify/{told['event_id']}")
    event, data = _last_event(connection.getresponse().read().decode())
    assert event == "complete", (event, data)
    return {"answer": json.loads(data)[0]}


def _last_event(stream: str) -> tuple[str, str]:
    lines = [line.partition(": ")[::2] for line in stream.splitlines() if line]
    return [value for key, value in lines if key == "event"][-1], [value for key, value in lines if key == "data"][-1]


def work(url: str, texts: list[str], clients: int, requests: int) -> dict[str, Any]:
    """So many requests, shared by so many clients; a client that fails fails the run."""
    numbers, found = itertools.count(), list[dict[str, Any]]()

    def client() -> None:
        session = uuid.uuid4().hex
        with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)) as connection:
            while (number := next(numbers)) < requests:
                at, start = number % len(texts), time.perf_counter()
                told = ask(connection, session, texts[at])
                found.append({"text": at, "ms": (time.perf_counter() - start) * 1000, **told})
                if "busy" in told:
                    time.sleep(0.05)  # the next question, a little later

    start = time.perf_counter()
    at_once([client] * clients)
    return {"seconds": time.perf_counter() - start, "requests": found}


if __name__ == "__main__":
    address, client_count, request_count = sys.argv[1:]
    print(json.dumps(work(address, json.load(sys.stdin), int(client_count), int(request_count))))
