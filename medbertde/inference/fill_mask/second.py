"""A second model beside the one that answers, for comparisons: which there are, and the one that was asked for last.

Owns one loaded model besides the runtime's. Downloads nothing: a model is here or it is not offered.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from medbertde.inference import hub
from medbertde.inference.catalogue import CATALOGUE, Entry, find, resolve
from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.types import ModelUnavailable


class SecondModel:
    """Keeps the model of the last comparison in memory; another one takes its place. Safe to call from any thread."""

    def __init__(self) -> None:
        self._kept: tuple[Path, LoadedModel] | None = None
        self._loading = threading.Lock()

    def get(self, name: str, device: str, first: LoadedModel) -> LoadedModel:
        """The model with this catalogue id or in this folder; `ModelUnavailable` if it is not here or is `first`."""
        folder = _folder(name)
        with self._loading:
            kept = self._kept
            if kept is None or kept[0] != folder or not folder.is_dir():
                self._kept = None  # free the old one first: two large models may not fit
                kept = self._kept = (folder, load_checkpoint(folder, device, name=name))
        if kept[1].version == first.version:
            raise ModelUnavailable(
                f"Das zweite Modell ist dasselbe wie das erste ({first.version}). Bitte ein anderes wählen.",
                f"The second model is the same as the first one ({first.version}). Please choose another one.",
            )
        return kept[1]


def available(entry: Entry) -> bool:
    """Whether a model of the catalogue lies on this machine."""
    if entry.folder is not None:
        return entry.folder.is_dir()
    return entry.hub_id is not None and hub.cached_folder(entry.hub_id) is not None


def available_entries() -> tuple[Entry, ...]:
    """The models of the catalogue that lie on this machine."""
    return tuple(entry for entry in CATALOGUE if available(entry))


def _folder(name: str) -> Path:
    entry, folder = find(name), os.path.expanduser(name)  # unlike Path, these answer any typed text without an error
    if entry is not None and available(entry):
        return resolve(name)
    if entry is None and os.path.isdir(folder):
        return Path(folder).resolve()
    raise ModelUnavailable(
        "Das zweite Modell liegt nicht auf diesem Rechner. Erwartet wird ein Modell aus der Liste oder ein Ordner.",
        "The second model is not on this machine. Expected is a model of the list or a folder.",
    )
