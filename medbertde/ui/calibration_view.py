"""What the plot beside the threshold shows: how often probabilities of the model came true in its validation reports.

Pure functions from the checkpoint's table to the JSON that `cards/threshold.js` reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

from medbertde.types import ReliabilityBin
from medbertde.ui.words import Text

FEW = 20  # decisions below which a share is called uncertain
Z = 1.96  # of a 95 % interval
ABOUT = Text(
    "Jeder Punkt fasst Entscheidungen ähnlicher Wahrscheinlichkeit zusammen, über alle Befundarten; größere Punkte "
    "stehen für mehr, die Striche für den 95-%-Bereich. Auf der Linie stimmt die Wahrscheinlichkeit, darunter ist sie "
    "zu hoch, darüber zu niedrig. Gemessen an den Befunden, an denen das Modell beim Training geprüft wurde.",
    "Each point holds decisions of a similar probability, for all kinds of findings; larger points stand for more, the "
    "strokes for the 95 % interval. On the line the probability is right, below it too high, above it too low. "
    "Measured on the reports that the model was validated on in training.",
)


def calibration_value(
    language: str, reliability: Sequence[ReliabilityBin], score: float, threshold: float
) -> dict[str, Any]:
    """The points with their intervals, the one nearest to the report's `score` in words, and the threshold."""
    nearest = min(reliability, key=lambda row: abs(row.probability - score))
    return {
        "title": Text("Stimmen die Wahrscheinlichkeiten?", "Are the probabilities right?").say(language),
        "said": _sentence(language, nearest),
        "about": ABOUT.say(language),
        "points": [
            {
                "x": row.probability,
                "y": row.observed,
                "n": row.n,
                "interval": list(share_interval(row)),
                "here": row is nearest,
                "said": _sentence(language, row),
            }
            for row in reliability
        ],
        "threshold": threshold,
        "axes": [
            Text("Wahrscheinlichkeit", "Probability").say(language),
            Text("tatsächlich vorhanden", "really present").say(language),
        ],
        "mark": Text("Schwelle", "Threshold").say(language),
    }


def share_interval(row: ReliabilityBin) -> tuple[float, float]:
    """The 95 % interval of the observed share (Wilson 1927), which needs no large numbers.

    >>> tuple(round(end, 3) for end in share_interval(ReliabilityBin(0.9, 1.0, 10)))
    (0.722, 1.0)
    """
    share, spread = row.observed, Z * Z / row.n
    middle = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * sqrt(share * (1 - share) / row.n + spread / (4 * row.n))
    return max(0.0, middle - half), min(1.0, middle + half)


def _sentence(language: str, row: ReliabilityBin) -> str:
    given, there = _percent(row.probability), _percent(row.observed)
    said = Text(
        f"Von den Befunden, denen das Modell etwa {given} gab, waren {there} vorhanden (n = {row.n}).",
        f"Of the findings to which the model gave about {given}, {there} were there (n = {row.n}).",
    ).say(language)
    if row.n >= FEW:
        return said
    return said + Text(" Das sind wenige; die Zahl ist unsicher.", " These are few; the number is uncertain.").say(
        language
    )


def _percent(share: float) -> str:
    return "< 1 %" if 0 < share < 0.01 else "> 99 %" if 0.99 < share < 1 else f"{100 * share:.0f} %"
