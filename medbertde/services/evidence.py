"""Evidence: the words people marked beside the words the model weighed, for one report and per model version.

Owns what is compared with what: the attribution for the very state that the person chose. Knows neither the page nor
how attributions are computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medbertde.schema import Kind, load_schema
from medbertde.services.access import Access
from medbertde.services.reading import Reading
from medbertde.span_agreement import Span, SpanAgreement, mean_agreement, span_agreement
from medbertde.store import evidence, reports
from medbertde.store.evidence import MarkedFinding
from medbertde.store.session import Database, Session
from medbertde.types import AttributedWord, Role, State, User


@dataclass(frozen=True)
class Weighed:
    """How the active model weighed the words of a report for a finding; `agreement` is None where none is marked."""

    words: tuple[AttributedWord, ...]
    state: State
    model_version: str
    agreement: SpanAgreement | None


@dataclass(frozen=True)
class VersionAgreement:
    """The mean agreement of one model version with the marked words, over `reports` reports."""

    model_version: str
    active: bool
    reports: int
    mean: SpanAgreement


@dataclass(frozen=True)
class AgreementTable:
    """One row per model version, the active one first; `missing` findings the active one has not weighed yet."""

    versions: tuple[VersionAgreement, ...]
    marked: int
    missing: int


@dataclass(frozen=True)
class Evidence:
    """What an annotator may ask about evidence. Every method first checks the role and that the terms are accepted."""

    database: Database
    reading: Reading
    access: Access

    def weigh(
        self, user: User, schema_id: str, report_id: int, label: str, state: State, marked: Iterable[Span] = ()
    ) -> Weighed:
        """The active model's attribution for this state of the finding, compared with the `marked` spans."""
        self._allow(user)
        load_schema(schema_id).label(label)
        version = self.reading.model_version(schema_id)
        with self.database.read() as session:
            text = reports.get_report(session, report_id=report_id).text
        words = self._attribution(user, schema_id, report_id, text, label, state, version)
        return Weighed(words, state, version, span_agreement(words, marked))

    def agreement(self, user: User, schema_id: str, *, compute: int = 0) -> AgreementTable:
        """Per model version, over all saved reports with marked words.

        Up to `compute` findings that the active model has not weighed yet are weighed first, in the order they were
        saved: whoever wants all of them calls until `missing` is 0. Earlier versions count with what they weighed while
        they were active.
        """
        self._allow(user)
        active = self.reading.active_version(schema_id) if load_schema(schema_id).kind is Kind.FINDINGS else None
        with self.database.read() as session:
            marked = list(evidence.marked_findings(session, schema_id=schema_id))
            missing = [one for one in marked if active and _kept(session, schema_id, one, active) is None]
        for one in missing[:compute]:
            self._attribution(user, schema_id, one.report_id, one.text, one.label, one.state, str(active))
        with self.database.read() as session:
            known = evidence.versions(session, schema_id=schema_id)
            rows = [_row(session, schema_id, version, marked, active=version == active) for version in known]
        found = sorted((row for row in rows if row), key=lambda row: not row.active)
        return AgreementTable(tuple(found), len(marked), max(0, len(missing) - compute))

    def _attribution(
        self, user: User, schema_id: str, report_id: int, text: str, label: str, state: State, version: str
    ) -> tuple[AttributedWord, ...]:
        """The attribution as it was kept, or computed and kept now."""
        wanted = MarkedFinding(report_id, text, label, state, ())
        with self.database.read() as session:
            kept = _kept(session, schema_id, wanted, version)
        if kept is not None:
            return kept
        words = self.reading.explain_stored(user, schema_id, text, label, state=state, model_version=version).words
        with self.database.write() as session:
            evidence.put_attribution(
                session,
                report_id=report_id,
                schema_id=schema_id,
                label=label,
                state=state,
                model_version=version,
                words=words,
            )
        return words

    def _allow(self, user: User) -> None:
        self.access.require(user, Role.ANNOTATOR)
        self.access.require_terms(user)


def _kept(session: Session, schema_id: str, one: MarkedFinding, version: str) -> tuple[AttributedWord, ...] | None:
    return evidence.get_attribution(
        session,
        report_id=one.report_id,
        text=one.text,
        schema_id=schema_id,
        label=one.label,
        state=one.state,
        model_version=version,
    )


def _row(
    session: Session, schema_id: str, version: str, marked: Sequence[MarkedFinding], *, active: bool
) -> VersionAgreement | None:
    """The mean over the marked findings that this version has weighed; None where it has weighed none."""
    found = {
        (number, one.report_id): agreement
        for number, one in enumerate(marked)
        if (words := _kept(session, schema_id, one, version)) is not None
        and (agreement := span_agreement(words, one.spans)) is not None
    }
    mean = mean_agreement(list(found.values()))
    if mean is None:
        return None
    return VersionAgreement(version, active, len({report_id for _, report_id in found}), mean)
