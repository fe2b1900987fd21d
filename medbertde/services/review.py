"""Review: which reports wait for a curator, what everyone said, and the decision.

Owns that only curators see other people's values, and that a decision is complete: every finding in dispute has a
value, every kind of span in dispute its marks (perhaps none).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medbertde.schema import Kind, Schema, load_schema
from medbertde.services.access import Access
from medbertde.services.save_rules import require_evidence
from medbertde.services.team_figures import is_too_fast
from medbertde.store import audit, reviews
from medbertde.store.mark_consensus import places_by_kind
from medbertde.store.review_cases import ReaderView, ReviewCase, review_case
from medbertde.store.reviews import OpenReview, Ruling
from medbertde.store.session import Database
from medbertde.types import Conflict, InvalidSchema, Role, User

__all__ = ["OpenReview", "ReaderView", "Review", "ReviewCase", "Ruling"]

LONGEST_REASON = 500


@dataclass(frozen=True)
class Review:
    """What a curator does."""

    database: Database
    access: Access

    def waiting(self, user: User, schema_id: str, project_id: int | None = None) -> list[OpenReview]:
        """The reports that wait, most disagreement first; of one project or of all."""
        schema = self._allow(user, schema_id)
        with self.database.read() as session:
            return reviews.open_reviews(session, schema_id=schema.id, project_id=project_id)

    def case(self, user: User, schema_id: str, report_id: int) -> ReviewCase:
        """A report with everyone's values, comments and times."""
        schema = self._allow(user, schema_id)
        with self.database.read() as session:
            return review_case(session, report_id=report_id, schema_id=schema.id)

    def decide(self, user: User, ruling: Ruling) -> None:
        """Keep the decision; `Conflict` when a finding in dispute has no value in it (the readings have changed)."""
        schema = self._allow(user, ruling.schema_id)
        for label in (*ruling.values, *ruling.reasons):
            schema.label(label)
        with self.database.write() as session:
            case = review_case(session, report_id=ruling.report_id, schema_id=schema.id)
            _require_marks(schema, ruling, case.report.text)
            known = {**case.decided, **ruling.values}
            missing = [one for one in schema.label_ids if one in case.differing and one not in known]
            if missing:
                raise _undecided([schema.label(one).name for one in missing])
            reviews.decide(session, ruling=ruling, schema_version=schema.version, user_id=user.id)
            facts: dict[str, audit.Fact] = {
                "report": ruling.report_id,
                "schema": schema.id,
                "findings": len(ruling.values),
            }
            if schema.kind is Kind.SPANS:
                facts["marks"] = len(ruling.marks)
                facts["like"] = ", ".join(f"{label}={name}" for label, name in taken_from(case, ruling).items())
            audit.record(session, user_id=user.id, action="adjudicate", facts=facts)

    def _allow(self, user: User, schema_id: str) -> Schema:
        self.access.require(user, Role.CURATOR)
        self.access.require_terms(user)
        return load_schema(schema_id)


def too_fast(case: ReviewCase, reader: ReaderView) -> bool:
    """Whether this reader cannot have read the report; imported labels have no time and no mark."""
    return reader.active_ms > 0 and is_too_fast(reader.active_ms, len(case.report.text))


def taken_from(case: ReviewCase, ruling: Ruling) -> dict[str, str]:
    """By decided kind whose marks the decision is like, "" for nobody's."""
    decided = places_by_kind(ruling.marks)
    said = [(reader.annotator, places_by_kind(reader.marks)) for reader in case.readers]
    return {
        label: next((name for name, places in said if places.get(label) == decided.get(label)), "")
        for label in ruling.values
    }


def _require_marks(schema: Schema, ruling: Ruling, text: str) -> None:
    """Marks belong to a schema of spans, to the kinds that are decided, and lie in the text."""
    if schema.kind is Kind.FINDINGS and not ruling.marks:
        return
    if schema.kind is Kind.FINDINGS or any(ruling.values.values()):
        raise InvalidSchema(
            f"Im Schema {schema.title['de']} passt eine Entscheidung dieser Art nicht. Bitte die Seite neu laden.",
            f"A decision of this kind does not fit the schema {schema.title['en']}. Please reload the page.",
        )
    require_evidence(schema, ruling.marks, {}, text)
    stray = [mark.label for mark in ruling.marks if mark.label not in ruling.values]
    if stray:
        raise _undecided([schema.label(stray[0]).name])


def _undecided(names: Sequence[Mapping[str, str]]) -> Conflict:
    de, en = (", ".join(name[language] for name in names) for language in ("de", "en"))
    return Conflict(
        f"Noch nicht entschieden: {de}. Bitte für jeden strittigen Befund einen Wert wählen.",
        f"Not decided yet: {en}. Please choose a value for every finding in dispute.",
    )
