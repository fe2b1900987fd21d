"""The tab "Lückentext": type a sentence with `[MASK]`, see what the model expects there, put a word in by a click."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from medbertde.services import Services
from medbertde.text import MASK
from medbertde.types import Candidate
from medbertde.ui.card import Card
from medbertde.ui.view import MODEL_CALL, PRIVATE, caller, refusals
from medbertde.ui.words import Text, Words

ABOUT = Text(
    f"Schreiben Sie einen Satz und setzen Sie {MASK} an die Stelle des fehlenden Wortes. Das Sprachmodell nennt die "
    "Wörter, die es dort erwartet.",
    f"Write a German sentence and put {MASK} where a word is missing. The language model names the words it expects.",
)
EMPTY = Text("Die Vorschläge erscheinen hier.", "The candidates appear here.")
HINT = Text("Ein Klick setzt das Wort in den Satz ein.", "A click puts the word into the sentence.")
NO_EXAMPLE = Text("Bitte wählen …", "Please choose …")
LINES = 4
TOP_K = 10
MOST_UNDO = 20


@dataclass(frozen=True)
class Filled:
    """The candidates on the screen and the version that proposed them."""

    candidates: tuple[Candidate, ...]
    model_version: str


@dataclass(frozen=True)
class _Parts:
    """The components that handlers read and write; `previous` holds earlier sentences, the latest last."""

    text: gr.Textbox
    example: gr.Dropdown
    insert: gr.Button
    undo: gr.Button
    run: gr.Button
    card: Card
    filled: gr.State
    previous: gr.State


def candidates_value(language: str, filled: Filled | None) -> dict[str, Any]:
    """What the card shows."""
    if filled is None:
        return {"empty": EMPTY.say(language)}
    items = [{"word": item.word, "probability": item.probability} for item in filled.candidates]
    model = Text(f"Modell: {filled.model_version}", f"Model: {filled.model_version}")
    return {"hint": HINT.say(language), "items": items, "model": model.say(language)}


def build(services: Services, words: Words, language: gr.Radio) -> None:
    """Layout, handlers, wiring; `language` holds the page's language ("de" or "en")."""
    parts = _layout(services, words)
    _connect_model(services, parts, language)
    _connect_sentence(parts)


def _layout(services: Services, words: Words) -> _Parts:
    words(gr.Markdown, ABOUT, elem_classes="mb-about")
    with gr.Row(elem_classes="mb-sides"):
        with gr.Column(min_width=320):
            example = words(
                gr.Dropdown, _examples(services), label=Text("Beispielsatz", "Example sentence"), value="",
                elem_id="fill-example",
            )  # fmt: skip
            text = words(
                gr.Textbox, label=Text("Satz mit Lücke", "Sentence with a gap"), lines=LINES, max_lines=LINES,
                placeholder=f"Kein {MASK} eines Pneumothorax.", elem_id="fill-text",
            )  # fmt: skip
            with gr.Row(elem_classes="mb-buttons"):
                insert = words(
                    gr.Button, Text(f"{MASK} anfügen", f"Append {MASK}"), min_width=140, elem_id="fill-insert"
                )
                undo = words(gr.Button, Text("Zurücknehmen", "Undo"), min_width=140, elem_id="fill-undo")
            run = words(gr.Button, Text("Wörter vorschlagen", "Suggest words"), variant="primary", elem_id="fill-run")
        with gr.Column(min_width=320, elem_id="fill-answer"):
            card = Card("candidates", candidates_value(words.language, None), elem_id="fill-card")
    return _Parts(text, example, insert, undo, run, card, gr.State(None), gr.State(()))


def _connect_model(services: Services, parts: _Parts, language: gr.Radio) -> None:
    """The candidates, for the sentence as it stands or for an example."""
    gaps = services.reading.example_gaps()

    def read(language: str, sentence: str, request: gr.Request) -> tuple[Any, ...]:
        found = services.reading.fill_mask(services.access.identify(caller(request)), sentence, TOP_K)
        return _draw(language, Filled(tuple(found), services.reading.fill_mask_version() or "–"))

    @refusals
    def suggest(language: str, sentence: str, request: gr.Request) -> tuple[Any, ...]:
        return read(language, sentence, request)

    @refusals
    def try_example(
        language: str, index: str, sentence: str, history: Sequence[str], request: gr.Request
    ) -> tuple[Any, ...]:
        """Outputs: sentence, earlier sentences, then the answer."""
        if not index:
            return (gr.skip(),) * 4
        gap = gaps[int(index)].text
        return gap, _remember(history, sentence), *read(language, gap, request)

    def clear(language: str) -> tuple[Any, ...]:
        return _draw(language, None)

    answer = [parts.filled, parts.card]
    working = {**MODEL_CALL, "show_progress": "minimal", "show_progress_on": parts.card}
    gr.on([parts.run.click, parts.text.submit], suggest, [language, parts.text], answer, **working).failure(
        clear, language, answer, **PRIVATE
    )
    parts.example.select(
        try_example, [language, parts.example, parts.text, parts.previous], [parts.text, parts.previous, *answer],
        **working,
    )  # fmt: skip
    language.change(_draw, [language, parts.filled], answer, **PRIVATE)


def _connect_sentence(parts: _Parts) -> None:
    """What changes the sentence without the model: a chosen word, one step back, one more gap."""

    def choose(filled: Filled | None, sentence: str, history: Sequence[str], event: gr.EventData) -> tuple[Any, Any]:
        index = event._data.get("index") if isinstance(event._data, dict) else None
        if filled is None or not isinstance(index, int) or not 0 <= index < len(filled.candidates):
            return gr.skip(), gr.skip()
        return filled.candidates[index].text, _remember(history, sentence)

    def take_back(history: Sequence[str]) -> tuple[Any, Any]:
        return (history[-1], tuple(history[:-1])) if history else (gr.skip(), gr.skip())

    def append(sentence: str) -> str:
        return f"{sentence.rstrip()} {MASK}".lstrip()

    written = [parts.text, parts.previous]
    parts.card.choose(choose, [parts.filled, *written], written, **PRIVATE)
    parts.undo.click(take_back, parts.previous, written, **PRIVATE)
    parts.insert.click(append, parts.text, parts.text, **PRIVATE)


def _draw(language: str, filled: Filled | None) -> tuple[Any, ...]:
    """State and card."""
    return filled, candidates_value(language, filled)


def _remember(history: Sequence[str], sentence: str) -> tuple[str, ...]:
    """The earlier sentences with the one that is being replaced."""
    return (*history[1 - MOST_UNDO :], sentence)


def _examples(services: Services) -> list[tuple[Text, str]]:
    """The choices: an invitation, then the titles, with their positions as values."""
    titles = [Text(gap.title["de"], gap.title["en"]) for gap in services.reading.example_gaps()]
    return [(NO_EXAMPLE, ""), *((title, str(index)) for index, title in enumerate(titles))]
