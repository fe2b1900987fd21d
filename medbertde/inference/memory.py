"""How much memory a device has left, and what is freed given back. Knows no model."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import psutil
import torch

_CGROUP = Path("/sys/fs/cgroup")  # the limits of the container this process runs in, version 2


def available_bytes(device: str) -> int:
    """What can be allocated on `device` before something else has to go; a container's limit counts too."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    free = psutil.virtual_memory().available
    left = _left_in_container(_CGROUP)
    return free if left is None else min(free, left)


def give_back() -> None:
    """Hand freed memory back to the system at once. glibc keeps it for itself, 5 MB more with each model exchanged."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None  # musl has none
    if trim:
        trim(0)


def _left_in_container(cgroup: Path) -> int | None:
    """The container's limit less what it holds, None where there is no limit. The file cache gives way, so it is free.

    The figures of version 2 control groups: ``memory.max``, ``memory.current`` and ``file`` in ``memory.stat``.
    """
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
        facts = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    return None if limit == "max" else max(0, int(limit) - used + int(facts.get("file", 0)))
