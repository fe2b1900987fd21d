"""The choice of models as cards: what there is to know of each, and how a change stands. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medbertde.services.models import Choice, Size, Stage, Switch, Where
from medbertde.types import UserError
from medbertde.ui.words import Text, decimal

USE = Text("Verwenden", "Use")
ANSWERS = Text("antwortet jetzt", "answers now")
FOR_ALL = Text(
    "Das gewählte Modell antwortet für alle, auch nach einem Neustart.",
    "The chosen model answers for everybody, also after a restart.",
)
ONLY_ADMINS = Text(
    "Das Modell antwortet für alle. Wechseln kann es nur, wer die App verwaltet (Rolle „admin“).",
    "The model answers for everybody. Only who runs the app (role “admin”) can change it.",
)
NO_HUB = Text(
    "Der Hugging Face Hub ist von hier aus nicht erreichbar. Modelle, die nicht auf diesem Rechner liegen, lassen sich "
    "einmal mit Internetzugang laden und danach offline verwenden; ein Modellordner geht immer.",
    "The Hugging Face Hub cannot be reached from here. Models that are not on this machine can be downloaded once with "
    "internet access and used offline from then on; a model folder always works.",
)
STATES = {
    Where.EMBEDDED: Text("eingebaut", "embedded"),
    Where.HERE: Text("auf diesem Rechner", "on this machine"),
    Where.CACHED: Text("im Zwischenspeicher", "in the cache"),
    Where.DOWNLOAD: Text("muss geladen werden", "has to be downloaded"),
    Where.GATED: Text("gesperrt", "gated"),
    Where.OFFLINE: Text("offline nicht da", "not here, offline"),
    Where.BROKEN: Text("nicht verwendbar", "cannot be used"),
}
SIZE, TOKENIZER, LICENCE = Text("Größe", "Size"), Text("Wortteile", "Tokenizer"), Text("Lizenz", "Licence")
TERMS = Text("Bedingungen", "Terms")
UNEXPECTED = Text(
    "Der Wechsel hat nicht funktioniert. Das bisherige Modell antwortet weiter.",
    "The change did not work. The model before goes on answering.",
)
NONE_YET = Text(
    "Dafür gibt es noch kein Modell. Es entsteht im Reiter „Training“ aus markierten Befunden; ein fertiger "
    "Modellordner lässt sich unten eintragen.",
    "There is no model for this yet. The tab “Training” makes one from marked reports; a model folder can be entered "
    "below.",
)
OLD_ANSWERS = Text("Das bisherige Modell antwortet weiter.", "The model before goes on answering.")


def choices_value(language: str, choices: Sequence[Choice], *, may_switch: bool, busy: str | None) -> dict[str, Any]:
    """The list of models. `busy` is the name of the one that is being loaded; why nothing is offline is said once."""
    offline = any(choice.where is Where.OFFLINE for choice in choices)
    hint = NO_HUB if offline else NONE_YET if not choices else None
    return {
        "hint": hint.say(language) if hint else "",
        "items": [_item(language, choice, may_switch, busy) for choice in choices],
    }


def _item(language: str, choice: Choice, may_switch: bool, busy: str | None) -> dict[str, Any]:
    facts = [
        (SIZE, said_size(language, choice.size)),
        (TOKENIZER, choice.tokenizer),
        (LICENCE, choice.licence[language]),
        (TERMS, choice.terms[language]),
    ]
    return {
        "name": choice.name,
        "title": choice.title[language],
        "id": choice.name if choice.name != choice.title[language] else "",
        "where": choice.where.value,
        "state": STATES[choice.where].say(language),
        "good_for": choice.good_for[language],
        "facts": [[name.say(language), text] for name, text in facts if text],
        "reason": choice.reason.sentence(language) if choice.reason and choice.where is not Where.OFFLINE else "",
        "answers": ANSWERS.say(language) if choice.answers else "",
        "use": USE.say(language) if may_switch and choice.where.usable and not choice.answers else "",
        "waits": busy is not None,
    }


def said_size(language: str, size: Size | None) -> str:
    """Parameters and megabytes: ``109 Mio. Parameter, 436 MB``."""
    if size is None:
        return ""
    millions = size.parameters / 1e6
    number = decimal(language, f"{millions:.0f}" if millions >= 10 else f"{millions:.1f}")
    about = Text("etwa ", "about ").say(language) if size.about else ""
    said = Text(f"{number} Mio. Parameter", f"{number} M parameters").say(language)
    return f"{said}, {about}{size.megabytes:.0f} MB"


def switch_value(language: str, switch: Switch | None, *, may_switch: bool) -> dict[str, Any]:
    """How a change stands; where there is none, what a change would mean."""
    if switch is None:
        return {"stage": "none", "said": (FOR_ALL if may_switch else ONLY_ADMINS).say(language)}
    return {
        "stage": switch.stage.value,
        "said": _said(switch).say(language),
        "share": switch.here / switch.total if switch.stage is Stage.FETCHING and switch.total else None,
        "going": switch.going,
    }


def _said(switch: Switch) -> Text:
    if switch.stage is Stage.DONE:
        return Text(f"Ab jetzt antwortet {switch.version}.", f"{switch.version} answers from now on.")
    if switch.stage is Stage.REFUSED:
        refusal = switch.refusal or UserError(UNEXPECTED.de, UNEXPECTED.en)
        return Text(f"{refusal.de} {OLD_ANSWERS.de}", f"{refusal.en} {OLD_ANSWERS.en}")
    de, en = {
        Stage.WAITING: ("wird vorbereitet", "is being prepared"),
        Stage.FETCHING: (f"wird geladen: {_megabytes(switch)}", f"is being downloaded: {_megabytes(switch)}"),
        Stage.LOADING: ("wird geprüft und gestartet", "is being checked and started"),
    }[switch.stage]
    return Text(f"{switch.name} {de}. {OLD_ANSWERS.de}", f"{switch.name} {en}. {OLD_ANSWERS.en}")


def _megabytes(switch: Switch) -> str:
    return f"{switch.here / 1e6:.0f} / {switch.total / 1e6:.0f} MB"
