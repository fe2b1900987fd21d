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


STRENGTH = {State.PRESENT: 3, State.UNCERTAIN: 2, State.ABSENT: 1}  # of several mentions the strongest counts


class Task(StrEnum):
    """What a model can do."""

    FILL_MASK = "fill_mask"
    CLASSIFY = "classify"
    NER = "ner"


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
    ADJUDICATED = "adjudicated"


class Purpose(StrEnum):
    """What a save is: an annotator's own reading, or a curator's decision on what the report counts as."""

    ANNOTATION = "annotation"
    ADJUDICATION = "adjudication"


class WorkOrder(StrEnum):
    """In which order a project hands out its reports; the last four need the scores of a model."""

    IMPORT = "import"
    NEWEST = "newest"
    RANDOM = "random"
    UNCERTAINTY = "uncertainty"
    RARE = "rare"
    DIVERSITY = "diversity"
    MIXED = "mixed"

    @property
    def needs_model(self) -> bool:
        """Whether the order comes from a model's scores."""
        return self not in (WorkOrder.IMPORT, WorkOrder.NEWEST, WorkOrder.RANDOM)


@dataclass(frozen=True)
class Rules:
    """How a project hands out reports; all shares in 0…1.

    `overlap_share` of the reports is read by `readers` people who do not see each other's values; `bare_share` comes
    without suggestions, to measure what these do; `test_share` is fixed, never ordered by a model and never trained on;
    `random_share` is what the mixed order takes at random.
    """

    order: WorkOrder = WorkOrder.IMPORT
    overlap_share: float = 0.0
    readers: int = 2
    bare_share: float = 0.1
    test_share: float = 0.0
    random_share: float = 0.2


class Provenance(StrEnum):
    """On what the labels of a report rest; `OPEN` is a disagreement that nobody has decided."""

    SINGLE = "single"
    UNANIMOUS = "unanimous"
    MAJORITY = "majority"
    ADJUDICATED = "adjudicated"
    OPEN = "open"


class SkipReason(StrEnum):
    """Why an annotator put a report aside."""

    UNREADABLE = "unreadable"
    WRONG_KIND = "wrong_kind"
    DUPLICATE = "duplicate"
    IDENTIFYING = "identifying"
    NOT_MY_FIELD = "not_my_field"
    OTHER = "other"


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


class AuditRefused(UserError):
    """A model that may not be audited, or may not be given away as its audit stands."""


class ModelUnavailable(UserError):
    """A model that is not there: unknown id, gated, offline, or of the wrong task."""


class Conflict(UserError):
    """The world changed in between: a lease expired, a run is going, a model was swapped."""


class SchemaChanged(Conflict):
    """The label schema has another version than the page that saves with it."""


class SavedElsewhere(Conflict):
    """The same person has saved the report in another window meanwhile."""


class NotFound(UserError):
    """A report, run or user that does not exist."""


class Forbidden(UserError):
    """The user's role does not allow this."""


class NotSignedIn(Forbidden):
    """Nobody is signed in, or not any more."""


class SignInRefused(Forbidden):
    """Name and password do not fit, or were tried too often."""


class PasswordRefused(UserError):
    """A new password that is too easy to guess."""


class TrainingRefused(UserError):
    """A training run that cannot work, with the reason."""


class StorageError(UserError):
    """The database cannot be read or written; what was to be saved is not saved."""


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
class FoundSpan:
    """A span that a model marks: code points ``[start, end)`` of the NFC text, and how sure it is (0…1)."""

    label: str
    start: int
    end: int
    confidence: float


@dataclass(frozen=True)
class Marking:
    """The spans of one report in the order of the text, and the model version that marked them."""

    spans: tuple[FoundSpan, ...]
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
class AttributedPassage:
    """A passage as the model reads it (a sentence with its heading, or a window) and what it does to a score.

    `score` is what its words change in its own logit, `words` how they share that; `contribution` is what it adds to
    the report's score. Where that is exactly 0, `words` are None until somebody asks for them (`explain.with_words`).
    `probability` is the calibrated one of this passage alone. `delta` as in `Attribution`.
    """

    start: int
    end: int
    heading: tuple[int, int] | None
    score: float
    contribution: float
    probability: float
    words: tuple[AttributedWord, ...] | None
    delta: float


@dataclass(frozen=True)
class Attribution:
    """How much each word moved one logit from the baseline to this text.

    `delta` is the convergence delta Σ scores − (f(x) − f(baseline)) in logit units, `relative_delta` its absolute
    value over |f(x) − f(baseline)| (0.01 = 1 %). `target` is the finding's state or, for a language model, the word
    in the gap. `logit` is f(x), `baseline_logit` f(baseline); `probability` is the calibrated one. How the passages of
    a report make up its logit: `docs/explanations.md`.
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
    target: str = State.PRESENT.value
    logit: float = 0.0
    baseline_logit: float = 0.0
    probability: float = 0.0
    passages: tuple[AttributedPassage, ...] = ()


@dataclass(frozen=True)
class Faithfulness:
    """How far an attribution says what the model does, on this one text; `docs/explanations.md` defines the figures.

    `comprehensiveness`: what the probability loses without the strongest words (high is good); `sufficiency`: what it
    loses when only these are left (low is good); `infidelity`: 0…1, the part of the changes after random removals that
    the scores do not foretell (low is good); `sensitivity`: how much the scores move when the input hardly does (low).
    """

    comprehensiveness: float
    sufficiency: float
    infidelity: float
    sensitivity: float


@dataclass(frozen=True)
class Erasure:
    """Two figures of `Faithfulness` for one order of the words, the most important one first."""

    comprehensiveness: float
    sufficiency: float


@dataclass(frozen=True)
class AgainstChance:
    """How an explanation's order of the words does beside `orderings` that were drawn at random.

    `probability` is that of the whole report of so many `words`, `chance` the mean of the random orders.
    `more_comprehensive` and `more_sufficient`: how many of them the explanation beats.
    """

    probability: float
    words: int
    explained: Erasure
    chance: Erasure
    more_comprehensive: int
    more_sufficient: int
    orderings: int


@dataclass(frozen=True)
class Proposal:
    """Spans (code points of the text) that an explanation proposes as evidence for a finding; no person's mark yet."""

    label: str
    state: State
    spans: tuple[tuple[int, int], ...]
    model_version: str
    method: str


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

    `state` is what this span says by itself, None where only the report's state is known. `source` tells how the mark
    came about and makes it no other mark; None where that was not recorded.
    """

    label: str
    start: int
    end: int
    state: State | None = None
    source: Source | None = field(default=None, compare=False)


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
    """What a model proposed for a report, with the version that proposed it.

    `spans` are what a model of spans marks, None from a model of findings.
    """

    model_version: str
    states: Mapping[str, State | None]
    scores: Mapping[str, float]
    spans: tuple[FoundSpan, ...] | None = None


@dataclass(frozen=True)
class LabelChange:
    """One finding's new value in a save. ``value=None`` says: not mentioned."""

    label: str
    value: State | None
    source: Source = Source.HUMAN
    suggested: State | None = None


@dataclass(frozen=True)
class Skip:
    """A report that an annotator put aside, with the reason; `comment` may be empty."""

    report_id: int
    key: str
    annotator: str
    reason: SkipReason
    comment: str
    created_at: datetime


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
    """How many readings of a project one annotator has done, how many all together, and how many it asks for.

    `several`: the project lets several people read a report, so that there are more readings than reports. `skipped`:
    how many reports this annotator has put aside that still wait for them.
    """

    done_by_user: int
    done: int
    total: int
    several: bool = False
    skipped: int = 0


@dataclass(frozen=True)
class Screened:
    """What could show who a person is in some of many reports: how many `rows`, how many spans of each kind.

    `treatment` says what became of these rows: `hold`, `replace`, `keep`, or '' where somebody still has to decide.
    """

    rows: int
    kinds: Mapping[str, int]
    treatment: str = ""


@dataclass(frozen=True)
class ImportResult:
    """What an import did. `rejected` holds (row number from 1, reason) of rows that were not stored.

    `screened` is None where nothing was found that could show who a person is.
    """

    added: int
    duplicates: int
    labelled: int
    rejected: tuple[tuple[int, Notice], ...] = ()
    screened: Screened | None = None


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
class ReliabilityBin:
    """`n` decisions on all findings that got about the same `probability` of present; `observed` are (both 0…1)."""

    probability: float
    observed: float
    n: int


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
