"""Simultaneous small requests computed together: what comes in during one computation is one batch in the next.

Owns who computes when: one thread for all, because each thread that computes brings OpenMP threads of its own, which
get into each other's way. A request that comes alone is computed at once; after one that had company the thread waits
`WAIT_S` for more. Eight callers on two cores get 1.7 times as many answers as by themselves (docs/runtime.md).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.classify import classify
from medbertde.inference.rows import Stop, cancelled
from medbertde.text import clean
from medbertde.types import Prediction

MOST_TEXTS = 8  # of a request that is joined with others; larger ones fill a batch alone
MOST_REQUESTS = 32  # computed together
WAIT_S = 0.002


@dataclass(eq=False)
class _Request:
    """One caller's texts, cleaned, and, once they are there, its answers."""

    model: LoadedModel
    texts: Sequence[str]
    stop: Stop
    answers: list[Prediction] = field(default_factory=list)


class Joiner:
    """Computes the requests of many threads, one batch at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="classify")
        self._last_joined = 1
        self._guard = threading.Lock()
        self._waiting: list[_Request] = []

    def classify(self, model: LoadedModel, texts: Sequence[str], *, max_chars: int, stop: Stop) -> list[Prediction]:
        """As `classify.classify`; a text or a failure of another caller changes nothing."""
        if not 0 < len(texts) <= MOST_TEXTS:
            return classify(model, texts, max_chars=max_chars, stop=stop)
        request = _Request(model, [clean(text, max_chars) for text in texts], stop)
        with self._guard:
            self._waiting.append(request)
        self._thread.submit(self._answer, request, max_chars).result()
        return request.answers

    def _answer(self, request: _Request, max_chars: int) -> None:
        """Compute this request and what waits behind it, unless it was computed with another one."""
        if self._last_joined > 1 and not request.answers:
            time.sleep(WAIT_S)
        joined = self._take(request)
        if not request.answers:
            self._last_joined = 1 + len(joined)
            _compute([request, *joined], max_chars)

    def _take(self, request: _Request) -> list[_Request]:
        """Out of those who wait: this request, and unless it is answered by now, the others of the same model."""
        with self._guard:
            if request in self._waiting:
                self._waiting.remove(request)
            if request.answers:
                return []
            joined = [other for other in self._waiting if other.model is request.model][: MOST_REQUESTS - 1]
            self._waiting = [other for other in self._waiting if other not in joined]
        return joined


def _compute(requests: Sequence[_Request], max_chars: int) -> None:
    """Answer all requests; what goes wrong is raised to the caller of the first one.

    It stops between batches once nobody wants an answer. If it fails, the others compute by themselves in their turn.
    """
    if requests[0].stop():
        raise cancelled()
    texts = [text for request in requests for text in request.texts]
    answers = iter(
        classify(requests[0].model, texts, max_chars=max_chars, stop=lambda: all(each.stop() for each in requests))
    )
    for request in requests:
        request.answers = [next(answers) for _ in request.texts]
