"""Answers that come late: a call that a card makes is held back until the test lets it go."""

from __future__ import annotations

from playwright.sync_api import Page, Route

CALLS = "**/component_server/"


def hold(page: Page, function: str) -> list[Route]:
    """Hold back the next call of this server function; later ones go through. The list has it once it was made."""
    held: list[Route] = []
    seen: list[str] = []

    def pass_on(route: Route) -> None:
        if seen or f'"{function}"' not in (route.request.post_data or ""):
            return route.continue_()
        seen.append(function)
        held.append(route)

    page.route(CALLS, pass_on)
    return held


def let_go(page: Page, held: list[Route]) -> None:
    """Let the call go, and give the card time for what it does with the answer."""
    with page.expect_response(CALLS):
        held.pop().continue_()
    page.wait_for_timeout(300)
