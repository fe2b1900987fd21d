"""The tab "Klassifikation": a report in, its findings by state. What speaks for them is in `evidence`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from medbertde.services import Services
from medbertde.text import decode
from medbertde.types import InvalidFile, Role
from medbertde.ui import batch, evidence, evidence_more, evidence_words, screening, second_model, threshold, what_if
from medbertde.ui.card import Card
from medbertde.ui.evidence import Panel, draw, sent
from medbertde.ui.findings import Shown, findings_value
from medbertde.ui.screening import Note
from medbertde.ui.switch import on_switch
from medbertde.ui.view import PRIVATE, SIMULTANEOUS, caller, refusals
from medbertde.ui.words import Text, Words

LINES = 12  # of the text field, whatever it holds, so that nothing below it jumps
# On a narrow screen the answer stands below what was pressed, elsewhere beside it.
_SHOW = """() => {
  if (!matchMedia("(max-width: 760px)").matches) return;
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
  document.getElementById("%s").scrollIntoView({ block: "%s", behavior });
}"""
_SHOW_ANSWER, _SHOW_TEXT = _SHOW % ("read-answer", "start"), _SHOW % ("read-text", "nearest")
_TEXT_CHANGED = """() => { document.dispatchEvent(new CustomEvent("medbertde-text")); }"""
NO_EXAMPLE = Text("Bitte wählen …", "Please choose …")


@dataclass(frozen=True)
class _Parts:
    """The components that handlers read and write."""

    schema: gr.Radio
    example: gr.Dropdown
    text: gr.Textbox
    upload: gr.UploadButton
    run: gr.Button
    note: Note
    panel: Panel


def build(services: Services, words: Words, language: gr.Radio) -> None:
    """Layout, handlers, wiring; `language` holds the page's language ("de" or "en")."""
    parts = _layout(services, words, language)
    several = gr.State(None)  # of the batch, whose probabilities the thresholds are tried on
    answered = _connect_model(services, parts, language)
    _connect_input(services, parts, language)
    evidence.connect(services, parts.panel, language)
    evidence_more.connect(services, parts.panel, language)
    evidence_words.connect(services, parts.panel, language)
    what_if.build(services, words, language, parts.panel, answered, parts.schema)
    threshold.build(services, words, language, parts.panel, answered, parts.schema, several)
    second_model.build(services, words, language, parts.panel, answered, parts.schema)
    batch.build(services, words, language, parts.schema, several)


def _layout(services: Services, words: Words, language: gr.Radio) -> _Parts:
    schemas = services.reading.schemas()
    titles = [(Text(schema.title["de"], schema.title["en"]), schema.id) for schema in schemas]
    with gr.Row(elem_id="read", elem_classes="mb-sides"):
        with gr.Column(scale=5, min_width=320, elem_id="read-input"):
            schema = words(
                gr.Radio, titles, value=schemas[0].id, label=Text("Untersuchung", "Examination"), show_label=False,
                container=False, elem_id="read-schema",
            )  # fmt: skip
            example = words(
                gr.Dropdown, label=Text("Fiktiver Beispielbefund", "Fictional example report"), value="",
                choices=_examples(services, words.language, schemas[0].id), elem_id="read-example",
            )  # fmt: skip
            text = words(
                gr.Textbox, label=Text("Befundtext", "Report"), lines=LINES, max_lines=LINES, elem_id="read-text",
                placeholder=Text("Befund hier einfügen …", "Paste a German report here …"),
            )  # fmt: skip
            with gr.Row(elem_classes="mb-buttons"):
                # No file_types: the server's refusal is in the page's language, the browser's would not be.
                upload = words(
                    gr.UploadButton, Text("Textdatei laden", "Load a text file"), min_width=140, elem_id="read-upload"
                )
                run = words(
                    gr.Button, Text("Klassifizieren", "Classify"), variant="primary", min_width=140, elem_id="read-run"
                )
            reasons, reason, more, download = evidence.explanations(words)
        with gr.Column(scale=4, min_width=320, elem_id="read-answer"):
            note = screening.note("read-screening", language)
            findings = Card("findings", findings_value(words.language, None), elem_id="read-findings")
    panel = Panel(gr.State(None), findings, reasons, reason, more, download)
    return _Parts(schema, example, text, upload, run, note, panel)


def _connect_model(services: Services, parts: _Parts, language: gr.Radio) -> list[Any]:
    """The answers: findings of a report, in the page's language. Returns the events that bring them."""
    answer = [*parts.note.both, *parts.panel.answer]

    def read(language: str, schema_id: str, report: str, request: gr.Request, replaced: int = 0) -> tuple[Any, ...]:
        """Outputs: what the text says about persons, then the answer to it, unless somebody has to decide first."""
        user = services.access.identify(caller(request))
        question = services.gate.ask(user, report)
        asked = screening.draw(language, question, replaced)
        if question and question.must:
            return *asked, *draw(language, None)
        prediction = services.reading.classify(user, schema_id, report)
        thresholds, may_propose = dict(services.reading.thresholds(schema_id)), user.role.includes(Role.ANNOTATOR)
        shown = Shown(schema_id, report, prediction, thresholds, may_propose=may_propose)
        return *asked, *draw(language, shown)

    @refusals
    def classify(language: str, schema_id: str, report: str, request: gr.Request) -> tuple[Any, ...]:
        return read(language, schema_id, report, request)

    @refusals
    def try_example(language: str, schema_id: str, index: str, request: gr.Request) -> tuple[Any, ...]:
        """Output: the text of the example, then the answer to it."""
        if not index:
            return (gr.skip(),) * len(both)
        report = services.reading.example_reports(schema_id)[int(index)].text
        return report, *read(language, schema_id, report, request)

    @refusals
    def decide(
        language: str, schema_id: str, report: str, question: Any, event: gr.EventData, request: gr.Request
    ) -> tuple[Any, ...]:
        """Output: the text as the user wants it, then the answer to it."""
        report, replaced = screening.decided(services, caller(request), question, report, sent(event))
        return report, *read(language, schema_id, report, request, replaced)

    def clear(language: str) -> tuple[Any, ...]:
        return *screening.draw(language, None), *draw(language, None)

    working = {**PRIVATE, **SIMULTANEOUS, "show_progress": "minimal", "show_progress_on": parts.panel.findings}
    asked, both = [language, parts.schema, parts.text], [parts.text, *answer]
    events = [
        parts.run.click(classify, asked, answer, **working),
        parts.example.select(try_example, [language, parts.schema, parts.example], both, **working),
        parts.note.card.decide(decide, [*asked, parts.note.question], both, **working),
    ]
    events[0].failure(clear, language, answer, **PRIVATE)
    parts.run.click(None, None, None, js=_SHOW_ANSWER, **PRIVATE)  # at once: how far it is, and the note on persons
    events[0].success(None, None, None, js=_SHOW_ANSWER, **PRIVATE)
    events[0].failure(None, None, None, js=_SHOW_TEXT, **PRIVATE)
    return events


def _connect_input(services: Services, parts: _Parts, language: gr.Radio) -> None:
    """Where a text comes from: a file or the shipped examples of the examination."""

    @refusals
    def load(_language: str, path: str) -> str:
        return read_upload(Path(path))

    @refusals
    def look(language: str, report: str, request: gr.Request) -> tuple[Any, ...]:
        """Outputs: what a loaded text says about persons, before anybody asks for an answer."""
        return screening.draw(language, services.gate.ask(services.access.identify(caller(request)), report))

    def offer(language: str, schema_id: str) -> Any:
        return gr.update(choices=_examples(services, language, schema_id), value="")

    def switch(language: str, schema_id: str) -> tuple[Any, ...]:
        return offer(language, schema_id), *screening.draw(language, None), *draw(language, None)

    chosen = [language, parts.schema]
    loaded = parts.upload.upload(load, [language, parts.upload], parts.text, **PRIVATE)
    loaded.success(look, [language, parts.text], parts.note.both, **PRIVATE)
    parts.text.change(None, None, None, js=_TEXT_CHANGED, **PRIVATE)
    parts.schema.change(switch, chosen, [parts.example, *parts.note.both, *parts.panel.answer], **PRIVATE)
    on_switch(language, offer, chosen, parts.example)


def _examples(services: Services, language: str, schema_id: str) -> list[tuple[str, str]]:
    """The choices: an invitation, then the titles, with their positions as values."""
    found = services.reading.example_reports(schema_id)
    return [(NO_EXAMPLE.say(language), ""), *((each.title[language], str(index)) for index, each in enumerate(found))]


def read_upload(path: Path) -> str:
    """The text of an uploaded `.txt` file; the upload itself is deleted."""
    data = path.read_bytes()
    path.unlink()
    if path.suffix.lower() != ".txt":
        raise InvalidFile("Bitte eine Textdatei (.txt) wählen.", "Please choose a text file (.txt).")
    return decode(data)
