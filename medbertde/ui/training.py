"""The tab "Training": from the labels in the database to a model that is measured, compared and taken over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block

from medbertde.services import Services
from medbertde.types import Run
from medbertde.ui import run_view
from medbertde.ui.card import Card
from medbertde.ui.header import header_line
from medbertde.ui.view import PRIVATE, caller, refusals
from medbertde.ui.words import Text, Words

ABOUT = Text(
    "Aus den annotierten Befunden lernt das aktive Modell weiter. Ein fester Teil der Befunde bleibt zum Prüfen "
    "zurück; daran werden das alte und das neue Modell verglichen, bevor Sie das neue übernehmen.",
    "The active model learns on from the labelled reports. A fixed part of them is held back; the old and the new "
    "model are compared on it before you take the new one over.",
)
POLL_S = 1.0
Updates = dict[Block, Any]


@dataclass(frozen=True)
class _Start:
    """What to learn from, and the buttons."""

    schema: gr.Radio
    amount: gr.Markdown
    counts: Card
    epochs: gr.Slider
    start: gr.Button
    cancel: gr.Button


@dataclass(frozen=True)
class _Result:
    """Old and new figures of a finished run."""

    panel: gr.Column
    figures: Card
    take: gr.Button


@dataclass(frozen=True)
class _Earlier:
    """Versions to go back to, and the log of the latest run."""

    version: gr.Dropdown
    back: gr.Button
    log: gr.Textbox


@dataclass(frozen=True)
class _Parts:
    """All components that change. `header` is the page's line that names the active models."""

    start: _Start
    progress: Card
    result: _Result
    earlier: _Earlier
    timer: gr.Timer
    header: gr.Markdown

    @property
    def live(self) -> list[Block]:
        """What changes while a run goes on."""
        start, result = self.start, self.result
        shown: list[Block] = [result.panel, result.figures, result.take, self.earlier.log]
        return [self.progress, start.start, start.cancel, *shown, self.timer]

    @property
    def everything(self) -> list[Block]:
        """What changes with the examination, the language and a take-over."""
        return [*self.live, self.start.amount, self.start.counts, self.earlier.version, self.header]


def build(services: Services, words: Words, language: gr.Radio, tab: gr.Tab, header: gr.Markdown) -> None:
    """Layout and wiring; `language` holds the page's language ("de" or "en")."""
    words(gr.Markdown, ABOUT, elem_classes="mb-about")
    with gr.Row(elem_classes="mb-sides"):
        with gr.Column(scale=2, min_width=320):
            start = _start_panel(services, words)
        with gr.Column(scale=3, min_width=320):
            progress = Card("progress", run_view.progress_value(words.language, None), elem_id="train-progress")
            result = _result_panel(words)
    earlier = _earlier_panel(words)
    parts = _Parts(start, progress, result, earlier, gr.Timer(POLL_S, active=False), header)
    _connect_run(services, parts, language)
    _connect_versions(services, parts, language, tab)


def _start_panel(services: Services, words: Words) -> _Start:
    schemas = services.reading.schemas()
    titles = [(Text(schema.title["de"], schema.title["en"]), schema.id) for schema in schemas]
    schema = words(
        gr.Radio, titles, value=schemas[0].id, label=Text("Untersuchung", "Examination"), show_label=False,
        container=False, elem_id="train-schema",
    )  # fmt: skip
    amount = gr.Markdown(elem_id="train-amount")
    with words(gr.Accordion, Text("Annotationen je Befund", "Labels per finding"), open=False):
        counts = Card("table", elem_id="train-counts")
    epochs = words(
        gr.Slider, 1, 20, value=4, step=1, label=Text("Durchgänge durch die Befunde", "Passes over the reports"),
        buttons=[], elem_id="train-epochs",
    )  # fmt: skip
    with gr.Row(elem_classes="mb-buttons"):
        start = words(
            gr.Button, Text("Training starten", "Start training"), variant="primary", min_width=140,
            elem_id="train-start",
        )  # fmt: skip
        cancel = words(gr.Button, Text("Abbrechen", "Cancel"), min_width=140, interactive=False, elem_id="train-cancel")
    return _Start(schema, amount, counts, epochs, start, cancel)


def _result_panel(words: Words) -> _Result:
    with gr.Column(visible=False, elem_id="train-result") as panel:
        figures = Card("table", elem_id="train-figures")
        take = words(gr.Button, Text("Übernehmen", "Use the new model"), variant="primary", elem_id="train-take")
    return _Result(panel, figures, take)


def _earlier_panel(words: Words) -> _Earlier:
    with words(gr.Accordion, Text("Frühere Modelle und Protokoll", "Earlier models and log"), open=False):
        version = words(gr.Dropdown, [], label=Text("Modellversion", "Model version"), elem_id="train-version")
        back = words(gr.Button, Text("Diese Version wieder verwenden", "Use this version again"), elem_id="train-back")
        log = words(
            gr.Textbox, label=Text("Protokoll des letzten Trainings", "Log of the latest run"), lines=6, max_lines=12,
            interactive=False, elem_id="train-log",
        )  # fmt: skip
    return _Earlier(version, back, log)


def _connect_run(services: Services, parts: _Parts, language: gr.Radio) -> None:
    """Start, follow, cancel."""
    training = services.training

    @refusals
    def start(language: str, schema_id: str, passes: int, request: gr.Request) -> Updates:
        training.start(services.access.identify(caller(request)), schema_id, int(passes))
        return _follow(services, parts, language, schema_id)

    @refusals
    def cancel(language: str, schema_id: str, request: gr.Request) -> Updates:
        run = _latest(services, schema_id)
        if run:
            training.cancel(services.access.identify(caller(request)), run.id)
        return _follow(services, parts, language, schema_id)

    @refusals
    def poll(language: str, schema_id: str) -> Updates:
        return _follow(services, parts, language, schema_id)

    asked = [language, parts.start.schema]
    parts.start.start.click(start, [*asked, parts.start.epochs], parts.live, **PRIVATE)
    parts.start.cancel.click(cancel, asked, parts.live, **PRIVATE)
    parts.timer.tick(poll, asked, parts.live, **PRIVATE)


def _connect_versions(services: Services, parts: _Parts, language: gr.Radio, tab: gr.Tab) -> None:
    """Take over, go back, and show all anew."""
    training = services.training

    @refusals
    def take_over(language: str, schema_id: str, request: gr.Request) -> Updates:
        run = _latest(services, schema_id)
        if run:
            active = training.promote(services.access.identify(caller(request)), run.id)
            said = Text(f"Ab jetzt antwortet {active.version}.", f"{active.version} answers from now on.")
            gr.Info(said.say(language), title=Text("Übernommen", "In use").say(language))
        return _refresh(services, parts, language, schema_id)

    @refusals
    def go_back(language: str, schema_id: str, chosen: str | None, request: gr.Request) -> Updates:
        if chosen:
            training.roll_back(services.access.identify(caller(request)), chosen)
        return _refresh(services, parts, language, schema_id)

    @refusals
    def refresh(language: str, schema_id: str) -> Updates:
        return _refresh(services, parts, language, schema_id)

    asked = [language, parts.start.schema]
    swapping = {**PRIVATE, "concurrency_id": "model"}
    parts.result.take.click(take_over, asked, parts.everything, **swapping)
    parts.earlier.back.click(go_back, [*asked, parts.earlier.version], parts.everything, **swapping)
    gr.on([tab.select, parts.start.schema.change, language.change], refresh, asked, parts.everything, **PRIVATE)


def _latest(services: Services, schema_id: str) -> Run | None:
    history = services.training.history(schema_id)
    return history[0] if history else None


def _follow(services: Services, parts: _Parts, language: str, schema_id: str) -> Updates:
    """How the latest run stands."""
    run = _latest(services, schema_id)
    status = services.training.status(run.id) if run else None
    going = bool(status and status.run.state in run_view.GOING)
    old, new = (status.old, status.new) if status else (None, None)
    taken = bool(run and any(item.run_id == run.id for item in services.training.versions(schema_id)))
    return {
        parts.progress: run_view.progress_value(language, status),
        parts.start.start: gr.update(interactive=not going),
        parts.start.cancel: gr.update(interactive=going),
        parts.result.panel: gr.update(visible=new is not None),
        parts.result.figures: run_view.comparison_value(language, old, new),
        parts.result.take: gr.update(interactive=new is not None and not going and not taken),
        parts.earlier.log: status.log_tail if status else "",
        parts.timer: gr.Timer(active=going),
    }


def _refresh(services: Services, parts: _Parts, language: str, schema_id: str) -> Updates:
    """Everything."""
    preview = services.training.preview(schema_id)
    active = services.reading.active_version(schema_id)
    choices = run_view.version_choices(language, services.training.versions(schema_id), active)
    return _follow(services, parts, language, schema_id) | {
        parts.start.amount: run_view.amount(preview).say(language),
        parts.start.counts: run_view.counts_value(language, schema_id, preview),
        parts.earlier.version: gr.update(choices=choices, value=active if choices else None),
        parts.header: header_line(language, services),
    }
