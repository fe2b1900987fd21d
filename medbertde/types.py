"""The words of the project as types: states, predictions, attributions, reports, labels and errors.

Core: imports nothing of the project and no third-party library. Everything that crosses a layer is one of these
frozen dataclasses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """What a report says about a finding. A finding that is not mentioned has no state (``None``)."""

    PRESENT = "present"
    UNCERTAIN = "uncertain"
    ABSENT = "absent"


class Task(StrEnum):
    """What a model can do."""

    FILL_MASK = "fill_mask"
    CLASSIFY = "classify"


class Reading(StrEnum):
    """How a classifier reads a report: in windows as long as it can take, or sentence by sentence with headings."""

    WINDOWS = "windows"
    SENTENCES = "sentences"


class Role(StrEnum):
    """What a user may do; later roles include the earlier ones."""

    VIEWER = "viewer"
    ANNOTATOR = "annotator"
    CURATOR = "curator"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether this role may do what `other` may do."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class Source(StrEnum):
    """How a label value came about."""

    HUMAN = "human"
    SUGGESTION_ACCEPTED = "suggestion_accepted"
    SUGGESTION_CHANGED = "suggestion_changed"
    IMPORT = "import"


class RunState(StrEnum):
    """Where a training run stands. `FAILED` covers crashes and kills, `CANCELLED` only a user's wish."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


# ---------------------------------------------------------------------------------------------- errors


class UserError(Exception):
    """Something the user can understand and change.

    `de` and `en` say what was expected, what was found and what to do. They never contain report text, so they may
    be shown, logged and sent.
    """

    def __init__(self, de: str, en: str) -> None:
        super().__init__(en)
        self.de = de
        self.en = en

    def sentence(self, language: str) -> str:
        """The sentence in `language` (``"de"`` or ``"en"``)."""
        return self.en if language == "en" else self.de


class InvalidText(UserError):
    """A text that cannot be read by a model or stored."""


class InvalidFile(UserError):
    """An upload or import file that cannot be used."""


class InvalidSchema(UserError):
    """A label schema that is malformed, or a label that it does not have."""


class CheckpointRefused(UserError):
    """A model folder that was checked and is not served."""


class ModelUnavailable(UserError):
    """A model that is not there: unknown id, gated, offline, or of the wrong task."""


class Conflict(UserError):
    """The world changed in between: a lease expired, a run is going, a model was swapped."""


class NotFound(UserError):
    """A report, run or user that does not exist."""


class Forbidden(UserError):
    """The user's role does not allow this."""


class TrainingRefused(UserError):
    """A training run that cannot work, with the reason."""


# ---------------------------------------------------------------------------------------------- model answers


@dataclass(frozen=True)
class LabelScore:
    """Probabilities of one finding; `uncertain` and `absent` are None where the model does not predict states."""

    present: float
    uncertain: float | None = None
    absent: float | None = None

    def state(self, threshold: float) -> State | None:
        """The state these scores stand for: present above `threshold`, else the likelier of the others above 0.5."""
        if self.present >= threshold:
            return State.PRESENT
        uncertain, absent = self.uncertain or 0.0, self.absent or 0.0
        if max(uncertain, absent) < 0.5:
            return None
        return State.UNCERTAIN if uncertain >= absent else State.ABSENT


@dataclass(frozen=True)
class Notice:
    """A remark beside an answer (not an error), in both languages."""

    code: str
    de: str
    en: str

    def sentence(self, language: str) -> str:
        """The sentence in `language` (``"de"`` or ``"en"``)."""
        return self.en if language == "en" else self.de


@dataclass(frozen=True)
class Prediction:
    """The scores of one report, in the schema's order, and the model version that gave them."""

    scores: Mapping[str, LabelScore]
    model_version: str
    warnings: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """One filling of `[MASK]`: the word, its probability, and the text with the word in place."""

    word: str
    probability: float
    text: str


@dataclass(frozen=True)
class AttributedWord:
    """A word of the original text, ``text[start:end]``, and its share of the score difference (logit units)."""

    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Attribution:
    """How much each word moved one logit from the baseline to this text.

    `delta` is the convergence delta Σ scores − (f(x) − f(baseline)) in logit units, `relative_delta` its absolute
    value over |f(x) − f(baseline)| (0.01 = 1 %).
    """

    text: str
    label: str
    words: tuple[AttributedWord, ...]
    method: str
    baseline: str
    steps: int
    delta: float
    relative_delta: float
    model_version: str
    warnings: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class Progress:
    """How far a long action has come: `done` of `total` in the unit the action names."""

    done: int
    total: int
    note: str = ""


# ---------------------------------------------------------------------------------------------- reports and labels


@dataclass(frozen=True)
class Rationale:
    """A span that justifies a finding: code points ``[start, end)`` of the stored NFC text.

    `state` is what this span says by itself, None where only the report's state is known.
    """

    label: str
    start: int
    end: int
    state: State | None = None


@dataclass(frozen=True)
class ReportRecord:
    """One line of a report file: the exchange form of imports, exports and training snapshots."""

    text: str
    id: str | None = None
    modality: str | None = None
    labels: Mapping[str, State] = field(default_factory=dict)
    rationales: tuple[Rationale, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A stored report. `text` is NFC; `key` is the user's own id or one made from the content hash."""

    id: int
    key: str
    text: str
    modality: str | None
    created_at: datetime


@dataclass(frozen=True)
class Suggestion:
    """What a model proposed for a report, with the version that proposed it."""

    model_version: str
    states: Mapping[str, State | None]
    scores: Mapping[str, float]


@dataclass(frozen=True)
class LabelChange:
    """One finding's new value in a save. ``value=None`` says: not mentioned."""

    label: str
    value: State | None
    source: Source = Source.HUMAN
    suggested: State | None = None


@dataclass(frozen=True)
class LabelRevision:
    """One row of the append-only history: who set which finding of which report to what, when and from what."""

    id: int
    report_id: int
    label: str
    old_value: State | None
    new_value: State | None
    annotator: str
    source: Source
    model_version: str | None
    created_at: datetime


@dataclass(frozen=True)
class QueueProgress:
    """How many reports of a schema one annotator has finished, and how many all together."""

    done_by_user: int
    done: int
    total: int


@dataclass(frozen=True)
class ImportResult:
    """What an import did. `rejected` holds (row number from 1, reason) of rows that were not stored."""

    added: int
    duplicates: int
    labelled: int
    rejected: tuple[tuple[int, Notice], ...] = ()


@dataclass(frozen=True)
class User:
    """Someone who uses the app. `terms_version` is the version of the terms last accepted, None before."""

    id: int
    name: str
    role: Role
    terms_version: str | None = None


@dataclass(frozen=True)
class Metrics:
    """Held-out figures of a classifier, all in 0…1; per label: n positive, AUROC, F1, precision, recall."""

    auroc_macro: float | None
    f1_macro: float
    f1_micro: float
    precision_macro: float
    recall_macro: float
    n_reports: int
    per_label: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A training run as the database knows it. Its files lie in `folder`."""

    id: str
    schema_id: str
    base_model: str
    state: RunState
    folder: str
    started_by: str
    created_at: datetime
    finished_at: datetime | None = None
    pid: int | None = None
    message: str | None = None


@dataclass(frozen=True)
class ModelVersion:
    """A checkpoint that was taken over or can be: `version` is what answers name."""

    version: str
    schema_id: str
    folder: str
    run_id: str | None
    active: bool
    promoted_by: str | None
    created_at: datetime
