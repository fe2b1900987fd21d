"""Signing in on a Space through the Hub, with Gradio's own OAuth routes; off where the Space does not ask for it.

Gradio keeps what the Hub says in a signed cookie of its own; it is exchanged for a session of ours at once.
"""

from __future__ import annotations

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from medbertde.services import Services
from medbertde.ui.sign_in import hub_is_offered, with_cookie

_DONE = "/login/done"


def add_hub_sign_in(app: FastAPI, services: Services) -> None:
    """Add `/login/huggingface`, `/login/callback` (Gradio's) and the exchange, where it is offered."""
    if not hub_is_offered(services):
        return
    from gradio.oauth import attach_oauth  # needs authlib, which a Space brings along

    attach_oauth(app)

    @app.get(_DONE)
    async def done(request: Request) -> Response:
        profile = request.session.pop("oauth_info", {}).get("userinfo", {})
        request.session.clear()
        if not profile.get("preferred_username"):
            return RedirectResponse("/login", 303)
        token = await anyio.to_thread.run_sync(services.accounts.welcome_from_hub, profile["preferred_username"])
        return with_cookie(RedirectResponse("/", 303), request, services, token)
