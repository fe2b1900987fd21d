"""Two readings side by side: of a changed text by the same model, or of the same text by another model.

Pure functions from two answers to the JSON that `cards/versions.js` reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from medbertde.schema import load_schema
from medbertde.types import AttributedWord, Attribution
from medbertde.ui.evidence_view import AGAINST, FOR, largest_word_of, pieces, title
from medbertde.ui.findings import MODEL, STATES, Shown
from medbertde.ui.sentences import sentences_of, words_that_add
from medbertde.ui.words import Text, signed

MOVED = 0.01  # a probability that moves less is not named
MEANING = Text(
    "Wahrscheinlichkeit für „vorhanden“ und der Zustand, der sich daraus ergibt. Gezeigt sind der betrachtete Befund "
    "und alle, die sich um mindestens einen Prozentpunkt geändert haben.",
    "Probability of “present” and the state that follows. Shown are the finding looked at and all that have moved by "
    "at least one percentage point.",
)
SAME = Text("kaum verändert", "hardly changed")
FINDING, CHANGE = Text("Befund", "Finding"), Text("Änderung", "Change")


@dataclass(frozen=True)
class Versions:
    """Two answers and what they are called; both with the explanation of the same finding and state."""

    first: Shown
    second: Shown
    names: tuple[Text, Text]


def versions_value(language: str, versions: Versions | None) -> dict[str, Any]:
    """The card."""
    if versions is None or versions.first.attribution is None or versions.second.attribution is None:
        return {}
    first, second = versions.first, versions.second
    labels = load_schema(first.schema_id).label_ids
    moved = [label for label in labels if label == first.chosen or _has_moved(first, second, label)]
    order = sorted(moved, key=lambda label: (label != first.chosen, -abs(_change(first, second, label))))
    names = [name.say(language) for name in versions.names]
    return {
        "columns": [FINDING.say(language), *names, CHANGE.say(language)],
        "rows": [_row(language, first, second, label) for label in order],
        "said": MEANING.say(language),
        "note": title(language, first, versions.first.attribution),
        "versions": _sides(language, versions, versions.first.attribution, versions.second.attribution),
        "legend": {"for": FOR.say(language), "against": AGAINST.say(language)},
    }


def _change(first: Shown, second: Shown, label: str) -> float:
    return second.prediction.scores[label].present - first.prediction.scores[label].present


def _has_moved(first: Shown, second: Shown, label: str) -> bool:
    return abs(_change(first, second, label)) >= MOVED or first.state(label) != second.state(label)


def _row(language: str, first: Shown, second: Shown, label: str) -> dict[str, str]:
    """One finding: its states, its probabilities of being present, and the change in percentage points."""
    points = 100 * _change(first, second, label)
    moved = abs(points) >= 100 * MOVED
    change = signed(language, points, 0)
    return {
        "name": first.name(language, label),
        "before": _said(language, first, label),
        "after": _said(language, second, label),
        "change": Text(f"{change} %-Punkte", f"{change} points").say(language) if moved else SAME.say(language),
        "side": ("for" if points > 0 else "against") if moved else "",
    }


def _said(language: str, shown: Shown, label: str) -> str:
    present = shown.prediction.scores[label].present
    figure = "< 1" if present < 0.01 else "> 99" if present > 0.99 else f"{100 * present:.0f}"
    return f"{figure} % · {STATES[shown.state(label)].say(language)}"


def _sides(language: str, versions: Versions, first: Attribution, second: Attribution) -> list[dict[str, Any]]:
    """Both texts with their words on one scale; a word that only one of them has is marked."""
    words = [words_that_add(side) for side in (first, second)]
    largest = max(largest_word_of(side, sentences_of(side)) for side in (first, second))
    gone, new = changed_words(*words)
    return [
        {
            "title": name.say(language),
            "model": f"{MODEL.say(language)}: {side.model_version}",
            "pieces": _marked(pieces(language, side.text, own, (0, len(side.text)), largest), changed, tag),
        }
        for name, side, own, changed, tag in zip(
            versions.names, (first, second), words, (gone, new), ("del", "ins"), strict=True
        )
    ]


def changed_words(first: Sequence[AttributedWord], second: Sequence[AttributedWord]) -> tuple[set[int], set[int]]:
    """The indices of the words that only the first, and that only the second text has."""
    texts = [word.text for word in first], [word.text for word in second]
    changes = [each for each in SequenceMatcher(None, *texts, autojunk=False).get_opcodes() if each[0] != "equal"]
    gone = {index for _, start, end, _, _ in changes for index in range(start, end)}
    return gone, {index for _, _, _, start, end in changes for index in range(start, end)}


def _marked(found: list[dict[str, Any]], changed: set[int], tag: str) -> list[dict[str, Any]]:
    words = [piece for piece in found if "tint" in piece]
    for index in changed:
        words[index]["changed"] = tag
    return found
