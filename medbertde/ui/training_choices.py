"""The left side of the tab "Training": what a run learns from and starts from, with a preview of what that gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block

from medbertde.schema import Kind, load_schema
from medbertde.services import Services
from medbertde.services.training import Base, Choices, Selection
from medbertde.types import Role, User, UserError
from medbertde.ui import run_view
from medbertde.ui.card import Card
from medbertde.ui.view import PRIVATE, caller, day, refusals
from medbertde.ui.words import Text, Words

EPOCHS = 4
ALL = Text("alle", "all")
NO_BASE = Text("noch kein Modell auf diesem Rechner", "no model on this machine yet")
UNCERTAIN = {
    "absent": Text("nicht vorhanden", "not present"),
    "present": Text("vorhanden", "present"),
    "ignore": Text("weglassen", "left out"),
}
COUNTS_ABOUT = Text("Anzahl zum Lernen / Einstellen / Prüfen.", "Numbers to learn from / to tune / to test.")
Updates = dict[Block, Any]


@dataclass(frozen=True)
class ChoiceParts:
    """The components of the choices, and of the preview."""

    schema: gr.Radio
    epochs: gr.Slider
    base: gr.Dropdown
    folder: gr.Textbox
    uncertain: gr.Radio
    people: gr.Dropdown
    agreed: gr.Radio
    since: gr.Textbox
    modality: gr.Dropdown
    amount: Card
    counts: Card

    @property
    def chosen(self) -> list[Any]:
        """What `choices_of` reads, in its order."""
        return [self.base, self.folder, self.uncertain, self.people, self.agreed, self.since, self.modality]

    @property
    def shown(self) -> list[Block]:
        """What the preview changes."""
        return [self.amount, self.counts, self.base, self.uncertain, self.people, self.modality]


def build_choices(services: Services, words: Words) -> ChoiceParts:
    """The layout."""
    schemas = services.training.schemas()
    titles = [(Text(schema.title["de"], schema.title["en"]), schema.id) for schema in schemas]
    schema = words(
        gr.Radio, titles, value=schemas[0].id, label=Text("Untersuchung", "Examination"), show_label=False,
        container=False, elem_id="train-schema",
    )  # fmt: skip
    amount = Card("preview", {}, elem_id="train-amount")
    with words(gr.Accordion, Text("Annotationen im Einzelnen", "Labels in detail"), open=False):
        words(gr.Markdown, COUNTS_ABOUT)
        counts = Card("table", {}, elem_id="train-counts")
    with words(gr.Accordion, Text("Befunde auswählen", "Choose reports"), open=False):
        people, agreed, since, modality = _selection(words)
    base, folder = _base(words)
    uncertain = words(
        gr.Radio, [(text, name) for name, text in UNCERTAIN.items()], value="absent", elem_id="train-uncertain",
        label=Text("„Unsicher“ zählt für die Ausgabe „vorhanden“ als", "For the output “present”, uncertain counts as"),
    )  # fmt: skip
    epochs = words(
        gr.Slider, 1, 20, value=EPOCHS, step=1, buttons=[], elem_id="train-epochs",
        label=Text("Durchgänge durch die Befunde (höchstens)", "Passes over the reports (at most)"),
        info=Text(
            "Wird es beim Einstellen nicht mehr besser, endet das Training früher.",
            "Where tuning shows no more gain, the run ends earlier.",
        ),
    )  # fmt: skip
    return ChoiceParts(schema, epochs, base, folder, uncertain, people, agreed, since, modality, amount, counts)


def _base(words: Words) -> tuple[gr.Dropdown, gr.Textbox]:
    """The list of models, whose values are names that no language changes, and a folder that is not in the list."""
    base = words(
        gr.Dropdown, [("", "")], value="", elem_id="train-base", label=Text("Ausgangsmodell", "Base model"),
        info=Text("Darauf baut das neue auf.", "The new one builds on it."),
    )  # fmt: skip
    folder = words(
        gr.Textbox, max_lines=1, elem_id="train-folder",
        label=Text("Anderer Modellordner auf diesem Rechner", "Another model folder on this machine"),
        placeholder=Text("leer: das Modell aus der Liste", "empty: the model of the list"),
    )  # fmt: skip
    return base, folder


def _selection(words: Words) -> tuple[gr.Dropdown, gr.Radio, gr.Textbox, gr.Dropdown]:
    people = words(
        gr.Dropdown, [], value=[], multiselect=True, elem_id="train-people",
        label=Text("Gelesen von (leer: alle)", "Read by (empty: all)"),
    )  # fmt: skip
    agreed = words(
        gr.Radio, [(ALL, "all"), (Text("nur einig oder entschieden", "only agreed or adjudicated"), "agreed")],
        value="all", label=Text("Grundlage der Labels", "What labels rest on"), elem_id="train-agreed",
    )  # fmt: skip
    since = words(
        gr.Textbox, label=Text("Gespeichert ab (Tag)", "Saved from (day)"), max_lines=1, elem_id="train-since",
        placeholder=Text("z. B. 01.03.2026", "e.g. 2026-03-01"),
    )  # fmt: skip
    modality = words(
        gr.Dropdown, [(ALL, "")], value="", label=Text("Untersuchungsart", "Modality"), elem_id="train-modality"
    )
    return people, agreed, since, modality


def choices_of(
    base: str | None,
    folder: str | None,
    uncertain: str,
    people: list[str] | None,
    agreed: str,
    since: str | None,
    modality: str | None,
) -> Choices:
    """The choices as they stand on the page; a folder that is named counts more than the list."""
    selection = Selection(tuple(people or ()), day(since), agreed == "agreed", modality or "")
    return Choices((folder or "").strip() or base or "", uncertain, selection)


def connect_choices(services: Services, parts: ChoiceParts, language: gr.Radio) -> None:
    """The preview follows what is chosen."""

    @refusals
    def look(language: str, schema_id: str, request: gr.Request, *chosen: Any) -> Updates:
        user = services.access.identify(caller(request))
        return preview_of(services, parts, user, language, schema_id, chosen)

    changed = [parts.people.input, parts.agreed.input, parts.modality.input, parts.since.submit, parts.since.blur]
    gr.on(changed, look, [language, parts.schema, *parts.chosen], parts.shown, **PRIVATE)


def preview_of(
    services: Services, parts: ChoiceParts, user: User, language: str, schema_id: str, chosen: Sequence[Any]
) -> Updates:
    """What these choices (the values of `ChoiceParts.chosen`) give, and what else can be chosen.

    A day that cannot be read does not count, and the card says so: the rest of the page is drawn anew all the same.
    """
    if not user.role.includes(Role.CURATOR):
        return {}
    refusal: dict[str, str] = {}
    try:
        wanted = choices_of(*chosen)
    except UserError as error:
        *before, _, modality = chosen
        any_day = [*before, "", modality]
        wanted, refusal = choices_of(*any_day), {"refusal": error.sentence(language)}
    preview = services.training.preview(user, schema_id, wanted.selection)
    modalities = [(ALL.say(language), ""), *((one, one) for one in preview.modalities)]
    return {
        parts.amount: run_view.preview_value(language, schema_id, preview) | refusal,
        parts.counts: run_view.counts_value(language, schema_id, preview),
        parts.base: _bases(language, services.training.bases(user, schema_id), chosen[0]),
        parts.uncertain: gr.update(visible=load_schema(schema_id).kind is Kind.FINDINGS),
        parts.people: gr.update(choices=list(preview.annotators)),
        parts.modality: gr.update(choices=modalities),
    }


def _bases(language: str, bases: Sequence[Base], chosen: str | None) -> Any:
    """The list in the page's language; what this schema does not have gives way to the first one."""
    choices = [(base.title[language], base.name) for base in bases] or [(NO_BASE.say(language), "")]
    names = [name for _, name in choices]
    return gr.update(choices=choices, value=chosen if chosen in names else names[0])
