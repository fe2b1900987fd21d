"""The page as a whole: header, terms, tabs and language, and which tabs a user's role opens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block

from medbertde import terms as terms_of_use
from medbertde.services import Services
from medbertde.settings import Profile
from medbertde.types import Role
from medbertde.ui import (
    about,
    annotate,
    classify,
    endpoints,
    fill_mask,
    manage,
    model_choice,
    switch,
    training,
    uploads,
)
from medbertde.ui.header import ACCOUNT, FILL_THE_GAP, RESEARCH, header_line, problems, who_line
from medbertde.ui.switch import on_switch
from medbertde.ui.view import PRIVATE, caller
from medbertde.ui.words import Text, Words

FIRST_TAB = "classify"
# The tabs come into sight (`cards/page.css`) once the one that was chosen last is in front; a role's tab is drawn late.
_SHOW_TABS = """async (tab) => {
  const front = () => document.querySelector(`#mb-tabs [role=tab][aria-selected=true][data-tab-id="${tab}"]`);
  for (let tries = 0; tries < 100 && !front(); tries += 1) await new Promise((next) => setTimeout(next, 30));
  document.documentElement.dataset.opened = "";
}"""
# Gradio also reports the tab that is in front before: that one nobody has chosen.
_REMEMBER_TAB = """(last) => ("opened" in document.documentElement.dataset ? "%s" : last)"""
TERMS = Text(terms_of_use.DE, terms_of_use.EN)


@dataclass(frozen=True)
class _Frame:
    """What stands around the tabs. Terms, models and tabs start hidden; loading the page shows what may be used."""

    header: gr.Markdown
    who: gr.Markdown
    language: gr.Radio
    problems: gr.Markdown
    models: gr.Column
    terms: gr.Column
    accept: gr.Button


@dataclass(frozen=True)
class _Tabs:
    """All tabs, and from which role on some of them are shown. The services refuse the rest anyway.

    These begin hidden: Gradio shows a hidden tab later, but does not reliably hide one.
    """

    all: gr.Tabs
    roles: Mapping[Block, Role]

    @property
    def each(self) -> list[gr.Tab]:
        """The tabs in their order."""
        return [tab for tab in self.all.children if isinstance(tab, gr.Tab)]

    def those_of(self, role: Role) -> list[str]:
        """The ids of the tabs that somebody with this role sees."""
        return [str(tab.id) for tab in self.each if role.includes(self.roles.get(tab, role))]


def build_page(services: Services) -> gr.Blocks:
    """The page over these services. Each visitor starts in the configured language, or in the one chosen last."""
    words = Words(services.settings.language)
    with gr.Blocks(title="medbertde", analytics_enabled=False, delete_cache=(600, uploads.KEPT_S)) as page:
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
            with gr.Row(elem_id="mb-who"):
                who = gr.Markdown()
                if services.settings.served_as is not Profile.LOCAL:
                    link = Text("/account?language=de", "/account?language=en")
                    words(gr.Button, ACCOUNT, link=link, link_target="_self", size="sm", elem_id="mb-account")
        language = gr.Radio(
            [("Deutsch", "de"), ("English", "en")], value=words.language, label="Sprache / Language", show_label=False,
            container=False, elem_id="mb-language", min_width=180,
        )  # fmt: skip
    words(gr.Markdown, RESEARCH, elem_id="mb-research")
    said = gr.Markdown(problems(words.language, services), visible=bool(services.notices), elem_id="mb-problems")
    models = gr.Column(visible="hidden", elem_id="mb-models")
    with gr.Column(visible="hidden", elem_id="mb-terms") as terms:
        words(gr.Markdown, TERMS)
        accept = words(gr.Button, Text("Einverstanden", "I agree"), variant="primary", elem_id="mb-accept")
    return _Frame(header, who, language, said, models, terms, accept)


def _tabs(services: Services, words: Words, frame: _Frame) -> _Tabs:
    with gr.Tabs(visible="hidden", overflow_behavior="wrap", elem_id="mb-tabs") as tabs:
        with words(gr.Tab, Text("Klassifikation", "Classification"), id="classify"):
            classify.build(services, words, frame.language)
        with words(gr.Tab, FILL_THE_GAP, id="fill"):
            fill_mask.build(services, words, frame.language)
        with words(gr.Tab, Text("Annotation", "Annotation"), id="annotate", visible=False) as annotate_tab:
            annotate.build(services, words, frame.language)
        with words(gr.Tab, Text("Training", "Training"), id="train", visible=False) as train_tab:
            training.build(services, words, frame.language, train_tab, frame.header)
        with words(gr.Tab, Text("Über medbertde", "About"), id="about") as about_tab:
            about.build(services, words, frame.language, about_tab)
            managing = manage.build(services, words, frame.language)
    with frame.models:
        model_choice.build(services, words, frame.language, frame.header)
    return _Tabs(tabs, {annotate_tab: Role.ANNOTATOR, train_tab: Role.CURATOR, managing: Role.ADMIN})


def _connect(services: Services, words: Words, page: gr.Blocks, frame: _Frame, tabs: _Tabs) -> None:
    """The first answer to a visitor, the terms, and the language."""
    kept = gr.BrowserState(words.language, storage_key="medbertde-language", secret="medbertde")
    last = gr.BrowserState("", storage_key="medbertde-tab", secret="medbertde")
    access = services.access

    def open_page(stored: str, last_tab: str, request: gr.Request) -> dict[Block, Any]:
        """Everything that depends on who is asking. The header is written anew: models may have changed."""
        user = access.identify(caller(request))
        chosen = stored if stored in ("de", "en") else services.settings.language
        said: dict[Block, Any] = {
            frame.language: chosen,
            frame.header: header_line(chosen, services),
            frame.who: who_line(chosen, services, user),
        }
        allowed = {part: gr.update(visible=True) for part, role in tabs.roles.items() if user.role.includes(role)}
        front = last_tab if last_tab in tabs.those_of(user.role) else FIRST_TAB
        return {last: front, **said, **allowed, **shown(access.has_accepted(user), selected=front)}

    def agree(request: gr.Request) -> dict[Block, Any]:
        access.accept_terms(access.identify(caller(request)))
        return shown(True)

    def shown(accepted: bool, **tab: str) -> dict[Block, Any]:
        """Either the terms or what they open."""
        opened = {frame.models: gr.update(visible=accepted), tabs.all: gr.update(visible=accepted, **tab)}
        return opened | {frame.terms: gr.update(visible=not accepted)}

    def speak(chosen: str, request: gr.Request) -> list[Any]:
        who = who_line(chosen, services, access.identify(caller(request)))
        return [chosen, header_line(chosen, services), who, problems(chosen, services), *words.updates(chosen)]

    guarded = [frame.models, frame.terms, tabs.all]
    at_first = [last, frame.language, frame.header, frame.who, *tabs.roles, *guarded]
    opened = page.load(open_page, [kept, last], at_first, **PRIVATE)
    opened.then(None, last, None, js=_SHOW_TABS, **PRIVATE)
    frame.accept.click(agree, None, guarded, **PRIVATE)
    for tab in tabs.each:
        tab.select(None, last, last, js=_REMEMBER_TAB % tab.id, **PRIVATE)
    spoken = [kept, frame.header, frame.who, frame.problems, *words.components]
    on_switch(frame.language, speak, frame.language, spoken)
    switch.connect(frame.language)
