"""The page as a whole: header, terms, tabs, language; and the values `launch` needs. The public endpoints are here too."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import gradio as gr

from medbertde.services import Services
from medbertde.settings import Settings
from medbertde.types import State, UserError
from medbertde.ui import about, annotate, classify, fill_mask, training
from medbertde.ui.card import styles
from medbertde.ui.view import caller, refusal
from medbertde.ui.words import Text, Words

RESEARCH = Text(
    "**Nur für die Forschung.** Kein Medizinprodukt, nicht für Diagnose oder Behandlung. Bitte nur anonymisierte Texte "
    "eingeben. Alle mitgelieferten Befunde sind frei erfunden.",
    "**For research only.** Not a medical device, not for diagnosis or treatment. Please enter anonymised texts only. "
    "All reports that come with the app are fictional.",
)
TERMS = Text(
    "### Bevor Sie beginnen\n\nDiese Werkbank dient der Forschung und der Lehre. Die Modelle irren sich; ihre Antworten "
    "dürfen keine Entscheidung über die Versorgung eines Menschen beeinflussen.\n\n- Ich gebe nur anonymisierte oder frei "
    "erfundene Texte ein.\n- Ich nutze die Antworten nur für Forschung, Lehre und Erprobung.\n- Für jedes Modell gelten "
    "zusätzlich die Bedingungen seiner Modellkarte.",
    "### Before you start\n\nThis workbench is for research and teaching. The models make mistakes; their answers must "
    "not influence the care of any person.\n\n- I enter anonymised or fictional texts only.\n- I use the answers for "
    "research, teaching and trials only.\n- The terms of each model's card apply as well.",
)
LANGUAGE_JS = "(language) => { document.documentElement.lang = language; return language; }"


def build_page(services: Services) -> gr.Blocks:
    """The page over these services. Each visitor starts in the configured language, or in the one chosen last."""
    words = Words(services.settings.language)

    def head(language: str) -> str:
        return header_line(language, services)

    with gr.Blocks(title="medbertde", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        with gr.Row(elem_id="mb-head"):
            with gr.Column(scale=4, min_width=300):
                gr.Markdown("# medbertde")
                header = gr.Markdown(head(words.language), elem_id="mb-model")
            language = gr.Radio(
                [("Deutsch", "de"), ("English", "en")], value=words.language, show_label=False, container=False,
                elem_id="mb-language", min_width=180,
            )  # fmt: skip
        words(gr.Markdown, RESEARCH, elem_id="mb-research")
        problems = gr.Markdown(
            _problems(words.language, services), visible=bool(services.notices), elem_classes="mb-notice"
        )
        with gr.Column(visible=True, elem_id="mb-terms") as terms:
            words(gr.Markdown, TERMS)
            accept = words(gr.Button, Text("Einverstanden", "I agree"), variant="primary", elem_id="mb-accept")
        with gr.Tabs(visible=False, elem_id="mb-tabs") as tabs:
            with words(gr.Tab, Text("Klassifikation", "Classification"), id="classify"):
                classify.build(services, words, language)
            with words(gr.Tab, Text("Lückentext", "Fill the gap"), id="fill"):
                fill_mask.build(services, words, language)
            with words(gr.Tab, Text("Annotation", "Annotation"), id="annotate"):
                annotate.build(services, words, language)
            with words(gr.Tab, Text("Training", "Training"), id="train") as train_tab:
                refresh, asked, everything = training.build(services, words, language, header, head)
            with words(gr.Tab, Text("Über medbertde", "About"), id="about"):
                about.build(services, words)
        kept = gr.BrowserState(words.language, storage_key="medbertde-language", secret="medbertde")

        def open_page(stored: str, request: gr.Request) -> tuple[Any, ...]:
            user = services.access.identify(caller(request))
            chosen = stored if stored in ("de", "en") else services.settings.language
            accepted = services.access.has_accepted(user)
            return chosen, gr.update(visible=not accepted), gr.update(visible=accepted)

        def agree(request: gr.Request) -> tuple[Any, ...]:
            services.access.accept_terms(services.access.identify(caller(request)))
            return gr.update(visible=False), gr.update(visible=True)

        def speak(chosen: str) -> list[Any]:
            return [chosen, head(chosen), _problems(chosen, services), *words.updates(chosen)]

        private = {"api_visibility": "private", "show_progress": "hidden"}
        page.load(open_page, kept, [language, terms, tabs], **private)
        accept.click(agree, None, [terms, tabs], **private)
        language.change(speak, language, [kept, header, problems, *words.components], js=LANGUAGE_JS, **private)
        train_tab.select(refresh, asked, everything, **private)
        _public_endpoints(services)
    return page


def header_line(language: str, services: Services) -> str:
    """Which models answer; version names are the app's own and hold no user text."""
    versions = services.runtime.versions()
    named = " · ".join(f"`{version}`" for version in versions.values()) or "–"
    return f"{Text('Aktive Modelle', 'Active models').say(language)}: {named}"


def _problems(language: str, services: Services) -> str:
    return "\n\n".join(notice.sentence(language) for notice in services.notices)


def _public_endpoints(services: Services) -> None:
    """The documented API: `/classify`, `/fill_mask` and `/explain`, for `gradio_client` and plain HTTP."""

    def classify_api(text: str, schema_id: str = "chest_xray", request: gr.Request = None) -> dict[str, Any]:  # type: ignore[assignment]
        """Classify one German report: probabilities and state per finding, the model version and remarks."""
        prediction = _sentence(lambda: services.reading.classify(_user(services, request), schema_id, text))
        limits = services.reading.thresholds(schema_id)
        return {
            "scores": {label: asdict(score) for label, score in prediction.scores.items()},
            "states": {label: score.state(limits[label]) for label, score in prediction.scores.items()},
            "model_version": prediction.model_version,
            "warnings": [notice.sentence("de") for notice in prediction.warnings],
            "terms": "research only",
        }

    def fill_mask_api(text: str, top_k: int = 10, request: gr.Request = None) -> list[dict[str, Any]]:  # type: ignore[assignment]
        """The likeliest words for [MASK] in a German sentence, best first."""
        found = _sentence(lambda: services.reading.fill_mask(_user(services, request), text, int(top_k)))
        return [asdict(candidate) for candidate in found]

    def explain_api(
        text: str,
        label: str,
        schema_id: str = "chest_xray",
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> dict[str, Any]:
        """Which words moved the logit of a finding: words with spans and scores, method, baseline, convergence delta."""
        version = _sentence(lambda: services.reading.model_version(schema_id))
        return asdict(
            _sentence(
                lambda: services.reading.explain(
                    _user(services, request), schema_id, text, label, state=State.PRESENT, model_version=version
                )
            )
        )

    for function, name in ((classify_api, "classify"), (fill_mask_api, "fill_mask"), (explain_api, "explain")):
        gr.api(function, api_name=name, concurrency_id="model")


def _user(services: Services, request: gr.Request | None) -> Any:
    return services.access.identify(caller(request))


def _sentence(answer: Any) -> Any:
    """The answer, or the refusal as an API error in both languages."""
    try:
        return answer()
    except UserError as error:
        raise refusal(f"{error.de} / {error.en}") from None


def theme() -> gr.themes.Base:
    """One accent colour, system fonts, nothing from a network."""
    sans = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")
    mono = ("ui-monospace", "SFMono-Regular", "Menlo", "DejaVu Sans Mono", "monospace")
    return gr.themes.Default(primary_hue="teal", neutral_hue="slate", font=sans, font_mono=mono, radius_size="sm")


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
