"""Annotation guidelines: one Markdown file per schema, `data/guidelines/<schema>.md`, versioned by its content.

Owns how a guideline is cut into its parts: what stands before the first heading of a label is general, then one section
per label, `## Pleuraerguss {#Erguss}`. The text is for annotators, in German. Core: reads files, knows no page.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

GUIDELINE_FOLDER = Path(__file__).parent.parent / "data" / "guidelines"
_SECTION = re.compile(r"^## .*\{#(\w+)\}[ \t]*$", re.MULTILINE)
_TITLE = re.compile(r"\A# .*\n")


@dataclass(frozen=True)
class Guideline:
    """The rules for one schema. `version` is what a save keeps; `sections` are Markdown by label id."""

    version: str
    general: str
    sections: Mapping[str, str] = field(default_factory=dict)


def load_guideline(schema_id: str, folder: Path = GUIDELINE_FOLDER) -> Guideline | None:
    """The guideline of a schema, read again whenever its file has changed; None where there is none."""
    path = folder / f"{schema_id}.md"
    if not path.is_file():
        return None
    return _read(path, path.stat().st_mtime_ns)


def parse_guideline(text: str) -> Guideline:
    r"""The parts of a guideline; its version is a hash over the text without the layout at line ends.

    >>> parse_guideline("# Thorax\nRegeln.\n\n## Pleuraerguss {#Erguss}\nAuch klein.\n").sections
    {'Erguss': 'Auch klein.'}
    """
    text = "\n".join(line.rstrip() for line in text.strip().splitlines())
    general, *parts = _SECTION.split(text)
    sections = {label: body.strip() for label, body in zip(parts[::2], parts[1::2], strict=True)}
    version = hashlib.sha256(text.encode()).hexdigest()[:12]
    return Guideline(version, _TITLE.sub("", general + "\n").strip(), sections)


@cache
def _read(path: Path, _changed_ns: int) -> Guideline:
    return parse_guideline(path.read_text(encoding="utf-8"))
