"""The use cases of the app, one class per field of work; all a tab or the command line talks to.

Knows no Gradio, no SQL and no tensors. `open_services` is the one place where the parts are put together.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medbertde.inference.catalogue import resolve
from medbertde.inference.runtime import FILL_MASK_SLOT, Runtime
from medbertde.schema import schema_ids
from medbertde.services.access import Access
from medbertde.services.annotate import Annotate
from medbertde.services.reading import Reading
from medbertde.services.training import Training
from medbertde.settings import Settings
from medbertde.store import models
from medbertde.store.session import Database, open_database
from medbertde.types import CheckpointRefused, Notice, UserError

EMBEDDED = {FILL_MASK_SLOT: "medbertde-mini", "chest_xray": "mini-chest-xray", "chest_ct": "mini-chest-ct"}


@dataclass(frozen=True)
class Services:
    """Everything the page needs. `notices` says what went wrong at the start but does not stop the app."""

    settings: Settings
    database: Database
    runtime: Runtime
    access: Access
    reading: Reading
    annotate: Annotate
    training: Training
    notices: tuple[Notice, ...] = ()


def open_services(settings: Settings) -> Services:
    """Open the database, load the models that answered last (else the embedded ones) and notice ended runs."""
    database = open_database(settings.database_url)
    runtime = Runtime(settings.device, settings.threads, settings.max_chars)
    notices = load_models(runtime, database)
    access = Access(database, settings)
    services = Services(
        settings=settings,
        database=database,
        runtime=runtime,
        access=access,
        reading=Reading(runtime, access),
        annotate=Annotate(database, runtime, access, settings),
        training=Training(database, runtime, access, settings),
        notices=notices,
    )
    services.training.refresh()
    return services


def load_models(runtime: Runtime, database: Database) -> tuple[Notice, ...]:
    """Fill every slot. A version taken over earlier that is refused now is replaced by the embedded model, visibly."""
    notices = []
    for slot in (FILL_MASK_SLOT, *schema_ids()):
        with database.read() as session:
            active = models.active_version(session, schema_id=slot)
        try:
            if active:
                runtime.swap(slot, Path(active.folder))
                continue
        except CheckpointRefused as error:
            notices.append(
                Notice(
                    "fallback",
                    f"{error.de} Bis zur Klärung antwortet das eingebaute Modell.",
                    f"{error.en} Until this is settled the embedded model answers.",
                )
            )
        notices += _embedded(runtime, slot)
    return tuple(notices)


def _embedded(runtime: Runtime, slot: str) -> list[Notice]:
    """Load the shipped model of a slot; a schema without one stays empty until a model is trained for it."""
    if slot not in EMBEDDED:
        return []
    try:
        runtime.swap(slot, resolve(EMBEDDED[slot]))
    except UserError as error:
        return [Notice("no_model", error.de, error.en)]
    return []
