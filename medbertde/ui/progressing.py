"""Long answers of a model in a page that stays alive: how far they are, and an end as soon as nobody waits any more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from medbertde.types import Progress
from medbertde.ui.view import refusals

REFRESH_S = 0.4  # between two changes on the page

Found = TypeVar("Found")
OnProgress = Callable[[Progress], None]
Stop = Callable[[], bool]
Compute = Callable[[OnProgress, Stop], Found]


def stepwise(compute: Compute[Found]) -> Generator[Progress, None, Found]:
    """Run `compute(on_progress, stop)` in a thread: yields how far it is, returns what it found.

    Closing the generator, as Gradio does when the user stops or leaves, makes `stop` say True.
    """
    stopped, latest = threading.Event(), [Progress(0, 0)]

    def note(progress: Progress) -> None:
        latest[0] = progress

    with ThreadPoolExecutor(1) as pool:
        try:
            answer = pool.submit(compute, note, stopped.is_set)
            while wait([answer], timeout=REFRESH_S).not_done:
                yield latest[0]
            return answer.result()
        finally:
            stopped.set()


def refusing(language: str, steps: Generator[Found, None, None]) -> Generator[Found, None, None]:
    """As `view.refusals`, for the steps of a handler that is a generator."""
    step = refusals(lambda _language: next(steps, None))
    try:
        while (found := step(language)) is not None:
            yield found
    finally:
        steps.close()
