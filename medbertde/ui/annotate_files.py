"""The part “Dateien” of the annotation tab: reports in (file, preview and meaning, result) and labels out.

The uploaded file stays in Gradio's own folder between preview and import and is deleted with either button; what is
left behind by a closed page goes with Gradio's cache. Nothing of it is kept in the session.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from medbertde.schema import load_schema
from medbertde.services import Services
from medbertde.services.exchange.incoming.plan import Choices
from medbertde.services.files import STORING
from medbertde.services.screened_records import Treatment
from medbertde.settings import Policy
from medbertde.types import ImportResult, NotFound, Screened, User
from medbertde.ui import annotate_export
from medbertde.ui.annotation_card import message
from medbertde.ui.card import Card
from medbertde.ui.evidence import sent
from medbertde.ui.files_view import (
    choices_of,
    preview_value,
    progress_value,
    question_value,
    result_value,
    write_faults,
)
from medbertde.ui.switch import on_switch
from medbertde.ui.view import NO_EVENT, NO_REQUEST, PRIVATE, caller, refusals
from medbertde.ui.words import Text, Words

ABOUT = Text(
    "Tabellen (.csv, .xlsx, .parquet), JSON (.jsonl, .json, auch aus Label Studio und doccano), einzelne Befunde "
    "(.txt) oder ein Archiv davon (.zip), höchstens {mb} MB. Sie sehen zuerst, was gelesen würde; gespeichert "
    "wird erst mit „Importieren“.",
    "Tables (.csv, .xlsx, .parquet), JSON (.jsonl, .json, also from Label Studio and doccano), single reports (.txt) "
    "or an archive of these (.zip), at most {mb} MB. You first see what would be read; nothing is stored before "
    "“Import”.",
)
STOPPED = Text("Abgebrochen. Es wurde nichts gespeichert.", "Stopped. Nothing was stored.")


@dataclass(frozen=True)
class _Parts:
    """The components of the import that handlers read and write."""

    upload: gr.File
    seen: Card
    buttons: gr.Row
    start: gr.Button
    stop: gr.Button
    faults: gr.DownloadButton

    @property
    def all(self) -> list[Any]:
        """The outputs of every handler, in the order of `_Shown`."""
        return [self.upload, self.seen, self.buttons, self.start, self.stop, self.faults]


@dataclass(frozen=True)
class _Shown:
    """One state of the panel: what the card says, whether a file waits, whether an import runs."""

    value: dict[str, Any]
    keep_file: bool = False
    waiting: bool = False
    can_start: bool = False
    can_stop: bool = True
    faults: str | None = None

    def updates(self) -> tuple[Any, ...]:
        """One update per component of `_Parts.all`."""
        return (
            gr.skip() if self.keep_file else None,
            self.value,
            gr.update(visible=self.waiting),
            gr.update(interactive=self.can_start),
            gr.update(interactive=self.can_stop),
            gr.update(value=self.faults, visible=self.faults is not None),
        )


def build(services: Services, words: Words, language: gr.Radio, schema: gr.Radio, card: gr.HTML) -> None:
    """Lay out the part; `schema` is the chosen examination, `card` is told when there are new reports."""
    with gr.Column(elem_id="annotate-files"):
        with gr.Column():
            parts = _layout(services, words)
        with gr.Column():
            annotate_export.build(services, words, language, schema)
    _connect(services, parts, language, schema, card)


def _layout(services: Services, words: Words) -> _Parts:
    words(gr.Markdown, Text("### Befunde importieren", "### Import reports"))
    mb = services.settings.max_upload_mb
    words(gr.Markdown, Text(ABOUT.de.format(mb=mb), ABOUT.en.format(mb=mb)), elem_classes="mb-about")
    upload = words(
        gr.File,
        label=Text("Datei wählen oder hierher ziehen", "Choose or drop a file"),
        type="filepath",
        height=120,
        elem_id="annotate-import",
    )
    seen = Card("files", {}, elem_id="files-card")
    with gr.Row(visible=False, elem_id="files-buttons") as buttons:
        start = words(
            gr.Button,
            Text("Importieren", "Import"),
            variant="primary",
            min_width=140,
            elem_id="annotate-import-start",
        )
        stop = words(gr.Button, Text("Abbrechen", "Cancel"), min_width=140, elem_id="annotate-import-stop")
    faults = words(
        gr.DownloadButton,
        label=Text("Nicht gespeicherte Zeilen herunterladen (.csv)", "Download the rows not stored (.csv)"),
        visible=False,
        elem_id="annotate-import-faults",
    )
    return _Parts(upload, seen, buttons, start, stop, faults)


def _connect(services: Services, parts: _Parts, language: gr.Radio, schema: gr.Radio, card: gr.HTML) -> None:
    imports = _Imports(services, parts.faults.GRADIO_CACHE)
    look = refusals(imports.look)
    asked = [language, schema, parts.upload]
    parts.upload.upload(look, asked, parts.all, **PRIVATE).failure(_empty, None, parts.all, **PRIVATE)
    parts.upload.clear(_empty, None, parts.all, **PRIVATE)

    def look_again(chosen: str, schema_id: str, path: str | None, event: gr.EventData, request: gr.Request) -> Any:
        return look(chosen, schema_id, path, request, choices_of(event._data))

    def redraw(chosen: str, schema_id: str, path: str | None, value: Any, request: gr.Request) -> Any:
        """In another language: only a file that waits is looked at anew, or asked about again."""
        if path and "found" in (value or {}):
            return imports.ask(chosen, Screened(**value["found"]), choices_of(value)).updates()
        if not path or "tables" not in (value or {}):
            return tuple(gr.skip() for _ in parts.all)
        return look(chosen, schema_id, path, request, choices_of(value))

    def reread(chosen: str, schema_id: str, path: str | None, value: Any, request: gr.Request) -> Any:
        """For other findings: what was said about the former ones does not hold."""
        kept = (
            {"tables": (), "choices": {"sheet": choices_of(value).sheet}}
            if {"tables", "found"} & set(value or {})
            else {}
        )
        return redraw(chosen, schema_id, path, kept, request)

    parts.seen.choose(look_again, asked, parts.all, **PRIVATE)
    on_switch(language, redraw, [*asked, parts.seen], parts.all)
    schema.change(reread, [*asked, parts.seen], parts.all, **PRIVATE)
    for begin, run in ((parts.start.click, imports.run), (parts.seen.treat, imports.go_on)):
        running = begin(run, [*asked, parts.seen], [*parts.all, card], **PRIVATE)
        running.failure(_empty, None, parts.all, **PRIVATE)
    parts.stop.click(imports.stop, [language, parts.upload], parts.all, **PRIVATE)


@dataclass(frozen=True)
class _Imports:
    """The handlers of the import. `running` holds a wish to stop per session, only while its import runs."""

    services: Services
    cache: str
    running: dict[str, threading.Event] = field(default_factory=dict)

    def look(
        self, language: str, schema_id: str, path: str | None, request: gr.Request, choices: Choices | None = None
    ) -> tuple[Any, ...]:
        """Outputs: the panel with the preview of the file."""
        if not path:
            return _Shown({}).updates()
        choices = choices or Choices()
        user = self.services.access.identify(caller(request))
        file = Path(path)
        try:
            seen = self.services.files.preview(user, schema_id, file.name, _content(file), choices)
        except BaseException:
            if choices == Choices():  # a file that cannot be read at all does not stay
                file.unlink(missing_ok=True)
            raise
        value = preview_value(language, file.name, seen, load_schema(schema_id), choices)
        return _Shown(value, keep_file=True, waiting=True, can_start=seen.faulty < seen.scanned).updates()

    def run(
        self,
        language: str,
        schema_id: str,
        path: str | None,
        value: dict[str, Any] | None,
        request: gr.Request = NO_REQUEST,
    ) -> Iterator[tuple[Any, ...]]:
        """Outputs: the panel step by step, at the end with the result or a question, and the card (told to look)."""
        yield from self._run(language, schema_id, path, choices_of(value), None, request)

    def go_on(
        self,
        language: str,
        schema_id: str,
        path: str | None,
        value: dict[str, Any] | None,
        request: gr.Request = NO_REQUEST,
        event: gr.EventData = NO_EVENT,
    ) -> Iterator[tuple[Any, ...]]:
        """As `run`, with the answer to its question."""
        treatment = next((one for one in Treatment if one == sent(event).get("treatment")), None)
        yield from self._run(language, schema_id, path, choices_of(value), treatment, request)

    def _run(
        self,
        language: str,
        schema_id: str,
        path: str | None,
        choices: Choices,
        treatment: Treatment | None,
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:
        session = caller(request).session or ""
        wish = self.running.setdefault(session, threading.Event())
        steps = self._steps(language, schema_id, path, choices, treatment, wish, request)
        guarded = refusals(lambda _language: next(steps, None))
        try:
            while (shown := guarded(language)) is not None:
                told = message(refresh=uuid.uuid4().hex) if "result" in shown.value else gr.skip()
                yield *shown.updates(), told
        finally:
            steps.close()
            self.running.pop(session, None)

    def ask(self, language: str, found: Screened, choices: Choices) -> _Shown:
        """The panel with the question what is to be done with rows that could show who a person is."""
        may_keep = self.services.settings.storing_policy is not Policy.REFUSE
        value = question_value(language, found, choices, may_keep=may_keep)
        return _Shown(value, keep_file=True, waiting=True)

    def stop(self, language: str, path: str | None, request: gr.Request) -> tuple[Any, ...]:
        """Outputs: the empty panel; an import that runs ends by itself, unless it is already being stored."""
        wish = self.running.get(caller(request).session or "")
        if wish is not None:
            wish.set()
            return (*(gr.skip() for _ in range(4)), gr.update(interactive=False), gr.skip())
        if path:
            Path(path).unlink(missing_ok=True)
        return _Shown({}).updates()

    def _steps(
        self,
        language: str,
        schema_id: str,
        path: str | None,
        choices: Choices,
        treatment: Treatment | None,
        wish: threading.Event,
        request: gr.Request,
    ) -> Any:
        """Yield what the panel shows; the file is deleted however it ends, unless it ends with a question."""
        if not path:
            return
        file, keep = Path(path), False
        try:
            user: User = self.services.access.identify(caller(request))
            steps = self.services.files.import_steps(user, schema_id, file.name, _content(file), choices, treatment)
            for step in steps:
                if isinstance(step, Screened):
                    keep = True
                    yield self.ask(language, step, choices)
                elif isinstance(step, ImportResult):
                    target = Path(self.cache) / uuid.uuid4().hex / "abgelehnt.csv"
                    faults = str(write_faults(language, step, target)) if step.rejected else None
                    yield _Shown(result_value(language, step), faults=faults)
                elif wish.is_set():
                    yield _Shown({"result": {"sentence": STOPPED.say(language), "heads": ["", ""], "rows": []}})
                    return
                else:
                    yield _Shown(
                        progress_value(language, step), keep_file=True, waiting=True, can_stop=step.note != STORING
                    )
        finally:
            if not keep:
                file.unlink(missing_ok=True)


def _empty() -> tuple[Any, ...]:
    """The panel without a file."""
    return _Shown({}).updates()


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise NotFound(
            "Die Datei liegt nicht mehr auf dem Server. Bitte sie noch einmal wählen.",
            "The file is no longer on the server. Please choose it again.",
        ) from None
