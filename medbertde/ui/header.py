"""The top of the page: which models answer, who is signed in, that it is all for research, what went wrong at start."""

from __future__ import annotations

from medbertde.services import Services
from medbertde.services.models import FILL_MASK_SLOT
from medbertde.settings import Profile
from medbertde.types import Role, User
from medbertde.ui.words import Text
from medbertde.user_names import GUEST

RESEARCH = Text(
    "**Nur für die Forschung.** Kein Medizinprodukt, nicht für Diagnose oder Behandlung. Bitte nur anonymisierte Texte "
    "eingeben.",
    "**For research only.** Not a medical device, not for diagnosis or treatment. Please enter anonymised texts only.",
)
FILL_THE_GAP = Text("Lückentext", "Fill the gap")
ACCOUNT = Text("Konto", "Account")
ROLES = {
    Role.VIEWER: Text("Lesen", "Viewer"),
    Role.ANNOTATOR: Text("Annotation", "Annotator"),
    Role.CURATOR: Text("Kuration", "Curator"),
    Role.ADMIN: Text("Administration", "Administrator"),
}
LOCAL = Text(
    "Ohne Anmeldung, nur auf diesem Rechner. Gespeichert wird als {}.",
    "Without sign-in, on this machine only. What you save is saved as {}.",
)
VISITOR = Text(
    "Sie sind als Gast hier. Was Sie eingeben, wird gelesen, aber nicht gespeichert.",
    "You are here as a guest. What you enter is read but not stored.",
)
SIGNED_IN = Text("Angemeldet als {} ({})", "Signed in as {} ({})")
NO_MODEL = Text("noch kein Modell", "no model yet")


def slot_titles(services: Services) -> dict[str, Text]:
    """What models answer for, in the order of the tabs; spans, which no tab reads, come last."""
    titles = {schema.id: Text(schema.title["de"], schema.title["en"]) for schema in services.training.schemas()}
    read = {schema.id: titles.pop(schema.id) for schema in services.reading.schemas()}
    return {**read, FILL_MASK_SLOT: FILL_THE_GAP, **titles}


def header_line(language: str, services: Services) -> str:
    """The active model of each task. As code, the names of versions cannot become markup.

    Spans are named once a model marks them: until then nobody misses it on this line.
    """
    active, titles = services.models.versions(), slot_titles(services)
    asked = {FILL_MASK_SLOT, *(schema.id for schema in services.reading.schemas())}
    none = NO_MODEL.say(language)
    said = {slot: f"`{_inert(active[slot])}`" if slot in active else none for slot in titles}
    return " · ".join(f"{titles[slot].say(language)}: {said[slot]}" for slot in titles if slot in asked | {*active})


def who_line(language: str, services: Services, user: User) -> str:
    """Under which name what is saved is kept."""
    if user.name.startswith(GUEST):
        return VISITOR.say(language)
    said = LOCAL if services.settings.served_as is Profile.LOCAL else SIGNED_IN
    return said.say(language).format(f"`{_inert(user.name)}`", ROLES[user.role].say(language))


def _inert(version: str) -> str:
    r"""A version in one line and without what would end the code around it: folders have any name.

    >>> _inert("mein `Modell`\n@1234")
    "mein 'Modell' @1234"
    """
    return " ".join(version.replace("`", "'").split())


def problems(language: str, services: Services) -> str:
    """What went wrong at the start but did not stop the app."""
    return "\n\n".join(notice.sentence(language) for notice in services.notices)
