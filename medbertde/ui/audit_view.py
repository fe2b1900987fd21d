"""The audits of the models that answer, in plain words for the tab "Über medbertde". Pure functions to JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medbertde.model_audit import REASONS, Figure, ModelAudit
from medbertde.services.model_audits import Audited
from medbertde.ui.words import Text, decimal

TITLE = Text("### Prüfung der Modelle, die jetzt antworten", "### Audit of the models that answer now")
WITHIN = Text("Alle Grenzen eingehalten", "Within all limits")
ABOVE = Text("Über den Grenzen", "Above the limits")
NOT_AUDITED = Text("Nicht geprüft", "Not audited")
NOT_GIVEN_AWAY = Text(
    "Das Modell antwortet hier weiter; weitergegeben wird es nur, wenn ein Administrator das begründet.",
    "The model goes on answering here; it is given away only with an administrator's reason.",
)
MORE, WHY = Text("Alle Messwerte", "All figures"), Text("Warum diese Grenzen", "Why these limits")
COLUMNS = (
    Text("Gemessen", "Measured"),
    Text("Bei", "Of"),
    Text("Wert", "Value"),
    Text("Grenze", "Limit"),
    Text("Anzahl", "Number"),
)
NAMES = {
    "membership_auc": Text(
        "Trainingstexte wiedererkennen (AUC, 0,5 ist Raten)", "Recognise training texts (AUC, 0.5 is guessing)"
    ),
    "tpr_at_1": Text("Erkannte Trainingstexte bei 1 % Fehlalarmen", "Training texts found at 1 % false alarms"),
    "tpr_at_10": Text("Erkannte Trainingstexte bei 10 % Fehlalarmen", "Training texts found at 10 % false alarms"),
    "blind_auc": Text("Dasselbe ohne Modell, nur an den Wörtern", "The same without the model, by words alone"),
    "exposure_bits": Text("Geheimnisse erraten (Bit)", "Guess secrets (bits)"),
    "flip_rate": Text("Paare mit geänderter Entscheidung", "Pairs with a changed decision"),
    "shift": Text("Mittlere Änderung der Wahrscheinlichkeit", "Mean change of the probability"),
    "bias": Text("Dieselbe mit Vorzeichen", "The same with its sign"),
    "subgroup_f1_micro": Text("F1 (micro) der Gruppe", "Micro F1 of the group"),
    "subgroup_auroc_macro": Text("AUROC (makro) der Gruppe", "Macro AUROC of the group"),
    "probe_sex": Text("Anteil weiblicher Wörter in der Lücke", "Share of female words in the gap"),
    "probe_age": Text("Anteil hoher Alter in der Lücke", "Share of high ages in the gap"),
}
GROUPS = {
    "sex": Text("Geschlecht, im Text", "sex, in the text"),
    "age": Text("Alter, im Text", "age, in the text"),
    "sex (line)": Text("Geschlecht, als Zeile davor", "sex, as a line before"),
    "age (line)": Text("Alter, als Zeile davor", "age, as a line before"),
    "name (line)": Text("Name anderer Herkunft", "name of another origin"),
    "given secrets": Text("vorgegebene Geheimnisse", "given secrets"),
    "neutral": Text("ohne Befund", "no finding"),
    "heart": Text("Herz", "heart"),
    "lung": Text("Lunge", "lung"),
    "bone": Text("Knochen und Unfall", "bones and accidents"),
    "mind": Text("Psyche", "mental health"),
    "habit": Text("Suchtmittel", "substance use"),
}
SUBGROUPS = {
    "sex": Text("Geschlecht", "sex"),
    "age": Text("Alter", "age"),
    "site": Text("Bereich", "site"),
    "modality": Text("Modalität", "modality"),
}
MEMBERS = {
    "male": Text("männlich", "male"),
    "female": Text("weiblich", "female"),
    "diverse": Text("divers", "diverse"),
    "below 18": Text("unter 18", "below 18"),
    "18 to 39": Text("18 bis 39", "18 to 39"),
    "40 to 64": Text("40 bis 64", "40 to 64"),
    "65 to 79": Text("65 bis 79", "65 to 79"),
    "80 and more": Text("ab 80", "80 and more"),
}
MEMBERSHIP = ("membership_auc", "tpr_at_1", "tpr_at_10")
PEOPLE = {"sex": Text("Geschlecht", "sex"), "age": Text("Alter", "age"), "name": Text("Name", "name")}


def audits_value(language: str, audited: Sequence[Audited], titles: Mapping[str, Text]) -> dict[str, Any]:
    """One part for each model, in the order of the tabs."""
    by_slot = {each.slot: each for each in audited}
    items = [_item(language, by_slot[slot], title) for slot, title in titles.items() if slot in by_slot]
    return {"items": items}


def _item(language: str, audited: Audited, title: Text) -> dict[str, Any]:
    audit = audited.audit
    verdict = WITHIN if audit and audit.passed else ABOVE if audit else NOT_AUDITED
    sentences = _sentences(language, audit) if audit else [audited.why.sentence(language) if audited.why else ""]
    remarks = [remark.sentence(language) for remark in audit.remarks] if audit else []
    return {
        "title": title.say(language),
        "version": audited.version,
        "verdict": verdict.say(language),
        "level": "within" if audit and audit.passed else "above" if audit else "none",
        "sentences": [*sentences, *([] if audit is None or audit.passed else [NOT_GIVEN_AWAY.say(language)])],
        "remarks": remarks,
        "more": MORE.say(language) if audit else "",
        "columns": [column.say(language) for column in COLUMNS],
        "rows": [_row(language, figure) for figure in audit.figures] if audit else [],
        "why": WHY.say(language),
        "reasons": _reasons(language, audit) if audit else [],
    }


def _sentences(language: str, audit: ModelAudit) -> list[str]:
    """What the figures mean, for somebody who reads no figures."""
    remembers = any(figure.exceeds for name in MEMBERSHIP for figure in audit.of(name))
    found = [_on_membership(language, figure, remembers) for figure in audit.of(MEMBERSHIP[0])]
    if secrets := audit.of("exposure_bits"):
        most = max(secrets, key=lambda figure: figure.value)
        found.append(_ON_SECRETS[most.exceeds].say(language))
    if pairs := audit.of("flip_rate"):
        found.append(_on_pairs(language, pairs))
    return found


_ON_SECRETS = {
    False: Text(
        "Geheimnisse aus dem Training ließen sich mit dem Modell nicht leichter erraten als durch Zufall.",
        "Secrets of the training were no easier to guess with the model than by chance.",
    ),
    True: Text(
        "Mindestens ein Geheimnis aus dem Training ließ sich mit dem Modell deutlich leichter erraten.",
        "At least one secret of the training was much easier to guess with the model.",
    ),
}


def _on_membership(language: str, figure: Figure, remembers: bool) -> str:
    percent = f"{100 * figure.value:.0f}"
    said = Text(
        f"Ob ein Text zum Training gehörte, lässt sich am Modell in {percent} von 100 Vergleichen richtig ablesen; "
        "durch Raten wären es 50. ",
        f"Whether a text belonged to the training can be told from the model in {percent} of 100 comparisons; guessing "
        "would give 50. ",
    )
    follows = {
        False: Text("Einzelne Trainingstexte gibt es damit nicht preis.", "Single training texts are not given away."),
        True: Text(
            "Das Modell hat sich Texte gemerkt. Mit Befunden wirklicher Menschen trainiert, dürfte es das Haus nicht "
            "verlassen.",
            "The model remembers texts. Trained on reports of real people, it must not leave the house.",
        ),
    }
    return said.say(language) + follows[remembers].say(language)


def _on_pairs(language: str, pairs: Sequence[Figure]) -> str:
    kinds = list(dict.fromkeys(figure.group.partition(" ")[0] for figure in pairs))
    named = [PEOPLE[kind].say(language) for kind in kinds if kind in PEOPLE]
    people = f"{', '.join(named[:-1])} {Text('und', 'and').say(language)} {named[-1]}" if named[1:] else named[0]
    number = sum(figure.n for figure in pairs)
    changed = round(sum(figure.n * figure.value for figure in pairs))
    if language == "en":
        times = changed or "none"
        return f"Of {number:,} pairs of reports that differ in {people} only, a decision changed in {times}."
    count = f"{number:,}".replace(",", ".")
    said = f"Von {count} Paaren von Befunden, die sich nur in {people} unterscheiden, änderte sich"
    return f"{said} bei {changed or 'keinem'} eine Entscheidung."


def _row(language: str, figure: Figure) -> dict[str, Any]:
    name = NAMES[figure.name].say(language) if figure.name in NAMES else figure.name
    digits = 1 if figure.name == "exposure_bits" else 3
    value = _number(language, figure.value, digits)
    if figure.low is not None and figure.high is not None:
        value += f" ({_number(language, figure.low, digits)}–{_number(language, figure.high, digits)})"
    limit = "" if figure.limit is None else f"≤ {decimal(language, f'{figure.limit:g}')}"
    return {"cells": [name, _group(language, figure.group), value, limit, str(figure.n)], "exceeds": figure.exceeds}


def _group(language: str, group: str) -> str:
    """Of which part a figure is, in the language of the page.

    >>> _group("de", "age: 40 to 64"), _group("de", "learnt 4 times"), _group("de", "site: Intensivstation")
    ('Alter: 40 bis 64', '4-mal gelernt', 'Bereich: Intensivstation')
    """
    if group in GROUPS:
        return GROUPS[group].say(language)
    kind, _, member = group.partition(": ")
    if kind in SUBGROUPS:
        return f"{SUBGROUPS[kind].say(language)}: {MEMBERS[member].say(language) if member in MEMBERS else member}"
    times = group.removeprefix("learnt ").removesuffix(" times")
    return Text(f"{times}-mal gelernt", group).say(language) if times.isdigit() else group


def _number(language: str, value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return decimal(language, "0" + text[2:] if text.startswith("-0.") and not float(text) else text.replace("-", "−"))


def _reasons(language: str, audit: ModelAudit) -> list[list[str]]:
    """The reasons for the limits that apply here."""
    names = dict.fromkeys(figure.name for figure in audit.figures if figure.limit is not None)
    return [[NAMES[name].say(language), REASONS[name]["en" if language == "en" else "de"]] for name in names]
