"""What the result of a run on spans shows in another way than one on findings: its figures, its table, its differences.

Pure functions from the services' dataclasses to the JSON that `cards/run_result.js` reads; `result_view` puts it
together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medbertde.schema import Schema
from medbertde.services.training import RunResult
from medbertde.services.training_data import SPANS
from medbertde.types import Metrics
from medbertde.ui.run_view import COUNTED
from medbertde.ui.words import Text, decimal

MAIN = "f1_micro"  # the figure that the sentence is about, and that the best pass is chosen by
FIGURES = {
    "f1_micro": (
        Text("F1 (alle Markierungen)", "F1 (micro)"),
        Text(
            "Fasst Precision und Recall zusammen. Eine Markierung zählt nur, wenn Anfang, Ende und Art stimmen.",
            "Combines precision and recall. A mark counts only where both ends and its kind are right.",
        ),
    ),
    "f1_macro": (
        Text("F1 (Mittel über die Arten)", "F1 (macro)"),
        Text("Dasselbe; seltene Arten zählen so viel wie häufige.", "The same; rare kinds count as much as frequent."),
    ),
    "precision_macro": (
        Text("Genauigkeit der Treffer (Precision)", "Precision (macro)"),
        Text("Welcher Teil der Markierungen des Modells stimmt.", "Which share of what it marks is right."),
    ),
    "recall_macro": (
        Text("Vollständigkeit (Recall)", "Recall (macro)"),
        Text("Welcher Teil der annotierten Stellen gefunden wird.", "Which share of what is annotated it finds."),
    ),
}
WORDS = {
    "per_finding": Text("Je Art der Textstelle", "Per kind of span"),
    "reliability": Text("Verlässlichkeit der Sicherheit", "Reliability of the confidence"),
    "about_reliability": Text(
        "Wie weit der Sicherheit zu trauen ist: Auf der Diagonalen sind von den Stellen, bei denen das Modell zu 70 % "
        "sicher ist, auch 70 % richtig. Größere Punkte stehen für mehr Stellen.",
        "How far the confidence can be trusted: on the diagonal, 70 % of the spans that the model is 70 % sure of are "
        "right. Larger points stand for more spans.",
    ),
    "said": Text("Sicherheit des Modells", "Confidence of the model"),
    "no_disputes": Text(
        "Beide Modelle markieren in allen geprüften Befunden dasselbe.",
        "Both models mark the same in all held-out reports.",
    ),
    "truth": Text("annotiert", "annotated"),
    "nothing": Text("nichts", "nothing"),
}


def table(language: str, schema: Schema, result: RunResult) -> dict[str, Any]:
    """A row per kind of span: how many are annotated, and strict F1, precision and recall with their intervals."""
    models = [
        (name, Text(*names).say(language), metrics)
        for name, names, metrics in (("old", ("bisher", "old"), result.old), ("new", ("neu", "new"), result.new))
        if metrics
    ]
    columns = [
        Text("Art der Textstelle", "Kind of span").say(language),
        COUNTED[SPANS].say(language),
        *(f"{figure} {said}" for figure in ("F1", "Precision", "Recall") for _, said, _ in models),
    ]
    rows = [
        [
            label.name[language],
            f"{_of(result.new, label.id, 'positives') or 0:.0f}",
            *(
                _with_interval(language, result, name, metrics, label.id, figure)
                for figure in ("f1", "precision", "recall")
                for name, _, metrics in models
            ),
        ]
        for label in schema.labels
    ]
    return {"columns": columns, "rows": rows}


def _with_interval(language: str, result: RunResult, model: str, metrics: Metrics, label: str, figure: str) -> str:
    """A figure with its interval; a dash for a kind that is not annotated in the test part."""
    value = _of(metrics, label, figure)
    if value is None or not _of(metrics, label, "positives"):
        return "–"
    found = result.label_intervals.get(model, {}).get(label, {}).get(figure)
    return decimal(language, f"{value:.2f}" + (f" ({found[0]:.2f}–{found[1]:.2f})" if found else ""))


def _of(metrics: Metrics, label: str, figure: str) -> float | None:
    return (metrics.per_label.get(label) or {}).get(figure)


def disputes(language: str, schema: Schema, result: RunResult, most: int) -> list[dict[str, Any]]:
    """A row per report and kind of span that the models mark differently, with the places for the opened text."""
    rows = []
    for one in result.span_disputes[:most]:
        wrong = {name: len({*said} ^ {*one.truth}) for name, said in (("old", one.old), ("new", one.new))}
        right = "" if wrong["old"] == wrong["new"] else min(wrong, key=lambda name: wrong[name])
        rows.append(
            {
                "report": one.report,
                "label": schema.label(one.label).name[language],
                "truth": Text(f"{len(one.truth)} annotiert", f"{len(one.truth)} annotated").say(language),
                "old": _judged(one.truth, one.old).say(language),
                "new": _judged(one.truth, one.new).say(language),
                "right": right,
                "marks": {"truth": one.truth, "old": one.old, "new": one.new},
            }
        )
    return rows


def _judged(truth: Sequence[tuple[int, int]], said: Sequence[tuple[int, int]]) -> Text:
    """How the marks of a model stand to the annotated ones.

    >>> _judged([(0, 4), (9, 12)], [(0, 4), (5, 8)]).de
    '1 richtig, 1 zu viel, 1 fehlt'
    """
    hits = len({*truth} & {*said})
    extra, missing = len({*said}) - hits, len({*truth}) - hits
    de, en = [f"{hits} richtig"], [f"{hits} right"]
    if extra:
        de, en = [*de, f"{extra} zu viel"], [*en, f"{extra} too many"]
    if missing:
        de, en = [*de, f"{missing} {'fehlt' if missing == 1 else 'fehlen'}"], [*en, f"{missing} missing"]
    return Text(", ".join(de), ", ".join(en))
