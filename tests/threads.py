"""Work on several threads at once, for the clients of the benches: a failure in one of them is not lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor


def at_once(jobs: Sequence[Callable[[], None]]) -> None:
    """Run each job on a thread of its own and wait for all; the first failure is raised."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        for done in [pool.submit(job) for job in jobs]:
            done.result()
