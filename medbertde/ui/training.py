"""The tab "Training": from the labels in the database to a model that is measured, compared and taken over."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pandas as pd

from medbertde.schema import load_schema
from medbertde.services import Services
from medbertde.services.training import RunStatus, TrainingPreview
from medbertde.types import Metrics, ModelVersion, Run, RunState
from medbertde.ui.card import Card
from medbertde.ui.view import caller, refusals
from medbertde.ui.words import Text, Words

FIGURES = {
    "auroc_macro": Text("AUROC (Mittel über Befunde)", "AUROC (macro)"),
    "f1_macro": Text("F1 (Mittel über Befunde)", "F1 (macro)"),
    "f1_micro": Text("F1 (alle Entscheidungen)", "F1 (micro)"),
    "precision_macro": Text("Genauigkeit der Treffer (Precision)", "Precision (macro)"),
    "recall_macro": Text("Vollständigkeit (Recall)", "Recall (macro)"),
}
STATES = {
    RunState.QUEUED: Text("wartet", "queued"),
    RunState.RUNNING: Text("läuft", "running"),
    RunState.FINISHED: Text("abgeschlossen", "finished"),
    RunState.FAILED: Text("fehlgeschlagen", "failed"),
    RunState.CANCELLED: Text("abgebrochen", "cancelled"),
}
ABOUT = Text(
    "Aus den annotierten Befunden lernt das aktive Modell weiter. Ein fester Teil der Befunde bleibt zum Prüfen zurück; "
    "daran werden das alte und das neue Modell verglichen, bevor Sie das neue übernehmen.",
    "The active model learns on from the labelled reports. A fixed part of them is held back; the old and the new model "
    "are compared on it before you take the new one over.",
)


def preview_table(language: str, schema_id: str, preview: TrainingPreview) -> tuple[str, pd.DataFrame]:
    """A sentence and a table: how often each finding is labelled with each state."""
    sentence = Text(
        f"**{preview.reports} annotierte Befunde.** Für ein Training sind mindestens {preview.fewest} nötig, sinnvoll "
        "wird es ab etwa 50.",
        f"**{preview.reports} labelled reports.** A training run needs at least {preview.fewest}; it becomes useful "
        "from about 50 on.",
    )
    names = [
        Text("Befund", "Finding"),
        Text("vorhanden", "present"),
        Text("unsicher", "uncertain"),
        Text("verneint", "absent"),
    ]
    rows = [
        [
            label.name[language],
            *(preview.counts[label.id].get(state, 0) for state in ("present", "uncertain", "absent")),
        ]
        for label in load_schema(schema_id).labels
    ]
    return sentence.say(language), pd.DataFrame(rows, columns=[name.say(language) for name in names])


def progress_value(language: str, status: RunStatus | None) -> dict[str, Any]:
    """What the progress card shows."""
    if status is None:
        return {
            "empty": Text("Es wurde noch kein Training gestartet.", "No training has been started yet.").say(language)
        }
    run = status.run
    epoch = Text(f"Durchgang {status.epoch} von {status.epochs}", f"Epoch {status.epoch} of {status.epochs}")
    left = f"{status.remaining_s:.0f} s" if status.remaining_s is not None else "…"
    remaining = Text(f"noch etwa {left}", f"about {left} left")
    going = run.state is RunState.RUNNING and status.epochs
    preparing = Text("Das Modell wird geladen …", "The model is being loaded …")
    detail = f"{epoch.say(language)}, {remaining.say(language)}" if going else preparing.say(language)
    return {
        "title": f"{Text('Training', 'Training').say(language)} {run.id}",
        "state": run.state.value,
        "said": STATES[run.state].say(language),
        "share": status.share,
        "detail": detail if run.state in (RunState.QUEUED, RunState.RUNNING) else run.message or "",
    }


def curve(language: str, status: RunStatus | None) -> pd.DataFrame:
    """The loss per step, smoothed by averaging so that at most 150 points are drawn."""
    step, loss = Text("Schritt", "Step").say(language), Text("Fehler (Loss)", "Loss").say(language)
    frame = pd.DataFrame(list(status.losses) if status else [], columns=[step, loss])
    width = max(1, len(frame) // 150)
    return frame.groupby(frame.index // width).mean() if len(frame) else frame


def comparison(language: str, old: Metrics | None, new: Metrics | None) -> pd.DataFrame:
    """Old and new figures side by side, in the page's number format."""
    rows = []
    for name, title in FIGURES.items():
        before, after = getattr(old, name, None), getattr(new, name, None)
        change = after - before if before is not None and after is not None else None
        rows.append(
            [
                title.say(language),
                *(_number(language, value) for value in (before, after)),
                _number(language, change, "+"),
            ]
        )
    columns = [Text("Kennzahl", "Figure"), Text("bisher", "old"), Text("neu", "new"), Text("Unterschied", "difference")]
    return pd.DataFrame(rows, columns=[column.say(language) for column in columns])


def _number(language: str, value: float | None, sign: str = "") -> str:
    if value is None:
        return "–"
    shown = f"{value:{sign}.3f}"
    return shown.replace(".", ",") if language == "de" else shown


def version_choices(language: str, versions: list[ModelVersion], active: str) -> list[tuple[str, str]]:
    """The versions to go back to."""
    mark = Text("aktiv", "active").say(language)
    return [(f"{item.version} ({mark})" if item.version == active else item.version, item.version) for item in versions]


def build(services: Services, words: Words, language: gr.Radio, header: gr.Markdown, head: Any) -> None:
    """Layout, handlers, wiring. `head(language)` writes the header line that names the active models."""
    training = services.training
    schemas = services.reading.schemas()
    titles = [(Text(schema.title["de"], schema.title["en"]), schema.id) for schema in schemas]
    words(gr.Markdown, ABOUT, elem_classes="mb-about")
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            schema = words(
                gr.Radio, titles, value=schemas[0].id, label=Text("Untersuchung", "Examination"), elem_id="train-schema"
            )
            amount = gr.Markdown(elem_id="train-amount")
            with words(gr.Accordion, Text("Annotationen je Befund", "Labels per finding"), open=False):
                counts = gr.Dataframe(interactive=False, show_label=False)
            epochs = words(
                gr.Slider,
                1,
                20,
                value=4,
                step=1,
                label=Text("Durchgänge durch die Befunde", "Passes over the reports"),
                elem_id="train-epochs",
            )
            with gr.Row():
                start = words(
                    gr.Button,
                    Text("Training starten", "Start training"),
                    variant="primary",
                    min_width=150,
                    elem_id="train-start",
                )
                cancel = words(
                    gr.Button, Text("Abbrechen", "Cancel"), min_width=120, interactive=False, elem_id="train-cancel"
                )
        with gr.Column(scale=3, min_width=320):
            card = Card("progress", progress_value(words.language, None), elem_id="train-progress")
            plot = words(
                gr.LinePlot, pd.DataFrame({"Schritt": [], "Fehler (Loss)": []}), x="Schritt", y="Fehler (Loss)", height=220,
                title=Text("Fehler auf den Trainingsbefunden", "Loss on the training reports"), elem_id="train-curve",
            )  # fmt: skip
    result = gr.Column(visible=False, elem_id="train-result")
    with result:
        tested = gr.Markdown()
        figures = gr.Dataframe(interactive=False, show_label=False, elem_id="train-figures")
        take = words(gr.Button, Text("Übernehmen", "Use the new model"), variant="primary", elem_id="train-take")
    with words(gr.Accordion, Text("Frühere Modelle und Protokoll", "Earlier models and log"), open=False):
        version = words(gr.Dropdown, [], label=Text("Modellversion", "Model version"), elem_id="train-version")
        back = words(gr.Button, Text("Diese Version wieder verwenden", "Use this version again"), elem_id="train-back")
        log = words(
            gr.Textbox,
            label=Text("Protokoll des letzten Trainings", "Log of the latest run"),
            lines=6,
            max_lines=12,
            interactive=False,
        )
    timer = gr.Timer(1.0, active=False)

    def latest(schema_id: str) -> Run | None:
        history = training.history(schema_id)
        return history[0] if history else None

    def follow(language: str, schema_id: str) -> tuple[Any, ...]:
        """Everything that changes while a run goes on."""
        run = latest(schema_id)
        status = training.status(run.id) if run else None
        going = bool(run and run.state in (RunState.QUEUED, RunState.RUNNING))
        frame = curve(language, status)
        finished = bool(status and status.new)
        taken = bool(run and any(item.run_id == run.id for item in training.versions(schema_id)))
        held = status.new.n_reports if status and status.new else 0
        sentence = Text(f"Geprüft an {held} zurückgehaltenen Befunden.", f"Measured on {held} held-out reports.").say(
            language
        )
        return (
            progress_value(language, status),
            gr.update(value=frame, x=frame.columns[0], y=frame.columns[1]),
            gr.update(interactive=not going),
            gr.update(interactive=going),
            gr.update(visible=finished),
            sentence,
            comparison(language, status.old, status.new) if status and finished else gr.skip(),
            gr.update(interactive=finished and not taken),
            status.log_tail if status else "",
            gr.Timer(active=going),
        )

    def overview(language: str, schema_id: str) -> tuple[Any, ...]:
        """What changes with the schema, the language and a take-over, beside `follow`."""
        sentence, table = preview_table(language, schema_id, training.preview(schema_id))
        active = services.reading.model_version(schema_id)
        choices = version_choices(language, training.versions(schema_id), active)
        return sentence, table, gr.update(choices=choices, value=active if choices else None), head(language)

    @refusals
    def refresh(language: str, schema_id: str) -> tuple[Any, ...]:
        return *follow(language, schema_id), *overview(language, schema_id)

    @refusals
    def poll(language: str, schema_id: str) -> tuple[Any, ...]:
        return follow(language, schema_id)

    @refusals
    def begin(language: str, schema_id: str, passes: int, request: gr.Request) -> tuple[Any, ...]:
        training.start(services.access.identify(caller(request)), schema_id, int(passes))
        return follow(language, schema_id)

    @refusals
    def stop(language: str, schema_id: str, request: gr.Request) -> tuple[Any, ...]:
        run = latest(schema_id)
        if run:
            training.cancel(services.access.identify(caller(request)), run.id)
        return follow(language, schema_id)

    @refusals
    def promote(language: str, schema_id: str, request: gr.Request) -> tuple[Any, ...]:
        run = latest(schema_id)
        if run:
            active = training.promote(services.access.identify(caller(request)), run.id)
            gr.Info(
                Text(f"Ab jetzt antwortet {active.version}.", f"{active.version} answers from now on.").say(language),
                title="",
            )
        return *follow(language, schema_id), *overview(language, schema_id)

    @refusals
    def roll_back(language: str, schema_id: str, chosen: str | None, request: gr.Request) -> tuple[Any, ...]:
        if chosen:
            training.roll_back(services.access.identify(caller(request)), chosen)
        return *follow(language, schema_id), *overview(language, schema_id)

    live = [card, plot, start, cancel, result, tested, figures, take, log, timer]
    everything = [*live, amount, counts, version, header]
    private = {"api_visibility": "private", "show_progress": "hidden"}
    asked = [language, schema]
    start.click(begin, [*asked, epochs], live, **private)
    cancel.click(stop, asked, live, **private)
    take.click(promote, asked, everything, concurrency_id="model", **private)
    back.click(roll_back, [*asked, version], everything, concurrency_id="model", **private)
    timer.tick(poll, asked, live, **private)
    gr.on([schema.change, language.change], refresh, asked, everything, **private)
    return refresh, asked, everything
