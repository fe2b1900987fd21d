"""The panel "Mehrere Befunde auf einmal" of the tab "Klassifikation": files in, a table and a CSV file out."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from medbertde.services import Services
from medbertde.services.access import Caller
from medbertde.services.answers import csv_lines
from medbertde.services.bulk import Batch, Step
from medbertde.services.screened_records import Treatment
from medbertde.settings import Policy
from medbertde.types import User
from medbertde.ui.batch_view import Shown, batch_value, grown
from medbertde.ui.card import Card
from medbertde.ui.files_view import TREATMENTS
from medbertde.ui.switch import on_switch
from medbertde.ui.view import MODEL_CALL, NO_REQUEST, PRIVATE, caller, refusals
from medbertde.ui.words import Text, Words

TITLE = Text("Mehrere Befunde auf einmal", "Several reports at once")
ABOUT = Text(
    "Tabellen mit einer Spalte „text“ (.csv), Zeilen mit einem Feld „text“ (.jsonl) oder einzelne Befunde (.txt), "
    "zusammen höchstens {mb} MB und {rows} Befunde. Gelesen wird mit der Untersuchung, die oben gewählt ist.",
    "Tables with a column “text” (.csv), lines with a field “text” (.jsonl) or single reports (.txt), at most {mb} MB "
    "and {rows} reports together. They are read for the examination chosen above.",
)
DOWNLOAD = Text("Ergebnisse herunterladen (.csv)", "Download the results (.csv)")
IDENTIFYING = Text("Befunde, die eine Person erkennbar machen könnten", "Reports that could show who a person is")
REFRESH_S = 0.5  # between two changes on the page


@dataclass(frozen=True)
class _Parts:
    """The components that handlers read and write."""

    files: gr.File
    treatment: gr.Radio
    run: gr.Button
    stop: gr.Button
    card: Card
    download: gr.DownloadButton
    shown: gr.State


def build(services: Services, words: Words, language: gr.Radio, schema: gr.Radio, shown: gr.State) -> None:
    """Layout, handlers, wiring; `schema` says which findings are asked for, `shown` holds how far a batch has come."""
    with words(gr.Accordion, TITLE, open=False, elem_id="batch"):
        parts = _layout(services, words, shown)
    _connect(services, parts, language, schema)


def _layout(services: Services, words: Words, shown: gr.State) -> _Parts:
    settings = services.settings
    rows = f"{settings.max_import_rows:,}"
    about = Text(
        ABOUT.de.format(mb=settings.max_upload_mb, rows=rows.replace(",", ".")),
        ABOUT.en.format(mb=settings.max_upload_mb, rows=rows),
    )
    words(gr.Markdown, about, elem_classes="mb-about")
    files = words(
        gr.File, label=Text("Dateien wählen oder hierher ziehen", "Choose or drop files"), type="filepath", height=140,
        file_count="multiple", elem_id="batch-files",
    )  # fmt: skip
    policy = settings.reading_policy
    choices = [(text, one.value) for one, text in TREATMENTS.items() if policy is not Policy.REFUSE or one != "keep"]
    treatment = words(
        gr.Radio, choices, value=Treatment.HOLD.value, label=IDENTIFYING, elem_id="batch-identifying",
        visible=policy in (Policy.CONFIRM, Policy.REFUSE),
    )  # fmt: skip
    with gr.Row(elem_classes="mb-buttons"):
        run = words(
            gr.Button,
            Text("Alle klassifizieren", "Classify all"),
            variant="primary",
            min_width=140,
            elem_id="batch-run",
        )
        stop = words(gr.Button, Text("Abbrechen", "Stop"), min_width=140, interactive=False, elem_id="batch-stop")
    card = Card("batch", {}, elem_id="batch-card")
    download = words(gr.DownloadButton, label=DOWNLOAD, visible=False, elem_id="batch-download")
    return _Parts(files, treatment, run, stop, card, download, shown)


def _connect(services: Services, parts: _Parts, language: gr.Radio, schema: gr.Radio) -> None:
    outputs = [parts.shown, parts.card, parts.download, parts.stop, parts.files]
    running = parts.run.click(
        _reader(services, parts.download.GRADIO_CACHE),
        [language, schema, parts.files, parts.treatment],
        outputs,
        **MODEL_CALL,
    )

    def stop(language: str, shown: Shown | None) -> tuple[Any, ...]:
        ended = shown and not shown.finished and replace(shown, stopped=True)
        return (*_draw(language, ended or shown), gr.update(interactive=False))

    def failed(language: str, shown: Shown | None) -> tuple[Any, ...]:
        """As after a stop, and the files have to be chosen anew."""
        return (*stop(language, shown), None)

    drawn = [parts.shown, parts.card]
    running.failure(failed, [language, parts.shown], [*drawn, parts.stop, parts.files], **PRIVATE)
    parts.stop.click(stop, [language, parts.shown], [*drawn, parts.stop], cancels=[running], **PRIVATE)
    on_switch(language, _draw, [language, parts.shown], drawn)


def _draw(language: str, shown: Shown | None) -> tuple[Any, ...]:
    return shown, batch_value(language, shown)


def _reader(services: Services, cache: str) -> Callable[..., Any]:
    """The handler: a generator, which Gradio closes between two steps when the user stops it or leaves."""
    batch = Batch(services.runtime, services.access, services.settings)

    def read(
        language: str,
        schema_id: str,
        paths: Sequence[str] | None,
        treatment: str,
        request: gr.Request = NO_REQUEST,
    ) -> Iterator[tuple[Any, ...]]:
        """Outputs: what is shown, card, download, the button that stops, files (emptied)."""
        asked = services.settings.reading_policy in (Policy.CONFIRM, Policy.REFUSE)
        chosen = Treatment(treatment) if asked else None
        steps = _results(batch, services.access.identify, caller(request), schema_id, paths, Path(cache), chosen)
        step = refusals(lambda _language: next(steps, None))
        try:
            while (found := step(language)) is not None:
                shown, file = found
                download = gr.update(value=file, visible=True) if file else gr.update(visible=False)
                yield *_draw(language, shown), download, gr.update(interactive=not shown.finished), None
        finally:
            steps.close()

    return read


def _results(
    batch: Batch,
    identify: Callable[[Caller], User],
    asking: Caller,
    schema_id: str,
    paths: Sequence[str] | None,
    cache: Path,
    treatment: Treatment | None,
) -> Any:
    """Yield (what is shown, finished file or None) now and then; uploads and an unfinished file are deleted."""
    files = [Path(path) for path in paths or ()]
    out = cache / uuid.uuid4().hex / f"medbertde_{schema_id}.csv"
    shown, start, next_at = Shown(schema_id, run=uuid.uuid4().hex), time.monotonic(), 0.0
    with ExitStack() as at_end:
        at_end.callback(_delete, files)
        labels: tuple[str, ...] | None = None
        for step in batch.classify(identify(asking), schema_id, files, treatment):
            if labels is None:
                labels = tuple(batch.runtime.model_for(schema_id).thresholds)
                out.parent.mkdir(parents=True)
                unfinished = at_end.enter_context(ExitStack())
                unfinished.callback(_delete, [out])
                table = at_end.enter_context(out.open("w", encoding="utf-8-sig", newline=""))
            table.writelines(_lines(step, labels))
            shown = grown(shown, step, time.monotonic() - start)
            if shown.finished:
                table.close()
                unfinished.pop_all()
                yield shown, str(out)
            elif time.monotonic() >= next_at:
                next_at = time.monotonic() + REFRESH_S
                yield shown, None


def _lines(step: Step, labels: tuple[str, ...]) -> Iterator[str]:
    """The step's lines of the table; the first step brings the header."""
    lines = csv_lines(step.answers, labels)
    header = next(lines)
    if step.done == 0:
        yield header
    yield from lines


def _delete(files: Sequence[Path]) -> None:
    """Reports stay nowhere on the disk."""
    for file in files:
        file.unlink(missing_ok=True)
