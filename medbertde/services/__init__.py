"""The use cases of the app, one class per field of work; all a tab or the command line talks to.

Knows no Gradio, no SQL and no tensors. `open_services` is the one place where the parts are put together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medbertde.inference.catalogue import resolve
from medbertde.inference.runtime import FILL_MASK_SLOT, Runtime
from medbertde.schema import ALL_KINDS, schema_ids
from medbertde.services.access import Access
from medbertde.services.accounts import Accounts
from medbertde.services.annotate import Annotate
from medbertde.services.deidentification import Gate
from medbertde.services.evidence import Evidence
from medbertde.services.files import Files
from medbertde.services.model_audits import ModelAudits
from medbertde.services.models import Models
from medbertde.services.ordering import Ordering
from medbertde.services.overview import Overview
from medbertde.services.proposals import Proposals
from medbertde.services.reading import Reading
from medbertde.services.review import Review
from medbertde.services.screening import Screener, classifier_for
from medbertde.services.second_opinion import SecondOpinion
from medbertde.services.team import Team
from medbertde.services.training import REPLAY, Training
from medbertde.settings import Settings
from medbertde.store import models as versions
from medbertde.store import sqlite
from medbertde.store.session import Database, open_database
from medbertde.types import ModelVersion, Notice, UserError

BUSY_TIMEOUT_S = 30.0
EMBEDDED: Mapping[str, str] = {
    FILL_MASK_SLOT: "medbertde-mini",
    "chest_xray": "mini-chest-xray",
    "chest_ct": "mini-chest-ct",
}


@dataclass(frozen=True)
class Services:
    """Everything the page needs. `notices` says what went wrong at the start but does not stop the app."""

    settings: Settings
    database: Database
    runtime: Runtime
    access: Access
    accounts: Accounts
    gate: Gate
    reading: Reading
    models: Models
    model_audits: ModelAudits
    second_opinion: SecondOpinion
    annotate: Annotate
    evidence: Evidence
    proposals: Proposals
    files: Files
    team: Team
    ordering: Ordering
    review: Review
    overview: Overview
    training: Training
    notices: tuple[Notice, ...] = ()


def open_services(
    settings: Settings,
    *,
    shipped: Mapping[str, str] = EMBEDDED,
    replay: Path = REPLAY,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
) -> Services:
    """Open the database, load the models that answered last (else the shipped ones) and notice ended runs.

    `shipped` names a model per slot (catalogue id, folder or Hub id); `replay` holds the report files that every
    training run mixes in; `busy_timeout_s` is how long a save waits for another process before it is refused.
    """
    database = open_database(settings.database_url, busy_timeout_s=busy_timeout_s)
    runtime = Runtime(settings.device, settings.threads, settings.max_chars)
    old_build = None if database.is_postgresql else sqlite.old_build_notice()
    notices = ((old_build,) if old_build else ()) + load_models(runtime, database, shipped)
    access = Access(database, settings)
    screener = Screener(settings.deidentification_dates, classifier=classifier_for(settings))
    gate = Gate(database, access, settings, screener)
    files = Files(database, access, settings)
    reading, models = Reading(runtime, access, gate), Models(database, runtime, access)
    services = Services(
        settings=settings,
        database=database,
        runtime=runtime,
        access=access,
        accounts=Accounts(database, access, settings),
        gate=gate,
        reading=reading,
        models=models,
        model_audits=ModelAudits(database, runtime, access),
        second_opinion=SecondOpinion(runtime, gate, models),
        annotate=Annotate(database, runtime, access, settings),
        evidence=Evidence(database, reading, access),
        proposals=Proposals(database, access, files),
        files=files,
        team=Team(database, access),
        ordering=Ordering(database, runtime, access),
        review=Review(database, access),
        overview=Overview(database, access),
        training=Training(database, runtime, access, settings, replay),
        notices=notices,
    )
    services.training.refresh()
    return services


def load_models(runtime: Runtime, database: Database, shipped: Mapping[str, str] = EMBEDDED) -> tuple[Notice, ...]:
    """Fill every slot. A version taken over earlier that is refused now is replaced by the shipped model, visibly."""
    notices: list[Notice] = []
    for slot in (FILL_MASK_SLOT, *schema_ids(kinds=ALL_KINDS)):
        with database.read() as session:
            active = versions.active_version(session, schema_id=slot)
        notices += _load_active(runtime, slot, active, shipped) if active else _load_shipped(runtime, slot, shipped)
    return tuple(notices)


def _load_active(runtime: Runtime, slot: str, active: ModelVersion, shipped: Mapping[str, str]) -> list[Notice]:
    """Load the version that was taken over; a folder that is refused or that was replaced is said."""
    try:
        loaded = runtime.swap(slot, Path(active.folder), name=active.version.rpartition("@")[0])
    except UserError as error:
        return [_fallback(active, error, in_its_place=slot in shipped), *_load_shipped(runtime, slot, shipped)]
    if loaded.version == active.version:
        return []
    replaced = Notice(
        "replaced",
        f"Der Ordner der Version {active.version} enthält inzwischen {loaded.version}; diese Version antwortet.",
        f"The folder of the version {active.version} holds {loaded.version} by now; that version answers.",
    )
    return [replaced]


def _fallback(active: ModelVersion, error: UserError, *, in_its_place: bool) -> Notice:
    de, en = ("das eingebaute", "the embedded") if in_its_place else ("kein", "no")
    return Notice(
        "fallback",
        f"Die Version {active.version} antwortet nicht mehr. {error.de} Bis zur Klärung antwortet {de} Modell.",
        f"The version {active.version} does not answer any more. {error.en} Until this is settled {en} model answers.",
    )


def _load_shipped(runtime: Runtime, slot: str, shipped: Mapping[str, str]) -> list[Notice]:
    """Load the shipped model of a slot; a schema without one stays empty until a model is trained for it."""
    if slot not in shipped:
        return []
    try:
        runtime.swap(slot, resolve(shipped[slot]))
    except UserError as error:
        return [Notice("no_model", error.de, error.en)]
    return []
