"""The tab "Über medbertde": what the app is for, where its limits lie, how its models were audited, which it knows."""

from __future__ import annotations

from typing import Any

import gradio as gr

from medbertde.services import Services
from medbertde.settings import Profile
from medbertde.ui.audit_view import TITLE, audits_value
from medbertde.ui.card import Card
from medbertde.ui.header import slot_titles
from medbertde.ui.view import PRIVATE
from medbertde.ui.words import Text, Words

LIMITS = Text(
    """### Wofür es gedacht ist
medbertde liest deutsche radiologische Befunde mit Sprachmodellen: Lücken füllen, Befunde erkennen, Annotationen sammeln
und daraus ein besseres Modell trainieren. Es richtet sich an Forschung und Lehre.

### Wo die Grenzen liegen
- Die eingebauten Modelle sind klein und haben nur **frei erfundene** Befunde gesehen. Auf echten Befunden anderer
  Häuser irren sie sich häufiger.
- Sie kennen nur die Befunde ihres Schemas. Was dort fehlt, bleibt unsichtbar.
- Eine hohe Wahrscheinlichkeit heißt, dass der **Text** so gelesen wird, nicht dass der Befund **stimmt**.
- Die farbigen Wörter zeigen, was den Zahlenwert bewegt hat. Sie sind keine Begründung und kein Beweis.
- {}""",
    """### What it is for
medbertde reads German radiology reports with language models: fill gaps, recognise findings, collect labels and train a
better model from them. It is made for research and teaching.

### Where the limits are
- The embedded models are small and have seen **fictional** reports only. They err more often on real reports of other
  hospitals.
- They know the findings of their schema only. What is missing there stays invisible.
- A high probability means that the **text** reads like that, not that the finding is **true**.
- The coloured words show what moved the number. They are no reasoning and no proof.
- {}""",
)
KEPT = Text(
    "Dauerhaft gespeichert wird ein Text erst, wenn ihn jemand zum Annotieren einliest oder aufnimmt; im Protokoll und "
    "im Speicher des Browsers steht er nie.",
    "A text is kept only once somebody imports or adds it for annotation; it never stands in the log or in the "
    "browser's storage.",
)
WHERE = {
    Profile.LOCAL: Text("Ihre Texte verlassen diesen Rechner nicht.", "Your texts do not leave this machine."),
    Profile.SERVER: Text(
        "Ihre Texte gehen an den Server, auf dem medbertde läuft, und an keinen fremden Dienst.",
        "Your texts go to the server that runs medbertde and to no outside service.",
    ),
    Profile.SPACE: Text(
        "Ihre Texte gehen an einen Server von Hugging Face, auf dem medbertde läuft, und an keinen weiteren Dienst.",
        "Your texts go to a server of Hugging Face that runs medbertde and to no further service.",
    ),
}


COLUMNS = (
    Text("Modell", "Model"),
    Text("Wortteile", "Tokenizer"),
    Text("Gut für", "Good for"),
    Text("Lizenz", "Licence"),
    Text("Bedingungen", "Terms"),
)


def limits(served_as: Profile) -> Text:
    """What the app is for, its limits, and where texts go when it is served like this."""
    where = WHERE[served_as]
    return Text(LIMITS.de.format(f"{where.de} {KEPT.de}"), LIMITS.en.format(f"{where.en} {KEPT.en}"))


def catalogue_value(language: str, services: Services) -> dict[str, Any]:
    """A table of the models the app knows."""
    rows = [
        [entry.id, entry.tokenizer, entry.good_for[language], entry.licence[language], entry.terms[language]]
        for entry in services.reading.catalogue()
    ]
    return {"columns": [column.say(language) for column in COLUMNS], "rows": rows}


def build(services: Services, words: Words, language: gr.Radio, tab: gr.Tab) -> None:
    """Layout, and the audits read anew whenever the tab comes into sight: another model may answer by then."""

    def audits(language: str) -> dict[str, Any]:
        return audits_value(language, services.model_audits.answering(), slot_titles(services))

    words(gr.Markdown, limits(services.settings.served_as), elem_classes="mb-about")
    words(gr.Markdown, TITLE)
    audited = Card("audits", audits(words.language), elem_id="about-audits")
    words.on_language(audited, lambda language: gr.update(value=audits(language)))
    tab.select(audits, language, audited, **PRIVATE)
    words(gr.Markdown, Text("### Modelle, die medbertde kennt", "### Models medbertde knows"))
    table = Card("table", catalogue_value(words.language, services), elem_id="about-models")
    words.on_language(table, lambda language: gr.update(value=catalogue_value(language, services)))
