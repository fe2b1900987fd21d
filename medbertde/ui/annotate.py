"""The annotation tab: which findings, and below the choice its parts as sub-tabs, one module each."""

from __future__ import annotations

import gradio as gr

from medbertde.schema import ALL_KINDS, load_schema, schema_ids
from medbertde.services import Services
from medbertde.ui import annotate_files, annotate_overview, annotate_team
from medbertde.ui.annotation_card import annotation_card, message
from medbertde.ui.view import PRIVATE
from medbertde.ui.words import Text, Words


def build(services: Services, words: Words, language: gr.Radio) -> None:
    """Lay out the tab; `language` holds the page's language ("de" or "en").

    The choice of findings stands above the parts and holds for all of them. The card is rendered also while another
    part is in front: it keeps what was begun.
    """
    schema = words(
        gr.Radio,
        choices=[(_title(schema_id), schema_id) for schema_id in schema_ids(kinds=ALL_KINDS)],
        value=schema_ids()[0],
        label=Text("Untersuchung", "Examination"),
        show_label=False,
        container=False,
        elem_id="annotate-schema",
    )
    with gr.Tabs(overflow_behavior="wrap", elem_id="annotate-parts"):
        with words(gr.Tab, Text("Labeln", "Label"), id="label", render_children=True):
            card = annotation_card(services, words.language)
        with words(gr.Tab, Text("Team & Prüfung", "Team & review"), id="team") as team:
            annotate_team.build(services, words, language, schema, card, team)
        with words(gr.Tab, Text("Übersicht", "Overview"), id="overview"):
            annotate_overview.build(services, words, language, schema)
        with words(gr.Tab, Text("Dateien", "Files"), id="files"):
            annotate_files.build(services, words, language, schema, card)
    words.on_language(card, lambda chosen: gr.update(value=message(language=chosen)))
    schema.change(lambda chosen: message(schema=chosen), schema, card, **PRIVATE)


def _title(schema_id: str) -> Text:
    title = load_schema(schema_id).title
    return Text(title["de"], title["en"])
