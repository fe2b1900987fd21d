"""Which addresses the server answers at all, and how each is guarded. What stands here nowhere is not found.

Gradio brings many more routes (a code editor, a proxy, run history, deep links, monitoring, direct calls beside the
queue): leaving them out is safer than knowing them all. Knows no sessions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route


class Guarded(StrEnum):
    """What is checked before a route answers."""

    OPEN = "open"  # nobody has to be signed in
    PAGE = "page"  # HTML
    ASSET = "asset"  # the same for everyone who is signed in
    READ = "read"
    JSON = "json"  # a body with a session hash, event ids and files that must be the user's
    FORM = "form"  # a form of our own
    STREAM = "stream"  # answers over time for one session hash
    EVENT = "event"  # the answer to one call
    UPLOAD = "upload"
    FILE = "file"


@dataclass(frozen=True)
class Rule:
    """One route. `name` is what logs and metrics show: it holds nothing that a user sent."""

    method: str
    name: str
    guarded: Guarded
    pattern: re.Pattern[str]

    @property
    def asks(self) -> bool:
        """Whether it puts a question to a function of the page, which is answered under an event."""
        return self.name.endswith(("queue/join", "{api_name}"))


def _rule(method: str, name: str, guarded: Guarded) -> Rule:
    """`{part}` stands for one part of the path, `{path}` for all that follows."""
    pattern = re.sub(r"\\{(\w+)\\}", lambda m: f"(?P<{m[1]}>{'.+' if m[1] == 'path' else '[^/]+'})", re.escape(name))
    return Rule(method, name, guarded, re.compile(pattern))


_API = "/gradio_api"
RULES = (
    *(_rule("GET", name, Guarded.OPEN) for name in ("/health", "/ready", "/metrics", "/login", "/login/{asset}")),
    _rule("POST", "/login", Guarded.OPEN),
    _rule("POST", "/logout", Guarded.FORM),
    _rule("GET", "/account", Guarded.PAGE),
    _rule("POST", "/account", Guarded.FORM),
    _rule("GET", "/", Guarded.PAGE),
    *(_rule("GET", f"/{name}/{{path}}", Guarded.ASSET) for name in ("assets", "static", "svelte")),
    *(_rule("GET", f"/{name}", Guarded.ASSET) for name in ("theme.css", "favicon.ico", "manifest.json")),
    _rule("GET", f"{_API}/theme.css", Guarded.ASSET),
    _rule("GET", "/config", Guarded.READ),
    *(_rule("GET", f"{_API}/{name}", Guarded.READ) for name in ("info", "startup-events", "app_id")),
    *(_rule("POST", f"{_API}/{name}", Guarded.JSON) for name in ("queue/join", "cancel", "reset", "component_server")),
    _rule("POST", f"{_API}/component_server/", Guarded.JSON),  # as Gradio's page writes it
    _rule("POST", f"{_API}/call/{{api_name}}", Guarded.JSON),
    _rule("GET", f"{_API}/call/{{api_name}}/{{event_id}}", Guarded.EVENT),
    _rule("GET", f"{_API}/queue/data", Guarded.STREAM),
    _rule("GET", f"{_API}/heartbeat/{{session_hash}}", Guarded.STREAM),
    _rule("POST", f"{_API}/upload", Guarded.UPLOAD),
    _rule("GET", f"{_API}/upload_progress", Guarded.STREAM),
    _rule("GET", f"{_API}/file={{path}}", Guarded.FILE),
)


def find(method: str, path: str) -> tuple[Rule, dict[str, str]] | None:
    """The rule for a request and the parts of its path; None where nothing answers.

    >>> find("GET", "/gradio_api/heartbeat/abc")[1]
    {'session_hash': 'abc'}
    >>> find("POST", "/gradio_api/run/classify") is None
    True
    """
    method = "GET" if method == "HEAD" else method
    for rule in RULES:
        if rule.method == method and (found := rule.pattern.fullmatch(path)):
            return rule, found.groupdict()
    return None


def leave_known(app: Starlette) -> None:
    """Take out of Gradio's app what no rule lets through: every request looks at each route that stands before its own.

    FastAPI keeps the routes of a router that was included in that router.
    """
    included = [route.original_router.routes for route in app.routes if hasattr(route, "original_router")]
    for routes in (app.routes, *included):
        routes[:] = [route for route in routes if _is_known(route)]


def _is_known(route: BaseRoute) -> bool:
    if not isinstance(route, Route):
        return True
    address = re.sub(r"{[^}]+}", "x", route.path)
    return any(find(method, address) for method in route.methods or ())
