"""What the tab "Training" shows: what there is to learn from, how a run stands, and old and new figures side by side.

Pure functions from the services' dataclasses to the JSON that `cards/table.js` and `cards/progress.js` read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import fmean
from typing import Any

from medbertde.schema import load_schema
from medbertde.services.training import RunStatus, TrainingPreview
from medbertde.types import Metrics, ModelVersion, RunState, State
from medbertde.ui.findings import STATES
from medbertde.ui.words import Text, decimal, signed

FIGURES = {
    "auroc_macro": Text("AUROC (Mittel über Befunde)", "AUROC (macro)"),
    "f1_macro": Text("F1 (Mittel über Befunde)", "F1 (macro)"),
    "f1_micro": Text("F1 (alle Entscheidungen)", "F1 (micro)"),
    "precision_macro": Text("Genauigkeit der Treffer (Precision)", "Precision (macro)"),
    "recall_macro": Text("Vollständigkeit (Recall)", "Recall (macro)"),
}
RUN_STATES = {
    RunState.QUEUED: Text("wartet", "queued"),
    RunState.RUNNING: Text("läuft", "running"),
    RunState.FINISHED: Text("abgeschlossen", "finished"),
    RunState.FAILED: Text("fehlgeschlagen", "failed"),
    RunState.CANCELLED: Text("abgebrochen", "cancelled"),
}
GOING = (RunState.QUEUED, RunState.RUNNING)
NO_RUN = Text("Es wurde noch kein Training gestartet.", "No training has been started yet.")
LOADING = Text("Das Modell wird geladen …", "The model is being loaded …")
MEASURING = Text("Das neue Modell wird geprüft …", "The new model is being measured …")
CURVE = Text("Fehler auf den Trainingsbefunden (Loss)", "Loss on the training reports")
MOST_POINTS = 150
SMOOTHED_SHARE = 12  # the curve averages over a twelfth of the steps


def amount(preview: TrainingPreview) -> Text:
    """How many reports there are to learn from."""
    return Text(
        f"**{preview.reports} annotierte Befunde.** Für ein Training sind mindestens {preview.fewest} nötig, sinnvoll "
        "wird es ab etwa 50.",
        f"**{preview.reports} labelled reports.** A training run needs at least {preview.fewest}; it becomes useful "
        "from about 50 on.",
    )


def counts_value(language: str, schema_id: str, preview: TrainingPreview) -> dict[str, Any]:
    """A table: how often each finding is labelled with each state."""
    columns = [Text("Befund", "Finding").say(language), *(STATES[state].say(language) for state in State)]
    rows = [
        [label.name[language], *(str(preview.counts[label.id].get(state, 0)) for state in State)]
        for label in load_schema(schema_id).labels
    ]
    return {"columns": columns, "rows": rows}


def progress_value(language: str, status: RunStatus | None) -> dict[str, Any]:
    """The progress card; without a run it keeps its frame and says so."""
    if status is None:
        return {"detail": NO_RUN.say(language), "share": 0, "curve": curve_value(language, ())}
    run = status.run
    started = Text(f"Training vom {run.created_at.astimezone():%d.%m.%Y, %H:%M}", f"Run of {_english(run.created_at)}")
    return {
        "title": started.say(language),
        "state": run.state.value,
        "said": RUN_STATES[run.state].say(language),
        "share": status.share,
        "detail": _detail(language, status),
        "curve": curve_value(language, status.losses),
    }


def _english(moment: datetime) -> str:
    return f"{moment.astimezone():%d %b %Y, %H:%M}"


def _detail(language: str, status: RunStatus) -> str:
    """What a run does at the moment, or how it ended."""
    if status.run.state not in GOING:
        held = status.new.n_reports if status.new else 0
        measured = Text(f"Geprüft an {held} zurückgehaltenen Befunden.", f"Measured on {held} held-out reports.")
        return status.run.message or (measured.say(language) if status.new else "")
    if not status.epochs:
        return LOADING.say(language)
    if status.share >= 1 or status.remaining_s is None:
        return MEASURING.say(language)
    epoch, left = (status.epoch, status.epochs), f"{status.remaining_s:.0f} s"
    return Text(
        "Durchgang {} von {}, noch etwa {}".format(*epoch, left), "Epoch {} of {}, about {} left".format(*epoch, left)
    ).say(language)


def curve_value(language: str, losses: Sequence[tuple[int, float]]) -> dict[str, Any]:
    """The loss per step as the mean of the latest steps: single batches differ more than epochs do."""
    width, every = max(1, len(losses) // SMOOTHED_SHARE), max(1, len(losses) // MOST_POINTS)
    points = [
        [losses[last][0], fmean(loss for _, loss in losses[max(0, last + 1 - width) : last + 1])]
        for last in range(0, len(losses), every)
    ]
    highest = decimal(language, f"{max((loss for _, loss in points), default=0.0):.2f}")
    return {
        "title": CURVE.say(language),
        "points": points,
        "highest": Text(f"höchster Wert {highest}", f"highest {highest}").say(language) if points else "",
        "last": Text(f"Schritt {losses[-1][0]}", f"Step {losses[-1][0]}").say(language) if points else "",
    }


def comparison_value(language: str, old: Metrics | None, new: Metrics | None) -> dict[str, Any]:
    """A table of old and new figures, in the page's number format."""
    columns = [Text("Kennzahl", "Figure"), Text("bisher", "old"), Text("neu", "new"), Text("Unterschied", "difference")]
    rows = []
    for name, title in FIGURES.items():
        before, after = getattr(old, name, None), getattr(new, name, None)
        change = after - before if before is not None and after is not None else None
        rows.append(
            [title.say(language), _figure(language, before), _figure(language, after), _change(language, change)]
        )
    return {"columns": [column.say(language) for column in columns], "rows": rows}


def _figure(language: str, value: float | None) -> str:
    return "–" if value is None else decimal(language, f"{value:.3f}")


def _change(language: str, value: float | None) -> str:
    return "–" if value is None else signed(language, value, 3)


def version_choices(language: str, versions: Sequence[ModelVersion], active: str | None) -> list[tuple[str, str]]:
    """The versions to go back to."""
    mark = Text("aktiv", "active").say(language)
    return [(f"{item.version} ({mark})" if item.version == active else item.version, item.version) for item in versions]
