"""The closed part "Mehr" of the tab "Lückentext": own words in the gap, a second model, the pieces of the sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from medbertde.services import Services
from medbertde.services.reading import Ranked, Tokenisation
from medbertde.types import Task, UserError
from medbertde.ui.card import Card
from medbertde.ui.fill_mask_pieces import pieces_value
from medbertde.ui.fill_mask_view import Pair, pair_values, ranked_value
from medbertde.ui.fill_mask_written import Written, choosing
from medbertde.ui.switch import on_switch
from medbertde.ui.view import MODEL_CALL, PRIVATE, caller, refusals
from medbertde.ui.words import Text, Words

TOP_K = 10
NO_SECOND = Text("keines", "none")


@dataclass(frozen=True)
class _Own:
    """Words of the user's own."""

    typed: gr.Textbox
    run: gr.Button
    card: Card
    ranked: gr.State


@dataclass(frozen=True)
class _Second:
    """The second model, its candidates beside those of the first, and the pieces of both."""

    name: gr.Dropdown
    compare: gr.Button
    cut: gr.Button
    left: Card
    right: Card
    pieces: Card
    pair: gr.State
    cuts: gr.State


def build(services: Services, words: Words, language: gr.Radio, written: Written) -> None:
    """Layout, handlers, wiring; all tools work on the sentence in `written`."""
    with words(gr.Accordion, Text("Mehr", "More"), open=False, elem_id="fill-more"):
        own = _own_words(words)
        second = _second_model(services, words)
    _connect_own(services, own, language, written)
    _connect_pair(services, second, language, written)
    _connect_pieces(services, second, language, written)


def _own_words(words: Words) -> _Own:
    with gr.Row(elem_classes="mb-sides"):
        with gr.Column(min_width=300):
            typed = words(
                gr.Textbox,
                label=Text(
                    "Eigene Wörter für die Lücke, durch Kommas getrennt",
                    "Words of your own for the gap, separated by commas",
                ),
                placeholder=Text("Nachweis, Hinweis, Anhalt", "Nachweis, Hinweis, Anhalt"), lines=2, max_lines=6,
                elem_id="fill-own",
            )  # fmt: skip
            run = words(gr.Button, Text("Eigene Wörter vergleichen", "Compare own words"), elem_id="fill-own-run")
        with gr.Column(min_width=300):
            card = Card("candidates", ranked_value(words.language, None), elem_id="fill-own-card")
    return _Own(typed, run, card, gr.State(None))


def _second_model(services: Services, words: Words) -> _Second:
    name = words(
        gr.Dropdown, _choices(services), value="", allow_custom_value=True, elem_id="fill-second",
        label=Text("Zweites Modell: aus der Liste oder ein Ordner", "Second model: from the list or a folder"),
    )  # fmt: skip
    with gr.Row(elem_classes="mb-buttons"):
        compare = words(gr.Button, Text("Modelle vergleichen", "Compare models"), min_width=140, elem_id="fill-compare")
        cut = words(gr.Button, Text("Wortteile zeigen", "Show word pieces"), min_width=140, elem_id="fill-cut")
    with gr.Row(elem_classes="mb-sides"):
        with gr.Column(min_width=300):
            left = Card("candidates", {"empty": ""}, elem_id="fill-left")
        with gr.Column(min_width=300):
            right = Card("candidates", {"empty": ""}, elem_id="fill-right")
    pieces = Card("pieces", pieces_value(words.language, ()), elem_id="fill-pieces")
    return _Second(name, compare, cut, left, right, pieces, gr.State(None), gr.State(()))


def _choices(services: Services) -> list[tuple[Text, str]]:
    """No model, then those on this machine; of a classifier only the pieces can be compared."""
    entries = services.reading.second_models()
    only = {Task.CLASSIFY: Text(" – nur Wortteile", " – pieces only"), Task.FILL_MASK: Text("", "")}
    named = [
        (Text(entry.title["de"] + only[entry.task].de, entry.title["en"] + only[entry.task].en), entry.id)
        for entry in entries
    ]
    return [(NO_SECOND, ""), *named]


def _connect_own(services: Services, own: _Own, language: gr.Radio, written: Written) -> None:
    @refusals
    def rank(language: str, sentence: str, typed: str, request: gr.Request) -> tuple[Any, ...]:
        user = services.access.identify(caller(request))
        return draw(language, services.reading.rank_words(user, sentence, typed))

    def draw(language: str, ranked: Ranked | None) -> tuple[Any, ...]:
        return ranked, ranked_value(language, ranked)

    answer = [own.ranked, own.card]
    working = {**MODEL_CALL, "show_progress": "minimal", "show_progress_on": own.card}
    gr.on([own.run.click, own.typed.submit], rank, [language, written.text, own.typed], answer, **working)
    own.card.choose(choosing(lambda ranked: ranked.texts), [own.ranked, *written.both], written.both, **PRIVATE)
    on_switch(language, draw, [language, own.ranked], answer)


def _connect_pair(services: Services, second: _Second, language: gr.Radio, written: Written) -> None:
    @refusals
    def compare(language: str, sentence: str, name: str | None, request: gr.Request) -> tuple[Any, ...]:
        user = services.access.identify(caller(request))
        found = services.reading.suggest(user, sentence, TOP_K, second=_named(name))
        return draw(language, Pair(services.reading.suggest(user, sentence, TOP_K), found))

    def draw(language: str, pair: Pair | None) -> tuple[Any, ...]:
        return pair, *pair_values(language, pair)

    answer = [second.pair, second.left, second.right]
    working = {**MODEL_CALL, "show_progress": "minimal", "show_progress_on": [second.left, second.right]}
    second.compare.click(compare, [language, written.text, second.name], answer, **working)
    first_texts, second_texts = (lambda pair: pair.first.texts), (lambda pair: pair.second.texts)
    second.left.choose(choosing(first_texts), [second.pair, *written.both], written.both, **PRIVATE)
    second.right.choose(choosing(second_texts), [second.pair, *written.both], written.both, **PRIVATE)
    on_switch(language, draw, [language, second.pair], answer)


def _connect_pieces(services: Services, second: _Second, language: gr.Radio, written: Written) -> None:
    @refusals
    def cut(language: str, sentence: str, name: str | None, request: gr.Request) -> tuple[Any, ...]:
        user = services.access.identify(caller(request))
        names = ["", _named(name)] if name else [""]
        return draw(language, tuple(services.reading.tokenise(user, sentence, second=each) for each in names))

    def draw(language: str, cuts: tuple[Tokenisation, ...]) -> tuple[Any, ...]:
        return cuts, pieces_value(language, cuts)

    answer = [second.cuts, second.pieces]
    working = {**MODEL_CALL, "show_progress": "minimal", "show_progress_on": second.pieces}
    second.cut.click(cut, [language, written.text, second.name], answer, **working)
    on_switch(language, draw, [language, second.cuts], answer)


def _named(name: str | None) -> str:
    """The second model as it was chosen or typed."""
    if isinstance(name, str) and name.strip():
        return name.strip()
    raise UserError("Bitte zuerst ein zweites Modell wählen.", "Please choose a second model first.")
