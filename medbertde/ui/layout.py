"""The page as a whole: header, terms, tabs, language; and the values `launch` needs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import gradio as gr

from medbertde.services import Services
from medbertde.settings import Settings
from medbertde.ui import about, annotate, classify, endpoints, fill_mask, training
from medbertde.ui.card import styles
from medbertde.ui.header import FILL_THE_GAP, RESEARCH, header_line, problems
from medbertde.ui.view import PRIVATE, caller
from medbertde.ui.words import Text, Words

TERMS = Text(
    "### Bevor Sie beginnen\n\nDiese Werkbank dient der Forschung und der Lehre. Die Modelle irren sich; ihre "
    "Antworten dürfen keine Entscheidung über die Versorgung eines Menschen beeinflussen.\n\n- Ich gebe nur "
    "anonymisierte oder frei erfundene Texte ein.\n- Ich nutze die Antworten nur für Forschung, Lehre und Erprobung.\n"
    "- Für jedes Modell gelten zusätzlich die Bedingungen seiner Modellkarte.",
    "### Before you start\n\nThis workbench is for research and teaching. The models make mistakes; their answers must "
    "not influence the care of any person.\n\n- I enter anonymised or fictional texts only.\n- I use the answers for "
    "research, teaching and trials only.\n- The terms of each model's card apply as well.",
)
LANGUAGE_JS = "(language) => { document.documentElement.lang = language; return language; }"


@dataclass(frozen=True)
class _Frame:
    """What stands around the tabs. Terms and tabs both start hidden; loading the page shows one of them."""

    header: gr.Markdown
    language: gr.Radio
    problems: gr.Markdown
    terms: gr.Column
    accept: gr.Button


def build_page(services: Services) -> gr.Blocks:
    """The page over these services. Each visitor starts in the configured language, or in the one chosen last."""
    words = Words(services.settings.language)
    with gr.Blocks(title="medbertde", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        endpoints.build(services)  # first: Gradio gives a name to whoever asks for it first
        frame = _frame(services, words)
        tabs = _tabs(services, words, frame)
        _connect(services, words, page, frame, tabs)
    return page


def _frame(services: Services, words: Words) -> _Frame:
    with gr.Row(elem_id="mb-head"):
        with gr.Column(scale=4, min_width=300):
            gr.Markdown("# medbertde")
            header = gr.Markdown(header_line(words.language, services), elem_id="mb-model")
        language = gr.Radio(
            [("Deutsch", "de"), ("English", "en")], value=words.language, label="Sprache / Language", show_label=False,
            container=False, elem_id="mb-language", min_width=180,
        )  # fmt: skip
    words(gr.Markdown, RESEARCH, elem_id="mb-research")
    said = gr.Markdown(problems(words.language, services), visible=bool(services.notices), elem_id="mb-problems")
    with gr.Column(visible="hidden", elem_id="mb-terms") as terms:
        words(gr.Markdown, TERMS)
        accept = words(gr.Button, Text("Einverstanden", "I agree"), variant="primary", elem_id="mb-accept")
    return _Frame(header, language, said, terms, accept)


def _tabs(services: Services, words: Words, frame: _Frame) -> gr.Tabs:
    with gr.Tabs(visible="hidden", overflow_behavior="wrap", elem_id="mb-tabs") as tabs:
        with words(gr.Tab, Text("Klassifikation", "Classification"), id="classify"):
            classify.build(services, words, frame.language)
        with words(gr.Tab, FILL_THE_GAP, id="fill"):
            fill_mask.build(services, words, frame.language)
        with words(gr.Tab, Text("Annotation", "Annotation"), id="annotate"):
            annotate.build(services, words, frame.language)
        with words(gr.Tab, Text("Training", "Training"), id="train") as train_tab:
            training.build(services, words, frame.language, train_tab, frame.header)
        with words(gr.Tab, Text("Über medbertde", "About"), id="about"):
            about.build(services, words)
    return tabs


def _connect(services: Services, words: Words, page: gr.Blocks, frame: _Frame, tabs: gr.Tabs) -> None:
    """The first answer to a visitor, the terms, and the language."""
    kept = gr.BrowserState(words.language, storage_key="medbertde-language", secret="medbertde")

    def open_page(stored: str, request: gr.Request) -> tuple[Any, ...]:
        """Outputs: language, header, terms, tabs. The header is written anew: the active models may have changed."""
        accepted = services.access.has_accepted(services.access.identify(caller(request)))
        chosen = stored if stored in ("de", "en") else services.settings.language
        return chosen, header_line(chosen, services), gr.update(visible=not accepted), gr.update(visible=accepted)

    def agree(request: gr.Request) -> tuple[Any, ...]:
        services.access.accept_terms(services.access.identify(caller(request)))
        return gr.update(visible=False), gr.update(visible=True)

    def speak(chosen: str) -> list[Any]:
        return [chosen, header_line(chosen, services), problems(chosen, services), *words.updates(chosen)]

    spoken = [kept, frame.header, frame.problems, *words.components]
    page.load(open_page, kept, [frame.language, frame.header, frame.terms, tabs], **PRIVATE)
    frame.accept.click(agree, None, [frame.terms, tabs], **PRIVATE)
    frame.language.change(speak, frame.language, spoken, js=LANGUAGE_JS, **PRIVATE)


def theme() -> gr.themes.Base:
    """One accent colour that is readable on white and on black, system fonts, nothing from a network."""
    sans = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")
    mono = ("ui-monospace", "SFMono-Regular", "Menlo", "DejaVu Sans Mono", "monospace")
    base = gr.themes.Default(primary_hue="teal", neutral_hue="slate", font=sans, font_mono=mono, radius_size="sm")
    return base.set(
        color_accent="*primary_700",
        body_text_color_subdued="*neutral_600",
        block_title_text_color="*neutral_600",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_border_color="*primary_700",
        button_primary_border_color_dark="*primary_700",
        button_secondary_text_color="*neutral_800",
        button_secondary_background_fill="*neutral_100",
        button_secondary_background_fill_hover="*neutral_200",
        button_large_text_size="*text_md",
        button_large_text_weight="500",
        button_medium_text_weight="500",
    )


def launch_options(settings: Settings) -> dict[str, Any]:
    """What `Blocks.launch` needs; tests launch with the same values."""
    return {
        "server_name": settings.host,
        "server_port": settings.port,
        "theme": theme(),
        "css": styles(),
        "show_error": False,
        "share": False,
        "max_file_size": f"{settings.max_upload_mb}mb",
        "footer_links": [],
    }


def launch(page: gr.Blocks, settings: Settings) -> None:
    """Serve the page until it is stopped; a port that is taken ends in a sentence, not in a traceback."""
    try:
        page.launch(**launch_options(settings), quiet=True, prevent_thread_lock=True)
    except OSError:
        sys.exit(
            f"Der Port {settings.port} ist belegt. Bitte einen anderen wählen, zum Beispiel: PORT={settings.port + 1} "
            f"make run\nThe port {settings.port} is taken. Please choose another one."
        )
    print(f"medbertde: {page.local_url}", flush=True)
    page.block_thread()
