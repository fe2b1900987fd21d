"""What is known of the models' audits, and the gate that a model passes before it is given away.

Everybody may read how the models that answer were audited. A model without an audit of exactly its weights, or above
the limits, leaves the house only when an admin says why; that goes into the audit trail. Measuring is the job of
`train.audit`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medbertde import germedbert
from medbertde.inference.checkpoint import read_folder, weights_hash
from medbertde.inference.runtime import Runtime
from medbertde.model_audit import ModelAudit, read_audit
from medbertde.services.access import Access
from medbertde.store import audit as trail
from medbertde.store.session import Database
from medbertde.text import normalise
from medbertde.types import AuditRefused, InvalidFile, Notice, Role, User

SHORTEST_REASON, LONGEST_REASON = 10, 500  # characters


@dataclass(frozen=True)
class Audited:
    """The model that answers in a slot. `audit` is None where there is none of these weights; `why` says so."""

    slot: str
    version: str
    audit: ModelAudit | None
    why: Notice | None


class ModelAudits:
    """Audits as they lie beside the weights."""

    def __init__(self, database: Database, runtime: Runtime, access: Access) -> None:
        self._database = database
        self._runtime = runtime
        self._access = access

    def answering(self) -> tuple[Audited, ...]:
        """The models that answer, with their audits."""
        found = []
        for slot, model in self._runtime.models().items():
            audit, why = _standing(model.folder, model.version.rpartition("@")[2])
            found.append(Audited(slot, model.version, audit if why is None or why.code == "exceeded" else None, why))
        return tuple(found)

    def require_audit(self, user: User, folder: Path, override_reason: str | None = None) -> ModelAudit | None:
        """Pass a model that is about to be exported or uploaded; `AuditRefused` says why not and what to do.

        With a reason an admin lets it pass all the same, which is recorded. Returns its audit, None where it has none.
        """
        weights = weights_hash(folder)
        audit, why = _standing(folder, weights)
        if why is None:
            return audit
        if not (override_reason or "").strip():
            raise AuditRefused(f"{why.de} {_WHAT_TO_DO[0]}", f"{why.en} {_WHAT_TO_DO[1]}")
        self._access.require(user, Role.ADMIN)
        reason = _reason(override_reason or "")
        version = f"{read_folder(folder)[1].name}@{weights[:8]}"
        facts = {"version": version, "why": why.code, "reason": reason}
        with self._database.write() as session:
            trail.record(session, user_id=user.id, action="override_audit", facts=facts)
        return audit


_WHAT_TO_DO = (
    "Weitergegeben wird es so nicht. Geprüft wird mit „python -m train.audit --model …“; wer die App verwaltet, kann "
    "es auch mit einer Begründung freigeben (--override-audit „…“), die protokolliert wird.",
    "It is not given away like this. “python -m train.audit --model …” audits it; who runs the app can also release it "
    "with a reason (--override-audit “…”), which is recorded.",
)


def _standing(folder: Path, weights: str) -> tuple[ModelAudit | None, Notice | None]:
    """The audit in a model folder, and what stands against giving the model away (None: nothing).

    `weights` is the hash of its weights, or the start of it that a version names.
    """
    if germedbert.comes_from(folder):
        return None, _FORBIDDEN
    try:
        audit = read_audit(folder)
    except InvalidFile as error:
        return None, Notice("unreadable", error.de, error.en)
    if audit is None:
        return None, _MISSING
    if not audit.weights.startswith(weights):
        return None, _OF_OTHER_WEIGHTS
    if audit.missing:
        return audit, _INCOMPLETE
    return audit, _EXCEEDED if audit.exceeded else None


_FORBIDDEN = Notice(
    "forbidden",
    "Das Modell ist medBERT.de oder daraus entstanden. Die Nutzungsbedingungen von GerMedBERT verbieten, es auf "
    "wiedererkennbare Trainingsdaten zu prüfen.",
    "The model is medBERT.de or was made from it. The terms of GerMedBERT forbid auditing it for recognisable training "
    "data.",
)
_MISSING = Notice(
    "missing",
    "Das Modell ist nicht auf Datenschutz und Gleichbehandlung geprüft.",
    "The model is not audited for privacy and fairness.",
)
_OF_OTHER_WEIGHTS = Notice(
    "other_weights",
    "Die vorhandene Prüfung gehört zu anderen Gewichten. Bitte neu prüfen.",
    "The audit that is there belongs to other weights. Please audit again.",
)
_INCOMPLETE = Notice(
    "incomplete",
    "Bei der Prüfung wurde nicht gemessen, ob sich Trainingstexte wiedererkennen lassen. Bitte neu prüfen.",
    "The audit has not measured whether training texts can be recognised. Please audit again.",
)
_EXCEEDED = Notice(
    "exceeded",
    "Die Prüfung des Modells liegt über den Grenzen; welche, steht unter „Über medbertde“ und in seiner Modellkarte.",
    "The audit of the model is above the limits; which ones, the tab “About” and its model card tell.",
)


def _reason(given: str) -> str:
    """A reason that says something, in one line."""
    reason = " ".join(normalise(given).split())
    if SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        return reason
    raise AuditRefused(
        f"Die Begründung hat {len(reason)} Zeichen. Bitte in {SHORTEST_REASON} bis {LONGEST_REASON} Zeichen "
        "schreiben, warum das Modell trotzdem weitergegeben wird, ohne Befundtext.",
        f"The reason has {len(reason)} characters. Please write in {SHORTEST_REASON} to {LONGEST_REASON} characters "
        "why the model is given away all the same, without text of reports.",
    )
