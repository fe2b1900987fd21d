"""The wire format between the annotation card and the server: calls in, schemas and items of work out, as plain JSON.

Checks the form of what the card sent and nothing else; what is allowed is for the services.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medbertde.guidelines import load_guideline
from medbertde.schema import ALL_KINDS, Schema, load_schema, schema_ids
from medbertde.services.annotate import Decision, RecentReport, SavedWork, SkipDecision, Work, WorkItem
from medbertde.services.evidence import AgreementTable, Weighed
from medbertde.services.exchange import has_examples
from medbertde.services.suggest import confidence
from medbertde.span_agreement import SpanAgreement
from medbertde.text import clean
from medbertde.types import Conflict, Proposal, Rationale, SkipReason, State, Suggestion

Json = dict[str, Any]
MAX_COMMENT_CHARS = 2_000
MAX_ACTIVE_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True)
class Call:
    """What the card sent, checked for form only; which fields matter depends on the function."""

    schema_id: str
    report_id: int = 0
    report_ids: tuple[int, ...] = ()
    exclude: tuple[int, ...] = ()
    count: int = 0
    skipped: bool = False
    decision: Decision | None = None
    skip: SkipDecision | None = None
    label: str = ""
    state: State = State.PRESENT
    spans: tuple[tuple[int, int], ...] = ()


# ---------------------------------------------------------------------------------------------- from the card


def read_call(sent: Any) -> Call:
    """The call in the services' types; a malformed one is a `Conflict`, the page is then older than the server."""
    try:
        return Call(
            schema_id=str(sent["schema"]),
            report_id=int(sent.get("report", 0)),
            report_ids=tuple(int(report_id) for report_id in sent.get("reports", ())),
            exclude=tuple(int(report_id) for report_id in sent.get("exclude", ())),
            count=int(sent.get("count", 0)),
            skipped=bool(sent.get("skipped", False)),
            decision=_decision(sent) if "decision" in sent else None,
            skip=_skip(sent) if "skip" in sent else None,
            label=str(sent.get("label", "")),
            state=State(sent.get("state", State.PRESENT)),
            spans=tuple((int(start), int(end)) for start, end in sent.get("spans", ())),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise not_understood() from error


def not_understood() -> Conflict:
    """The refusal of a call that lacks something."""
    return Conflict(
        "Die Anfrage der Seite war unvollständig oder veraltet. Bitte die Seite neu laden.",
        "The page's request was incomplete or out of date. Please reload the page.",
    )


def _decision(sent: Json) -> Decision:
    made = sent["decision"]
    return Decision(
        client_uuid=str(uuid.UUID(sent["uuid"])),
        schema_id=str(sent["schema"]),
        report_id=int(made["report"]),
        values={str(label): None if value is None else State(value) for label, value in made["values"].items()},
        model_version=_optional(made["model_version"]),
        comment=_comment(made["comment"]),
        flagged=bool(made["flagged"]),
        active_ms=_active_ms(made["active_ms"]),
        schema_version=int(made["schema_version"]),
        guideline_version=_optional(made["guideline_version"]),
        rationales=tuple(Rationale(str(label), int(start), int(end)) for label, start, end in made["rationales"]),
        seen=int(made["seen"]),
    )


def _skip(sent: Json) -> SkipDecision:
    made = sent["skip"]
    return SkipDecision(
        client_uuid=str(uuid.UUID(sent["uuid"])),
        schema_id=str(sent["schema"]),
        report_id=int(made["report"]),
        reason=SkipReason(made["reason"]),
        comment=_comment(made["comment"]),
        active_ms=_active_ms(made["active_ms"]),
    )


def _optional(value: Any) -> str | None:
    return None if value is None else str(value)


def _comment(value: Any) -> str:
    return clean(str(value), MAX_COMMENT_CHARS) if str(value).strip() else ""


def _active_ms(value: Any) -> int:
    return min(max(int(value), 0), MAX_ACTIVE_MS)


# ---------------------------------------------------------------------------------------------- to the card


def schemas_json() -> list[Json]:
    """All schemas, with what the card needs to draw them."""
    return [_schema_json(load_schema(schema_id)) for schema_id in schema_ids(kinds=ALL_KINDS)]


def _schema_json(schema: Schema) -> Json:
    guideline = load_guideline(schema.id)
    return {
        "id": schema.id,
        "version": schema.version,
        "kind": schema.kind,
        "title": dict(schema.title),
        "groups": [{"id": group, "name": dict(name)} for group, name in schema.groups.items()],
        "guideline": guideline and guideline.version,
        "examples": has_examples(schema.id),
        "labels": [
            {
                "id": label.id,
                "key": label.key,
                "group": label.group,
                "colour": label.colour,
                "name": dict(label.name),
                "definition": dict(label.definition),
                "phrasings": list(label.phrasings),
            }
            for label in schema.labels
        ],
    }


def guideline_json(schema_id: str) -> Json | None:
    """The guideline of a schema, None where there is none."""
    guideline = load_guideline(schema_id)
    if guideline is None:
        return None
    return {"version": guideline.version, "general": guideline.general, "sections": dict(guideline.sections)}


def work_json(work: Work, schema_id: str) -> Json:
    """The next reports, the progress, and the guideline version that holds now."""
    guideline = load_guideline(schema_id)
    made = work.progress
    progress = {"mine": made.done_by_user, "done": made.done, "total": made.total}
    progress |= {"several": made.several, "skipped": made.skipped}
    items = [item_json(item) for item in work.items]
    return {"items": items, "progress": progress, "guideline": guideline and guideline.version}


def item_json(item: WorkItem) -> Json:
    """A report to label or to correct."""
    return {
        "id": item.report.id,
        "key": item.report.key,
        "text": item.report.text,
        "suggestion": item.suggestion and _suggestion_json(item.suggestion),
        "bare": item.bare,
        "saved": item.saved and _saved_json(item.saved),
        "proposals": proposals_json(item.proposals),
    }


def proposals_json(proposals: Sequence[Proposal]) -> list[Json]:
    """One entry per proposed span."""
    return [
        {"label": one.label, "state": one.state, "start": start, "end": end, "model_version": one.model_version}
        for one in proposals
        for start, end in one.spans
    ]


def _suggestion_json(suggestion: Suggestion) -> Json:
    findings = {
        label: {"state": state, "confidence": confidence(suggestion, label)}
        for label, state in suggestion.states.items()
    }
    spans = [[one.label, one.start, one.end, one.confidence] for one in suggestion.spans or ()]
    return {"model_version": suggestion.model_version, "findings": findings, "spans": spans}


def _saved_json(saved: SavedWork) -> Json:
    return {
        "values": dict(saved.values),
        "comment": saved.comment,
        "flagged": saved.flagged,
        "submission": saved.submission,
        "rationales": [[one.label, one.start, one.end] for one in saved.rationales],
    }


def recent_json(recent: RecentReport) -> Json:
    """A line of the list of own decisions."""
    saved_at = recent.saved_at.isoformat()
    return {"id": recent.report_id, "key": recent.key, "saved_at": saved_at, "flagged": recent.flagged}


def weighed_json(weighed: Weighed) -> Json:
    """The attribution as spans with scores, without the text, and the agreement."""
    return {
        "words": [[word.start, word.end, word.score] for word in weighed.words],
        "state": weighed.state,
        "model_version": weighed.model_version,
        "agreement": weighed.agreement and _agreement_json(weighed.agreement),
    }


def table_json(table: AgreementTable) -> Json:
    """The agreement per model version."""
    rows = [
        {"version": row.model_version, "active": row.active, "reports": row.reports, **_agreement_json(row.mean)}
        for row in table.versions
    ]
    return {"versions": rows, "marked": table.marked, "missing": table.missing}


def _agreement_json(agreement: SpanAgreement) -> Json:
    return {
        "f1": agreement.f1,
        "iou": agreement.iou,
        "auprc": agreement.auprc,
        "chance": agreement.chance,
        "n": agreement.n,
    }
