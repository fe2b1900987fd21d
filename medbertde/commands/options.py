"""How a command and its options are declared."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

Run = Callable[[argparse.Namespace], int]


class Command(Protocol):
    """Declares a command by its name and what it runs; the docstring of `run` is its help where `doc` is empty."""

    def __call__(self, name: str, run: Run, doc: str = "") -> argparse.ArgumentParser:
        """The parser that options are added to."""


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """The type of an option that takes a whole number within these limits."""

    def read(given: str) -> int:
        if given.isascii() and given.isdigit() and len(given) <= len(str(most)) and least <= int(given) <= most:
            return int(given)
        raise argparse.ArgumentTypeError(f"a whole number from {least:,} to {most:,} is expected, found: {given}")

    return read


def output(added: argparse.ArgumentParser, what: str, *, required: bool = True) -> None:
    """`--out FILE` and `--force`."""
    added.add_argument("--out", type=Path, required=required, help=what)
    added.add_argument("--force", action="store_true", help="replace the output file if it is there already")


def identifying(added: argparse.ArgumentParser) -> None:
    """`--identifying`: what happens to reports that could show who a person is."""
    added.add_argument(
        "--identifying",
        choices=("hold", "replace", "keep"),
        help="reports with names and the like: hold them back, replace by placeholders, or keep them as they are; "
        "default: by MEDBERTDE_DEIDENTIFICATION (docs/deidentification.md)",
    )
