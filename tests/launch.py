"""The app as tests and `docs/screenshots.py` start it: services over an empty folder, given models, the real page.

There is one way to start it: `launched`, on a free port, closed with its database at the end. Where people sign
in it is a server with accounts, where nobody does it is the app of a laptop.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medbertde.services import Services, open_services
from medbertde.services.access import Caller
from medbertde.settings import Settings
from medbertde.types import Role
from medbertde.ui.layout import build_page
from medbertde.ui.server import running

XRAY = "chest_xray"
BUSY_TIMEOUT_S = 1.0
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}


def password_of(name: str) -> str:
    """The password of a user in the tests."""
    return f"{name} liest gern Befunde"


@contextmanager
def launched(
    folder: Path,
    shipped: Mapping[str, str],
    *,
    users: Sequence[str] | Mapping[str, Role] = (),
    terms_accepted: bool = True,
    port: int | None = None,
    **options: Any,
) -> Iterator[tuple[Services, str]]:
    """The services and the page's address. `users` sign in with `password_of`; without them, nobody has to.

    Users are administrators unless their roles are given; `options` are further settings. Training runs mix in no
    shipped reports, so that they take seconds.
    """
    given = {"var": folder, "port": port or free_port(), "profile": "server" if users else "local", **options}
    services = open_services(Settings(**given), shipped=shipped, replay=folder, busy_timeout_s=BUSY_TIMEOUT_S)
    roles = users if isinstance(users, Mapping) else dict.fromkeys(users, Role.ADMIN)
    operator = services.access.operator()
    known = {person.name for person in services.accounts.people(operator)}
    for name in roles.keys() - known:
        services.accounts.add(operator, name, roles[name], password_of(name))
    if terms_accepted and given["profile"] != "space":
        for name in roles or ("",):
            services.access.accept_terms(services.access.identify(Caller(name, None)))
    try:
        with running(build_page(services), services) as url:
            yield services, url
    finally:
        services.database.close()


def free_port() -> int:
    """Chosen here, because Gradio's own search leaves a socket open for each port that is taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
