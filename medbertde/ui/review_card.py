"""The review card's server side: its functions, and reviews as the JSON that `cards/review.js` reads.

Checks the form of what the card sent; what is allowed is for the services.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medbertde.services import Services
from medbertde.services.access import Caller
from medbertde.services.mark_figures import alike, marks_as_set, of_kind
from medbertde.services.review import LONGEST_REASON, OpenReview, ReviewCase, Ruling, too_fast
from medbertde.text import clean
from medbertde.types import Rationale, State
from medbertde.ui.annotation_card import Handler, server_function
from medbertde.ui.annotation_json import MAX_ACTIVE_MS, Json, not_understood, schemas_json
from medbertde.ui.card import Card


@dataclass(frozen=True)
class ReviewCall:
    """What the card sent; `ruling` only with a decision."""

    schema_id: str
    project_id: int | None
    report_id: int
    ruling: Ruling | None


def review_card(services: Services, language: str) -> Card:
    """The card, connected to the review service."""
    functions = [server_function(handler, _read) for handler in _handlers(services)]
    return Card("review", message(language=language), elem_id="team-review", server_functions=functions)


def message(**told: Any) -> Json:
    """What the page tells the card: `language`, `schema`, `project`, or `refresh` with a new value to look again."""
    return {"schemas": schemas_json(), **told}


def _handlers(services: Services) -> list[Handler]:
    """What the card can ask for; the functions' names are those the script calls."""
    review, identify = services.review, services.access.identify

    def waiting_reviews(caller: Caller, call: ReviewCall) -> Json:
        found = review.waiting(identify(caller), call.schema_id, call.project_id)
        return {"reports": [_open_json(one) for one in found]}

    def review_case(caller: Caller, call: ReviewCall) -> Json:
        return {"item": _case_json(review.case(identify(caller), call.schema_id, call.report_id))}

    def decide_review(caller: Caller, call: ReviewCall) -> Json:
        if call.ruling is None:
            raise not_understood()
        review.decide(identify(caller), call.ruling)
        return {}

    return [waiting_reviews, review_case, decide_review]  # type: ignore[list-item]


def _read(sent: Any) -> ReviewCall:
    """The call in the service's types; a malformed one is a `Conflict`, the page is then older than the server."""
    try:
        schema_id, project = str(sent["schema"]), sent.get("project")
        ruling = _ruling(sent, schema_id) if "uuid" in sent else None
        return ReviewCall(schema_id, None if project is None else int(project), int(sent.get("report", 0)), ruling)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise not_understood() from error


def _ruling(sent: Json, schema_id: str) -> Ruling:
    return Ruling(
        client_uuid=str(uuid.UUID(sent["uuid"])),
        schema_id=schema_id,
        report_id=int(sent["report"]),
        values={str(label): None if value is None else State(value) for label, value in sent["values"].items()},
        reasons={
            str(label): clean(str(text), LONGEST_REASON) for label, text in sent["reasons"].items() if str(text).strip()
        },
        active_ms=min(max(int(sent["active_ms"]), 0), MAX_ACTIVE_MS),
        marks=tuple(Rationale(str(label), int(start), int(end)) for label, start, end in sent.get("marks", ())),
    )


def _open_json(one: OpenReview) -> Json:
    return {
        "id": one.report_id,
        "key": one.key,
        "disputed": one.disputed,
        "flagged": one.flagged,
        "skip_reason": one.skip_reason,
        "asked": one.asked,
    }


def _case_json(case: ReviewCase) -> Json:
    readers = [
        {
            "name": reader.annotator,
            "values": dict(reader.values),
            "comment": reader.comment,
            "flagged": reader.flagged,
            "marks": _marks_json(reader.marks),
            "seconds": reader.active_ms / 1000,
            "too_fast": too_fast(case, reader),
        }
        for reader in case.readers
    ]
    return {
        "id": case.report.id,
        "key": case.report.key,
        "text": case.report.text,
        "readers": readers,
        "differing": list(case.differing),
        "decided": dict(case.decided),
        "reasons": dict(case.reasons),
        "held": _marks_json(case.marks),
        "agreement": _agreement_json(case),
        "disputed": len(case.differing),
        "flagged": any(reader.flagged for reader in case.readers),
        "skip_reason": case.skip_reason,
    }


def _marks_json(marks: Sequence[Rationale]) -> list[list[str | int]]:
    return [[mark.label, mark.start, mark.end] for mark in marks]


def _agreement_json(case: ReviewCase) -> Json:
    """By kind of span what the readings have in common; empty for findings."""
    said = [marks_as_set(reader.marks) for reader in case.readers]
    labels = sorted({mark[0] for marks in said for mark in marks})
    return {label: vars(alike([of_kind(marks, label) for marks in said])) for label in labels}
