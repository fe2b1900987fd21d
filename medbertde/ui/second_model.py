"""The panel "Zweites Modell": the report on the screen, read by another model, both side by side."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from medbertde.services import Services
from medbertde.services.access import Caller
from medbertde.types import State, User
from medbertde.ui.card import Card
from medbertde.ui.evidence import Panel, explained, report_on_screen, with_progress
from medbertde.ui.findings import Shown
from medbertde.ui.progressing import OnProgress, Stop, refusing
from medbertde.ui.switch import on_switch
from medbertde.ui.versions_view import Versions, versions_value
from medbertde.ui.view import MODEL_CALL, NO_REQUEST, PRIVATE, caller
from medbertde.ui.words import Text, Words

TITLE = Text("Zweites Modell: denselben Befund vergleichen", "Second model: compare the same report")
NONE = Text("Bitte wählen …", "Please choose …")
NAMES = (Text("Dieses Modell", "This model"), Text("Zweites Modell", "Second model"))


@dataclass(frozen=True)
class _Parts:
    """The components that handlers read and write."""

    frame: gr.Accordion
    name: gr.Dropdown
    run: gr.Button
    card: Card
    versions: gr.State


def build(
    services: Services, words: Words, language: gr.Radio, panel: Panel, answered: Sequence[Any], schema: gr.Radio
) -> None:
    """Layout, handlers, wiring; `answered` are the events after which another report is on the screen."""
    parts = _layout(words)
    both = [parts.versions, parts.card]

    def offer(language: str, schema_id: str) -> Any:
        return gr.update(choices=_choices(services, language, schema_id))

    def switch(language: str, schema_id: str) -> tuple[Any, ...]:
        return gr.update(choices=_choices(services, language, schema_id), value=""), None, {}

    def compare(
        language: str, shown: Shown | None, name: str, request: gr.Request = NO_REQUEST
    ) -> Generator[tuple[Any, ...], None, None]:
        yield from refusing(language, steps(language, shown, name, caller(request)))

    def steps(language: str, shown: Shown | None, name: str, asking: Caller) -> Generator[tuple[Any, ...], None, None]:
        user, report = services.access.identify(asking), report_on_screen(shown)
        found = yield from with_progress(
            language, 1, lambda on_progress, stop: compared(services, user, report, name, on_progress, stop)
        )
        yield draw(language, found)

    def draw(language: str, versions: Versions | None) -> tuple[Any, ...]:
        return versions, versions_value(language, versions)

    working = {**MODEL_CALL, "show_progress": "minimal", "show_progress_on": parts.card}
    running = parts.run.click(compare, [language, panel.shown, parts.name], both, **working)
    running.failure(draw, [language, parts.versions], both, **PRIVATE)
    parts.card.cancel(draw, [language, parts.versions], both, cancels=running, **PRIVATE)
    parts.frame.expand(offer, [language, schema], parts.name, **PRIVATE)  # a model may have been trained meanwhile
    schema.change(switch, [language, schema], [parts.name, *both], **PRIVATE)
    on_switch(language, offer, [language, schema], parts.name)
    on_switch(language, draw, [language, parts.versions], both)
    for event in answered:
        event.success(lambda: (None, {}), None, both, **PRIVATE)


def _layout(words: Words) -> _Parts:
    with words(gr.Accordion, TITLE, open=False, elem_id="second") as frame:
        name = words(gr.Dropdown, [(NONE, "")], value="", label=Text("Modell", "Model"), elem_id="second-name")
        with gr.Row(elem_classes="mb-buttons"):
            run = words(gr.Button, Text("Vergleichen", "Compare"), min_width=140, elem_id="second-run")
        card = Card("versions", {}, elem_id="second-card")
    return _Parts(frame, name, run, card, gr.State(None))


def _choices(services: Services, language: str, schema_id: str) -> list[tuple[str, str]]:
    """The models on this machine that could answer instead."""
    found = services.second_opinion.choices(schema_id)
    return [(NONE.say(language), ""), *((choice.title[language], choice.name) for choice in found)]


def compared(services: Services, user: User, shown: Shown, name: str, on_progress: OnProgress, stop: Stop) -> Versions:
    """The report as the model that classified it and the one called `name` read it, with the same finding explained."""
    first = explained(services, user, shown, on_progress, stop)
    label, state = first.chosen, State(first.attributions[first.chosen].target)
    found = services.second_opinion.read(
        user,
        first.schema_id,
        first.text,
        name,
        label=label,
        state=state,
        method=first.method,
        baseline=first.baseline,
        on_progress=on_progress,
        stop=stop,
    )
    second = replace(
        first, prediction=found.prediction, thresholds=found.thresholds, attributions={label: found.attribution}
    )
    return Versions(first, second, NAMES)
