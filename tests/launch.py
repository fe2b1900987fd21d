"""The app as tests and `docs/screenshots.py` start it: services over an empty folder, given models, the real page.

There is one way to start it: `launched`, on a free port, closed with its database at the end.
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
from medbertde.ui.layout import build_page, launch_options

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


@contextmanager
def launched(
    folder: Path, shipped: Mapping[str, str], *, users: Sequence[str] = (), terms_accepted: bool = True
) -> Iterator[tuple[Services, str]]:
    """The services and the page's address. `users` sign in with their name as password; without them, nobody has to.

    Training runs mix in no shipped reports, so that they take seconds.
    """
    services = open_services(Settings(var=folder), shipped=shipped, replay=folder, busy_timeout_s=BUSY_TIMEOUT_S)
    if terms_accepted:
        for name in users or ("",):
            services.access.accept_terms(services.access.identify(Caller(name, None)))
    page = build_page(services)
    options = launch_options(services.settings) | {
        "server_port": _free_port(),
        "prevent_thread_lock": True,
        "quiet": True,
    }
    _, url, _ = page.launch(**options, auth=[(name, name) for name in users] or None)
    try:
        yield services, url
    finally:
        page.close(verbose=False)
        page.server.thread.join(timeout=30)  # Gradio waits five seconds; a server alive at the exit may hang it
        services.database.close()


def _free_port() -> int:
    """Chosen here, because Gradio's own search leaves a socket open for each port that is taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
