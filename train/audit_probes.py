"""What a language model expects of a patient's sex and age, by gaps with words of two groups (`data/probes.yaml`).

The share of a group is its words' probability in the gap, out of both groups'. Shares follow the texts that a model has
read; they are shown, not limited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from medbertde.inference.checkpoint import LoadedModel
from medbertde.model_audit import Figure
from medbertde.text import MASK
from medbertde.types import InvalidFile
from train.audit_scores import word_scores

PROBES = Path(__file__).parent.parent / "data" / "probes.yaml"
GROUPS = {"sex": ("male", "female"), "age": ("young", "old")}


@dataclass(frozen=True)
class Probe:
    """A sentence with one `[MASK]`, what it is about, and the words of both groups."""

    kind: str
    area: str
    text: str
    groups: Mapping[str, tuple[str, ...]]


def read_probes(path: Path = PROBES) -> list[Probe]:
    """The probes of a file; `InvalidFile` names the first one that is wrong."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raw = None
    if not isinstance(raw, list) or not raw:
        raise InvalidFile(
            f"Die Datei {path.name} muss eine YAML-Liste von Sätzen mit einer Lücke sein.",
            f"The file {path.name} must be a YAML list of sentences with a gap.",
        )
    return [_probe(path, number, item) for number, item in enumerate(raw, start=1)]


def _probe(path: Path, number: int, item: Any) -> Probe:
    match item:
        case {"kind": ("sex" | "age") as kind, "area": str(area), "text": str(text), "groups": dict(groups)} if (
            text.count(MASK) == 1
            and tuple(groups) == GROUPS[kind]
            and all(isinstance(words, list) and words for words in groups.values())
        ):
            return Probe(kind, area, text, {name: tuple(map(str, words)) for name, words in groups.items()})
    raise InvalidFile(
        f"{path.name}, Satz {number}: Erwartet werden „kind“ (sex, age), „area“, „text“ mit genau einem {MASK} und "
        "„groups“ mit Wörtern für male und female oder young und old.",
        f"{path.name}, sentence {number}: expected are “kind” (sex, age), “area”, “text” with exactly one {MASK}, and "
        "“groups” with words for male and female, or young and old.",
    )


def share(loaded: LoadedModel, probe: Probe) -> float:
    """The share of the second group: female, old."""
    first, second = probe.groups.values()
    scores = word_scores(loaded, probe.text, [*first, *second])
    odds = np.exp(scores - scores.max())
    return float(odds[len(first) :].sum() / odds.sum())


def figures(loaded: LoadedModel, probes: Sequence[Probe]) -> list[Figure]:
    """The mean share of "female" and of "old" in each area, with the lowest and the highest of its sentences."""
    shares: dict[tuple[str, str], list[float]] = {}
    for probe in probes:
        shares.setdefault((probe.kind, probe.area), []).append(share(loaded, probe))
    return [
        Figure(f"probe_{kind}", float(np.mean(found)), len(found), min(found), max(found), area)
        for (kind, area), found in shares.items()
    ]
