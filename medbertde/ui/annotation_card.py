"""The annotation card's server side: the functions that `cards/annotate/*.js` calls.

Every function takes one object and a request; it answers ``{"ok": true, …}`` or, when refused, ``{"ok": false, "kind":
…, "message": a sentence in the page's language}``. Who is asking comes from the request, never from the object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio.to_thread
import fastapi
import gradio as gr

from medbertde.services import Services
from medbertde.services.access import Caller
from medbertde.types import Conflict, NotFound, SavedElsewhere, SchemaChanged, UserError
from medbertde.ui.annotation_json import (
    Call,
    Json,
    guideline_json,
    item_json,
    not_understood,
    proposals_json,
    read_call,
    recent_json,
    schemas_json,
    table_json,
    weighed_json,
    work_json,
)
from medbertde.ui.card import Card
from medbertde.ui.guard import USER
from medbertde.ui.view import refusals

WEIGHED_PER_CALL = 10  # attributions computed in one call; the card calls again until none is missing
Handler = Callable[[Caller, Call], Json]
# What the card can do about a refusal. The first that fits counts; anything else may work when it is sent again.
_KINDS: tuple[tuple[type[UserError], str], ...] = (
    (SchemaChanged, "schema"),
    (SavedElsewhere, "elsewhere"),
    (NotFound, "gone"),
    (Conflict, "taken"),
)


def annotation_card(services: Services, language: str) -> Card:
    """The card, connected to the annotation service."""
    handlers = [*_work_handlers(services), *_opening_handlers(services), *_reference_handlers(services)]
    return Card(
        "annotate",
        message(language=language),
        elem_id="annotate-card",
        server_functions=[server_function(handler) for handler in handlers],
    )


def message(**told: str) -> Json:
    """What the page tells the card: `language`, `schema`, or `refresh` with a new value to look for reports.

    The schemas go with every message, because one that comes before the tab is opened replaces those before it.
    """
    return {"schemas": schemas_json(), **told}


def _work_handlers(services: Services) -> list[Handler]:
    """Getting reports, saving and skipping them; the functions' names are those the script calls."""
    annotate, identify = services.annotate, services.access.identify

    def fetch_reports(caller: Caller, call: Call) -> Json:
        user = identify(caller)
        work = annotate.next_reports(user, call.schema_id, count=call.count, exclude=call.exclude, skipped=call.skipped)
        return {"work": work_json(work, call.schema_id)}

    def save_report(caller: Caller, call: Call) -> Json:
        if call.decision is None:
            raise not_understood()
        user = identify(caller)
        result = annotate.save(user, call.decision, count=call.count, exclude=call.exclude, skipped=call.skipped)
        return {"work": work_json(result.work, call.schema_id), "submission": result.submission}

    def skip_report(caller: Caller, call: Call) -> Json:
        if call.skip is None:
            raise not_understood()
        annotate.skip(identify(caller), call.skip)
        return {}

    def keep_reports(caller: Caller, call: Call) -> Json:
        return {"lost": list(annotate.keep(identify(caller), call.schema_id, call.report_ids))}

    def load_examples(caller: Caller, call: Call) -> Json:
        return {"added": annotate.import_examples(identify(caller), call.schema_id).added}

    return [fetch_reports, save_report, skip_report, keep_reports, load_examples]


def _opening_handlers(services: Services) -> list[Handler]:
    """Going back to reports, opening one out of turn, and what has been proposed for those in hand."""
    annotate, identify = services.annotate, services.access.identify

    def reopen_report(caller: Caller, call: Call) -> Json:
        return {"item": item_json(annotate.reopen(identify(caller), call.schema_id, call.report_id))}

    def open_report(caller: Caller, call: Call) -> Json:
        return {"item": item_json(annotate.open_report(identify(caller), call.schema_id, call.report_id))}

    def fetch_proposals(caller: Caller, call: Call) -> Json:
        found = annotate.proposals(identify(caller), call.schema_id, call.report_ids)
        return {"proposals": {str(report_id): proposals_json(one) for report_id, one in found.items()}}

    def recent_reports(caller: Caller, call: Call) -> Json:
        return {"reports": [recent_json(recent) for recent in annotate.recent(identify(caller), call.schema_id)]}

    return [reopen_report, open_report, fetch_proposals, recent_reports]


def _reference_handlers(services: Services) -> list[Handler]:
    """What an annotator looks up: the guideline, what the model looks at, how well it agrees with the marked words."""
    evidence, identify = services.evidence, services.access.identify

    def fetch_guideline(caller: Caller, call: Call) -> Json:
        services.access.require_terms(identify(caller))
        return {"guideline": guideline_json(call.schema_id)}

    def weigh_words(caller: Caller, call: Call) -> Json:
        user = identify(caller)
        weighed = evidence.weigh(user, call.schema_id, call.report_id, call.label, call.state, call.spans)
        return weighed_json(weighed)

    def span_agreement(caller: Caller, call: Call) -> Json:
        return table_json(evidence.agreement(identify(caller), call.schema_id, compute=WEIGHED_PER_CALL))

    return [fetch_guideline, weigh_words, span_agreement]


def server_function(
    handler: Callable[[Caller, Any], Json], read: Callable[[Any], Any] = read_call
) -> Callable[..., Any]:
    """The handler as Gradio calls it for a card: refusals become an answer, because an error's text gets lost."""

    def answer(language: str, caller: Caller, sent: Any) -> Json:
        try:
            return {"ok": True, **handler(caller, read(sent))}
        except UserError as error:
            return _refusal(error, language)

    answer.__name__ = handler.__name__
    guarded = refusals(answer)

    async def call(sent: Any, request: gr.Request) -> Json:
        language = "en" if isinstance(sent, dict) and sent.get("language") == "en" else "de"
        caller = await card_caller(request)  # type: ignore[arg-type]  # for a card Gradio passes the plain request
        try:
            return await anyio.to_thread.run_sync(guarded, language, caller, sent)
        except gr.Error as error:
            return {"ok": False, "kind": "retry", "message": error.message}

    call.__name__ = handler.__name__
    call.__annotations__ = {"request": gr.Request}  # Gradio looks at them in every call; as strings they are evaluated
    return call


def _refusal(error: UserError, language: str) -> Json:
    kind = next((name for known, name in _KINDS if isinstance(error, known)), "retry")
    refusal = {"ok": False, "kind": kind, "message": error.sentence(language)}
    return refusal | ({"schemas": schemas_json()} if kind == "schema" else {})


async def card_caller(request: fastapi.Request) -> Caller:
    """Who called a card's server function.

    Gradio hands events a `gr.Request` with the user's name, but cards the plain request: its app knows how to ask.
    """
    body = await request.json()  # Gradio has read it before, the request keeps it
    name = request.app.auth_dependency(request)
    return Caller(name, body.get("session_hash"), request.scope.get(USER) if name else None)
