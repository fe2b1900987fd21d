"""The export in the part “Dateien”: format, filters, one button."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from medbertde.schema import ALL_KINDS, Schema, load_schema, schema_ids
from medbertde.services import Services
from medbertde.services.exchange import ExportFormat, ExportOrder, Wanted
from medbertde.types import InvalidFile, NotFound, Provenance, State
from medbertde.ui.findings import STATES
from medbertde.ui.switch import on_switch
from medbertde.ui.view import PRIVATE, caller, day, refusals
from medbertde.ui.words import Text, Words

FORMATS = {
    ExportFormat.JSONL: Text("JSON-Zeilen (.jsonl)", "JSON lines (.jsonl)"),
    ExportFormat.CSV: Text("Tabelle für Excel (.csv)", "Table for Excel (.csv)"),
    ExportFormat.PARQUET: Text("Parquet (.parquet)", "Parquet (.parquet)"),
    ExportFormat.HUGGING_FACE: Text("Datensatz für Hugging Face (.zip)", "Hugging Face data set (.zip)"),
    ExportFormat.LABEL_STUDIO: Text("Label Studio: Aufgaben (.json)", "Label Studio: tasks (.json)"),
    ExportFormat.LABEL_STUDIO_CONFIG: Text("Label Studio: Oberfläche (.xml)", "Label Studio: interface (.xml)"),
    ExportFormat.CONLL: Text("Textstellen als CoNLL (.conll)", "Spans as CoNLL (.conll)"),
    ExportFormat.REVISIONS: Text("Alle Änderungen, ohne Texte (.csv)", "All changes, without texts (.csv)"),
}
PROVENANCE = {
    Provenance.SINGLE: Text("von einer Person", "by one person"),
    Provenance.UNANIMOUS: Text("mehrere, einig", "several, unanimous"),
    Provenance.MAJORITY: Text("mehrere, Mehrheit", "several, majority"),
    Provenance.ADJUDICATED: Text("entschieden", "adjudicated"),
    Provenance.OPEN: Text("strittig, offen", "disputed, open"),
}
ALL = Text("alle", "all")
_NONE = "none"  # the value “not mentioned” in a list of choices
_PRESS_DOWNLOAD = (
    "() => document.querySelector('#annotate-download, #annotate-download a, a#annotate-download').click()"
)


def build(services: Services, words: Words, language: gr.Radio, schema: gr.Radio) -> None:
    """Layout and wiring; `schema` says whose labels are taken out."""
    words(gr.Markdown, Text("### Labels exportieren", "### Export labels"))
    about = Text(
        "Nur für die Forschung. Die Dateien enthalten die Befundtexte.",
        "Research use only. The files contain the report texts.",
    )
    words(gr.Markdown, about, elem_classes="mb-about")
    kind = words(
        gr.Dropdown,
        choices=[(text, one.value) for one, text in FORMATS.items()],
        value=ExportFormat.JSONL.value,
        label=Text("Format", "Format"),
        elem_id="annotate-export-format",
    )
    filters = _filters(services, words, language, schema)
    with gr.Row():
        button = words(
            gr.Button, Text("Exportieren", "Export"), variant="primary", min_width=140, elem_id="annotate-export"
        )
    download = gr.DownloadButton(visible="hidden", elem_id="annotate-download")
    button.click(
        _exporter(services, download.GRADIO_CACHE), [language, schema, kind, *filters], download, **PRIVATE
    ).success(None, js=_PRESS_DOWNLOAD, api_visibility="private")


def _filters(services: Services, words: Words, language: gr.Radio, schema: gr.Radio) -> list[Any]:
    """The filters in the order that `wanted_of` reads them."""
    first = load_schema(schema_ids()[0])
    modalities = sorted({load_schema(one).modality for one in schema_ids(kinds=ALL_KINDS)})
    states = [(text, _NONE if state is None else state.value) for state, text in STATES.items()]
    with words(gr.Accordion, Text("Auswahl einschränken", "Narrow the choice"), open=False, elem_id="export-filters"):
        with gr.Row():
            finding = _choice(words, Text("Befund", "Finding"), _findings(first, words.language), "finding")
            values = _several(words, Text("Wert", "Value"), states, "values")
        with gr.Row():
            person = _choice(words, Text("Annotiert von", "Annotated by"), [(ALL, "")], "annotator")
            rests = [(text, one.value) for one, text in PROVENANCE.items()]
            provenance = _several(words, Text("Grundlage", "Provenance"), rests, "provenance")
        with gr.Row():
            since = _day(words, Text("Gespeichert ab (Tag)", "Saved from (day)"), "since")
            until = _day(words, Text("bis (Tag)", "to (day)"), "until")
        with gr.Row():
            flags = [(ALL, ""), (Text("nur markierte", "flagged only"), "yes"), (Text("ohne", "none of them"), "no")]
            flagged = _choice(words, Text("„Zur Klärung“", "“To be clarified”"), flags, "flagged")
            modality = _choice(
                words,
                Text("Untersuchungsart", "Modality"),
                [(ALL, ""), *((one, one) for one in modalities)],
                "modality",
            )

    def spoken(chosen: str, schema_id: str) -> Any:
        return gr.update(choices=_findings(load_schema(schema_id), chosen))

    def others(chosen: str, schema_id: str) -> Any:
        return spoken(chosen, schema_id) | {"value": ""}  # what was chosen may be no finding of this examination

    @refusals
    def people(chosen: str, schema_id: str, request: gr.Request) -> Any:
        names = services.files.annotators(services.access.identify(caller(request)), schema_id)
        return gr.update(choices=[(ALL.say(chosen), ""), *((name, name) for name in names)])

    schema.change(others, [language, schema], finding, **PRIVATE)
    on_switch(language, spoken, [language, schema], finding)
    person.focus(people, [language, schema], person, **PRIVATE)
    return [finding, values, person, provenance, since, until, flagged, modality]


def _choice(words: Words, label: Text, choices: list[Any], name: str) -> gr.Dropdown:
    return words(gr.Dropdown, choices=choices, value="", label=label, min_width=200, elem_id=f"export-{name}")


def _several(words: Words, label: Text, choices: list[Any], name: str) -> gr.Dropdown:
    return words(
        gr.Dropdown, choices=choices, value=[], multiselect=True, label=label, min_width=200, elem_id=f"export-{name}"
    )


def _day(words: Words, label: Text, name: str) -> gr.Textbox:
    hint = Text("z. B. 01.03.2026", "e.g. 2026-03-01")
    return words(gr.Textbox, label=label, placeholder=hint, max_lines=1, min_width=200, elem_id=f"export-{name}")


def _findings(schema: Schema, language: str) -> list[tuple[str, str]]:
    return [(ALL.say(language), ""), *((label.name[language], label.id) for label in schema.labels)]


def wanted_of(
    finding: str,
    values: list[str],
    person: str,
    provenance: list[str],
    since: str,
    until: str,
    flagged: str,
    modality: str,
) -> Wanted:
    """The filters as they stand on the page."""
    return Wanted(
        finding=finding or "",
        values=tuple(None if value == _NONE else State(value) for value in values or ()),
        annotator=person or "",
        since=day(since),
        until=day(until),
        provenance=tuple(map(Provenance, provenance or ())),
        flagged={"yes": True, "no": False}.get(flagged),
        modality=modality or "",
    )


def _exporter(services: Services, cache: str) -> Callable[..., Any]:
    @refusals
    def export(
        _language: str,
        schema_id: str,
        kind: str,
        finding: str,
        values: list[str],
        person: str,
        provenance: list[str],
        since: str,
        until: str,
        flagged: str,
        modality: str,
        request: gr.Request,
    ) -> str:
        """Output: the file to download, in Gradio's cache, which is emptied soon after."""
        if kind not in list(ExportFormat):
            raise InvalidFile("Dieses Format gibt es nicht.", "There is no such format.")
        wanted = wanted_of(finding, values, person, provenance, since, until, flagged, modality)
        order = ExportOrder(schema_id, ExportFormat(kind), wanted)
        user = services.access.identify(caller(request))
        path = Path(cache) / uuid.uuid4().hex / f"medbertde_{schema_id}_{order.format.ending}"
        path.parent.mkdir(parents=True)
        count = services.files.export(user, order, path)
        if not count and order.format is not ExportFormat.LABEL_STUDIO_CONFIG:
            path.unlink()
            raise NotFound(
                "Kein annotierter Befund passt zu dieser Auswahl. Bitte die Auswahl ändern oder zuerst annotieren.",
                "No annotated report fits this choice. Please change the choice or annotate first.",
            )
        return str(path)

    return export
