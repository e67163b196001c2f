"""Middleware: bounds the size of bodies and the number of pictures in work."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.paths import takes_pictures
from app.api.problems import BodyTooLargeError, problem, too_large
from app.settings import Settings


class Admission:
    """Turns requests away before their body is read.

    - A body over the limit is refused: by its declared length at once, else while it streams in.
    - At most `max_requests` with pictures are admitted at a time; the next one gets 503 at once.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.admitted = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.settings.max_body_bytes
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            response = problem(
                scope,
                "body-too-large",
                too_large(limit, int(declared)),
                limit=limit,
                value=int(declared),
                headers={"Connection": "close"},
            )
            await response(scope, receive, send)
        elif takes_pictures(scope):
            await self._admit(scope, count_bytes(receive, limit), send)
        else:
            await self.app(scope, count_bytes(receive, limit), send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.admitted >= self.settings.max_requests:
            response = problem(
                scope,
                "queue-full",
                f"{self.admitted} pictures are in work, which is the most; try again shortly",
                limit=self.settings.max_requests,
                headers={"Connection": "close"},
            )
            await response(scope, receive, send)
            return
        self.admitted += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.admitted -= 1


def count_bytes(receive: Receive, limit: int) -> Receive:
    """Return `receive`, raising BodyTooLargeError once the body has more than `limit` bytes."""
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise BodyTooLargeError(limit, received)
        return message

    return counted
