"""From Gradio to services and back: who is asking, and what a refusal looks like. Pure functions and one decorator."""

from __future__ import annotations

import functools
import html
import logging
from collections.abc import Callable
from typing import Any

import gradio as gr

from medbertde.services.access import Caller
from medbertde.types import UserError
from medbertde.ui.words import Text

log = logging.getLogger(__name__)

UNEXPECTED = Text(
    "Das hat leider nicht funktioniert. Ihre Eingaben sind noch da. Bitte versuchen Sie es erneut.",
    "Sorry, that did not work. Your input is still there. Please try again.",
)


def caller(request: gr.Request | None) -> Caller:
    """Who sent this request; a caller without name and session outside a request (tests, start-up)."""
    if request is None:
        return Caller(None, None)
    return Caller(getattr(request, "username", None), getattr(request, "session_hash", None))


def refusals(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a handler: a `UserError` becomes a toast in the page's language, anything else one plain sentence.

    The handler's first argument is the language. Not for generators: Gradio looks at the function itself.
    """

    @functools.wraps(handler)
    def wrapped(language: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return handler(language, *args, **kwargs)
        except UserError as error:
            raise refusal(error.sentence(language)) from None
        except gr.Error:
            raise
        except Exception as error:  # noqa: BLE001  # the one place: a user never sees a traceback
            log.error("%s failed: %s at %s", handler.__name__, type(error).__name__, _where(error))
            raise refusal(UNEXPECTED.say(language)) from None

    return wrapped


def refusal(sentence: str) -> gr.Error:
    """The toast for a refusal; its sentence holds no report text, and a file name in it cannot become markup."""
    return gr.Error(html.escape(sentence, quote=False), title="", duration=12, print_exception=False)


def _where(error: BaseException) -> str:
    """File and line of the innermost frame; never the message, which may quote a report."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
