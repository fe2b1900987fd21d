"""The annotation card's server side: its functions, and items of work as the JSON that `cards/annotate.js` reads.

Owns the wire format between card and server. Every function takes one object and a request; it answers
``{"ok": true, …}`` or, when refused, ``{"ok": false, "message": a sentence in the page's language}``. Who is asking
comes from the request, never from the object.
"""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
import fastapi
import gradio as gr

from medbertde.schema import Schema, load_schema, schema_ids
from medbertde.services import Services
from medbertde.services.access import Caller
from medbertde.services.annotate import Decision, RecentReport, SavedWork, Work, WorkItem
from medbertde.services.exchange import has_examples
from medbertde.services.suggest import confidence
from medbertde.text import clean
from medbertde.types import Conflict, State, Suggestion
from medbertde.ui.card import Card
from medbertde.ui.view import refusals

Json = dict[str, Any]
MAX_COMMENT_CHARS = 2_000
MAX_ACTIVE_MS = 24 * 60 * 60 * 1000


def annotation_card(services: Services, language: str) -> Card:
    """The card, connected to the annotation service."""
    return Card(
        "annotate",
        message(language=language),
        elem_id="annotate-card",
        server_functions=[_server_function(handler) for handler in _handlers(services)],
    )


def message(**told: str) -> Json:
    """What the page tells the card: `language`, `schema`, or `refresh` with a new value to look for reports.

    The schemas go with every message, because one that comes before the tab is opened replaces those before it.
    """
    return {"schemas": [_schema_json(load_schema(schema_id)) for schema_id in schema_ids()], **told}


def _handlers(services: Services) -> list[Handler]:
    """What the card can ask for; the functions' names are those the script calls."""
    annotate, identify = services.annotate, services.access.identify

    def fetch_reports(caller: Caller, call: Call) -> Json:
        work = annotate.next_reports(identify(caller), call.schema_id, count=call.count, exclude=call.exclude)
        return {"work": _work_json(work)}

    def save_report(caller: Caller, call: Call) -> Json:
        if call.decision is None:
            raise _not_understood()
        result = annotate.save(identify(caller), call.decision, count=call.count, exclude=call.exclude)
        return {"work": _work_json(result.work)}

    def skip_report(caller: Caller, call: Call) -> Json:
        annotate.skip(identify(caller), call.schema_id, call.report_id)
        return {}

    def keep_reports(caller: Caller, call: Call) -> Json:
        return {"lost": list(annotate.keep(identify(caller), call.schema_id, call.report_ids))}

    def reopen_report(caller: Caller, call: Call) -> Json:
        return {"item": _item_json(annotate.reopen(identify(caller), call.schema_id, call.report_id))}

    def recent_reports(caller: Caller, call: Call) -> Json:
        return {"reports": [_recent_json(recent) for recent in annotate.recent(identify(caller), call.schema_id)]}

    def load_examples(caller: Caller, call: Call) -> Json:
        return {"added": annotate.import_examples(identify(caller), call.schema_id).added}

    return [fetch_reports, save_report, skip_report, keep_reports, reopen_report, recent_reports, load_examples]


# ---------------------------------------------------------------------------------------------- calls


@dataclass(frozen=True)
class Call:
    """What the card sent, checked for form only; which fields matter depends on the function."""

    schema_id: str
    report_id: int = 0
    report_ids: tuple[int, ...] = ()
    exclude: tuple[int, ...] = ()
    count: int = 0
    decision: Decision | None = None


Handler = Callable[[Caller, Call], Json]


def _server_function(handler: Handler) -> Callable[..., Any]:
    """The handler as Gradio calls it for a card: refusals become an answer, because an error's text gets lost."""

    def answer(_language: str, caller: Caller, sent: Any) -> Json:
        return {"ok": True, **handler(caller, _read(sent))}

    answer.__name__ = handler.__name__
    guarded = refusals(answer)

    async def call(sent: Any, request: gr.Request) -> Json:
        language = "en" if isinstance(sent, dict) and sent.get("language") == "en" else "de"
        caller = await card_caller(request)  # type: ignore[arg-type]  # for a card Gradio passes the plain request
        try:
            return await anyio.to_thread.run_sync(guarded, language, caller, sent)
        except gr.Error as error:
            return {"ok": False, "message": error.message}

    call.__name__ = handler.__name__
    return call


async def card_caller(request: fastapi.Request) -> Caller:
    """Who called a card's server function, found as Gradio finds it for its events.

    Gradio hands events a `gr.Request` with the user's name, but cards the plain request.
    """
    app = request.app
    if app.auth_dependency is not None:
        name = app.auth_dependency(request)
        name = await name if inspect.isawaitable(name) else name
    else:
        cookies = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
        name = next((app.tokens[token] for token in map(request.cookies.get, cookies) if token in app.tokens), None)
    body = await request.json()  # Gradio has read it before, the request keeps it
    return Caller(name, body.get("session_hash"))


# ---------------------------------------------------------------------------------------------- from the card


def _read(sent: Any) -> Call:
    """The call in the service's types; a malformed one is a `Conflict`, the page is then older than the server."""
    try:
        return Call(
            schema_id=str(sent["schema"]),
            report_id=int(sent.get("report", 0)),
            report_ids=tuple(int(report_id) for report_id in sent.get("reports", ())),
            exclude=tuple(int(report_id) for report_id in sent.get("exclude", ())),
            count=int(sent.get("count", 0)),
            decision=_decision(sent) if "decision" in sent else None,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _not_understood() from error


def _decision(sent: Json) -> Decision:
    made = sent["decision"]
    comment, version = str(made["comment"]), made["model_version"]
    return Decision(
        client_uuid=str(uuid.UUID(sent["uuid"])),
        schema_id=str(sent["schema"]),
        report_id=int(made["report"]),
        values={str(label): None if value is None else State(value) for label, value in made["values"].items()},
        model_version=None if version is None else str(version),
        comment=clean(comment, MAX_COMMENT_CHARS) if comment.strip() else "",
        flagged=bool(made["flagged"]),
        active_ms=min(max(int(made["active_ms"]), 0), MAX_ACTIVE_MS),
    )


def _not_understood() -> Conflict:
    return Conflict(
        "Die Anfrage der Seite war unvollständig oder veraltet. Bitte die Seite neu laden.",
        "The page's request was incomplete or out of date. Please reload the page.",
    )


# ---------------------------------------------------------------------------------------------- to the card


def _schema_json(schema: Schema) -> Json:
    return {
        "id": schema.id,
        "title": dict(schema.title),
        "examples": has_examples(schema.id),
        "labels": [
            {
                "id": label.id,
                "key": label.key,
                "name": dict(label.name),
                "definition": dict(label.definition),
                "phrasings": list(label.phrasings),
            }
            for label in schema.labels
        ],
    }


def _work_json(work: Work) -> Json:
    progress = {"mine": work.progress.done_by_user, "done": work.progress.done, "total": work.progress.total}
    return {"items": [_item_json(item) for item in work.items], "progress": progress}


def _item_json(item: WorkItem) -> Json:
    return {
        "id": item.report.id,
        "key": item.report.key,
        "text": item.report.text,
        "suggestion": item.suggestion and _suggestion_json(item.suggestion),
        "saved": item.saved and _saved_json(item.saved),
    }


def _suggestion_json(suggestion: Suggestion) -> Json:
    findings = {
        label: {"state": state, "confidence": confidence(suggestion, label)}
        for label, state in suggestion.states.items()
    }
    return {"model_version": suggestion.model_version, "findings": findings}


def _saved_json(saved: SavedWork) -> Json:
    return {"values": dict(saved.values), "comment": saved.comment, "flagged": saved.flagged}


def _recent_json(recent: RecentReport) -> Json:
    saved_at = recent.saved_at.isoformat()
    return {"id": recent.report_id, "key": recent.key, "saved_at": saved_at, "flagged": recent.flagged}
