"""The tab "Lückentext": type a sentence with `[MASK]`, see what the model expects there, put a word in by a click."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from medbertde.services import Services
from medbertde.text import MASK
from medbertde.types import Candidate
from medbertde.ui.card import Card
from medbertde.ui.view import caller, refusals
from medbertde.ui.words import Text, Words

TEXT = Text("Satz mit Lücke", "Sentence with a gap")
PLACEHOLDER = Text(f"Kein {MASK} eines Pneumothorax.", f"Kein {MASK} eines Pneumothorax.")
ABOUT = Text(
    f"Schreiben Sie einen Satz und setzen Sie {MASK} an die Stelle des fehlenden Wortes. Das Sprachmodell nennt die "
    "Wörter, die es dort erwartet.",
    f"Write a German sentence and put {MASK} where a word is missing. The language model names the words it expects.",
)
EMPTY = Text("Die Vorschläge erscheinen hier.", "The candidates appear here.")
HINT = Text("Ein Klick setzt das Wort in den Satz ein.", "A click puts the word into the sentence.")
CHOOSE = Text("Beispielsatz wählen", "Choose an example")


def candidates_value(language: str, candidates: Sequence[Candidate] = ()) -> dict[str, Any]:
    """What the card shows."""
    items = [{"word": item.word, "probability": item.probability} for item in candidates]
    return {"empty": EMPTY.say(language), "hint": HINT.say(language), "items": items}


def build(services: Services, words: Words, language: gr.Radio) -> None:
    """Layout, handlers, wiring."""
    gaps = services.reading.example_gaps()
    titles = [(Text(gap.title["de"], gap.title["en"]), str(index)) for index, gap in enumerate(gaps)]
    words(gr.Markdown, ABOUT, elem_classes="mb-about")
    with gr.Row():
        with gr.Column(scale=1, min_width=320):
            text = words(gr.Textbox, label=TEXT, placeholder=PLACEHOLDER, lines=4, max_lines=12, elem_id="fill-text")
            example = words(gr.Dropdown, titles, label=CHOOSE, value=None, elem_id="fill-example")
            with gr.Row():
                insert = words(gr.Button, Text(f"{MASK} anfügen", f"Append {MASK}"), min_width=120)
                undo = words(gr.Button, Text("Zurücknehmen", "Undo"), min_width=120, elem_id="fill-undo")
            run = words(gr.Button, Text("Wörter vorschlagen", "Suggest words"), variant="primary", elem_id="fill-run")
        with gr.Column(scale=1, min_width=320):
            card = Card("candidates", candidates_value(words.language), elem_id="fill-card")
    shown = gr.State(())
    previous = gr.State(())
    words.on_language(card, lambda _: gr.skip())

    @refusals
    def suggest(language: str, sentence: str, request: gr.Request) -> tuple[Any, Any]:
        user = services.access.identify(caller(request))
        found = services.reading.fill_mask(user, sentence, 10)
        return candidates_value(language, found), tuple(candidate.text for candidate in found)

    def choose(texts: Sequence[str], sentence: str, history: Sequence[str], event: gr.EventData) -> tuple[Any, Any]:
        index = event._data["index"] if isinstance(event._data, dict) else -1
        if not 0 <= index < len(texts):
            return gr.skip(), gr.skip()
        return texts[index], (*history[-20:], sentence)

    def take_back(history: Sequence[str]) -> tuple[Any, Any]:
        return (history[-1], history[:-1]) if history else (gr.skip(), gr.skip())

    def pick(index: str | None, sentence: str, history: Sequence[str]) -> tuple[Any, Any]:
        return (gaps[int(index)].text, (*history[-20:], sentence)) if index else (gr.skip(), gr.skip())

    model = {"concurrency_id": "model", "api_visibility": "private", "show_progress": "minimal"}
    gr.on([run.click, text.submit], suggest, [language, text], [card, shown], **model)
    card.choose(choose, [shown, text, previous], [text, previous], api_visibility="private", show_progress="hidden")
    undo.click(take_back, previous, [text, previous], api_visibility="private", show_progress="hidden")
    insert.click(
        lambda sentence: f"{sentence.rstrip()} {MASK}".lstrip(),
        text,
        text,
        api_visibility="private",
        show_progress="hidden",
    )
    example.input(
        pick, [example, text, previous], [text, previous], api_visibility="private", show_progress="hidden"
    ).then(suggest, [language, text], [card, shown], **model)
