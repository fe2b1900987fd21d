"""What the tab "Training" shows of a finished run: old and new side by side, said in a sentence, and where it is from.

Pure functions from the services' dataclasses to the JSON that `cards/run_result.js` and `cards/runs.js` read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from medbertde.schema import Kind, Schema, load_schema
from medbertde.services.training import Lineage, RunResult
from medbertde.types import Metrics
from medbertde.ui import span_result_view
from medbertde.ui.findings import STATES
from medbertde.ui.run_view import RUN_STATES
from medbertde.ui.words import Text, decimal, signed

MOST_LISTED = 100  # rows of a list
MAIN = "f1_macro"  # the figure that the sentence is about
FIGURES = {
    "auroc_macro": (
        Text("AUROC (Mittel über Befunde)", "AUROC (macro)"),
        Text(
            "Wie oft ein Befund mit der Auffälligkeit höher bewertet wird als einer ohne; 0,5 wäre Raten.",
            "How often a report with the finding scores higher than one without; 0.5 would be guessing.",
        ),
    ),
    "f1_macro": (
        Text("F1 (Mittel über Befunde)", "F1 (macro)"),
        Text(
            "Fasst Precision und Recall zusammen; seltene Befunde zählen so viel wie häufige.",
            "Combines precision and recall; rare findings count as much as frequent ones.",
        ),
    ),
    "f1_micro": (
        Text("F1 (alle Entscheidungen)", "F1 (micro)"),
        Text("Dasselbe über alle Entscheidungen; häufige Befunde zählen mehr.", "The same over all decisions."),
    ),
    "precision_macro": (
        Text("Genauigkeit der Treffer (Precision)", "Precision (macro)"),
        Text("Welcher Teil der gemeldeten Befunde stimmt.", "Which share of what it reports is right."),
    ),
    "recall_macro": (
        Text("Vollständigkeit (Recall)", "Recall (macro)"),
        Text("Welcher Teil der vorhandenen Befunde gefunden wird.", "Which share of what is there it finds."),
    ),
}
RELIABILITY = Text(
    "Wie verlässlich die Wahrscheinlichkeiten sind: Auf der Diagonalen sind von den Befunden, die das Modell mit 70 % "
    "angibt, auch 70 % vorhanden. Größere Punkte stehen für mehr Entscheidungen.",
    "How far the probabilities can be trusted: on the diagonal, 70 % of what the model gives 70 % is really present. "
    "Larger points stand for more decisions.",
)
DOUBTS = Text(
    "Hier passen Label und Modell so schlecht zusammen, dass das Label falsch sein könnte (Confident Learning, nur "
    "Befunde, aus denen das Modell nicht gelernt hat). Entscheiden muss ein Mensch.",
    "Label and model fit so badly here that the label may be wrong (confident learning, only reports that the model "
    "has not learnt from). A person has to decide.",
)
WORDS = {
    "figure": Text("Kennzahl", "Figure"),
    "old": Text("bisher", "old"),
    "new": Text("neu", "new"),
    "change": Text("Unterschied", "Difference"),
    "interval": Text("95-%-Bereich", "95 % interval"),
    "per_finding": Text("Je Befund", "Per finding"),
    "reliability": Text("Verlässlichkeit der Wahrscheinlichkeiten", "Reliability of the probabilities"),
    "said": Text("Wahrscheinlichkeit des Modells", "Probability of the model"),
    "share": Text("tatsächlich vorhanden", "really present"),
    "disputes": Text("Befunde, bei denen sich die Modelle unterscheiden", "Reports on which the models differ"),
    "no_disputes": Text(
        "Beide Modelle entscheiden bei allen geprüften Befunden gleich.",
        "Both models decide alike on all held-out reports.",
    ),
    "doubts": Text("Labels, an denen das Modell zweifelt", "Labels that the model doubts"),
    "no_doubts": Text("Das Modell zweifelt an keinem Label.", "The model doubts no label."),
    "about_doubts": DOUBTS,
    "about_reliability": RELIABILITY,
    "ask": Text("Zur Prüfung geben", "Send to review"),
    "asked": Text("Liegt bei der Kuration", "Waits for a curator"),
    "failed": Text(
        "Der Server antwortet nicht. Bitte noch einmal versuchen.", "The server does not answer. Please try again."
    ),
    "more": Text("Weitere werden nicht gezeigt.", "Further ones are not shown."),
    "card": Text("Modellkarte", "Model card"),
}


def result_value(language: str, result: RunResult | None, *, may_ask: bool) -> dict[str, Any]:
    """The result card, empty without a result."""
    if result is None:
        return {}
    schema = load_schema(result.run.schema_id)
    spans = schema.kind is Kind.SPANS
    words, figures = (WORDS | span_result_view.WORDS, span_result_view.FIGURES) if spans else (WORDS, FIGURES)
    return {
        "run": result.run.id,
        "language": language,
        "words": {name: text.say(language) for name, text in words.items()},
        "verdict": verdict(result, span_result_view.MAIN if spans else MAIN).say(language),
        "basis": _basis(result).say(language),
        "figures": [_figure_row(language, result, name, *said) for name, said in figures.items()],
        "findings": (span_result_view.table if spans else _findings)(language, schema, result),
        "reliability": [
            {"name": WORDS[name].say(language), "model": name, "points": _points(result, name)}
            for name in ("old", "new")
            if result.reliability.get(name)
        ],
        "disputes": (span_result_view.disputes if spans else _disputes)(language, schema, result, MOST_LISTED),
        "differing": len(result.span_disputes if spans else result.disputes),
        "compared": result.old is not None,
        "doubts": (span_result_view.doubts if spans else _doubts)(language, schema, result),
        "may_ask": may_ask,
        "card": result.card,
    }


def verdict(result: RunResult, main: str = MAIN) -> Text:
    """The comparison in one sentence, by the `main` figure."""
    if result.old is None:
        return Text(
            "Bisher gab es kein Modell, mit dem sich das neue vergleichen ließe.",
            "There was no model yet that the new one could be compared with.",
        )
    found, reports = result.paired.get(main), result.new.n_reports
    if found is None:
        return Text(
            f"Mit {reports} Befunden lässt sich kein Unterschied berechnen.",
            f"No difference can be computed from {reports} reports.",
        )
    facts = [
        f"F1 {signed(language, found.difference, 3)}, {WORDS['interval'].say(language)} "
        f"{signed(language, found.low, 3)} {to} {signed(language, found.high, 3)}, {_p(language, found.p)}"
        for language, to in (("de", "bis"), ("en", "to"))
    ]
    if not found.certain:
        return Text(
            f"Der Unterschied ist mit {reports} Befunden nicht sicher zu erkennen ({facts[0]}).",
            f"With {reports} reports the difference cannot be told for certain ({facts[1]}).",
        )
    if found.difference > 0:
        return Text(f"Das neue Modell ist besser: {facts[0]}.", f"The new model is better: {facts[1]}.")
    return Text(
        f"Das neue Modell ist schlechter: {facts[0]}. Es zu übernehmen ist nicht ratsam.",
        f"The new model is worse: {facts[1]}. Using it is not advisable.",
    )


def _p(language: str, value: float) -> str:
    return decimal(language, "p < 0.01" if value < 0.01 else f"p = {value:.2f}")


def _basis(result: RunResult) -> Text:
    parts, held = result.reports, result.new.n_reports
    return Text(
        f"Geprüft an {held} zurückgehaltenen Befunden, aus denen das neue Modell nicht gelernt hat; gelernt aus "
        f"{parts.get('train', 0)} (mitgelieferte eingerechnet), eingestellt an {parts.get('validation', 0)}. Der "
        "95-%-Bereich sagt, wie weit eine Zahl bei so wenigen Befunden schwanken kann.",
        f"Measured on {held} held-out reports that the new model has not learnt from; learnt from "
        f"{parts.get('train', 0)} (shipped ones included), tuned on {parts.get('validation', 0)}. The 95 % interval "
        "says how far a figure may vary with so few reports.",
    )


def _figure_row(language: str, result: RunResult, name: str, title: Text, meaning: Text) -> dict[str, Any]:
    """A figure of both models with intervals, and the paired difference."""
    found = result.paired.get(name)
    return {
        "name": title.say(language),
        "meaning": meaning.say(language),
        **{
            model: {
                "value": _number(language, getattr(metrics, name, None)),
                "interval": _range(language, result.intervals.get(model, {}).get(name)),
            }
            for model, metrics in (("old", result.old), ("new", result.new))
        },
        "change": {
            "value": signed(language, found.difference, 3) if found else "–",
            "interval": f"{signed(language, found.low, 3)} … {signed(language, found.high, 3)}" if found else "",
            "certain": bool(found and found.certain),
        },
    }


def _number(language: str, value: float | None, digits: int = 3) -> str:
    return "–" if value is None else decimal(language, f"{value:.{digits}f}")


def _range(language: str, found: tuple[float, float] | None) -> str:
    return decimal(language, f"{found[0]:.2f}–{found[1]:.2f}") if found else ""


def _findings(language: str, schema: Schema, result: RunResult) -> dict[str, Any]:
    """The table of single findings; those that do not occur in the test part have no figures."""
    old, new = WORDS["old"].say(language), WORDS["new"].say(language)
    columns = [
        Text("Befund", "Finding").say(language),
        Text("vorhanden", "present").say(language),
        *(f"{name} {model}" for name in ("F1", "Precision", "Recall", "AUROC") for model in (old, new)),
    ]
    rows = []
    for label in schema.labels:
        positives = (result.new.per_label.get(label.id) or {}).get("positives") or 0.0
        cells = [
            _number(language, _of(metrics, label.id, name), 2) if positives else "–"
            for name in ("f1", "precision", "recall", "auroc")
            for metrics in (result.old, result.new)
        ]
        rows.append([label.name[language], f"{positives:.0f}", *cells])
    return {"columns": columns, "rows": rows}


def _of(metrics: Metrics | None, label: str, name: str) -> float | None:
    return (metrics.per_label.get(label) or {}).get(name) if metrics else None


def _points(result: RunResult, model: str) -> list[list[float]]:
    return [[one.score, one.share, one.decisions] for one in result.reliability[model]]


def _disputes(language: str, schema: Schema, result: RunResult, most: int) -> list[dict[str, str]]:
    yes, no = Text("vorhanden", "present").say(language), Text("nicht vorhanden", "not present").say(language)
    truths: Mapping[bool | None, str] = {True: yes, False: no, None: Text("offen", "left out").say(language)}
    return [
        {
            "report": one.report,
            "label": schema.label(one.label).name[language],
            "truth": truths[one.truth],
            "old": f"{no if one.new_says else yes} ({_percent(one.old)})",
            "new": f"{yes if one.new_says else no} ({_percent(one.new)})",
            "right": "" if one.truth is None else ("new" if one.truth == one.new_says else "old"),
        }
        for one in result.disputes[:most]
    ]


def _doubts(language: str, schema: Schema, result: RunResult) -> list[dict[str, str]]:
    return [
        {
            "report": one.report,
            "label": schema.label(one.label).name[language],
            "given": STATES[one.given].say(language),
            "detail": Text(
                f"Modell: {_percent(one.probability)} vorhanden", f"model: {_percent(one.probability)} present"
            ).say(language),
        }
        for one in result.doubts
    ]


def _percent(probability: float) -> str:
    return f"{100 * probability:.0f} %"


def runs_value(language: str, lineages: Sequence[Lineage], shown: str | None, taken: Collection[str]) -> dict[str, Any]:
    """The history: one row per run. `taken` holds the runs that were taken over."""
    columns = [
        Text("Training vom", "Run of"), Text("von", "by"), Text("Stand", "State"),
        Text("Ausgangsmodell", "Base model"), Text("Befunde (Prüfsumme)", "Reports (hash)"), Text("F1", "F1"),
        Text("Startwert", "Seed"), Text("Programmstand", "Commit"),
    ]  # fmt: skip
    return {
        "columns": [column.say(language) for column in columns],
        "rows": [_run_row(language, one, shown, taken) for one in lineages],
        "empty": Text("Noch kein Training.", "No run yet.").say(language),
    }


def _run_row(language: str, one: Lineage, shown: str | None, taken: Collection[str]) -> dict[str, Any]:
    run = one.run
    state = RUN_STATES[run.state].say(language)
    if run.id in taken:
        state += Text(", übernommen", ", taken over").say(language)
    return {
        "id": run.id,
        "shown": run.id == shown,
        "cells": [
            f"{run.created_at.astimezone():{'%d %b %Y, %H:%M' if language == 'en' else '%d.%m.%Y, %H:%M'}}",
            run.started_by,
            state,
            run.base_model,
            f"{one.reports if one.reports is not None else '–'} ({(one.data_hash or '–')[:8]})",
            _number(language, one.f1_macro, 2),
            "–" if one.seed is None else str(one.seed),
            (one.git_commit or "–")[:8],
        ],
    }
