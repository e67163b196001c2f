"""Middleware: API keys for /v1 and /metrics, if the service has keys."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.problems import problem
from app.api.scope import STYLES_PATH, route_path

GUARDED = ("/v1/", "/metrics")
# <img> sends no key, and the ids of styles cannot be guessed.
OPEN = re.compile(rf"{STYLES_PATH}/[^/]+/thumbnail")


class Keys:
    """Checks the key before any of the request's body is read.

    A key comes as `Authorization: Bearer KEY` or `X-API-Key: KEY`.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self.app = app
        self.digests = [digest(key) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if (
            scope["type"] != "http"
            or not guarded(route_path(scope))
            or self._known(Headers(scope=scope))
        ):
            await self.app(scope, receive, send)
            return
        response = problem(
            scope,
            "unauthorized",
            "this service asks for a key: send it as Authorization: Bearer KEY, or X-API-Key: KEY",
            headers={"WWW-Authenticate": "Bearer", "Connection": "close"},
        )
        await response(scope, receive, send)

    def _known(self, headers: Headers) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = digest(token if scheme.lower() == "bearer" else headers.get("x-api-key", ""))
        # Every key is compared in constant time, so timing reveals nothing.
        return sum(hmac.compare_digest(given, each) for each in self.digests) > 0


def digest(key: str) -> bytes:
    """Return a key's SHA-256, which has the same length for every key."""
    return hashlib.sha256(key.strip().encode()).digest()


def guarded(path: str) -> bool:
    """Whether a path asks for a key."""
    return path.startswith(GUARDED) and not OPEN.fullmatch(path)
