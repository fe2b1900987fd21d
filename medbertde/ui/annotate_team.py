"""The part "Team & Prüfung": projects, how far everyone is, agreement, what suggestions do, and the review card.

An annotator sees the own progress and what suggestions do; the rest is for curators and admins (the services decide,
the page hides what would be refused).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block

from medbertde.schema import Kind, load_schema
from medbertde.services import Services
from medbertde.services.team import ProjectView
from medbertde.types import Role, User
from medbertde.ui import annotation_card, review_card, team_marks_view, team_view
from medbertde.ui.annotate_projects import Projects, build_projects
from medbertde.ui.card import Card
from medbertde.ui.switch import on_switch
from medbertde.ui.view import PRIVATE, caller, refusals
from medbertde.ui.words import Text, Words

Updates = dict[Block, Any]


@dataclass(frozen=True)
class _Parts:
    """All components that change. `for_curators` and `for_admins` are hidden from everyone else."""

    schema: gr.Radio
    project: gr.Dropdown
    here: gr.Button
    summary: gr.Markdown
    people: Card
    findings: Card
    pair: gr.Dropdown
    agreement: Card
    agreement_help: gr.Markdown
    effect: Card
    effect_said: gr.Markdown
    review: Card
    for_curators: tuple[gr.Accordion, ...]
    projects: Projects

    @property
    def figures(self) -> list[Block]:
        """What belongs to the chosen project."""
        return [
            self.here, self.summary, self.people, self.findings, self.pair, self.agreement, self.agreement_help,
            self.effect, self.effect_said, self.review, *self.for_curators, *self.projects.components,
        ]  # fmt: skip


def build(services: Services, words: Words, language: gr.Radio, schema: gr.Radio, card: Card, tab: gr.Tab) -> None:
    """Layout and wiring; `card` is the annotation card, told when the user works in another project."""
    parts = _layout(services, words, schema)
    _connect(services, parts, language, card, tab)


def _layout(services: Services, words: Words, schema: gr.Radio) -> _Parts:
    with gr.Row(equal_height=False, elem_id="team-head"):
        project = words(gr.Dropdown, [], label=Text("Projekt", "Project"), elem_id="team-project", min_width=260)
        here = words(
            gr.Button,
            Text("Hier annotieren", "Annotate here"),
            size="md",
            elem_id="team-here",
            min_width=160,
            visible=False,
        )
    summary = gr.Markdown(elem_id="team-summary")
    with words(gr.Accordion, Text("Prüfung", "Review"), elem_id="team-review-part") as reviewing:
        review = review_card.review_card(services, words.language)
    with words(gr.Accordion, Text("Fortschritt", "Progress"), elem_id="team-progress"):
        people = Card("table", elem_id="team-people")
        findings = Card("table", elem_id="team-findings")
    with words(
        gr.Accordion, Text("Übereinstimmung", "Agreement"), open=False, elem_id="team-agreement-part"
    ) as agreeing:
        pair = words(gr.Dropdown, [], label=Text("Wer mit wem", "Who with whom"), elem_id="team-pair")
        agreement = Card("table", elem_id="team-agreement")
        agreement_help = gr.Markdown(elem_classes="mb-team-note")
    with words(
        gr.Accordion, Text("Zeit und Vorschläge", "Time and suggestions"), open=False, elem_id="team-effect-part"
    ):
        effect = Card("table", elem_id="team-effect")
        effect_said = gr.Markdown(elem_id="team-effect-said", elem_classes="mb-team-note")
    projects = build_projects(words)
    return _Parts(
        schema, project, here, summary, people, findings, pair, agreement, agreement_help, effect, effect_said,
        review, (reviewing, agreeing), projects,
    )  # fmt: skip


def _connect(services: Services, parts: _Parts, language: gr.Radio, card: Card, tab: gr.Tab) -> None:
    team, identify = services.team, services.access.identify

    @refusals
    def show_project(chosen: str, schema_id: str, project_id: int | None, pair: str, request: gr.Request) -> Updates:
        user = identify(caller(request))
        view = _chosen(team.projects(user, schema_id), project_id)
        return _figures(services, parts, user, chosen, view, pair)

    @refusals
    def refresh(chosen: str, schema_id: str, project_id: int | None, pair: str, request: gr.Request) -> Updates:
        """The list of projects too; the project in use comes to the front where another schema was chosen."""
        user = identify(caller(request))
        if not (user.role.includes(Role.ANNOTATOR) and services.access.has_accepted(user)):
            return {parts.project: gr.skip()}  # the language changed in a page that shows none of this
        views = team.projects(user, schema_id)
        view = _chosen(views, project_id)
        listed = gr.update(choices=team_view.project_choices(chosen, views), value=view.project.id)
        return {parts.project: listed} | _figures(services, parts, user, chosen, view, pair)

    @refusals
    def work_here(chosen: str, schema_id: str, project_id: int, pair: str, request: gr.Request) -> Updates:
        project = team.choose(identify(caller(request)), project_id)
        name = team_view.project_name(chosen, project.name)
        gr.Info(Text(f"Sie annotieren jetzt in: {name}", f"You annotate in: {name}").say(chosen))
        told = annotation_card.message(refresh=uuid.uuid4().hex, schema=schema_id, project=str(project_id))
        return {card: told} | refresh(chosen, schema_id, project_id, pair, request)

    asked = [language, parts.schema, parts.project, parts.pair]
    everything = [parts.project, *parts.figures]
    tab.select(refresh, asked, everything, **PRIVATE)
    # By itself: of several changes the last one counts, also while the tab is still being filled.
    parts.schema.change(refresh, asked, everything, **PRIVATE)
    on_switch(language, refresh, asked, everything)
    gr.on([parts.project.input, parts.pair.input], show_project, asked, parts.figures, **PRIVATE)
    parts.here.click(work_here, asked, [card, *everything], **PRIVATE)
    parts.projects.connect(services, language, parts.schema, parts.project, parts.summary, refresh, everything)


def _chosen(views: list[ProjectView], project_id: int | None) -> ProjectView:
    """The project on the screen, else the one that the user works in."""
    known = {view.project.id: view for view in views}
    return known.get(project_id or 0) or next(view for view in views if view.chosen)


def _figures(services: Services, parts: _Parts, user: User, language: str, view: ProjectView, pair: str) -> Updates:
    """Everything about one project that this user may see."""
    project = view.project
    progress = services.team.progress(user, project.id)
    effect = services.team.suggestion_effect(user, project.id)
    curates = user.role.includes(Role.CURATOR)
    told: Updates = {
        parts.here: gr.update(visible=not view.chosen),
        parts.summary: team_view.summary(language, view),
        parts.people: team_view.people_table(language, progress),
        parts.findings: (
            team_marks_view.kinds_table(language, project.schema_id, progress.kinds)
            if progress.kinds and progress.people
            else team_view.findings_table(language, project.schema_id, progress)
        ),
        parts.effect: team_view.effect_table(
            language, effect, team_marks_view.effect_rows(language, effect.marks) if effect.marks else ()
        ),
        parts.effect_said: team_view.effect_sentence(language, effect),
        **{accordion: gr.update(visible=curates) for accordion in parts.for_curators},
    }
    told |= parts.projects.updates(services, user, language, view)
    return told | (_for_curators(services, parts, user, language, view, pair) if curates else {})


def _for_curators(
    services: Services, parts: _Parts, user: User, language: str, view: ProjectView, pair: str
) -> Updates:
    """Agreement and reviews."""
    project = view.project
    of_spans = load_schema(project.schema_id).kind is Kind.SPANS
    view_of = team_marks_view if of_spans else team_view
    found = services.team.agreement(user, project.id, pair.split("\n") if pair else ())
    choices = team_view.pair_choices(language, found.readers)
    value = pair if pair in [value for _, value in choices] else ""
    told = review_card.message(
        language=language, schema=project.schema_id, project=project.id, refresh=uuid.uuid4().hex
    )
    return {
        parts.pair: gr.update(choices=choices, value=value),
        parts.agreement: view_of.agreement_table(language, project.schema_id, found),
        parts.agreement_help: view_of.AGREEMENT_HELP.say(language),
        parts.review: told,
    }
