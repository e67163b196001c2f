"""API keys: who may use /v1 and /metrics, where the service has keys at all."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.paths import STYLES_PATH
from app.api.problems import problem

GUARDED = ("/v1/", "/metrics")
# Shown by <img>, which sends no key; their ids cannot be guessed.
OPEN = re.compile(rf"{STYLES_PATH}/[^/]+/thumbnail")


class Keys:
    """Middleware that asks for a key before anything else of a request is read.

    A key comes as `Authorization: Bearer KEY` or `X-API-Key: KEY`.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self.app = app
        self.digests = [digest(key) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if (
            scope["type"] != "http"
            or not guarded(scope["path"])
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
        # All are compared, each in a time that does not tell how much of it was right.
        return sum(hmac.compare_digest(given, each) for each in self.digests) > 0


def digest(key: str) -> bytes:
    """Return a key's SHA-256: of one length, whatever the key's."""
    return hashlib.sha256(key.strip().encode()).digest()


def guarded(path: str) -> bool:
    """Whether a path asks for a key."""
    return path.startswith(GUARDED) and not OPEN.fullmatch(path)
