"""Middleware: refuses requests under foreign host names, and writes from pages of other origins.

A page that a user visits can send requests to a service on the user's own machine. Under a host
name of its own that it makes point there (DNS rebinding), it could read the answers too.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.problems import problem
from app.api.scope import SAFE_METHODS
from app.settings import Settings

LOOPBACK = ("localhost", "127.0.0.1", "::1")
# What browsers say of requests that a page of another origin sends.
FOREIGN_SITES = ("cross-site", "same-site")


class Hosts:
    """Checks the headers Host, Origin and Sec-Fetch-Site; clients that are no browsers send one."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._allowed = allowed_hosts(settings)
        self._origins = settings.cors_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        refusal = None
        if scope["type"] == "http":
            refusal = self._refusal(scope["method"], Headers(scope=scope))
        if refusal is None:
            await self.app(scope, receive, send)
            return
        code, detail = refusal
        response = problem(scope, code, detail, headers={"Connection": "close"})
        await response(scope, receive, send)

    def _refusal(self, method: str, headers: Headers) -> tuple[str, str] | None:
        """Return why a request is refused, as a code and a sentence; None where it is not."""
        host = ", ".join(headers.getlist("host"))  # more than one are no name that is allowed
        if self._allowed is not None and name_of(host) not in self._allowed:
            return "wrong-host", (
                f"this service does not answer as {host[:80]!r}; name the host in "
                "ADAIN_ALLOWED_HOSTS"
            )
        if method in SAFE_METHODS:
            return None
        origin = headers.get("origin")
        if origin is None:
            foreign = headers.get("sec-fetch-site") in FOREIGN_SITES
        else:
            own = urlsplit(origin).netloc == host
            foreign = not (own or origin in self._origins or "*" in self._origins)
        if not foreign:
            return None
        return "foreign-origin", (
            "a page of another origin may not change anything here; name its origin in "
            "ADAIN_CORS_ORIGINS, or let the proxy pass the Host header on"
        )


def allowed_hosts(settings: Settings) -> Sequence[str] | None:
    """Return the host names that requests may use, without ports; None: any."""
    if "*" in settings.allowed_hosts:
        return None
    if settings.allowed_hosts:
        return [host.lower() for host in settings.allowed_hosts]
    if is_everywhere(settings.host):
        return None
    return [*LOOPBACK, settings.host.lower()]


def name_of(host: str) -> str:
    """Return the name or address in a Host header, without brackets and port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_everywhere(host: str) -> bool:
    """Return whether a service that listens on this address is reached at all of the machine's."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return host == ""


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a service that listens on this address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
