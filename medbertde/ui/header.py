"""The top of the page: which models answer, that it is all for research, and what went wrong at the start."""

from __future__ import annotations

from medbertde.services import Services
from medbertde.ui.words import Text

RESEARCH = Text(
    "**Nur für die Forschung.** Kein Medizinprodukt, nicht für Diagnose oder Behandlung. Bitte nur anonymisierte Texte "
    "eingeben.",
    "**For research only.** Not a medical device, not for diagnosis or treatment. Please enter anonymised texts only.",
)
FILL_THE_GAP = Text("Lückentext", "Fill the gap")
NO_MODEL = Text("noch kein Modell", "no model yet")


def header_line(language: str, services: Services) -> str:
    """The active model of each task. Version names are the app's own; as code they cannot become markup."""
    reading = services.reading
    named = {schema.title[language]: reading.active_version(schema.id) for schema in reading.schemas()}
    named[FILL_THE_GAP.say(language)] = reading.fill_mask_version()
    said = (
        f"{task}: `{version}`" if version else f"{task}: {NO_MODEL.say(language)}" for task, version in named.items()
    )
    return " · ".join(said)


def problems(language: str, services: Services) -> str:
    """What went wrong at the start but did not stop the app."""
    return "\n\n".join(notice.sentence(language) for notice in services.notices)
