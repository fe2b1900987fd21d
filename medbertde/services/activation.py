"""Letting another model answer: load it, record the change, exchange it. The one way for runs, versions and choices.

Owns the order in which that happens: the newcomer is loaded, verified and warmed up while the old model answers; then
the change is recorded; only then one assignment exchanges the two. Whoever comes second waits for the first. Knows no
roles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medbertde.inference.checkpoint import LoadedModel, read_folder
from medbertde.inference.runtime import Runtime
from medbertde.store import audit, models
from medbertde.store.session import Database, Session
from medbertde.types import CheckpointRefused, Conflict, ModelVersion, User


@dataclass(frozen=True)
class Wanted:
    """What is to answer in a slot. `version`: the folder must hold this one; `name` as in `load_checkpoint`.

    `may_have_moved`: a version that is known from another folder is now looked for in this one.
    """

    slot: str
    folder: Path
    name: str | None = None
    version: str | None = None
    run_id: str | None = None
    may_have_moved: bool = False


def activate(
    database: Database,
    runtime: Runtime,
    user: User,
    action: str,
    wanted: Wanted,
    *,
    on_turn: Callable[[], None] | None = None,
) -> ModelVersion:
    """Let the `wanted` model answer from now on, here and after a restart; `action` names this in the audit trail.

    `on_turn` is called once nobody else exchanges a model. A refusal of any kind leaves everything as it is.
    """
    with runtime.exchanging:
        if on_turn:
            on_turn()
        newcomer = runtime.load(wanted.slot, wanted.folder, name=wanted.name)
        _require_version(newcomer, wanted.version)
        with database.write() as session:
            previous = runtime.models().get(wanted.slot)
            if previous:
                _remember(session, wanted.slot, previous)
            if wanted.may_have_moved:
                _move(session, wanted, newcomer)
            models.add_version(
                session,
                version=newcomer.version,
                schema_id=wanted.slot,
                folder=str(wanted.folder),
                run_id=wanted.run_id,
            )
            audit.record(session, user_id=user.id, action=action, facts={"version": newcomer.version})
            active = models.activate(session, version=newcomer.version, user_id=user.id)
        runtime.put(wanted.slot, newcomer)
    return active


def _require_version(loaded: LoadedModel, version: str | None) -> None:
    """Refuse a folder whose content was replaced since its version was recorded."""
    if version not in (None, loaded.version):
        raise CheckpointRefused(
            f"Der Ordner der Version {version} enthält inzwischen {loaded.version}. Das Modell wird nicht verwendet.",
            f"The folder of the version {version} holds {loaded.version} by now. The model is not used.",
        )


def _remember(session: Session, slot: str, previous: LoadedModel) -> None:
    """Register the model that answered so far, so that going back to it is one click."""
    if all(item.version != previous.version for item in models.list_versions(session, schema_id=slot)):
        models.add_version(session, version=previous.version, schema_id=slot, folder=str(previous.folder))


def _move(session: Session, wanted: Wanted, newcomer: LoadedModel) -> None:
    """Note the new folder of a known version; `Conflict` where the old one holds the same weights, used differently."""
    known = {item.version: item for item in models.list_versions(session, schema_id=wanted.slot)}
    earlier = known.get(newcomer.version)
    if earlier is None or Path(earlier.folder) == wanted.folder:
        return
    if not _is_copy(Path(earlier.folder), newcomer):
        raise Conflict(
            f"Die Version {newcomer.version} gibt es schon mit denselben Gewichten, aber anderen Schwellen oder "
            "Angaben. Bitte diesem Modell in medbertde.json einen eigenen Namen geben.",
            f"There is a version {newcomer.version} with the same weights already, but with other thresholds or facts. "
            "Please give this model a name of its own in medbertde.json.",
        )
    models.move_version(session, version=newcomer.version, folder=str(wanted.folder))


def _is_copy(earlier: Path, newcomer: LoadedModel) -> bool:
    """Whether a folder says the same of itself; one that is gone or broken says nothing against it."""
    try:
        return read_folder(earlier, name=newcomer.facts.name)[1] == newcomer.facts
    except CheckpointRefused:
        return True
