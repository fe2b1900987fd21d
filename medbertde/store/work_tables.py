"""The tables of shared work: projects, who works in them, the assignments that the queue hands out, and reviews.

Owns the shape of these rows, as `tables` does for the others. Nothing here is history: an assignment says who has a
report on the screen or has read it, a review that a report waits for a curator. What people said stands in
`submissions` and `label_events` alone.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from medbertde.store.tables import Base, Word, one_of, utc_now
from medbertde.types import WorkOrder


class ProjectRow(Base):
    """A schema, a set of reports and the rules of work. The project without a name is the schema's default one.

    `chosen` may hold `imports` (ids) and `keys` (report keys); a list that is missing leaves nothing out. `total`
    counts the assignments. Shares are drawn when a report comes in and never again, or no figure could be compared.
    """

    __tablename__ = "projects"
    __table_args__ = (
        UniqueConstraint("schema_id", "name"),
        one_of("work_order", WorkOrder),
        CheckConstraint("readers >= 1", name="readers_positive"),
        *(
            CheckConstraint(f"{share} >= 0 AND {share} <= 1", name=f"{share}_is_share")
            for share in ("overlap_share", "bare_share", "test_share", "random_share")
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    schema_id: Mapped[str]
    name: Mapped[str]
    modality: Mapped[str | None]
    chosen: Mapped[dict[str, Any]]
    work_order: Mapped[WorkOrder] = mapped_column(Word(WorkOrder))
    overlap_share: Mapped[float]
    readers: Mapped[int]
    bare_share: Mapped[float]
    test_share: Mapped[float]
    random_share: Mapped[float]
    total: Mapped[int]
    ranked_by: Mapped[str | None]
    ranked_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class ProjectImportRow(Base):
    """An import that has been looked through for a project; it is there as a whole or not at all."""

    __tablename__ = "project_imports"

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id"), primary_key=True)


class ProjectPersonRow(Base):
    """Someone who works or has worked in a project, and how many assignments they have done in it.

    A project to which nobody is assigned is open to all. `chosen_at`: when they last chose to work in it.
    """

    __tablename__ = "project_people"

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    assigned: Mapped[bool]
    done: Mapped[int]
    chosen_at: Mapped[datetime | None]


class AssignmentRow(Base):
    """One reading of a report that a project asks for; a report that several people read has one per `slot`.

    Free without `user_id` or once `expires_at` has passed; done with `done_at`, then `user_id` is who read it. `bare`
    reports come without suggestions, `test` reports are never trained on. The queue goes by `place`, then by report.
    """

    __tablename__ = "assignments"
    __table_args__ = (
        UniqueConstraint("report_id", "project_id", "user_id"),
        Index(
            "waiting_assignments", "project_id", "place", "report_id", "slot",
            sqlite_where=text("done_at IS NULL"), postgresql_where=text("done_at IS NULL"),
        ),
        Index(
            "held_assignments", "user_id",
            sqlite_where=text("done_at IS NULL AND user_id IS NOT NULL"),
            postgresql_where=text("done_at IS NULL AND user_id IS NOT NULL"),
        ),
        Index(
            "done_assignments", "project_id", "done_at",
            sqlite_where=text("done_at IS NOT NULL"), postgresql_where=text("done_at IS NOT NULL"),
        ),
    )  # fmt: skip

    report_id: Mapped[int] = mapped_column(ForeignKey("reports.id"), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    slot: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[float]
    bare: Mapped[bool]
    test: Mapped[bool]
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    expires_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]


class ReviewRow(Base):
    """A report that a curator should look at: findings seen differently, the annotators' flag, or a reason to skip.

    `asked`: a model that was trained on the labels doubts them.
    """

    __tablename__ = "reviews"
    __table_args__ = (
        Index(
            "open_reviews", "schema_id", "disputed", "report_id",
            sqlite_where=text("settled_at IS NULL"), postgresql_where=text("settled_at IS NULL"),
        ),
    )  # fmt: skip

    report_id: Mapped[int] = mapped_column(ForeignKey("reports.id"), primary_key=True)
    schema_id: Mapped[str] = mapped_column(primary_key=True)
    disputed: Mapped[int]
    flagged: Mapped[bool]
    skip_reason: Mapped[str]
    asked: Mapped[bool]
    settled_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)
