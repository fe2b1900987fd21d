"""From an explanation to the annotation card: the strongest words of a finding as proposed rationales.

Owns what is proposed and for which report. A proposal is never a mark: only who saves a report on the card makes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medbertde.report_file import to_json
from medbertde.schema import Schema, load_schema
from medbertde.services.access import Access
from medbertde.services.files import Files
from medbertde.store import proposals, reports
from medbertde.store.session import Database, Session
from medbertde.strongest import Span, same_place, strongest_spans
from medbertde.types import Attribution, Proposal, Report, ReportRecord, Role, State, User, UserError

SOURCE = "Klassifikation.jsonl"  # stands where the name of an imported file does


@dataclass(frozen=True)
class Proposed:
    """What was proposed for a report: the words as they stand in the text."""

    report_id: int
    key: str
    quotes: tuple[str, ...]


@dataclass(frozen=True)
class Proposals:
    """What an annotator does with an explanation. Every method first checks the role and the terms."""

    database: Database
    access: Access
    files: Files

    def propose(self, user: User, schema_id: str, attribution: Attribution) -> Proposed | None:
        """Propose the explanation's strongest words for the stored report with this text; None where there is none."""
        schema = self._allow(user, schema_id)
        spans = strongest_spans(attribution.text, attribution.words)  # before the database is locked for writing
        with self.database.write() as session:
            report = reports.find_copy(session, text=attribution.text)
            return None if report is None else _propose(session, user, schema, report, attribution, spans)

    def add(self, user: User, schema_id: str, attribution: Attribution) -> Proposed:
        """Import the text among the reports to annotate, and propose the words for it; `UserError` if it is refused."""
        schema = self._allow(user, schema_id)
        record = ReportRecord(attribution.text, modality=schema.modality)
        result = self.files.import_file(user, schema_id, SOURCE, to_json(record).encode())
        for _, reason in result.rejected:
            raise UserError(reason.de, reason.en)
        proposed = self.propose(user, schema_id, attribution)
        assert proposed is not None, "the report was stored two lines above"
        return proposed

    def _allow(self, user: User, schema_id: str) -> Schema:
        self.access.require(user, Role.ANNOTATOR)
        self.access.require_terms(user)
        return load_schema(schema_id)


def _propose(
    session: Session, user: User, schema: Schema, report: Report, attribution: Attribution, spans: Sequence[Span]
) -> Proposed:
    schema.label(attribution.label)
    if not spans:
        raise UserError(
            "In dieser Erklärung spricht kein Wort für den Befund; es gibt nichts vorzuschlagen.",
            "No word of this explanation speaks for the finding; there is nothing to propose.",
        )
    proposal = Proposal(
        label=attribution.label,
        state=State(attribution.target),
        spans=tuple(same_place(span, attribution.text, report.text) for span in spans),
        model_version=attribution.model_version,
        method=attribution.method,
    )
    proposals.put(session, report_id=report.id, schema_id=schema.id, proposal=proposal, user_id=user.id)
    return Proposed(report.id, report.key, tuple(attribution.text[start:end] for start, end in spans))
