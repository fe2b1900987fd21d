"""From Gradio to services and back: who is asking, and what a refusal looks like. Pure functions and two decorators."""

from __future__ import annotations

import functools
import html
import logging
from collections.abc import Callable
from datetime import date
from typing import Any

import gradio as gr

from medbertde.services.access import Caller
from medbertde.services.exchange.incoming.plan import iso_date
from medbertde.types import UserError
from medbertde.ui.words import Text

log = logging.getLogger(__name__)

UNEXPECTED = Text(
    "Das hat leider nicht funktioniert. Ihre Eingaben sind noch da. Bitte versuchen Sie es erneut.",
    "Sorry, that did not work. Your input is still there. Please try again.",
)
# Gradio fills these in and looks at the plain annotation: a handler that may be called without needs a default.
NO_REQUEST: gr.Request = None  # type: ignore[assignment]
NO_EVENT: gr.EventData = None  # type: ignore[assignment]
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
# For timers: with Gradio's "once" a single lost answer ends all looks for good; the next one brings it along instead.
FOLLOWING = PRIVATE | {"trigger_mode": "multiple"}
SIMULTANEOUS: dict[str, Any] = {"concurrency_id": "classify", "concurrency_limit": 8}  # the runtime joins them
MODEL_CALL: dict[str, Any] = {**PRIVATE, "concurrency_id": "model"}  # one answer of a model at a time


def caller(request: gr.Request | None) -> Caller:
    """Who sent this request; a caller without name and session outside a request (tests, start-up)."""
    if request is None:
        return Caller(None, None)
    return Caller(getattr(request, "username", None), getattr(request, "session_hash", None))


def day(text: str | None) -> date | None:
    """A day as it is typed, None for an empty field; `InvalidFile` for what is no date.

    >>> day("01.03.2026"), day(" ")
    (datetime.date(2026, 3, 1), None)
    """
    found = iso_date(text)
    return date.fromisoformat(found) if found else None


def refusals(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a handler: a `UserError` becomes a toast in the page's language, anything else one plain sentence.

    The handler's first argument is the language. Not for generators: Gradio looks at the function itself.
    """

    @functools.wraps(handler)
    def wrapped(language: str, *args: Any, **kwargs: Any) -> Any:
        return _guarded(lambda: handler(language, *args, **kwargs), handler.__name__, lambda text: text.say(language))

    return wrapped


def refusals_in_both(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a public endpoint: as `refusals`, with the sentence in German and English."""

    @functools.wraps(handler)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return _guarded(lambda: handler(*args, **kwargs), handler.__name__, lambda text: f"{text.de} / {text.en}")

    return wrapped


def _guarded(answer: Callable[[], Any], name: str, say: Callable[[Text], str]) -> Any:
    try:
        return answer()
    except UserError as error:
        raise _toast(say(Text(error.de, error.en))) from None
    except gr.Error:
        raise
    except Exception as error:  # noqa: BLE001  # the one place: a user never sees a traceback
        log.error("%s failed: %s at %s", name, type(error).__name__, _where(error))
        raise _toast(say(UNEXPECTED)) from None


def _toast(sentence: str) -> gr.Error:
    """A refusal on the screen; its sentence holds no report text, and a file name in it cannot become markup.

    Its heading comes from `cards/page.css`: Gradio's front end shows none of ours.
    """
    return gr.Error(html.escape(sentence, quote=False), duration=12, print_exception=False)


def _where(error: BaseException) -> str:
    """File and line of the innermost frame; never the message, which may quote a report."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
