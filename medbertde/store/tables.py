"""The tables: typed columns with their constraints in the database.

Owns the shape of the rows and of time (UTC, aware in Python). Knows no queries; the migrations repeat the shape as it
was at their time (a test compares). The rows never leave `store/`.

Append-only tables (`submissions`, `label_events`, `rationales`, `skips`, `activations`, `audit`,
`proposed_rationales`) refuse UPDATE and DELETE by trigger, see the migrations.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from medbertde.types import InvalidText, Purpose, Role, RunState, SkipReason, Source, State


def utc_now() -> datetime:
    """The server's time, aware."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time; SQLite, which keeps no time zone, stores it as naive UTC that sorts as text."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Python to database: a naive time is a programming error."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("times must be aware")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Database to Python: always aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class StoredText(TypeDecorator[str]):
    """Text that both databases can hold: PostgreSQL refuses NUL, and half a surrogate pair is not Unicode."""

    impl = Text()
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Python to database: what one of the two would refuse, both refuse, with the same sentence."""
        if value is not None and ("\x00" in value or not _is_unicode(value)):
            raise InvalidText(
                "Der Text enthält Zeichen, die sich nicht speichern lassen (NUL oder halbe Unicode-Zeichen). Bitte "
                "diese Zeichen entfernen.",
                "The text contains characters that cannot be stored (NUL or half Unicode characters). Please remove "
                "them.",
            )
        return value


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


class Word(TypeDecorator[StrEnum]):
    """A member of `kind`, stored as its value in a text column; the CHECKs stand in the tables below."""

    impl = Text()
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:
        """Python to database: only a word of the kind."""
        return None if value is None else self.kind(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        """Database to Python."""
        return None if value is None else self.kind(value)


def one_of(column: str, kind: type[StrEnum]) -> CheckConstraint:
    """The CHECK that a column holds a word of `kind`."""
    values = ", ".join(f"'{word}'" for word in kind)
    return CheckConstraint(f"{column} IN ({values})", name=f"{column}_known")


class Base(DeclarativeBase):
    """The common ground: names for all constraints, so that later migrations can find them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        str: StoredText(),
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(),
        State: Word(State),
        Role: Word(Role),
        Source: Word(Source),
        SkipReason: Word(SkipReason),
        Purpose: Word(Purpose),
        RunState: Word(RunState),
    }


class UserRow(Base):
    """Someone who uses the app. `password_hash` stays null where there is no login; nobody is deleted, but disabled."""

    __tablename__ = "users"
    __table_args__ = (one_of("role", Role),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    role: Mapped[Role]
    password_hash: Mapped[str | None]
    terms_version: Mapped[str | None]
    terms_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class ImportRow(Base):
    """One import: which file, by whom, and how many reports it brought."""

    __tablename__ = "imports"

    id: Mapped[int] = mapped_column(primary_key=True)
    file_name: Mapped[str]
    added: Mapped[int]
    duplicates: Mapped[int]
    clashes: Mapped[int]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class ReportRow(Base):
    """A report: NFC text, unique by its content and by its key."""

    __tablename__ = "reports"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    text: Mapped[str]
    content_hash: Mapped[str] = mapped_column(unique=True)
    modality: Mapped[str | None]
    meta: Mapped[dict[str, Any]]
    import_id: Mapped[int | None] = mapped_column(ForeignKey("imports.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


def table_of(row: type[Base]) -> Table:
    """The plain table of a row, for statements that need nothing of the object mapping and go often."""
    return cast(Table, row.__table__)


class SubmissionRow(Base):
    """One save of one report by one annotator; it exists also when no finding is mentioned. Append-only."""

    __tablename__ = "submissions"
    __table_args__ = (
        Index(None, "schema_id", "report_id"),
        Index(None, "user_id", "schema_id", "report_id"),
        one_of("purpose", Purpose),
        CheckConstraint("active_ms >= 0", name="active_ms_positive"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    client_uuid: Mapped[str] = mapped_column(unique=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("reports.id"), index=True)
    schema_id: Mapped[str]
    schema_version: Mapped[int]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    model_version: Mapped[str | None]
    guideline_version: Mapped[str | None]
    active_ms: Mapped[int]
    comment: Mapped[str]
    flagged: Mapped[bool]
    purpose: Mapped[Purpose] = mapped_column(default=Purpose.ANNOTATION)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class LabelEventRow(Base):
    """One finding set to a new value (null: not mentioned) by a submission; a curator gives a `reason`. Append-only."""

    __tablename__ = "label_events"
    __table_args__ = (
        UniqueConstraint("submission_id", "label"),
        one_of("old_value", State),
        one_of("new_value", State),
        one_of("suggested", State),
        one_of("source", Source),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[int] = mapped_column(ForeignKey("submissions.id"))
    label: Mapped[str]
    old_value: Mapped[State | None]
    new_value: Mapped[State | None]
    source: Mapped[Source]
    suggested: Mapped[State | None]
    reason: Mapped[str | None]


class RationaleRow(Base):
    """A span that a submission marks as evidence: code points [start_char, end_char) of the text. Append-only.

    `source`: how it came about; null for marks from before that was kept.
    """

    __tablename__ = "rationales"
    __table_args__ = (
        CheckConstraint("0 <= start_char AND start_char < end_char", name="span_not_empty"),
        one_of("source", Source),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[int] = mapped_column(ForeignKey("submissions.id"), index=True)
    label: Mapped[str]
    start_char: Mapped[int]
    end_char: Mapped[int]
    source: Mapped[Source | None]


class SkipRow(Base):
    """A report that an annotator put aside instead of saving it. Append-only."""

    __tablename__ = "skips"
    __table_args__ = (
        Index(None, "user_id", "schema_id", "report_id"),
        one_of("reason", SkipReason),
        CheckConstraint("active_ms >= 0", name="active_ms_positive"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    client_uuid: Mapped[str] = mapped_column(unique=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("reports.id"), index=True)
    schema_id: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    reason: Mapped[SkipReason]
    comment: Mapped[str]
    active_ms: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class SuggestionRow(Base):
    """What one model version proposed for a report: states {label: state or null}, scores {label: probability}.

    `spans` holds {"spans": [[label, start, end, confidence], …]}, code points of the text; null from a model of
    findings. `doubt` in [0, 1]: 1 where the probability of some finding is one half, 0 where all are 0 or 1.
    """

    __tablename__ = "suggestions"
    __table_args__ = (UniqueConstraint("report_id", "schema_id", "model_version"), Index(None, "schema_id", "doubt"))

    id: Mapped[int] = mapped_column(primary_key=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("reports.id"))
    schema_id: Mapped[str]
    model_version: Mapped[str]
    states: Mapped[dict[str, Any]]
    scores: Mapped[dict[str, Any]]
    spans: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    doubt: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class AttributionRow(Base):
    """How a model version weighed the words of a report for one state of a finding.

    `words` holds {"spans": [[start, end, score], …]}, code points of the text, never the text itself.
    """

    __tablename__ = "attributions"
    __table_args__ = (
        UniqueConstraint("report_id", "schema_id", "label", "state", "model_version"),
        one_of("state", State),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("reports.id"))
    schema_id: Mapped[str]
    label: Mapped[str]
    state: Mapped[State]
    model_version: Mapped[str]
    words: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class ProposedRationaleRow(Base):
    """Spans that a model's explanation proposes as evidence; a `rationales` row is made only by who accepts them.

    `spans` holds {"spans": [[start, end], …]}, code points of the text. A finding's newest row counts. Append-only.
    """

    __tablename__ = "proposed_rationales"
    __table_args__ = (Index(None, "report_id", "schema_id"), one_of("state", State))

    id: Mapped[int] = mapped_column(primary_key=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("reports.id"))
    schema_id: Mapped[str]
    label: Mapped[str]
    state: Mapped[State]
    spans: Mapped[dict[str, Any]]
    model_version: Mapped[str]
    method: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class RunRow(Base):
    """A training run. The partial unique index lets at most one be running, and one wait for it."""

    __tablename__ = "runs"
    __table_args__ = (
        one_of("state", RunState),
        Index(
            "one_run_at_a_time",
            "state",
            unique=True,
            sqlite_where=text("state IN ('queued', 'running')"),
            postgresql_where=text("state IN ('queued', 'running')"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    schema_id: Mapped[str]
    base_model: Mapped[str]
    state: Mapped[RunState]
    folder: Mapped[str]
    pid: Mapped[int | None]
    message: Mapped[str | None]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    finished_at: Mapped[datetime | None]


class ModelVersionRow(Base):
    """A checkpoint that can be made active."""

    __tablename__ = "model_versions"

    version: Mapped[str] = mapped_column(primary_key=True)
    schema_id: Mapped[str] = mapped_column(index=True)
    folder: Mapped[str]
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class ActivationRow(Base):
    """A version became the active one of its schema; the newest row counts. Append-only."""

    __tablename__ = "activations"

    id: Mapped[int] = mapped_column(primary_key=True)
    schema_id: Mapped[str] = mapped_column(index=True)
    version: Mapped[str] = mapped_column(ForeignKey("model_versions.version"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class AuditRow(Base):
    """Who did what when, with facts that never hold report text. Append-only."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    action: Mapped[str]
    facts: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
