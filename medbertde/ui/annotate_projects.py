"""Making a project and putting its reports in order: the part of "Team & Prüfung" that admins see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block

from medbertde.schema import load_schema
from medbertde.services import Services
from medbertde.services.ordering import OrderingStatus
from medbertde.services.team import NewProject, ProjectView
from medbertde.types import Conflict, ModelUnavailable, Role, Rules, User, WorkOrder
from medbertde.ui import team_view
from medbertde.ui.view import FOLLOWING, PRIVATE, caller, refusals
from medbertde.ui.words import Text, Words

POLL_S = 1.0
Updates = dict[Block, Any]
ABOUT = Text(
    "Anteile werden für jeden Befundtext einmal ausgelost und ändern sich danach nicht mehr. Der Testteil wird nie "
    "nach einem Modell geordnet und nie zum Training verwendet.",
    "Shares are drawn once for each report and do not change afterwards. The test part is never ordered by a model and "
    "never trained on.",
)


@dataclass(frozen=True)
class Projects:
    """The components of this part."""

    panel: gr.Accordion
    order: gr.Dropdown
    start: gr.Button
    cancel: gr.Button
    said: gr.Markdown
    timer: gr.Timer
    people: gr.Dropdown
    assign: gr.Button
    close: gr.Button
    name: gr.Textbox
    imports: gr.Dropdown
    keys: gr.Textbox
    new_people: gr.Dropdown
    shares: tuple[gr.Slider, ...]  # bare, overlap, test
    readers: gr.Slider
    create: gr.Button

    @property
    def components(self) -> list[Block]:
        """What changes with the project."""
        return [
            self.panel, self.order, self.said, self.timer, self.people, self.close, self.imports, self.new_people,
            self.cancel,
        ]  # fmt: skip

    def updates(self, services: Services, user: User, language: str, view: ProjectView) -> Updates:
        """The part for this user and project; hidden from all but admins."""
        if not user.role.includes(Role.ADMIN):
            return {self.panel: gr.update(visible=False)}
        names, imports = services.team.annotators(user), services.team.imports(user)
        status = services.ordering.status()
        running = bool(status and status.running)
        return {
            self.panel: gr.update(visible=True),
            self.order: gr.update(choices=order_choices(language), value=view.project.rules.order.value),
            self.said: team_view.ordering_sentence(language, status if running else None),
            self.timer: gr.Timer(active=running),
            self.people: gr.update(choices=names, value=list(view.people)),
            self.new_people: gr.update(choices=names),
            self.imports: gr.update(
                choices=[(f"{name or number} ({added})", number) for number, name, added in imports]
            ),
            self.close: gr.update(interactive=not view.project.is_default),
            self.cancel: gr.update(interactive=running),
        }

    def connect(
        self,
        services: Services,
        language: gr.Radio,
        schema: gr.Radio,
        project: gr.Dropdown,
        summary: gr.Markdown,
        refresh: Callable[..., Updates],
        everything: Sequence[Block],
    ) -> None:
        """Wire the buttons; `refresh` (language, schema, project, pair, request) shows everything anew."""
        here = [language, schema, project]
        self._connect_order(services, here, summary)
        self._connect_people(services, here, refresh, everything)
        self._connect_form(services, [language, schema], refresh, everything)

    def _connect_order(self, services: Services, here: Sequence[Block], summary: gr.Markdown) -> None:
        """Compute an order in the background, follow it, stop it; `here` is language, schema and project."""
        ordering, identify = services.ordering, services.access.identify
        language, _schema, project = here

        @refusals
        def start(chosen: str, project_id: int, order: str, request: gr.Request) -> Updates:
            return self._following(chosen, ordering.start(identify(caller(request)), project_id, WorkOrder(order)))

        @refusals
        def follow(chosen: str, schema_id: str, project_id: int, request: gr.Request) -> Updates:
            status = ordering.status()
            told = self._following(chosen, status)
            if status and not status.running:
                found = services.team.projects(identify(caller(request)), schema_id)
                views = {view.project.id: view for view in found}
                told[summary] = team_view.summary(chosen, views[project_id]) if project_id in views else ""
            return told

        @refusals
        def cancel(_language: str, request: gr.Request) -> None:
            ordering.cancel(identify(caller(request)))

        following = [self.said, self.timer, self.start, self.cancel]
        self.start.click(start, [language, project, self.order], following, **PRIVATE)
        self.cancel.click(cancel, language, None, **PRIVATE)
        self.timer.tick(follow, here, [*following, summary], **FOLLOWING)

    def _connect_people(
        self, services: Services, here: Sequence[Block], refresh: Callable[..., Updates], everything: Sequence[Block]
    ) -> None:
        """Assign people to the project, or close it."""
        team, identify = services.team, services.access.identify

        @refusals
        def assign(chosen: str, schema_id: str, project_id: int, people: list[str], request: gr.Request) -> Updates:
            team.assign(identify(caller(request)), project_id, people or [])
            return refresh(chosen, schema_id, project_id, "", request)

        @refusals
        def close(chosen: str, schema_id: str, project_id: int, request: gr.Request) -> Updates:
            team.close(identify(caller(request)), project_id)
            return refresh(chosen, schema_id, None, "", request)

        self.assign.click(assign, [*here, self.people], everything, **PRIVATE)
        self.close.click(close, here, everything, **PRIVATE)

    def _connect_form(
        self, services: Services, where: Sequence[Block], refresh: Callable[..., Updates], everything: Sequence[Block]
    ) -> None:
        """Make a project in the schema that `where` (language, schema) names."""

        @refusals
        def create(
            chosen: str, schema_id: str, name: str, imports: list[int], keys: str, people: list[str],
            readers: float, bare: float, overlap: float, test: float, request: gr.Request,
        ) -> Updates:  # fmt: skip
            user = services.access.identify(caller(request))
            rules = Rules(
                overlap_share=overlap / 100, readers=int(readers), bare_share=bare / 100, test_share=test / 100
            )
            made = services.team.create(user, _new(schema_id, name, imports, keys, rules), people or [])
            with suppress(ModelUnavailable, Conflict):  # without a model the order of import stays, and is said
                services.ordering.start(user, made.id, WorkOrder.UNCERTAINTY)  # docs/training.md: it saves most
            looking = {self.timer: gr.Timer(active=True)}  # the order may be done between two of these reads
            return refresh(chosen, schema_id, made.id, "", request) | {self.name: "", self.keys: ""} | looking

        form = [self.name, self.imports, self.keys, self.new_people, self.readers, *self.shares]
        self.create.click(create, [*where, *form], [*everything, self.name, self.keys], **PRIVATE)

    def _following(self, language: str, status: OrderingStatus | None) -> Updates:
        """How a computation stands; the timer goes on while it runs."""
        running = bool(status and status.running)
        return {
            self.said: team_view.ordering_sentence(language, status),
            self.timer: gr.Timer(active=running),
            self.start: gr.update(interactive=not running),
            self.cancel: gr.update(interactive=running),
        }


def order_choices(language: str) -> list[tuple[str, str]]:
    """The orders by name, the recommended one first."""
    return [(text.say(language), order.value) for order, text in team_view.ORDERS.items()]


def _new(schema_id: str, name: str, imports: list[int], keys: str, rules: Rules) -> NewProject:
    """The project that the form describes; it starts in the order of import until another one is applied."""
    listed = tuple(dict.fromkeys(keys.split()))
    modality = load_schema(schema_id).modality
    return NewProject(schema_id, name.strip(), modality, rules, tuple(imports or ()) or None, listed or None)


def build_projects(words: Words) -> Projects:
    """Lay out the part."""
    title = Text("Projekte und Reihenfolge", "Projects and order of work")
    with words(gr.Accordion, title, open=False, elem_id="team-projects") as panel:
        with gr.Row(equal_height=False):
            order = words(gr.Dropdown, [], label=Text("Reihenfolge", "Order of work"), elem_id="team-order")
            start = words(gr.Button, Text("Reihenfolge anwenden", "Apply order"), size="md", elem_id="team-order-start")
            cancel = words(gr.Button, Text("Anhalten", "Stop"), size="md", interactive=False, elem_id="team-order-stop")
        said = gr.Markdown(elem_id="team-order-said")
        with gr.Row(equal_height=False):
            people = words(
                gr.Dropdown, [], multiselect=True, elem_id="team-people-choice",
                label=Text("Wer hier arbeitet (leer: alle)", "Who works here (empty: everyone)"),
            )  # fmt: skip
            assign = words(gr.Button, Text("Zuteilen", "Assign"), size="md", elem_id="team-assign")
            close = words(gr.Button, Text("Projekt abschließen", "Close project"), size="md", elem_id="team-close")
        words(gr.Markdown, Text("### Neues Projekt", "### New project"))
        name = words(gr.Textbox, label=Text("Name", "Name"), max_lines=1, elem_id="team-new-name")
        imports, keys, new_people = _report_set(words)
        shares, readers = _shares(words)
        words(gr.Markdown, ABOUT, elem_classes="mb-team-note")
        create = words(
            gr.Button, Text("Projekt anlegen", "Make project"), variant="primary", size="md", elem_id="team-create"
        )
    return Projects(
        panel, order, start, cancel, said, gr.Timer(POLL_S, active=False), people, assign, close, name, imports, keys,
        new_people, shares, readers, create,
    )  # fmt: skip


def _report_set(words: Words) -> tuple[gr.Dropdown, gr.Textbox, gr.Dropdown]:
    with gr.Row(equal_height=False):
        imports = words(
            gr.Dropdown, [], multiselect=True, elem_id="team-new-imports",
            label=Text("Befundtexte aus diesen Importen (leer: alle)", "Reports of these imports (empty: all)"),
        )  # fmt: skip
        people = words(
            gr.Dropdown, [], multiselect=True, elem_id="team-new-people",
            label=Text("Wer hier arbeitet (leer: alle)", "Who works here (empty: everyone)"),
        )  # fmt: skip
    keys = words(
        gr.Textbox, lines=2, max_lines=6, elem_id="team-new-keys",
        label=Text("Nur diese Kennungen (durch Leerzeichen getrennt)", "Only these ids (separated by space)"),
    )  # fmt: skip
    return imports, keys, people


def _shares(words: Words) -> tuple[tuple[gr.Slider, ...], gr.Slider]:
    texts = {
        "bare": (10, Text("Ohne Vorschlag zum Vergleich (%)", "Without suggestion, to compare (%)")),
        "overlap": (0, Text("Von mehreren unabhängig gelesen (%)", "Read blind by several (%)")),
        "test": (10, Text("Fester Testteil (%)", "Fixed test part (%)")),
    }
    with gr.Row():
        shares = tuple(
            words(
                gr.Slider, 0, 100, value=value, step=1, label=text, buttons=[], min_width=200, elem_id=f"team-new-{key}"
            )
            for key, (value, text) in texts.items()
        )
        readers = words(
            gr.Slider, 2, 5, value=2, step=1, buttons=[], min_width=200, elem_id="team-new-readers",
            label=Text("Unabhängige Lesungen je Befundtext", "Independent readings of each of these"),
        )  # fmt: skip
    return shares, readers
