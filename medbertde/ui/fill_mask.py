"""The tab "Lückentext": type a sentence with `[MASK]`, see what the model expects there, put a word in by a click."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from medbertde.services import Services
from medbertde.text import MASK
from medbertde.ui import fill_mask_more, screening
from medbertde.ui.card import Card
from medbertde.ui.evidence import sent
from medbertde.ui.fill_mask_view import Filled, candidates_value, csv_lines
from medbertde.ui.fill_mask_written import Written, choosing
from medbertde.ui.screening import Note
from medbertde.ui.switch import on_switch
from medbertde.ui.view import MODEL_CALL, PRIVATE, caller, refusals
from medbertde.ui.words import Text, Words

ABOUT = Text(
    f"Schreiben Sie einen Satz und setzen Sie {MASK} an die Stelle des fehlenden Wortes. Das Sprachmodell nennt die "
    f"Wörter, die es dort erwartet. Mehrere {MASK} werden gemeinsam gefüllt.",
    f"Write a German sentence and put {MASK} where a word is missing. The language model names the words it expects. "
    f"Several {MASK} are filled together.",
)
NO_EXAMPLE = Text("Bitte wählen …", "Please choose …")
WHOLE, PIECES = "words", "pieces"
MODES = [(Text("nur Wörter", "words only"), WHOLE), (Text("alle Wortteile", "all word pieces"), PIECES)]
LINES = 4
TOP_K = 10
FILE_NAME = "medbertde_fill_mask.csv"
_PRESS_DOWNLOAD = "() => document.querySelector('#fill-download, #fill-download a, a#fill-download').click()"


@dataclass(frozen=True)
class _Parts:
    """The components that handlers read and write; `written` is the sentence with its history."""

    written: Written
    example: gr.Dropdown
    insert: gr.Button
    undo: gr.Button
    mode: gr.Radio
    run: gr.Button
    note: Note
    card: Card
    save: gr.Button
    filled: gr.State


def build(services: Services, words: Words, language: gr.Radio) -> None:
    """Layout, handlers, wiring; `language` holds the page's language ("de" or "en")."""
    parts = _layout(services, words, language)
    _connect_model(services, parts, language)
    _connect_sentence(parts)
    _connect_download(parts, language)
    fill_mask_more.build(services, words, language, parts.written)


def _layout(services: Services, words: Words, language: gr.Radio) -> _Parts:
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
            mode = words(
                gr.Radio, MODES, value=WHOLE, label=Text("Vorschläge", "Candidates"), show_label=False,
                container=False, elem_id="fill-mode",
            )  # fmt: skip
            run = words(gr.Button, Text("Wörter vorschlagen", "Suggest words"), variant="primary", elem_id="fill-run")
        with gr.Column(min_width=320, elem_id="fill-answer"):
            note = screening.note("fill-screening", language)
            card = Card("candidates", candidates_value(words.language, None), elem_id="fill-card")
            save = words(
                gr.Button, Text("Als Tabelle laden (.csv)", "Download as a table (.csv)"), size="sm", visible=False,
                elem_id="fill-save",
            )  # fmt: skip
    return _Parts(Written(text, gr.State(())), example, insert, undo, mode, run, note, card, save, gr.State(None))


def _connect_model(services: Services, parts: _Parts, language: gr.Radio) -> None:
    """The candidates, for the sentence as it stands or for an example."""
    handlers = _Candidates(services)
    card = [parts.filled, parts.card, parts.save]
    answer = [*parts.note.both, *card]
    text, written = parts.written.text, parts.written.both
    working = {**MODEL_CALL, "show_progress": "minimal", "show_progress_on": parts.card}
    suggest, change_mode = refusals(handlers.suggest), refusals(handlers.change_mode)
    try_example, decide = refusals(handlers.try_example), refusals(handlers.decide)
    gr.on([parts.run.click, text.submit], suggest, [language, text, parts.mode], answer, **working).failure(
        _clear, language, answer, **PRIVATE
    )
    parts.mode.input(change_mode, [language, parts.filled, parts.mode], answer, **working)
    parts.example.select(try_example, [language, parts.example, *written, parts.mode], [*written, *answer], **working)
    asked = [language, *written, parts.mode, parts.note.question]
    parts.note.card.decide(decide, asked, [*written, *answer], **working)
    on_switch(language, _draw, [language, parts.filled], card)


@dataclass(frozen=True)
class _Candidates:
    """The handlers. An answer is what the sentence says about persons, then the candidates."""

    services: Services

    def suggest(
        self, language: str, sentence: str, mode: str, request: gr.Request, replaced: int = 0
    ) -> tuple[Any, ...]:
        """The answer; without candidates where somebody has to decide about a name first."""
        user = self.services.access.identify(caller(request))
        question = self.services.gate.ask(user, sentence)
        asked = screening.draw(language, question, replaced)
        if question and question.must:
            return *asked, *_draw(language, None)
        found = self.services.reading.suggest(user, sentence, TOP_K, whole=mode != PIECES)
        return *asked, *_draw(language, Filled(sentence, found))

    def change_mode(self, language: str, filled: Filled | None, mode: str, request: gr.Request) -> tuple[Any, ...]:
        """The candidates on the screen in the other way, for the sentence they belong to."""
        return self.suggest(language, filled.sentence, mode, request) if filled else (gr.skip(),) * 5

    def try_example(
        self, language: str, index: str, sentence: str, history: Sequence[str], mode: str, request: gr.Request
    ) -> tuple[Any, ...]:
        """Sentence, earlier sentences, then the answer."""
        if not index:
            return (gr.skip(),) * 7
        gap = self.services.reading.example_gaps()[int(index)].text
        return gap, Written.remember(history, sentence), *self.suggest(language, gap, mode, request)

    def decide(
        self,
        language: str,
        sentence: str,
        history: Sequence[str],
        mode: str,
        question: Any,
        event: gr.EventData,
        request: gr.Request,
    ) -> tuple[Any, ...]:
        """The sentence as the user wants it, earlier sentences, then the answer."""
        wanted, replaced = screening.decided(self.services, caller(request), question, sentence, sent(event))
        earlier = Written.remember(history, sentence)
        return wanted, earlier, *self.suggest(language, wanted, mode, request, replaced)


def _clear(language: str) -> tuple[Any, ...]:
    return *screening.draw(language, None), *_draw(language, None)


def _connect_sentence(parts: _Parts) -> None:
    """What changes the sentence without the model: a chosen word, one step back, one more gap."""

    def append(sentence: str) -> str:
        return f"{sentence.rstrip()} {MASK}".lstrip()

    written = parts.written
    parts.card.choose(
        choosing(lambda filled: filled.suggested.texts), [parts.filled, *written.both], written.both, **PRIVATE
    )
    parts.undo.click(Written.take_back, written.previous, written.both, **PRIVATE)
    parts.insert.click(append, written.text, written.text, **PRIVATE)


def _connect_download(parts: _Parts, language: gr.Radio) -> None:
    """The candidates on the screen as a file."""
    download = gr.DownloadButton(visible="hidden", elem_id="fill-download")

    @refusals
    def save(_language: str, filled: Filled | None) -> Any:
        """Output: the file, in Gradio's cache, which is emptied soon after."""
        return str(write_table(filled, Path(download.GRADIO_CACHE) / uuid.uuid4().hex)) if filled else gr.skip()

    parts.save.click(save, [language, parts.filled], download, **PRIVATE).success(None, js=_PRESS_DOWNLOAD, **PRIVATE)


def write_table(filled: Filled, folder: Path) -> Path:
    """The candidates as a `.csv` file; it begins with a byte-order mark, or Excel misreads the umlauts."""
    folder.mkdir(parents=True)
    path = folder / FILE_NAME
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        file.writelines(csv_lines(filled))
    return path


def _draw(language: str, filled: Filled | None) -> tuple[Any, ...]:
    """State, card and the button that saves it."""
    there = filled is not None and bool(filled.suggested.candidates)
    return filled, candidates_value(language, filled), gr.update(visible=there)


def _examples(services: Services) -> list[tuple[Text, str]]:
    """The choices: an invitation, then the titles, with their positions as values."""
    titles = [Text(gap.title["de"], gap.title["en"]) for gap in services.reading.example_gaps()]
    return [(NO_EXAMPLE, ""), *((title, str(index)) for index, title in enumerate(titles))]
