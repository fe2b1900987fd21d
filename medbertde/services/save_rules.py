"""What a save must satisfy beyond the rights of who saves: the page's schema is the present one, the evidence fits.

Pure functions over core types; each refusal says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medbertde.schema import Kind, Schema
from medbertde.types import Conflict, InvalidSchema, Rationale, SchemaChanged, State

MAX_RATIONALES = 1000  # per save


def require_version(schema: Schema, version: int | None) -> None:
    """`SchemaChanged` unless the page labels with the present version; None: the caller vouches for it."""
    if version is None or version == schema.version:
        return
    raise SchemaChanged(
        f"Das Schema {schema.title['de']} wurde geändert (Version {version} auf {schema.version}). Der Befund ist "
        "wieder offen und Ihre Angaben sind noch da. Bitte prüfen und noch einmal speichern.",
        f"The schema {schema.title['en']} was changed (version {version} to {schema.version}). The report is open "
        "again and your values are still here. Please check and save again.",
    )


def require_evidence(
    schema: Schema, rationales: Sequence[Rationale], values: Mapping[str, State | None], text: str
) -> None:
    """Marked words belong to a label of the schema, lie in the text, and justify a finding that is mentioned."""
    if schema.kind is Kind.SPANS and values:
        raise InvalidSchema(
            f"Im Schema {schema.title['de']} werden nur Textstellen markiert, Zustände gibt es nicht.",
            f"The schema {schema.title['en']} knows marked words only, no states.",
        )
    if len(rationales) > MAX_RATIONALES:
        raise Conflict(
            f"Es sind {len(rationales)} Stellen markiert, erlaubt sind {MAX_RATIONALES}. Bitte einige entfernen.",
            f"{len(rationales)} spans are marked, {MAX_RATIONALES} are allowed. Please remove some.",
        )
    for rationale in rationales:
        label = schema.label(rationale.label)
        if not 0 <= rationale.start < rationale.end <= len(text):
            raise Conflict(
                f"Eine markierte Stelle für {label.name['de']} liegt außerhalb des Textes. Bitte die Seite neu laden "
                "und neu markieren.",
                f"Words marked for {label.name['en']} lie outside the text. Please reload the page and mark again.",
            )
        if values.get(label.id, State.PRESENT) is None:
            raise Conflict(
                f"Für {label.name['de']} sind Wörter markiert, aber „nicht erwähnt“ ist gewählt. Bitte einen Wert "
                "wählen oder die Markierung entfernen.",
                f"Words are marked for {label.name['en']}, but “not mentioned” is chosen. Please choose a value or "
                "remove the mark.",
            )
