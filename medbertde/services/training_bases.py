"""The models that a run can go on from: what answers now, earlier versions, and language models on this machine.

Nothing is downloaded for a run. Knows no runs and no reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medbertde.inference import inventory
from medbertde.inference.catalogue import CATALOGUE, Entry
from medbertde.inference.checkpoint import LoadedModel, read_folder, weights_hash
from medbertde.inference.runtime import FILL_MASK_SLOT, Runtime
from medbertde.schema import Kind
from medbertde.store import models
from medbertde.store.session import Database
from medbertde.types import CheckpointRefused, ModelUnavailable, Task

ACTIVE = ""  # the name of the model that answers now
LARGE = 50_000_000  # parameters from which on small steps are needed


@dataclass(frozen=True)
class Base:
    """A model to go on from. `title` is in German and English; `trained`: it knows the labels of the schema.

    `version` is known of what is loaded; `version_of` tells it of the others.
    """

    name: str
    title: Mapping[str, str]
    folder: Path
    trained: bool
    version: str = ""


def bases(runtime: Runtime, database: Database, schema_id: str) -> list[Base]:
    """What can be chosen, the model that answers first; each folder once."""
    active, language = runtime.models().get(schema_id), runtime.models().get(FILL_MASK_SLOT)
    answering = active or language
    found = [_answering(answering, schema_id)] if answering else []
    known = [(entry.id, entry.title, folder) for entry in CATALOGUE if (folder := _here(entry, schema_id))]
    with database.read() as session:
        versions = [
            *models.list_versions(session, schema_id=schema_id),
            *models.list_versions(session, schema_id=FILL_MASK_SLOT),
        ]
    known += [(item.version, {"de": item.version, "en": item.version}, Path(item.folder)) for item in versions]
    if language:
        known.append((language.version, {"de": language.version, "en": language.version}, language.folder))
    listed = {base.folder.resolve() for base in found}
    for name, title, folder in known:
        if folder.resolve() not in listed and inventory.folder_standing(folder).where.usable:
            listed.add(folder.resolve())
            found.append(Base(name, title, folder, _is_trained(folder, schema_id)))
    return found


def find_base(runtime: Runtime, database: Database, schema_id: str, name: str) -> Base:
    """The base of this name, or in the folder of this name; `ModelUnavailable` where there is none."""
    known = {base.name: base for base in bases(runtime, database, schema_id)}
    name = name.strip()
    if name in known:
        return known[name]
    folder = Path(name).expanduser()
    if not name:
        raise ModelUnavailable(
            "Auf diesem Rechner ist noch kein Modell, auf dem ein Training aufbauen kann. Bitte oben unter „Modelle“ "
            "ein Sprachmodell laden oder einen Modellordner angeben.",
            "There is no model on this machine yet that a run can build on. Please load a language model under "
            "“models” above or name a model folder.",
        )
    if not folder.is_dir():
        raise ModelUnavailable(
            f"Ein Ausgangsmodell „{folder.name}“ gibt es auf diesem Rechner nicht. Bitte eines der Liste wählen oder "
            "einen Modellordner angeben; Modelle vom Hub lassen sich oben unter „Modelle“ laden.",
            f"There is no base model “{folder.name}” on this machine. Please choose one of the list or name a model "
            "folder; models of the Hub can be loaded under “models” above.",
        )
    standing = inventory.folder_standing(folder)
    if standing.reason:
        raise standing.reason
    return Base(name, {"de": folder.name, "en": folder.name}, folder, _is_trained(folder, schema_id))


def version_of(base: Base) -> str:
    """How answers would name the base."""
    return base.version or f"{read_folder(base.folder, name=base.name)[1].name}@{weights_hash(base.folder)[:8]}"


def learning_rate(base: Base, kind: Kind) -> float:
    """An untrained head learns faster, a large encoder in small steps; tags of words need more than findings do."""
    if _is_large(base):
        return 3e-5 if base.trained else 5e-5
    return (1e-4 if base.trained else 5e-4) * (4 if kind is Kind.SPANS else 1)


def positive_weight(base: Base) -> float:
    """What the findings that are there weigh at first: an untrained head on a small encoder needs the push."""
    return 1.0 if base.trained or _is_large(base) else 8.0


def _is_large(base: Base) -> bool:
    size = inventory.size(base.folder)
    return bool(size and size.parameters >= LARGE)


def _answering(model: LoadedModel, schema_id: str) -> Base:
    """The model of the schema that answers, or the language model for a schema that has none yet."""
    is_language = model.task is Task.FILL_MASK
    de, en = ("Sprachmodell", "language model") if is_language else ("aktives Modell", "active model")
    title = {"de": f"{de} ({model.version})", "en": f"{en} ({model.version})"}
    return Base(ACTIVE, title, model.folder, _is_trained(model.folder, schema_id), model.version)


def _here(entry: Entry, schema_id: str) -> Path | None:
    """The folder of a model of the catalogue that is on this machine and fits."""
    fits = entry.task is Task.FILL_MASK or entry.schema_id == schema_id
    standing = inventory.standing(entry, lambda: False) if fits else None
    return standing.folder if standing and standing.where.usable else None


def _is_trained(folder: Path, schema_id: str) -> bool:
    try:
        task, facts = read_folder(folder)
    except CheckpointRefused:
        return False
    return task is not Task.FILL_MASK and facts.schema_id == schema_id
