"""The lower part of the tab "Training": the comparison of a finished run, taking over, going back, and the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from medbertde.services import Services
from medbertde.services.access import Caller
from medbertde.ui.annotation_card import server_function
from medbertde.ui.annotation_json import Json, not_understood
from medbertde.ui.card import Card
from medbertde.ui.words import Text, Words


@dataclass(frozen=True)
class ResultParts:
    """Old and new figures of a finished run."""

    panel: gr.Column
    card: Card
    take: gr.Button
    undo: gr.Button


@dataclass(frozen=True)
class EarlierParts:
    """All runs, and the versions to go back to."""

    runs: Card
    version: gr.Dropdown
    back: gr.Button


@dataclass(frozen=True)
class _ReportCall:
    """A report of a run that the card asks about."""

    run_id: str
    key: str


def build_result(services: Services, words: Words) -> ResultParts:
    """The comparison with what can be done about it."""
    with gr.Column(visible=False, elem_id="train-result") as panel:
        words(gr.Markdown, Text("### Bisheriges und neues Modell", "### Old and new model"))
        card = Card("run_result", {}, elem_id="train-figures", server_functions=_functions(services))
        with gr.Row(elem_classes="mb-buttons"):
            take = words(
                gr.Button, Text("Neues Modell übernehmen", "Use the new model"), variant="primary", min_width=220,
                scale=0, elem_id="train-take",
            )  # fmt: skip
            undo = gr.Button(min_width=220, scale=0, visible=False, elem_id="train-undo")
    return ResultParts(panel, card, take, undo)


def build_earlier(words: Words) -> EarlierParts:
    """The history."""
    with words(gr.Accordion, Text("Frühere Trainings und Modelle", "Earlier runs and models"), open=False):
        runs = Card("runs", {}, elem_id="train-runs")
        with gr.Row(elem_classes="mb-buttons"):
            version = words(
                gr.Dropdown, [], label=Text("Modellversion", "Model version"), scale=3, elem_id="train-version"
            )
            back = words(
                gr.Button, Text("Diese Version wieder verwenden", "Use this version again"), min_width=200,
                elem_id="train-back",
            )  # fmt: skip
    return EarlierParts(runs, version, back)


def _functions(services: Services) -> list[Any]:
    """What the result card asks for; the functions' names are those that `cards/run_result.js` calls."""
    training, identify = services.training, services.access.identify

    def held_report(caller: Caller, call: _ReportCall) -> Json:
        return {"text": training.report(identify(caller), call.run_id, call.key).text}

    def ask_review(caller: Caller, call: _ReportCall) -> Json:
        training.ask_for_review(identify(caller), call.run_id, call.key)
        return {}

    return [server_function(handler, _read) for handler in (held_report, ask_review)]


def _read(sent: Any) -> _ReportCall:
    try:
        return _ReportCall(str(sent["run"]), str(sent["report"]))
    except (KeyError, TypeError) as error:
        raise not_understood() from error
