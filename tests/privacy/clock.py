"""Processor time of this thread: what the tests of linear time compare."""

from __future__ import annotations

import time
from collections.abc import Callable


def seconds(action: Callable[[], object]) -> float:
    """Of three runs the least, because other work can only add to it."""
    return min(_seconds(action) for _ in range(3))


def _seconds(action: Callable[[], object]) -> float:
    started = time.thread_time()
    action()
    return time.thread_time() - started
