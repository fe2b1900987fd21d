"""What the server tells those who run it: one JSON line per request, metrics for Prometheus, alive and ready.

Neither holds a report, a file name, a user's name or an address as it was asked for: routes appear under the names of
`server_routes`, users by number, and only in the log.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import Scope

from medbertde.services import Services
from medbertde.types import UserError

log = logging.getLogger("medbertde.requests")
_BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SERVER_ERROR = 500


class Telemetry:
    """Counts requests and writes their lines; one per server, so that two in one process do not mix."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        """`waiting` tells how many questions wait for an answer."""
        self._registry = CollectorRegistry()
        labels = ("route", "method", "status")
        self._requests = Counter("medbertde_requests", "Requests that ended", labels, registry=self._registry)
        self._seconds = Histogram(
            "medbertde_request_seconds", "How long requests took", ("route",), registry=self._registry,
            buckets=_BUCKETS_S,
        )  # fmt: skip
        self._open = Gauge("medbertde_open_requests", "Requests and streams that are open", registry=self._registry)
        Gauge("medbertde_waiting", "Questions that wait for an answer", registry=self._registry).set_function(waiting)

    @contextmanager
    def request(self, scope: Scope, route: str) -> Iterator[dict[str, Any]]:
        """Around one request; the block notes its `status`. One that raises counts as a server error."""
        noted: dict[str, Any] = {}
        started = time.perf_counter()
        self._open.inc()
        try:
            yield noted
        except BaseException:
            noted.setdefault("status", _SERVER_ERROR)
            raise
        finally:
            self._open.dec()
            elapsed_s = time.perf_counter() - started
            self._requests.labels(route, scope["method"], str(noted.get("status", _SERVER_ERROR))).inc()
            self._seconds.labels(route).observe(elapsed_s)
            user = scope.get("medbertde.user")
            line = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "request": uuid.uuid4().hex,
                "user": user.id if user else None,
                "method": scope["method"],
                "route": route,
                "status": noted.get("status"),
                "ms": round(elapsed_s * 1000, 1),
            }
            log.info(json.dumps(line))

    def metrics(self) -> tuple[bytes, str]:
        """All figures as Prometheus reads them, with their media type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


def readiness(services: Services) -> dict[str, str]:
    """What is not ready, with the reason; empty when the database answers and every shipped task has a model."""
    missing: dict[str, str] = {}
    try:
        services.accounts.require_database()
    except UserError as error:
        missing["database"] = error.en
    if not services.runtime.versions():
        missing["models"] = "no model is loaded"
    return missing


def log_to_stdout() -> None:
    """One JSON line per request on standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
