"""Eight annotators over HTTP for `tests.bench_store`, in a process of their own: the calls the annotation card makes.

Run: python -m tests.http_annotators URL CARD_ID SECONDS PAUSE; prints the seconds it took and the milliseconds of each
call. Each annotator waits PAUSE seconds between two calls.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.threads import at_once

NAMES = tuple(f"bench-{number}" for number in range(8))
VALUES = {"Erguss": "present", "ZVK": "absent", "Stauung": "uncertain", "Pneumothorax": "absent"}


def annotator(url: str, card: int, name: str, pause: float = 0) -> Iterator[float]:
    """Sign in over one connection, then save and take the next report in one call; the milliseconds of each."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    typed = urlencode({"username": name, "password": f"{name} liest gern Befunde"})
    connection.request("POST", "/login", typed, form)
    answer = connection.getresponse()
    answer.read()
    cookies = "; ".join(value.split(";")[0] for key, value in answer.getheaders() if key.lower() == "set-cookie")

    def ask(function: str, **sent: Any) -> Any:
        data = {"language": "de", "schema": "chest_xray", "count": 1, "exclude": [], **sent}
        body = {"session_hash": name, "component_id": card, "fn_name": function, "data": data}
        headers = {"Content-Type": "application/json", "Cookie": cookies}
        connection.request("POST", "/gradio_api/component_server", json.dumps(body), headers)
        found = json.loads(connection.getresponse().read())
        assert found["ok"], found
        return found["work"]["items"]

    items = ask("fetch_reports")
    made = {"values": VALUES, "model_version": None, "schema_version": 1, "seen": 0, "comment": "", "flagged": False,
            "active_ms": 30_000, "guideline_version": None, "rationales": []}  # fmt: skip
    while items:  # a fast machine may run out of reports
        time.sleep(pause)
        start = time.perf_counter()
        items = ask("save_report", uuid=str(uuid.uuid4()), decision={"report": items[0]["id"], **made})
        yield (time.perf_counter() - start) * 1000


def in_threads(workers: list[Iterator[float]], seconds: float) -> list[float]:
    """Run all for some seconds: how long it took, then what they yielded. A worker that fails fails the call.

    The clock starts when each has signed in and saved once.
    """
    times: list[float] = []
    at_once([partial(next, worker) for worker in workers])
    start = time.perf_counter()

    def run(worker: Iterator[float]) -> None:
        for taken in worker:
            times.append(taken)
            if time.perf_counter() - start > seconds:
                return

    at_once([partial(run, worker) for worker in workers])
    return [time.perf_counter() - start, *times]


if __name__ == "__main__":
    address, card_id, duration, pause = sys.argv[1:]
    people = [annotator(address, int(card_id), name, float(pause)) for name in NAMES]
    print(json.dumps(in_threads(people, float(duration))))
