"""Giving a model to others: as ONNX in a folder, or to a repository of the Hugging Face Hub; only when asked for."""

from __future__ import annotations

from pathlib import Path

from medbertde.inference.catalogue import resolve
from medbertde.inference.checkpoint import load_checkpoint
from medbertde.inference.onnx_export import Parity, export_onnx
from medbertde.inference.publish import push
from medbertde.types import CheckpointRefused


def folder_of(name: str) -> Path:
    """Where the model of this name lies."""
    return resolve(name)


def to_onnx(name: str, folder: Path) -> Parity:
    """Write the model of this name as ONNX to a new folder, compared with the original."""
    return export_onnx(load_checkpoint(resolve(name), name=name), folder)


def to_hub(name: str, repo: str, *, public: bool = False) -> str:
    """Push the model of this name to the repository; returns its address. An id of the Hub stays where it is."""
    folder = resolve(name)
    if repo.count("/") != 1:
        raise CheckpointRefused(
            f"„{repo}“ ist keine Kennung des Hubs. Erwartet wird konto/name.",
            f"“{repo}” is no id of the Hub. Expected is account/name.",
        )
    return push(folder, repo, public=public)
