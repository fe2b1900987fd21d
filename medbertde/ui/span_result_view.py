"""What the result of a run on spans shows in another way than one on findings: its figures, its table, its differences.

Pure functions from the services' dataclasses to the JSON that `cards/run_result.js` reads; `result_view` puts it
together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medbertde.schema import Schema
from medbertde.services.mark_doubts import MarkDoubt
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
    "doubts": Text(
        "Befunde, deren Markierungen das neue Modell anders setzt", "Reports that the new model marks differently"
    ),
    "no_doubts": Text(
        "Das neue Modell markiert alle geprüften Befunde wie annotiert.", "The new model marks all as annotated."
    ),
    "about_doubts": Text(
        "Die Unterschiede zwischen Annotation und neuem Modell, nur an zurückgehaltenen Befunden, aus denen es nicht "
        "gelernt hat; die meisten zuerst. Wer recht hat, sagt die Liste nicht: Oft irrt das Modell, manchmal fehlt "
        "eine Markierung. Entscheiden muss ein Mensch.",
        "Where annotation and new model differ, only in held-out reports that it has not learnt from; the most first. "
        "The list does not say who is right: often the model is wrong, sometimes a mark is missing. A person has to "
        "decide.",
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


def doubts(language: str, schema: Schema, result: RunResult) -> list[dict[str, Any]]:
    """A row per report whose marks the new model sets differently, with the places for the opened text."""
    return [
        {
            "report": one.report,
            "given": _differing(one).say(language),
            "detail": _how(one).say(language),
            "marks": {
                "truth": [place.annotated for place in one.apart if place.annotated],
                "new": [place.model for place in one.apart if place.model],
            },
            "apart": [
                {"label": schema.label(place.label).name[language], "truth": place.annotated, "new": place.model}
                for place in one.apart
            ],
        }
        for one in result.mark_doubts
    ]


def _differing(one: MarkDoubt) -> Text:
    """How many places differ.

    >>> from medbertde.services.mark_doubts import Apart
    >>> _differing(MarkDoubt("r1", 3, (Apart("Dosis", (0, 4), (0, 1)), Apart("Dosis", (9, 12), None)))).de
    '2 Stellen anders, 3 gleich'
    """
    number = len(one.apart)
    return Text(
        f"{number} {'Stelle' if number == 1 else 'Stellen'} anders, {one.equal} gleich",
        f"{number} {'place differs' if number == 1 else 'places differ'}, {one.equal} alike",
    )


def _how(one: MarkDoubt) -> Text:
    """In what way they differ.

    >>> from medbertde.services.mark_doubts import Apart
    >>> _how(MarkDoubt("r1", 3, (Apart("Dosis", (0, 4), (0, 1)), Apart("Dosis", (9, 12), None)))).de
    '1 andere Grenzen, 1 nur annotiert'
    """
    ends = sum(place.annotated is not None and place.model is not None for place in one.apart)
    missed, extra = (sum(getattr(place, side) is None for place in one.apart) for side in ("model", "annotated"))
    counts = (
        (ends, Text("andere Grenzen", "other ends")),
        (missed, Text("nur annotiert", "annotated only")),
        (extra, Text("nur vom Modell", "by the model only")),
    )
    found = [(count, said) for count, said in counts if count]
    return Text(*(", ".join(f"{count} {said.say(language)}" for count, said in found) for language in ("de", "en")))
