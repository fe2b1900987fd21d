"""Which files a checkpoint folder may hold and must hold: never code or pickles, never half a file.

Looks at names, sizes and what the configuration asks for; knows no model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medbertde.inference.facts import read_json, refuse
from medbertde.inference.weights_file import WEIGHTS_FILE, read_weights_file

REFUSED_SUFFIXES = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth", ".py"})


def check_files(folder: Path) -> dict[str, Any]:
    """Refuse missing, dangerous and cut-off files; the raw configuration."""
    if not folder.is_dir():
        refuse(folder, "den Ordner gibt es nicht", "there is no such folder")
    _require_file(folder, "config.json")  # first: nobody should look through a whole disk that is no model
    dangerous = sorted(path.name for path in folder.rglob("*") if path.suffix.lower() in REFUSED_SUFFIXES)
    if dangerous:
        refuse(
            folder,
            f"er enthält Dateien, die Programmcode ausführen können ({', '.join(dangerous)}); erlaubt ist safetensors",
            f"it contains files that can run code ({', '.join(dangerous)}); only safetensors is allowed",
        )
    _require_file(folder, WEIGHTS_FILE)
    raw = read_json(folder / "config.json")
    tokenizer_config = folder / "tokenizer_config.json"
    if "auto_map" in raw or (tokenizer_config.is_file() and "auto_map" in read_json(tokenizer_config)):
        refuse(folder, "er verlangt fremden Programmcode (auto_map)", "it asks for foreign code (auto_map)")
    _check_weights_file(folder)
    return raw


def _require_file(folder: Path, name: str) -> None:
    if not (folder / name).is_file():
        refuse(folder, f"die Datei {name} fehlt", f"the file {name} is missing")


def _check_weights_file(folder: Path) -> None:
    """Refuse a safetensors file whose size is not what its header promises (an interrupted copy, an LFS pointer)."""
    try:
        weights = read_weights_file(folder / WEIGHTS_FILE)
    except OSError as error:
        refuse(folder, f"{WEIGHTS_FILE} ist nicht lesbar", f"{WEIGHTS_FILE} cannot be read", error)
    if not weights.whole:
        size = weights.size
        found = f"{size:,}".replace(",", ".")
        refuse(
            folder,
            f"{WEIGHTS_FILE} ist beschädigt oder unvollständig ({found} Byte gefunden); bitte neu kopieren",
            f"{WEIGHTS_FILE} is damaged or incomplete ({size:,} bytes found); please copy it again",
        )
