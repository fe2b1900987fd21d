"""The part of the header where models are looked at and changed: "Modelle"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.context import Context

from medbertde.services import Services
from medbertde.services.models import Switch
from medbertde.ui.card import Card
from medbertde.ui.header import header_line, slot_titles
from medbertde.ui.model_view import choices_value, switch_value
from medbertde.ui.switch import on_switch
from medbertde.ui.view import FOLLOWING, PRIVATE, caller, refusals
from medbertde.ui.words import Text, Words

POLL_S = 0.5
ANSWERS = ("read-findings", "fill-card")  # cards that show an answer: with the next one a page learns of a new model
Updates = dict[Block, Any]


@dataclass(frozen=True)
class _Parts:
    """The components that handlers read and write.

    `opened`: the list is in sight; `asked`: the id of the change that this page began last; `going`: it has not ended.
    """

    panel: gr.Accordion
    slot: gr.Radio
    row: gr.Row
    typed: gr.Textbox
    use: gr.Button
    status: Card
    models: Card
    timer: gr.Timer
    opened: gr.State
    asked: gr.State
    going: gr.State
    header: gr.Markdown

    @property
    def shown(self) -> list[Block]:
        """What a change of model changes."""
        return [self.status, self.models, self.row, self.timer, self.opened, self.asked, self.going, self.header]


def build(services: Services, words: Words, language: gr.Radio, header: gr.Markdown) -> None:
    """Layout, handlers, wiring; `header` is the line that names what answers."""
    parts = _layout(services, words, header)
    _connect_changes(services, parts, language)
    _connect_list(services, parts, language)


def _layout(services: Services, words: Words, header: gr.Markdown) -> _Parts:
    titles = [(title, slot) for slot, title in slot_titles(services).items()]
    with words(
        gr.Accordion, Text("Modelle ansehen und wechseln", "Look at and change models"), open=False, elem_id="models"
    ) as panel:
        slot = words(
            gr.Radio, titles, value=titles[0][1], label=Text("Aufgabe", "Task"), show_label=False, container=False,
            elem_id="models-slot",
        )  # fmt: skip
        status = Card("switching", switch_value(words.language, None, may_switch=True), elem_id="models-status")
        models = Card("models", {}, elem_id="models-list")
        with gr.Row(visible=False, elem_id="models-own", elem_classes="mb-buttons") as row:
            typed = words(
                gr.Textbox, label=Text("Anderer Modellordner oder Hub-Kennung", "Another model folder or Hub id"),
                placeholder=Text("/daten/modelle/mein-modell", "/data/models/my-model"), lines=1, max_lines=1, scale=4,
                min_width=240, elem_id="models-typed",
            )  # fmt: skip
            use = words(gr.Button, Text("Laden und verwenden", "Load and use"), min_width=160, elem_id="models-use")
    timer = gr.Timer(POLL_S, active=False)
    return _Parts(
        panel, slot, row, typed, use, status, models, timer, gr.State(False), gr.State(None), gr.State(False), header
    )


def _connect_changes(services: Services, parts: _Parts, language: gr.Radio) -> None:
    """Begin a change and follow it to its end."""

    def begin(language: str, slot: str, name: str, request: gr.Request) -> Updates:
        switch = services.models.start(services.access.identify(caller(request)), slot, name)
        begun = {parts.asked: switch.id, parts.going: True, parts.timer: gr.Timer(active=True)}
        return begun | _shown(services, parts, language, slot, switch, request)

    @refusals
    def choose(language: str, slot: str, request: gr.Request, event: gr.EventData) -> Updates:
        asked = event._data if isinstance(event._data, dict) else {}
        return begin(language, slot, str(asked.get("name", "")), request)

    @refusals
    def use_typed(language: str, slot: str, name: str, request: gr.Request) -> Updates:
        return begin(language, slot, name, request)

    @refusals
    def poll(language: str, slot: str, asked: str | None, going: bool, request: gr.Request) -> Updates:
        """A tick that was on its way when the change ended, or the language was switched, changes nothing."""
        if not asked or not going:
            return {parts.timer: gr.Timer(active=False)}
        switch = services.models.status(asked)
        if switch.going:
            return {parts.status: switch_value(language, switch, may_switch=True)}
        header = header_line(language, services)
        ended = {parts.timer: gr.Timer(active=False), parts.going: False, parts.header: header}
        return ended | _shown(services, parts, language, slot, switch, request)

    def stop(language: str) -> Updates:
        """After an unexpected failure: the toast has said so."""
        nothing = switch_value(language, None, may_switch=True)
        return {parts.timer: gr.Timer(active=False), parts.asked: None, parts.going: False, parts.status: nothing}

    where = [language, parts.slot]
    parts.models.choose(choose, where, parts.shown, **PRIVATE)
    gr.on([parts.use.click, parts.typed.submit], use_typed, [*where, parts.typed], parts.shown, **PRIVATE)
    following = parts.timer.tick(poll, [*where, parts.asked, parts.going], parts.shown, **FOLLOWING)
    following.failure(stop, language, parts.shown, **PRIVATE)


def _connect_list(services: Services, parts: _Parts, language: gr.Radio) -> None:
    """The list for a task, read anew whenever it comes into sight; nothing is read while it is closed."""

    def read(language: str, slot: str, asked: str | None, request: gr.Request) -> Updates:
        switch = services.models.status(asked) if asked else None
        return {parts.opened: True} | _shown(services, parts, language, slot, switch, request)

    @refusals
    def show(language: str, slot: str, asked: str | None, request: gr.Request) -> Updates:
        return read(language, slot, asked, request)

    @refusals
    def speak(language: str, slot: str, asked: str | None, opened: bool, request: gr.Request) -> Updates:
        return read(language, slot, asked, request) if opened else {parts.opened: False}

    def name_again(language: str) -> str:
        return header_line(language, services)

    where = [language, parts.slot, parts.asked]
    parts.panel.expand(show, where, parts.shown, **PRIVATE)
    parts.slot.change(show, where, parts.shown, **PRIVATE)  # by itself: of several changes, the last one counts
    on_switch(language, speak, [*where, parts.opened], parts.shown)
    page = Context.root_block
    assert page is not None, "the page is being built"
    cards = [block for block in page.blocks.values() if isinstance(block, Card) and block.elem_id in ANSWERS]
    gr.on([card.change for card in cards], name_again, language, parts.header, **PRIVATE)


def _shown(
    services: Services, parts: _Parts, language: str, slot: str, switch: Switch | None, request: gr.Request
) -> Updates:
    """How the change stands, the list of models, and whether others can be typed in."""
    may_switch = services.models.may_switch(services.access.identify(caller(request)))
    busy = switch.name if switch and switch.going else None
    choices = services.models.choices(slot)
    return {
        parts.status: switch_value(language, switch, may_switch=may_switch),
        parts.models: choices_value(language, choices, may_switch=may_switch, busy=busy),
        parts.row: gr.update(visible=may_switch),
    }
