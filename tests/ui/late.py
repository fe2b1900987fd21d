"""Answers that come late: a call that a card makes is held back until the test lets it go."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, Route

CALLS = "**/component_server/"


def hold(page: Page, function: str) -> Callable[[], Route]:
    """Hold back the next call of this server function; later ones go through. What comes back waits for it."""
    held: list[Route] = []

    def on_call(route: Route) -> None:
        if held or f'"{function}"' not in (route.request.post_data or ""):
            return route.continue_()
        held.append(route)

    def caught() -> Route:
        for _ in range(200):
            if held:
                return held[0]
            page.wait_for_timeout(50)
        raise AssertionError(f"{function} was never called")

    page.route(CALLS, on_call)
    return caught


def let_go(page: Page, caught: Callable[[], Route]) -> None:
    """Let the call go, and give the card time for what it does with the answer."""
    route = caught()
    with page.expect_response(CALLS):
        route.continue_()
    page.wait_for_timeout(300)
