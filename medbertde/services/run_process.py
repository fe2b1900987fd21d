"""The process of a run: started so that it outlives the app, found again by its folder, stopped at once.

Knows no database; a run tells its process id and its folder.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import psutil

from medbertde.settings import ROOT
from medbertde.types import Run


def spawn(folder: Path, threads: int) -> subprocess.Popen[bytes]:
    """The job in a session of its own: it outlives a restart of the app and logs to a file that nobody has to read."""
    command = [sys.executable, "-m", "train.finetune", str(folder), "--threads", str(threads)]
    with (folder / "train.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie behind
    return process


def process_of(run: Run) -> psutil.Process | None:
    """The run's living process; a process id that now belongs to another program does not count."""
    try:
        process = psutil.Process(run.pid) if run.pid else None
        alive = process and process.status() != psutil.STATUS_ZOMBIE and run.folder in process.cmdline()
    except psutil.Error:
        return None
    return process if alive else None


def stop(run: Run) -> None:
    """Kill the run's process, if it still lives, and wait until it is gone."""
    process = process_of(run)
    if process:
        with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            process.kill()
            process.wait(timeout=10)
