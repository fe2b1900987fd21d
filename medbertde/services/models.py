"""Which models there are for each task, how each of them stands on this machine, and the change from one to another.

Owns the list of choices and the changes that are going on. Everybody may look; only an admin changes what answers for
all, and names a folder or a Hub id. A change goes on when the page that asked for it is closed.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from medbertde.inference import hub, inventory
from medbertde.inference.catalogue import CATALOGUE, Entry, resolve
from medbertde.inference.inventory import Size, Standing, Where
from medbertde.inference.runtime import FILL_MASK_SLOT, Runtime
from medbertde.schema import ALL_KINDS, schema_ids
from medbertde.services.access import Access
from medbertde.services.activation import Wanted, activate
from medbertde.store import models
from medbertde.store.session import Database
from medbertde.types import Conflict, ModelUnavailable, ModelVersion, NotFound, Role, User, UserError

__all__ = ["FILL_MASK_SLOT", "Choice", "Models", "Size", "Stage", "Switch", "Where"]

_KEPT = 50  # changes that can still be asked about
_AS_BASE = {"de": "wie das Ausgangsmodell", "en": "as its base model"}
_BASE_TERMS = {
    "de": "Es gelten die Bedingungen des Ausgangsmodells. Nur anonymisierte Texte, nur für die Forschung.",
    "en": "The terms of its base model apply. Anonymised texts only, for research only.",
}


@dataclass(frozen=True)
class Choice:
    """A model that can answer in a slot, or the reason why it cannot. `name` is what `Models.start` takes.

    Titles and texts are in German and English.
    """

    name: str
    title: Mapping[str, str]
    where: Where
    reason: UserError | None
    size: Size | None
    tokenizer: str
    licence: Mapping[str, str]
    terms: Mapping[str, str]
    good_for: Mapping[str, str]
    answers: bool


class Stage(StrEnum):
    """How far a change has come."""

    WAITING = "waiting"  # for the files to be found, or for another change
    FETCHING = "fetching"
    LOADING = "loading"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True)
class Switch:
    """A change of the model of `slot`. `here` of `total` bytes are downloaded (0: not known)."""

    id: str
    slot: str
    name: str
    stage: Stage = Stage.WAITING
    here: int = 0
    total: int = 0
    version: str | None = None
    refusal: UserError | None = None

    @property
    def going(self) -> bool:
        """Whether it has not ended yet."""
        return self.stage not in (Stage.DONE, Stage.REFUSED)


class Models:
    """The choices and the changes. Safe to call from any thread."""

    def __init__(self, database: Database, runtime: Runtime, access: Access) -> None:
        self._database = database
        self._runtime = runtime
        self._access = access
        self._probe = hub.HubProbe()
        self._guard = threading.Lock()
        self._switches: dict[str, Switch] = {}
        self._failures: dict[str, Exception] = {}

    def slots(self) -> tuple[str, ...]:
        """What a model can be chosen for: gaps, and the labels of each schema."""
        return (FILL_MASK_SLOT, *schema_ids(kinds=ALL_KINDS))

    def versions(self) -> dict[str, str]:
        """The version that answers in each slot that has one."""
        return self._runtime.versions()

    def may_switch(self, user: User) -> bool:
        """Whether `user` may change what answers."""
        return user.role.includes(Role.ADMIN)

    def choices(self, slot: str) -> tuple[Choice, ...]:
        """The models for a slot: of the catalogue, those chosen or trained before, and the one that answers."""
        self._require_slot(slot)
        schema_id = None if slot == FILL_MASK_SLOT else slot
        entries = [entry for entry in CATALOGUE if entry.schema_id == schema_id]
        found = [(inventory.standing(entry, self._probe.reachable), entry) for entry in entries]
        listed = {standing.folder.resolve() for standing, _ in found if standing.folder}
        return (*(self._of_entry(slot, *pair) for pair in found), *self._others(slot, listed))

    def folder_of(self, slot: str, name: str) -> Path | None:
        """Where one of the `choices` lies on this machine, None for a model that is not here or cannot be served."""
        choice = {each.name: each for each in self.choices(slot)}.get(name)
        if choice is None or choice.reason is not None or choice.where is Where.DOWNLOAD:
            return None
        known = {item.version: item.folder for item in self._known(slot)}
        return Path(known[name]) if name in known else resolve(name)

    def every_choice(self) -> tuple[tuple[str, Choice], ...]:
        """The models of every slot, each with its slot."""
        return tuple((slot, choice) for slot in self.slots() for choice in self.choices(slot))

    def switch(
        self,
        user: User,
        slot: str,
        name: str,
        *,
        on_bytes: hub.OnBytes | None = None,
        on_turn: Callable[[], None] | None = None,
    ) -> ModelVersion:
        """Let another model answer: a catalogue id, a version, a folder or a Hub id. The old one answers until then.

        A refusal of any kind leaves the old one answering. `on_bytes` hears of the download, `on_turn` when no other
        change is going on any more.
        """
        self._require(user, slot, name)
        known = {item.version: item for item in self._known(slot)}.get(name)
        if known:
            wanted = Wanted(slot, Path(known.folder), name=_short(known.version), version=name, run_id=known.run_id)
        else:
            folder = resolve(name.strip(), on_bytes=on_bytes).resolve()
            wanted = Wanted(slot, folder, name=name.strip(), may_have_moved=True)
        return activate(self._database, self._runtime, user, "choose_model", wanted, on_turn=on_turn)

    def start(self, user: User, slot: str, name: str) -> Switch:
        """Begin `switch` and return at once; `status` tells how it stands. `Conflict` while the very same is going."""
        self._require(user, slot, name)
        begun = Switch(uuid.uuid4().hex, slot, name.strip())
        with self._guard:
            if any(each.going and (each.slot, each.name) == (slot, begun.name) for each in self._switches.values()):
                raise Conflict(
                    f"Das Modell {begun.name} wird gerade schon geladen. Bitte einen Augenblick warten.",
                    f"The model {begun.name} is being loaded already. Please wait a moment.",
                )
            self._switches[begun.id] = begun
            for ended in [each.id for each in self._switches.values() if not each.going][:-_KEPT]:
                del self._switches[ended]
        threading.Thread(target=self._carry_out, args=(user, begun), name="switch-model", daemon=True).start()
        return begun

    def status(self, switch_id: str) -> Switch:
        """How a change stands; what went wrong in it unexpectedly is raised here."""
        with self._guard:
            if failure := self._failures.pop(switch_id, None):
                raise failure
            found = self._switches.get(switch_id)
        if found is None:
            raise NotFound(
                "Dieser Modellwechsel ist nicht bekannt; die App wurde inzwischen neu gestartet. Bitte neu wählen.",
                "This change of models is not known; the app was restarted meanwhile. Please choose again.",
            )
        return found

    def _carry_out(self, user: User, switch: Switch) -> None:
        """The thread of one change."""

        def note(**changes: Any) -> None:
            with self._guard:
                self._switches[switch.id] = replace(self._switches[switch.id], **changes)

        def on_bytes(here: int, total: int) -> None:
            note(stage=Stage.FETCHING if here < total else Stage.WAITING, here=here, total=total)

        try:
            active = self.switch(
                user, switch.slot, switch.name, on_bytes=on_bytes, on_turn=lambda: note(stage=Stage.LOADING)
            )
            note(stage=Stage.DONE, version=active.version)
        except UserError as error:
            note(stage=Stage.REFUSED, refusal=error)
        except Exception as error:  # noqa: BLE001  # nobody waits for this thread: `status` raises it to who asks
            with self._guard:
                self._failures[switch.id] = error
            note(stage=Stage.REFUSED)

    def _require(self, user: User, slot: str, name: str) -> None:
        self._access.require(user, Role.ADMIN)
        self._access.require_terms(user)
        self._require_slot(slot)
        if not name.strip():
            raise ModelUnavailable(
                "Bitte einen Ordner oder eine Hub-Kennung wie GerMedBERT/medbert-512 eingeben.",
                "Please enter a folder or a Hub id such as GerMedBERT/medbert-512.",
            )

    def _require_slot(self, slot: str) -> None:
        if slot not in self.slots():
            raise NotFound(f"Eine Aufgabe „{slot}“ gibt es nicht.", f"There is no task “{slot}”.")

    def _known(self, slot: str) -> list[ModelVersion]:
        """The versions of a slot that were chosen or trained, newest first."""
        with self._database.read() as session:
            return models.list_versions(session, schema_id=slot)

    def _others(self, slot: str, listed: set[Path]) -> list[Choice]:
        """The registered versions that do not lie in a `listed` folder, and what answers if it is none of all these."""
        known = self._known(slot)
        active = self._runtime.models().get(slot)
        found = [(item.version, Path(item.folder), _origin(item)) for item in known]
        if active and all(item.version != active.version for item in known):
            found.insert(0, (active.version, active.folder, _placed(active.folder)))
        return [self._of_folder(slot, *each) for each in found if each[1].resolve() not in listed]

    def _of_entry(self, slot: str, standing: Standing, entry: Entry) -> Choice:
        return Choice(
            name=entry.id,
            title=entry.title,
            where=standing.where,
            reason=standing.reason,
            size=inventory.size(standing.folder, entry),
            tokenizer=inventory.tokenizer_kind(standing.folder) if standing.folder else entry.tokenizer,
            licence=entry.licence,
            terms=entry.terms,
            good_for=entry.good_for,
            answers=self._answers(slot, standing.folder),
        )

    def _of_folder(self, slot: str, version: str, folder: Path, origin: Mapping[str, str]) -> Choice:
        standing = inventory.folder_standing(folder)
        return Choice(
            name=version,
            title={"de": version, "en": version},
            where=standing.where,
            reason=standing.reason,
            size=inventory.size(folder),
            tokenizer=inventory.tokenizer_kind(folder),
            licence=_AS_BASE,
            terms=_BASE_TERMS,
            good_for=origin,
            answers=self._answers(slot, folder),
        )

    def _answers(self, slot: str, folder: Path | None) -> bool:
        active = self._runtime.models().get(slot)
        return bool(active and folder and active.folder.resolve() == folder.resolve())


def _origin(item: ModelVersion) -> Mapping[str, str]:
    """Where a version comes from."""
    if not item.run_id:
        return _placed(Path(item.folder))
    made = item.created_at.astimezone()
    return {
        "de": f"hier trainiert, übernommen am {made:%d.%m.%Y}",
        "en": f"trained here, taken over on {made:%d %b %Y}",
    }


def _placed(folder: Path) -> Mapping[str, str]:
    repository = hub.repository_of(folder)
    if repository:
        return {"de": f"vom Hugging Face Hub: {repository}", "en": f"from the Hugging Face Hub: {repository}"}
    return {"de": f"aus dem Ordner {folder}", "en": f"from the folder {folder}"}


def _short(version: str) -> str:
    """The name in a version, which a folder without facts is loaded under again."""
    return version.rpartition("@")[0]
