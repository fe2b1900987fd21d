"""The part "Übersicht" of the annotation tab: searching reports, looking at one, the labels in figures.

Its card (`cards/overview.js`) calls the functions below; who is asking comes from the request. All texts of reports go
to the card as text with marked pieces, never as markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from medbertde.schema import load_schema
from medbertde.search_text import excerpt
from medbertde.services import Services
from medbertde.services.access import Caller
from medbertde.services.overview import COUNTED_UP_TO, Figures, Filters, Hit, Looked, Status, Value
from medbertde.types import LabelRevision, State
from medbertde.ui.annotation_card import message, server_function
from medbertde.ui.annotation_json import Json, not_understood
from medbertde.ui.card import Card
from medbertde.ui.switch import on_switch
from medbertde.ui.view import PRIVATE
from medbertde.ui.words import Words

MOST_PAIRS = 12
MOST_DAYS = 14


@dataclass(frozen=True)
class Question:
    """What the card sent, checked for form only."""

    filters: Filters
    query: str
    after: int
    report_id: int


def build(services: Services, words: Words, language: gr.Radio, schema: gr.Radio) -> None:
    """Lay out the part; `schema` holds the findings that are looked at."""
    card = Card(
        "overview",
        message(language=words.language),
        elem_id="annotate-overview",
        server_functions=[server_function(handler, read_question) for handler in _handlers(services)],
    )
    # Each says both, because before the part is opened only the last message counts. An open card leaves `first` alone:
    # the switch takes a while, and another schema may be chosen by then.
    on_switch(language, lambda chosen, now: message(language=chosen, first=now), [language, schema], card)
    schema.change(lambda chosen, now: message(language=chosen, schema=now), [language, schema], card, **PRIVATE)


def read_question(sent: Any) -> Question:
    """The question in the services' types; a malformed one is a `Conflict`, the page is then older than the server."""
    try:
        filters = Filters(
            schema_id=str(sent["schema"]),
            label=str(sent["label"]) if sent.get("label") else None,
            value=Value(sent["value"]) if sent.get("value") else None,
            annotator=str(sent["annotator"]) if sent.get("annotator") else None,
            status=Status(sent["status"]) if sent.get("status") else None,
        )
        return Question(filters, str(sent.get("query", "")), int(sent.get("after", 0)), int(sent.get("report", 0)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise not_understood() from error


def _handlers(services: Services) -> list[Any]:
    """The functions' names are those that the script calls."""
    overview, identify = services.overview, services.access.identify

    def list_annotators(caller: Caller, question: Question) -> Json:
        user = identify(caller)
        names = overview.annotators(user, question.filters.schema_id)
        return {"annotators": names, "own": user.name, "sees_all": overview.sees_all(user)}

    def find_reports(caller: Caller, question: Question) -> Json:
        found = overview.find(identify(caller), question.query, question.filters, after=question.after)
        many = found.count is not None and found.count > COUNTED_UP_TO
        count = COUNTED_UP_TO if many else found.count
        return {"hits": [hit_json(hit) for hit in found.hits], "after": found.after, "count": count, "many": many}

    def look_at_report(caller: Caller, question: Question) -> Json:
        schema_id = question.filters.schema_id
        return {"looked": looked_json(overview.look(identify(caller), schema_id, question.report_id, question.query))}

    def count_labels(caller: Caller, question: Question) -> Json:
        schema_id = question.filters.schema_id
        return {"figures": figures_json(schema_id, overview.figures(identify(caller), schema_id))}

    return [list_annotators, find_reports, look_at_report, count_labels]


def hit_json(hit: Hit) -> Json:
    """A line of the result list."""
    pieces = [[piece.text, piece.hit] for piece in hit.excerpt]
    return {"id": hit.report.id, "key": hit.report.key, "pieces": pieces, "annotators": list(hit.annotators)}


def looked_json(looked: Looked) -> Json:
    """A report with what was said about it, newest change first."""
    pieces = excerpt(looked.report.text, looked.terms, max_chars=len(looked.report.text))
    return {
        "id": looked.report.id,
        "key": looked.report.key,
        "pieces": [[piece.text, piece.hit] for piece in pieces],
        "values": [{"annotator": name, "values": _plain(values)} for name, values in looked.values.items()],
        "history": [_change_json(change) for change in reversed(looked.history)],
        "own": looked.is_own,
    }


def figures_json(schema_id: str, figures: Figures) -> Json:
    """Counts by finding, the pairs seen most often, and the last days, the oldest first."""
    labels = load_schema(schema_id).labels
    pairs = sorted(figures.together.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_PAIRS]
    days = sorted({day.day for day in figures.days})[-MOST_DAYS:]
    return {
        "annotated": figures.annotated,
        "values": [
            {"label": label.id, "counts": {state: figures.values.get((label.id, state), 0) for state in State}}
            for label in labels
        ],
        "together": [{"labels": list(pair), "count": count} for pair, count in pairs],
        "days": [
            {
                "day": day,
                "people": [
                    {"annotator": one.annotator, "reports": one.reports, "minutes": round(one.active_ms / 60_000)}
                    for one in figures.days
                    if one.day == day
                ],
            }
            for day in days
        ],
    }


def _plain(values: Mapping[str, State]) -> dict[str, str]:
    return {label: state.value for label, state in values.items()}


def _change_json(change: LabelRevision) -> Json:
    """A change as the card says it; times are UTC with their zone, the browser writes them in its own."""
    return {
        "at": change.created_at.isoformat(timespec="minutes"),
        "annotator": change.annotator,
        "label": change.label,
        "old": change.old_value,
        "new": change.new_value,
        "source": change.source,
    }
