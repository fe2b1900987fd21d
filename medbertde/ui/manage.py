"""Administration, below "Über medbertde" and for administrators only: people and the audit trail.

The services decide who may what; the page shows this part to nobody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block

from medbertde.services import Services
from medbertde.services.accounts import AUDIT_PAGE, AuditEntry, Person
from medbertde.types import Role, User
from medbertde.ui.card import Card
from medbertde.ui.header import ROLES
from medbertde.ui.screening_view import KINDS
from medbertde.ui.switch import on_switch
from medbertde.ui.view import PRIVATE, caller, refusals
from medbertde.ui.words import Text, Words

Updates = dict[Block, Any]

PEOPLE_COLUMNS = (Text("Name", "Name"), Text("Rolle", "Role"), Text("Anmeldung", "Sign-in"), Text("Seit", "Since"))
AUDIT_COLUMNS = (Text("Zeit (UTC)", "Time (UTC)"), Text("Wer", "Who"), Text("Was", "What"), Text("Angaben", "Details"))
POSSIBLE = Text("möglich", "possible")
DISABLED = Text("gesperrt", "disabled")
NO_PASSWORD = Text("kein Passwort", "no password")
DONE = Text("Erledigt", "Done")
SYSTEM = Text("System", "system")
DAY = Text("%d.%m.%Y", "%Y-%m-%d")
ACTIONS = {
    "sign_in": Text("angemeldet", "signed in"),
    "sign_out": Text("abgemeldet", "signed out"),
    "locked": Text("nach Fehlversuchen gesperrt", "locked after failed tries"),
    "add_user": Text("Konto angelegt", "account added"),
    "role": Text("Rolle geändert", "role changed"),
    "disable": Text("Konto gesperrt", "account disabled"),
    "enable": Text("Konto wieder zugelassen", "account enabled"),
    "password": Text("Passwort geändert", "password changed"),
    "accept_terms": Text("Bedingungen angenommen", "terms accepted"),
    "import": Text("Import", "import"),
    "export": Text("Export", "export"),
    "promote": Text("Modell übernommen", "model taken over"),
    "roll_back": Text("früheres Modell", "earlier model"),
    "start_training": Text("Training gestartet", "training started"),
    "resume_training": Text("Training fortgesetzt", "training resumed"),
    "cancel_training": Text("Training abgebrochen", "training cancelled"),
    "choose_model": Text("Modell gewählt", "model chosen"),
    "override_audit": Text("Weitergabe trotz Prüfung", "given away despite its audit"),
    "read_identifying": Text("Text trotz Angaben zur Person gelesen", "text read despite details of a person"),
    "ask_for_review": Text("zur Prüfung gegeben", "sent to review"),
    "adjudicate": Text("Befund entschieden", "report decided"),
    "project": Text("Projekt angelegt", "project made"),
    "assign": Text("Personen zugeordnet", "people assigned"),
    "close_project": Text("Projekt geschlossen", "project closed"),
    "order": Text("Reihenfolge berechnet", "order computed"),
    "backup": Text("Sicherung", "backup"),
    "restore": Text("Wiederherstellung", "restore"),
    "move": Text("Umzug der Datenbank", "database moved"),
}

FACTS = {kind.value: said for kind, said in KINDS.items()} | {
    "of": Text("Konto", "account"),
    "name": Text("Name", "name"),
    "role": Text("Rolle", "role"),
    "tries": Text("Versuche", "tries"),
    "version": Text("Version", "version"),
    "schema": Text("Schema", "schema"),
    "run": Text("Training", "run"),
    "kind": Text("Art", "kind"),
    "added": Text("neu", "added"),
    "duplicates": Text("schon vorhanden", "duplicates"),
    "labelled": Text("annotiert", "labelled"),
    "rejected": Text("abgelehnt", "rejected"),
    "identifying": Text("mit Angaben zur Person", "with details of a person"),
    "treatment": Text("Umgang damit", "treatment"),
    "report": Text("Befundtext", "report"),
    "findings": Text("Befunde", "findings"),
    "marks": Text("Markierungen", "marks"),
    "like": Text("wie", "like"),
    "project": Text("Projekt", "project"),
    "people": Text("Personen", "people"),
    "order": Text("Reihenfolge", "order"),
    "why": Text("Grund", "why"),
    "reason": Text("Begründung", "reason"),
    "file": Text("Datei", "file"),
    "rows": Text("Zeilen", "rows"),
    "sha256": Text("Prüfsumme", "checksum"),
}


@dataclass(frozen=True)
class _People:
    """Who there is, and what is typed to change it."""

    table: Card
    name: gr.Textbox
    role: gr.Dropdown
    password: gr.Textbox


def build(services: Services, words: Words, language: gr.Radio) -> gr.Column:
    """Layout and wiring; returns the part that only administrators see."""
    with gr.Column(visible=False, elem_id="manage") as panel:
        words(gr.Markdown, Text("### Verwaltung", "### Administration"))
        with words(gr.Accordion, Text("Personen", "People"), open=False, elem_id="manage-people") as people:
            _build_people(services, words, language, people)
        with words(gr.Accordion, Text("Protokoll", "Audit trail"), open=False, elem_id="manage-audit") as trail:
            _build_audit(services, words, language, trail)
    return panel


def _build_people(services: Services, words: Words, language: gr.Radio, opened: gr.Accordion) -> None:
    table = Card("table", elem_id="manage-table")
    with gr.Row():
        name = words(gr.Textbox, label=Text("Name", "Name"), elem_id="manage-name", max_length=40, min_width=180)
        role = words(
            gr.Dropdown, [(text, role.value) for role, text in ROLES.items()], value=Role.ANNOTATOR.value,
            label=Text("Rolle", "Role"), elem_id="manage-role", min_width=180,
        )  # fmt: skip
        password = words(
            gr.Textbox, label=Text("Neues Passwort", "New password"), type="password", elem_id="manage-password",
            min_width=180,
        )  # fmt: skip
    people, accounts, identify = _People(table, name, role, password), services.accounts, services.access.identify
    with gr.Row(elem_classes="mb-buttons"):
        buttons = {
            action: words(gr.Button, text, min_width=140, elem_id=f"manage-{action}")
            for action, text in {
                "add": Text("Anlegen", "Add"),
                "role-set": Text("Rolle setzen", "Set role"),
                "reset": Text("Passwort setzen", "Set password"),
                "disable": Text("Sperren", "Disable"),
                "enable": Text("Wieder zulassen", "Enable"),
            }.items()
        }

    def show(chosen: str, user: User) -> Updates:
        return {table: people_value(chosen, accounts.people(user))}

    def changing(action: str) -> Any:
        @refusals
        def change(chosen: str, name: str, role: str, password: str, request: gr.Request) -> Updates:
            user = identify(caller(request))
            if action == "add":
                accounts.add(user, name, Role(role), password)
            elif action == "role-set":
                accounts.set_role(user, name.strip(), Role(role))
            elif action == "reset":
                accounts.reset_password(user, name.strip(), password)
            else:
                {"disable": accounts.disable, "enable": accounts.enable}[action](user, name.strip())
            gr.Info(DONE.say(chosen))
            return {people.name: "", people.password: "", **show(chosen, user)}

        return change

    @refusals
    def refresh(chosen: str, request: gr.Request) -> Updates:
        user = identify(caller(request))
        return show(chosen, user) if user.role is Role.ADMIN else {table: gr.skip()}

    typed = [language, people.name, people.role, people.password]
    for action, button in buttons.items():
        button.click(changing(action), typed, [people.table, people.name, people.password], **PRIVATE)
    opened.expand(refresh, language, people.table, **PRIVATE)
    on_switch(language, refresh, language, people.table)


def _build_audit(services: Services, words: Words, language: gr.Radio, opened: gr.Accordion) -> None:
    table = Card("table", elem_id="manage-trail")
    oldest = gr.State(None)
    with gr.Row(elem_classes="mb-buttons"):
        newest = words(gr.Button, Text("Neueste", "Newest"), min_width=140, elem_id="manage-newest")
        older = words(gr.Button, Text("Ältere", "Older"), min_width=140, elem_id="manage-older")

    @refusals
    def show(chosen: str, before: int | None, request: gr.Request) -> Updates:
        user = services.access.identify(caller(request))
        if user.role is not Role.ADMIN:
            return {table: gr.skip()}
        found = services.accounts.audit(user, before=before)
        return {
            table: audit_value(chosen, found),
            oldest: found[-1].id if found else before,
            older: gr.update(interactive=len(found) == AUDIT_PAGE),
        }

    @refusals
    def show_newest(chosen: str, request: gr.Request) -> Updates:
        return show(chosen, None, request)

    shown = [table, oldest, older]
    gr.on([opened.expand, newest.click], show_newest, language, shown, **PRIVATE)
    on_switch(language, show_newest, language, shown)
    older.click(show, [language, oldest], shown, **PRIVATE)


def people_value(language: str, people: list[Person]) -> dict[str, Any]:
    """The table of people, for the card."""
    day = DAY.say(language)
    rows = [
        [person.name, ROLES[person.role].say(language), _sign_in(person).say(language), f"{person.created_at:{day}}"]
        for person in people
    ]
    return {"columns": [column.say(language) for column in PEOPLE_COLUMNS], "rows": rows}


def audit_value(language: str, entries: list[AuditEntry]) -> dict[str, Any]:
    """The table of the audit trail, for the card; what has no word of its own appears under its name."""
    rows = [
        [
            f"{entry.created_at:{DAY.say(language)} %H:%M}",
            entry.user or SYSTEM.say(language),
            ACTIONS[entry.action].say(language) if entry.action in ACTIONS else entry.action,
            ", ".join(f"{_fact(language, key)}: {value}" for key, value in entry.facts.items()),
        ]
        for entry in entries
    ]
    return {"columns": [column.say(language) for column in AUDIT_COLUMNS], "rows": rows}


def _fact(language: str, key: str) -> str:
    return FACTS[key].say(language) if key in FACTS else key


def _sign_in(person: Person) -> Text:
    if person.disabled:
        return DISABLED
    return POSSIBLE if person.can_sign_in else NO_PASSWORD
