"""A safetensors file by its header: how many parameters it holds and whether it is whole. Reads no weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path

WEIGHTS_FILE = "model.safetensors"
_LARGEST_HEADER = 100_000_000  # bytes; the format allows no longer one


@dataclass(frozen=True)
class WeightsFile:
    """What the header promises; the file is whole when it has the `expected` size (bytes, as `size`)."""

    parameters: int
    expected: int
    size: int

    @property
    def whole(self) -> bool:
        """False for an interrupted copy or a placeholder in place of the weights."""
        return self.expected == self.size


def read_weights_file(path: Path) -> WeightsFile:
    """The header of a safetensors file; of a file that is none, one that is not whole."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        header = file.read(header_size) if header_size < min(size, _LARGEST_HEADER) else b""
    try:
        tensors = [entry for name, entry in json.loads(header).items() if name != "__metadata__"]
        end = max(int(tensor["data_offsets"][1]) for tensor in tensors)
        parameters = sum(prod(map(int, tensor["shape"])) for tensor in tensors)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return WeightsFile(parameters=0, expected=-1, size=size)
    return WeightsFile(parameters, 8 + header_size + end, size)
