"""Worker processes that answer in the order of their tasks, with a bounded number of tasks under way.

Knows nothing of texts. With one process everything runs in the caller.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import TypeVar

from medbertde.types import TrainingRefused

Task = TypeVar("Task")
Result = TypeVar("Result")

PROGRESS_S = 10.0
WAITING_PER_PROCESS = 2


class Workers:
    """A pool of processes, or none."""

    def __init__(self, pool: ProcessPoolExecutor | None, processes: int) -> None:
        self._pool, self._processes = pool, processes

    def run(
        self, function: Callable[[Task], Result], tasks: Iterable[Task], name: str, total: int | None = None
    ) -> Iterator[Result]:
        """The results in the order of the tasks; every few seconds a line on stderr says how far it is."""
        said = time.monotonic()
        for done, result in enumerate(self._results(function, tasks), start=1):
            yield result
            if time.monotonic() - said > PROGRESS_S:
                said = time.monotonic()
                print(f"{name}: {done:,}{f' of {total:,}' if total else ''} batches", file=sys.stderr, flush=True)

    def _results(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        if self._pool is None:
            yield from map(function, tasks)
            return
        waiting: deque[Future[Result]] = deque()
        for task in tasks:
            waiting.append(self._pool.submit(function, task))
            if len(waiting) > WAITING_PER_PROCESS * self._processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def open_workers(processes: int) -> Iterator[Workers]:
    """Workers for several passes; spawned, as Arrow's threads do not survive a fork."""
    if processes == 1:
        yield Workers(None, 1)
        return
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_start_worker)
    try:
        yield Workers(pool, processes)
    except BrokenProcessPool:
        raise TrainingRefused(
            "Ein Prozess wurde von außen beendet, vermutlich war der Speicher voll. Bitte mit weniger --processes noch "
            "einmal starten.",
            "A process was ended from outside, probably because memory was full. Please start again with fewer "
            "--processes.",
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    os.environ["RAYON_NUM_THREADS"] = "1"  # rensa: the processes are the parallelism
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for ever."""
    parent = parent_process()
    if parent:
        parent.join()
        os._exit(1)
