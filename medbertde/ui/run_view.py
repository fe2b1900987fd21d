"""What the tab "Training" shows before and during a run: what there is to learn from, and how a run stands.

Pure functions from the services' dataclasses to the JSON that `cards/preview.js`, `cards/table.js` and
`cards/progress.js` read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import fmean
from typing import Any

from medbertde.schema import Kind, Schema, load_schema
from medbertde.services.training import RunStatus, TrainingPreview
from medbertde.services.training_data import MARKED, SPANS
from medbertde.types import ModelVersion, Run, RunState, State
from medbertde.ui.findings import STATES
from medbertde.ui.words import Text, counted, decimal

RUN_STATES = {
    RunState.QUEUED: Text("wartet", "queued"),
    RunState.RUNNING: Text("läuft", "running"),
    RunState.FINISHED: Text("abgeschlossen", "finished"),
    RunState.FAILED: Text("fehlgeschlagen", "failed"),
    RunState.CANCELLED: Text("abgebrochen", "cancelled"),
}
GOING = (RunState.QUEUED, RunState.RUNNING)
PARTS = {
    "train": (
        Text("zum Lernen", "to learn from"),
        Text("Aus ihnen lernt das Modell.", "The model learns from them."),
    ),
    "validation": (
        Text("zum Einstellen", "to tune"),
        Text(
            "Mit ihnen werden die Schwellen gewählt und der beste Durchgang bestimmt.",
            "They choose the thresholds and the best pass.",
        ),
    ),
    "test": (
        Text("zum Prüfen", "to test"),
        Text(
            "Diese Befunde bekommt das Modell nie zu sehen; an ihnen werden das alte und das neue verglichen.",
            "The model never sees them; the old and the new one are compared on them.",
        ),
    ),
}
CHOOSES_THE_PASS = Text("Mit ihnen wird der beste Durchgang bestimmt.", "They choose the best pass.")
COUNTED = {
    SPANS: Text("Markierungen", "Marks"),
    MARKED: Text("Befunde mit Markierung", "Reports with a mark"),
}
REPORTS = (Text("annotierter Befund", "labelled report"), Text("annotierte Befunde", "labelled reports"))
NO_RUN = Text("Es wurde noch kein Training gestartet.", "No training has been started yet.")
LOADING = Text("Das Modell wird geladen …", "The model is being loaded …")
MEASURING = Text("Das neue Modell wird geprüft …", "The new model is being measured …")
CURVES = Text(
    "Fehler (Loss): je tiefer, desto besser. Steigt die zweite Linie wieder, lernt das Modell nur noch auswendig.",
    "Loss: the lower, the better. Where the second line rises again, the model only learns by heart.",
)
LEARNT = Text("beim Lernen", "while learning")
VALIDATED = Text("auf den Befunden zum Einstellen", "on the reports to tune")
MOST_POINTS = 150
SMOOTHED_SHARE = 12  # the curve averages over a twelfth of the steps


def preview_value(language: str, schema_id: str, preview: TrainingPreview) -> dict[str, Any]:
    """How many reports there are for what, and what stands in the way."""
    return {
        "lead": f"{counted(preview.reports, *REPORTS).say(language)}.",
        "parts": [
            {"count": preview.parts[part], "name": name.say(language), "hint": hint.say(language)}
            for part, (name, hint) in _parts(schema_id).items()
        ],
        "notes": [text.say(language) for text in _notes(schema_id, preview)],
        "refusal": preview.refusal.sentence(language) if preview.refusal else "",
    }


def _parts(schema_id: str) -> dict[str, tuple[Text, Text]]:
    """The parts with what they are for; a model of spans has no thresholds to choose."""
    if load_schema(schema_id).kind is Kind.FINDINGS:
        return PARTS
    return PARTS | {"validation": (PARTS["validation"][0], CHOOSES_THE_PASS)}


def _notes(schema_id: str, preview: TrainingPreview) -> list[Text]:
    """What the person who starts should know."""
    notes = []
    if preview.fixed_test:
        belong = counted(
            preview.fixed_test, Text("davon gehört", "of them belongs"), Text("davon gehören", "of them belong")
        )
        notes.append(
            Text(
                f"{belong.de} zum festen Prüfteil eines Projekts.",
                f"{belong.en} to the fixed test part of a project.",
            )
        )
    if preview.disputed:
        are = counted(preview.disputed, Text("ist", "is"), Text("sind", "are"))
        notes.append(
            Text(
                f"{are.de} strittig und nicht entschieden: Es zählt, was zuletzt gelesen wurde.",
                f"{are.en} disputed and not decided: what was read last counts.",
            )
        )
    return [*notes, *_missing(load_schema(schema_id), preview)]


def _missing(schema: Schema, preview: TrainingPreview) -> list[Text]:
    """Labels that cannot be measured or learnt, and marks that are left out."""
    notes = []
    if preview.unmeasured:
        de, en = _names(schema, preview.unmeasured)
        said = ("nie markiert", "never marked") if schema.kind is Kind.SPANS else ("nie „vorhanden“", "never “present”")
        notes.append(
            Text(
                f"Nicht prüfbar, weil im Prüfteil {said[0]}: {de}.",
                f"Cannot be measured, as {said[1]} in the test part: {en}.",
            )
        )
    if preview.unlearnt:
        de, en = _names(schema, preview.unlearnt)
        notes.append(
            Text(
                f"Aus diesen Befunden nicht zu lernen, weil in denen zum Lernen nie markiert: {de}.",
                f"Cannot be learnt from these reports, as never marked in those to learn from: {en}.",
            )
        )
    if preview.overlapping:
        marks = counted(
            preview.overlapping,
            Text("Markierung überlappt", "mark overlaps"),
            Text("Markierungen überlappen", "marks overlap"),
        )
        notes.append(
            Text(
                f"{marks.de} eine längere; gelernt wird nur die längere.",
                f"{marks.en} a longer one; only the longer one is learnt.",
            )
        )
    return notes


def _names(schema: Schema, labels: Sequence[str]) -> tuple[str, str]:
    """The names of labels, in German and English."""
    de, en = (", ".join(schema.label(one).name[language] for one in labels) for language in ("de", "en"))
    return de, en


def counts_value(language: str, schema_id: str, preview: TrainingPreview) -> dict[str, Any]:
    """A table: what is counted of each label, for learning / tuning / testing."""
    schema = load_schema(schema_id)
    marked = schema.kind is Kind.SPANS
    name = Text("Art der Textstelle", "Kind of span") if marked else Text("Befund", "Finding")
    counted = COUNTED if marked else {state.value: STATES[state] for state in State}
    rows = [
        [
            label.name[language],
            *(
                " / ".join(str(preview.by_part[part][label.id].get(each, 0)) for part in PARTS)
                if preview.counts[label.id].get(each)
                else "–"
                for each in counted
            ),
        ]
        for label in schema.labels
    ]
    return {"columns": [name.say(language), *(text.say(language) for text in counted.values())], "rows": rows}


def progress_value(language: str, status: RunStatus | None, running: Run | None, waiting: Run | None) -> dict[str, Any]:
    """The progress card; without a run it only says so. `running` and `waiting` are of any schema."""
    if status is None:
        return {"detail": NO_RUN.say(language), "share": 0, "note": "", "curves": curves_value(language, None)}
    run = status.run
    started = Text(f"Training vom {_german(run.created_at)}", f"Run of {_english(run.created_at)}")
    return {
        "title": started.say(language),
        "state": run.state.value,
        "said": RUN_STATES[run.state].say(language),
        "share": status.share,
        "detail": _detail(language, status),
        "note": _queue_note(language, run, running, waiting),
        "curves": curves_value(language, status),
    }


def _german(moment: datetime) -> str:
    return f"{moment.astimezone():%d.%m.%Y, %H:%M}"


def _english(moment: datetime) -> str:
    return f"{moment.astimezone():%d %b %Y, %H:%M}"


def _queue_note(language: str, run: Run, running: Run | None, waiting: Run | None) -> str:
    """Who waits for whom."""
    if run.state is RunState.QUEUED and running and running.id != run.id:
        return Text(
            f"Beginnt, sobald das Training vom {_german(running.created_at)} (von {running.started_by}) beendet ist.",
            f"Begins once the run of {_english(running.created_at)} (by {running.started_by}) has ended.",
        ).say(language)
    if run.state is RunState.RUNNING and waiting:
        return Text(
            f"Danach beginnt das wartende Training von {waiting.started_by}.",
            f"Then the waiting training by {waiting.started_by} begins.",
        ).say(language)
    return ""


def _detail(language: str, status: RunStatus) -> str:
    """What a run does at the moment, or how it ended."""
    if status.run.state is RunState.QUEUED:
        return RUN_STATES[RunState.QUEUED].say(language).capitalize() + " …"
    if status.run.state is not RunState.RUNNING:
        held = status.new.n_reports if status.new else 0
        measured = Text(f"Geprüft an {held} zurückgehaltenen Befunden.", f"Measured on {held} held-out reports.")
        return status.run.message or (measured.say(language) if status.new else "")
    if not status.epochs:
        return LOADING.say(language)
    if status.share >= 1 or status.remaining_s is None or not status.rate:
        return MEASURING.say(language)
    return Text(
        f"Durchgang {status.epoch} von {status.epochs} · Schritt {status.step} von höchstens "
        f"{status.steps} · {_rate(language, status.rate)} · noch etwa {_duration(status.remaining_s, 'Min.')}",
        f"Pass {status.epoch} of {status.epochs} · step {status.step} of at most "
        f"{status.steps} · {_rate(language, status.rate)} · about {_duration(status.remaining_s, 'min')} left",
    ).say(language)


def _rate(language: str, per_second: float) -> str:
    """Steps per second, or per minute where they are slow."""
    if per_second >= 1:
        return Text(f"{per_second:.0f} Schritte/s", f"{per_second:.0f} steps/s").say(language)
    return Text(f"{60 * per_second:.0f} Schritte/Min.", f"{60 * per_second:.0f} steps/min").say(language)


def _duration(seconds: float, minutes: str) -> str:
    """A time that somebody waits for.

    >>> _duration(42, "min"), _duration(400, "min"), _duration(8000, "min")
    ('42 s', '7 min', '2 h 13 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    whole = round(seconds / 60)
    return f"{whole} {minutes}" if whole < 90 else f"{whole // 60} h {whole % 60} {minutes}"


def curves_value(language: str, status: RunStatus | None) -> dict[str, Any]:
    """The loss per step as the mean of the latest steps (single batches differ more than epochs do), and per epoch."""
    losses, validation = (status.losses, status.validation) if status else ((), ())
    points = _smoothed(losses)
    highest = max((loss for _, loss in [*points, *validation]), default=0.0)
    shown = decimal(language, f"{highest:.2f}")
    f1 = status.validation_f1 if status else None
    return {
        "title": CURVES.say(language),
        "lines": [
            {"name": LEARNT.say(language), "points": points},
            {"name": VALIDATED.say(language), "points": [list(point) for point in validation]},
        ],
        "highest": Text(f"oben: {shown}", f"top: {shown}").say(language) if points else "",
        "last": Text(f"Schritt {losses[-1][0]}", f"Step {losses[-1][0]}").say(language) if points else "",
        "f1": Text(
            f"F1 beim Einstellen: {decimal('de', f'{f1:.2f}')} (1 wäre fehlerfrei)",
            f"F1 while tuning: {f1:.2f} (1 would be without errors)",
        ).say(language)
        if f1 is not None
        else "",
    }


def _smoothed(losses: Sequence[tuple[int, float]]) -> list[list[float]]:
    width, every = max(1, len(losses) // SMOOTHED_SHARE), max(1, len(losses) // MOST_POINTS)
    return [
        [losses[last][0], fmean(loss for _, loss in losses[max(0, last + 1 - width) : last + 1])]
        for last in range(0, len(losses), every)
    ]


def version_choices(language: str, versions: Sequence[ModelVersion], active: str | None) -> list[tuple[str, str]]:
    """The versions to go back to."""
    mark = Text("aktiv", "active").say(language)
    return [(f"{item.version} ({mark})" if item.version == active else item.version, item.version) for item in versions]
