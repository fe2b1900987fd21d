"""What the note on persons in a text shows: what was found, the text with each span marked, and the choices.

Pure functions from the services' dataclasses to the JSON that `cards/screening.js` reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from medbertde.services.deidentification import Question
from medbertde.services.screening import Kind, Replace, Screening, told
from medbertde.ui.words import Text

KEEP = "keep"
KINDS = {
    Kind.PATIENT: Text("Name", "name"),
    Kind.DOCTOR: Text("Name (Personal)", "name (staff)"),
    Kind.PERSON: Text("Name", "name"),
    Kind.BIRTH: Text("Geburtsdatum", "date of birth"),
    Kind.DATE: Text("Datum", "date"),
    Kind.AGE: Text("Alter über 89", "age over 89"),
    Kind.STREET: Text("Straße", "street"),
    Kind.ZIP: Text("Postleitzahl", "postal code"),
    Kind.CITY: Text("Ort", "place"),
    Kind.PHONE: Text("Telefon", "phone"),
    Kind.FAX: Text("Fax", "fax"),
    Kind.EMAIL: Text("E-Mail", "e-mail"),
    Kind.URL: Text("Internetadresse", "web address"),
    Kind.ID: Text("Nummer einer Person", "number of a person"),
    Kind.HOSPITAL: Text("Klinik", "clinic"),
    Kind.WARD: Text("Station", "ward"),
}
CHOICES = {
    Replace.PLACEHOLDER.value: Text("Durch Platzhalter ersetzen", "Replace by placeholders"),
    Replace.SURROGATE.value: Text("Durch erfundene Angaben ersetzen", "Replace by invented details"),
    KEEP: Text("So lassen", "Leave as it is"),
}
LOOK = Text("Text mit den Stellen", "Text with these places")
HELD = Text("Der Text wurde deshalb noch nicht gelesen.", "The text was therefore not read yet.")
READ_ANYWAY = Text(
    "Bitte nur anonymisierte Texte eingeben.",
    "Please enter anonymised texts only.",
)
NO_GUARANTEE = Text(
    "Es kann etwas übersehen sein: Bitte den Text noch einmal lesen.",
    "Something may have been missed: please read the text once more.",
)


def screening_value(language: str, question: Question | None, replaced: int = 0) -> dict[str, Any]:
    """The card; `replaced` counts what was just replaced."""
    if question is None:
        return {"done": _done(replaced).say(language)} if replaced else {}
    choices = {name: text for name, text in CHOICES.items() if question.may_keep or name != KEEP}
    return {
        "lead": f"{told(question.screening.kinds).sentence(language)}.",
        "hint": (HELD if question.must else READ_ANYWAY).say(language),
        "open": question.must,
        "look": LOOK.say(language),
        "parts": list(_parts(language, question.screening)),
        "choices": [{"name": name, "label": text.say(language)} for name, text in choices.items()],
        "done": _done(replaced).say(language) if replaced else "",
    }


def _done(count: int) -> Text:
    one = count == 1
    return Text(
        f"{count} {'Stelle' if one else 'Stellen'} ersetzt. {NO_GUARANTEE.de}",
        f"{count} {'place' if one else 'places'} replaced. {NO_GUARANTEE.en}",
    )


def _parts(language: str, found: Screening) -> Iterator[dict[str, str]]:
    """The text in pieces, those of a span with its kind."""
    place = 0
    for span in found.spans:
        if place < span.start:
            yield {"text": found.text[place : span.start]}
        yield {"text": found.text[span.start : span.end], "kind": KINDS[span.kind].say(language)}
        place = span.end
    if place < len(found.text):
        yield {"text": found.text[place:]}
