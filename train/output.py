"""The files a job writes at its end: whether that will work is asked before its work."""

from __future__ import annotations

import os
from pathlib import Path

from medbertde.types import InvalidFile


def make_room(*files: Path | None) -> None:
    """Make the folders that files will lie in; `InvalidFile` for one that could not be written."""
    for file in filter(None, files):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            can_be_written = not file.is_dir() and os.access(file if file.exists() else file.parent, os.W_OK)
        except OSError:
            can_be_written = False
        if not can_be_written:
            raise InvalidFile(
                f"Die Datei {file} lässt sich nicht schreiben. Bitte einen anderen Ort nennen.",
                f"The file {file} cannot be written. Please name another place.",
            )
