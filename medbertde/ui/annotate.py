"""The annotation tab: which findings, the card, and below it files in and out."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gradio as gr

from medbertde.schema import load_schema, schema_ids
from medbertde.services import Services
from medbertde.services.exchange import ExportKind
from medbertde.types import ImportResult, Progress
from medbertde.ui.annotation_card import annotation_card, message
from medbertde.ui.view import PRIVATE, caller, refusals
from medbertde.ui.words import Text, Words

SHOWN_FAULTS = 200
_PROGRESS = gr.Progress()


def build(services: Services, words: Words, language: gr.Radio) -> None:
    """Lay out the tab; `language` holds the page's language ("de" or "en")."""
    schema = words(
        gr.Radio,
        choices=[(_title(schema_id), schema_id) for schema_id in schema_ids()],
        value=schema_ids()[0],
        label=Text("Untersuchung", "Examination"),
        show_label=False,
        container=False,
        elem_id="annotate-schema",
    )
    card = annotation_card(services, words.language)
    words.on_language(card, lambda chosen: gr.update(value=message(language=chosen)))
    schema.change(lambda chosen: message(schema=chosen), schema, card, **PRIVATE)
    with gr.Row(elem_id="annotate-files"):
        with gr.Column(min_width=320):
            _build_import(services, words, language, schema, card)
        with gr.Column(min_width=320):
            _build_export(services, words, language, schema)


def _title(schema_id: str) -> Text:
    title = load_schema(schema_id).title
    return Text(title["de"], title["en"])


def _build_import(services: Services, words: Words, language: gr.Radio, schema: gr.Radio, card: gr.HTML) -> None:
    words(gr.Markdown, Text("### Befunde importieren", "### Import reports"))
    upload = words(
        gr.File,
        label=Text("Datei wählen oder hierher ziehen: .jsonl, .csv, .txt", "Choose or drop a file: .jsonl, .csv, .txt"),
        type="filepath",
        height=140,
        elem_id="annotate-import",
    )
    outcome = gr.Markdown(elem_id="annotate-imported")
    rejected = words(
        gr.Dataframe,
        headers=[Text("Zeile", "Row"), Text("Grund", "Reason")],
        datatype="str",
        interactive=False,
        visible=False,
        wrap=True,
        max_height=240,
        column_widths=["80px", "auto"],
        elem_id="annotate-rejected",
    )

    outputs = [upload, outcome, rejected, card]
    upload.upload(_importer(services), [language, schema, upload], outputs, api_visibility="private").failure(
        lambda: None, None, upload, **PRIVATE
    )


def _importer(services: Services) -> Callable[..., Any]:
    @refusals
    def import_file(
        chosen: str, schema_id: str, path: str, request: gr.Request, progress: gr.Progress = _PROGRESS
    ) -> tuple[Any, ...]:
        """Inputs: language, schema, file. Outputs: file (emptied), sentence, rejected rows, card (told to look)."""
        file = Path(path)
        data = file.read_bytes()
        file.unlink()  # reports stay in the database only

        def on_progress(done: Progress) -> None:
            progress((done.done, done.total))

        user = services.access.identify(caller(request))
        result = services.annotate.import_reports(user, schema_id, file.name, data, on_progress)
        faults = [[str(number), fault.sentence(chosen)] for number, fault in result.rejected[:SHOWN_FAULTS]]
        shown = gr.update(value=faults, visible=bool(faults))
        return None, imported_sentence(result).say(chosen), shown, message(refresh=uuid.uuid4().hex)

    return import_file


def _build_export(services: Services, words: Words, language: gr.Radio, schema: gr.Radio) -> None:
    words(gr.Markdown, Text("### Labels exportieren", "### Export labels"))
    words(
        gr.Markdown,
        Text(
            "Nur für die Forschung. Die Dateien enthalten die Befundtexte.",
            "Research use only. The files contain the report texts.",
        ),
    )
    download = gr.DownloadButton(visible="hidden", elem_id="annotate-download")
    for kind, label in EXPORTS.items():
        button = words(gr.Button, label, size="md", elem_id=f"annotate-export-{kind.value}")
        button.click(
            _exporter(services, kind, download.GRADIO_CACHE), [language, schema], download, api_visibility="private"
        ).success(None, js=_PRESS_DOWNLOAD, api_visibility="private")


EXPORTS = {
    ExportKind.JSONL: Text("Befunde und Labels (.jsonl)", "Reports and labels (.jsonl)"),
    ExportKind.CSV: Text("Befunde und Labels als Tabelle (.csv)", "Reports and labels as a table (.csv)"),
    ExportKind.REVISIONS: Text("Alle Änderungen, ohne Texte (.csv)", "All changes, without texts (.csv)"),
}
_PRESS_DOWNLOAD = (
    "() => document.querySelector('#annotate-download, #annotate-download a, a#annotate-download').click()"
)


def _exporter(services: Services, kind: ExportKind, cache: str) -> Callable[..., Any]:
    @refusals
    def export(_language: str, schema_id: str, request: gr.Request) -> str:
        """Inputs: language, schema. Output: the file to download, in Gradio's cache, which is emptied soon after."""
        user = services.access.identify(caller(request))
        lines = services.annotate.export_labels(user, schema_id, kind)
        suffix = {ExportKind.JSONL: "labels.jsonl", ExportKind.CSV: "labels.csv", ExportKind.REVISIONS: "revisions.csv"}
        return str(write_lines(lines, Path(cache) / uuid.uuid4().hex, f"medbertde_{schema_id}_{suffix[kind]}"))

    return export


def write_lines(lines: Iterable[str], folder: Path, name: str) -> Path:
    """The lines as a UTF-8 file; a CSV begins with a byte-order mark, or Excel misreads the umlauts."""
    folder.mkdir(parents=True)
    path = folder / name
    encoding = "utf-8-sig" if path.suffix == ".csv" else "utf-8"
    with path.open("w", encoding=encoding, newline="") as file:
        file.writelines(lines)
    return path


def imported_sentence(result: ImportResult) -> Text:
    """What an import did, in one sentence.

    >>> imported_sentence(ImportResult(added=48, duplicates=2, labelled=0)).de
    '48 neu, 2 doppelt, 0 abgelehnt.'
    """
    counts = (result.added, result.duplicates, len(result.rejected))
    de = "{} neu, {} doppelt, {} abgelehnt.".format(*counts)
    en = "{} new, {} known already, {} rejected.".format(*counts)
    if result.labelled:
        de += f" {result.labelled} davon mit Labels übernommen."
        en += f" {result.labelled} came with labels."
    return Text(de, en)
