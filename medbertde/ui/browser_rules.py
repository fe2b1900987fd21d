"""What browsers are told and held to: where a request may come from, which scripts may run, how the cookie is kept.

Pure functions over headers and settings; knows neither sessions nor Gradio. A Space shows the app inside a frame of
another site, a hospital's server does not: these are two profiles.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from medbertde.settings import Profile, Settings

COOKIE = "medbertde-session"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HUB_FRAMES = "https://huggingface.co https://*.hf.space"
_HASHED = re.compile(r"^/assets/(?:.+/)?[^/]+-[\w-]{8}\.(?:js|css|woff2?|svg|png)$")
_READING = ("GET", "HEAD")


def host_is_known(settings: Settings, headers: Mapping[str, str]) -> bool:
    """Whether the server may be called by this name: keeps other sites from reaching a laptop's app under theirs."""
    allowed = [name.strip().lower() for name in settings.hosts.split(",") if name.strip()]
    if not allowed and settings.served_as is not Profile.LOCAL:
        return True  # a session belongs to the name it was made under; another name has none
    return _hostname(f"//{headers.get('host', '')}") in (allowed or _LOOPBACK)


def origin_is_own(headers: Mapping[str, str], method: str) -> bool:
    """Whether a request comes from a page of this server, or from no page at all."""
    origin, fetched = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None:
        own = {headers.get("host", ""), *os.environ.get("SPACE_HOST", "").split(",")} - {""}
        return _netloc(origin) in own  # "null" has none
    if method in _READING:
        return fetched != "cross-site" or headers.get("sec-fetch-mode") == "navigate"
    return fetched in (None, "same-origin", "none")


def is_forwarded(headers: Mapping[str, str]) -> bool:
    """Whether a proxy passed this on: an app without passwords must not stand behind one."""
    return any(name in headers for name in ("x-forwarded-for", "x-forwarded-host", "forwarded"))


def cookie(settings: Settings, token: str, *, https: bool) -> str:
    """The header that keeps a session in the browser; an empty token takes it away."""
    seconds = settings.session_hours * 3600 if token else 0
    parts = [f"{COOKIE}={token}", "Path=/", "HttpOnly", f"Max-Age={seconds}"]
    if settings.served_as is Profile.SPACE:
        parts += ["SameSite=None", "Secure", "Partitioned"]
    else:
        parts += ["SameSite=Lax", *(["Secure"] if https else [])]
    return "; ".join(parts)


def security_headers(settings: Settings, nonce: str) -> dict[str, str]:
    """What goes with every answer. Gradio's cards and components make functions from text, hence `unsafe-eval`."""
    frames = f"'self' {_HUB_FRAMES}" if settings.served_as is Profile.SPACE else "'none'"
    policy = (
        f"default-src 'self'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; connect-src 'self'; "
        f"object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors {frames}"
    )
    headers = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",  # with "no-referrer" a form of our own would come from the origin "null"
        "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
    if settings.served_as is not Profile.SPACE:
        headers["x-frame-options"] = "DENY"
    return headers


def caching(path: str) -> str:
    """How long a browser may keep a file of Gradio's page: for good where its name changes with its content.

    >>> caching("/assets/Index-CSQTwOT5.css"), caching("/theme.css")
    ('private, max-age=31536000, immutable', 'no-store')
    """
    return "private, max-age=31536000, immutable" if _HASHED.search(path) else "no-store"


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def _hostname(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
