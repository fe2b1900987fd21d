"""The tab "Training": from the labels in the database to a model that is measured, compared and taken over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block

from medbertde.services import Services
from medbertde.types import Role, Run, RunState, User
from medbertde.ui import result_view, run_view
from medbertde.ui.card import Card
from medbertde.ui.header import header_line
from medbertde.ui.switch import on_switch
from medbertde.ui.training_choices import ChoiceParts, build_choices, choices_of, connect_choices, preview_of
from medbertde.ui.training_result import EarlierParts, ResultParts, build_earlier, build_result
from medbertde.ui.view import FOLLOWING, PRIVATE, caller, refusals
from medbertde.ui.words import Text, Words

ABOUT = Text(
    "Aus den annotierten Befunden lernt ein Modell weiter. Ein fester Teil der Befunde bleibt zum Prüfen zurück; daran "
    "werden das alte und das neue Modell verglichen, bevor Sie das neue übernehmen.",
    "A model learns on from the labelled reports. A fixed part of them is held back; the old and the new model are "
    "compared on it before you take the new one over.",
)
BACK = Text("Zurück zu {}", "Back to {}")
POLL_S = 1.0
Updates = dict[Block, Any]


@dataclass(frozen=True)
class _Going:
    """The run that is shown: buttons, progress, log. `picked` holds the id of a run chosen from the history."""

    start: gr.Button
    cancel: gr.Button
    resume: gr.Button
    progress: Card
    log: gr.Textbox
    picked: gr.State


@dataclass(frozen=True)
class _Parts:
    """All components that change. `header` is the page's line that names the active models."""

    choices: ChoiceParts
    going: _Going
    result: ResultParts
    earlier: EarlierParts
    timer: gr.Timer
    header: gr.Markdown

    @property
    def live(self) -> list[Block]:
        """What changes while a run goes on, and with the run that is looked at."""
        going, result = self.going, self.result
        shown: list[Block] = [result.panel, result.card, result.take, result.undo, self.earlier.runs]
        return [going.progress, going.start, going.cancel, going.resume, going.log, going.picked, *shown, self.timer]

    @property
    def everything(self) -> list[Block]:
        """What changes with the examination, the language and a take-over."""
        return [*self.live, *self.choices.shown, self.earlier.version, self.header]

    @property
    def asked(self) -> list[Any]:
        """What most handlers read after the language: the examination and the run that was picked."""
        return [self.choices.schema, self.going.picked]


def build(services: Services, words: Words, language: gr.Radio, tab: gr.Tab, header: gr.Markdown) -> None:
    """Layout and wiring; `language` holds the page's language ("de" or "en")."""
    words(gr.Markdown, ABOUT, elem_classes="mb-about")
    with gr.Row(elem_classes="mb-sides"):
        with gr.Column(scale=2, min_width=320):
            choices = build_choices(services, words)
            start = words(
                gr.Button, Text("Training starten", "Start training"), variant="primary", elem_id="train-start"
            )
        with gr.Column(scale=3, min_width=320):
            going = _going_panel(words, start)
    result = build_result(services, words)
    earlier = build_earlier(words)
    parts = _Parts(choices, going, result, earlier, gr.Timer(POLL_S, active=False), header)
    connect_choices(services, choices, language)
    _connect_run(services, parts, language)
    _connect_versions(services, parts, language, tab)


def _going_panel(words: Words, start: gr.Button) -> _Going:
    progress = Card("progress", run_view.progress_value(words.language, None, None, None), elem_id="train-progress")
    with gr.Row(elem_classes="mb-buttons"):
        cancel = words(
            gr.Button, Text("Abbrechen", "Cancel"), min_width=140, scale=0, visible=False, elem_id="train-cancel"
        )
        resume = words(
            gr.Button, Text("Fortsetzen", "Resume"), min_width=140, scale=0, visible=False, elem_id="train-resume"
        )
    with words(gr.Accordion, Text("Protokoll", "Log"), open=False):
        log = words(
            gr.Textbox, label=Text("Die letzten Zeilen", "The last lines"), lines=6, max_lines=12, interactive=False,
            elem_id="train-log",
        )  # fmt: skip
    return _Going(start, cancel, resume, progress, log, gr.State(None))


def _connect_run(services: Services, parts: _Parts, language: gr.Radio) -> None:
    """Start, follow, cancel, resume, look at another run."""
    training, identify, going = services.training, services.access.identify, parts.going

    @refusals
    def start(language: str, schema_id: str, passes: int, request: gr.Request, *chosen: Any) -> Updates:
        user = identify(caller(request))
        run = training.start(user, schema_id, int(passes), choices_of(*chosen))
        return _follow(services, parts, user, language, schema_id, run.id)

    def on_shown(act: Callable[[User, str], Any]) -> Callable[..., Updates]:
        """A handler that does something to the run that is shown."""

        def handler(language: str, schema_id: str, picked: str | None, request: gr.Request) -> Updates:
            user = identify(caller(request))
            run = _shown(services, user, schema_id, picked)
            if run:
                act(user, run.id)
            return _follow(services, parts, user, language, schema_id, picked)

        return refusals(handler)

    @refusals
    def look(language: str, schema_id: str, request: gr.Request, event: gr.EventData) -> Updates:
        asked = event._data if isinstance(event._data, dict) else {}
        user = identify(caller(request))
        return _follow(services, parts, user, language, schema_id, str(asked.get("run", "")))

    asked = [language, *parts.asked]
    started = [language, parts.choices.schema, parts.choices.epochs, *parts.choices.chosen]
    going.start.click(start, started, parts.live, **PRIVATE)
    going.cancel.click(on_shown(training.cancel), asked, parts.live, **PRIVATE)
    going.resume.click(on_shown(training.resume), asked, parts.live, **PRIVATE)
    parts.timer.tick(on_shown(lambda _user, _run_id: None), asked, parts.live, **FOLLOWING)
    parts.earlier.runs.choose(look, [language, parts.choices.schema], parts.live, **PRIVATE)


def _connect_versions(services: Services, parts: _Parts, language: gr.Radio, tab: gr.Tab) -> None:
    """Take over, go back, and show all anew."""
    training, identify = services.training, services.access.identify

    def say_active(language: str, version: str) -> None:
        said = Text(f"Ab jetzt antwortet {version}.", f"{version} answers from now on.")
        gr.Info(said.say(language))

    @refusals
    def take_over(language: str, schema_id: str, picked: str | None, request: gr.Request, *chosen: Any) -> Updates:
        user = identify(caller(request))
        run = _shown(services, user, schema_id, picked)
        if run:
            say_active(language, training.promote(user, run.id).version)
        return _refresh(services, parts, user, language, schema_id, picked, chosen)

    @refusals
    def undo(language: str, schema_id: str, picked: str | None, request: gr.Request, *chosen: Any) -> Updates:
        user = identify(caller(request))
        previous = training.previous_version(user, schema_id)
        if previous:
            say_active(language, training.roll_back(user, previous.version).version)
        return _refresh(services, parts, user, language, schema_id, picked, chosen)

    @refusals
    def go_back(
        language: str, schema_id: str, picked: str | None, version: str | None, request: gr.Request, *chosen: Any
    ) -> Updates:
        user = identify(caller(request))
        if version:
            say_active(language, training.roll_back(user, version).version)
        return _refresh(services, parts, user, language, schema_id, picked, chosen)

    @refusals
    def refresh(language: str, schema_id: str, picked: str | None, request: gr.Request, *chosen: Any) -> Updates:
        user = identify(caller(request))
        if not user.role.includes(Role.CURATOR):
            return {parts.header: gr.skip()}
        return _refresh(services, parts, user, language, schema_id, picked, chosen)

    asked, chosen = [language, *parts.asked], parts.choices.chosen
    swapping = {**PRIVATE, "concurrency_id": "exchange"}  # answers of the old model do not wait
    parts.result.take.click(take_over, [*asked, *chosen], parts.everything, **swapping)
    parts.result.undo.click(undo, [*asked, *chosen], parts.everything, **swapping)
    parts.earlier.back.click(go_back, [*asked, parts.earlier.version, *chosen], parts.everything, **swapping)
    tab.select(refresh, [*asked, *chosen], parts.everything, **PRIVATE)
    # By itself: of several changes the last one counts, also while the tab is still being filled.
    parts.choices.schema.change(refresh, [*asked, *chosen], parts.everything, **PRIVATE)
    on_switch(language, refresh, [*asked, *chosen], parts.everything)


def _shown(services: Services, user: User, schema_id: str, picked: str | None) -> Run | None:
    """The run that was picked, else the one that is computing, else the latest of the examination."""
    history = services.training.history(user, schema_id)
    wanted = (
        next((run for run in history if run.id == picked), None),
        next((run for run in history if run.state is RunState.RUNNING), None),
        history[0] if history else None,
    )
    return next((run for run in wanted if run), None)


def _follow(
    services: Services, parts: _Parts, user: User, language: str, schema_id: str, picked: str | None
) -> Updates:
    """How the shown run stands, and what came of it."""
    training = services.training
    run = _shown(services, user, schema_id, picked)
    status = training.status(user, run.id) if run else None
    running, waiting = training.going(user)
    result = training.result(user, run.id) if run and run.state is RunState.FINISHED else None
    versions = training.versions(user, schema_id)
    taken = {item.run_id: item for item in versions if item.run_id}
    mine = taken.get(run.id) if run else None
    may, going = training.may_train(user), bool(run and run.state in run_view.GOING)
    previous = training.previous_version(user, schema_id) if mine and mine.active else None
    back = BACK.say(language).format(previous.version) if previous else ""
    lineages = training.lineages(user, schema_id)
    return {
        parts.going.progress: run_view.progress_value(language, status, running, waiting),
        parts.going.start: gr.update(interactive=may and waiting is None),
        parts.going.cancel: gr.update(visible=run is not None, interactive=may and going),
        parts.going.resume: gr.update(visible=bool(may and status and status.resumable), interactive=waiting is None),
        parts.going.log: status.log_tail if status else "",
        parts.going.picked: picked,
        parts.result.panel: gr.update(visible=result is not None),
        parts.result.card: result_view.result_value(language, result, may_ask=may),
        parts.result.take: gr.update(interactive=may and result is not None and not (mine and mine.active)),
        parts.result.undo: gr.update(value=back, visible=bool(may and previous)),
        parts.earlier.runs: result_view.runs_value(language, lineages, run.id if run else None, taken),
        parts.timer: gr.Timer(active=any(one.run.state in run_view.GOING for one in lineages)),
    }


def _refresh(
    services: Services,
    parts: _Parts,
    user: User,
    language: str,
    schema_id: str,
    picked: str | None,
    chosen: tuple[Any, ...],
) -> Updates:
    """Everything."""
    active = services.reading.active_version(schema_id)
    choices = run_view.version_choices(language, services.training.versions(user, schema_id), active)
    return (
        _follow(services, parts, user, language, schema_id, picked)
        | preview_of(services, parts.choices, user, language, schema_id, chosen)
        | {
            parts.earlier.version: gr.update(choices=choices, value=active if choices else None),
            parts.header: header_line(language, services),
        }
    )
