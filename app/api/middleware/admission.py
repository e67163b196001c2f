"""Middleware: bounds the size of bodies and the number of pictures in work."""

from __future__ import annotations

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import BodyTooLargeError, problem, too_large
from app.api.scope import takes_pictures
from app.settings import Settings

# The largest body of a request without pictures.
FORM_BYTES = 64 * 1024
# The most bytes that may follow the closing boundary of a multipart body.
TAIL = 1024


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
        headers = Headers(scope=scope)
        limit = self.settings.max_body_bytes if takes_pictures(scope) else FORM_BYTES
        receive = count_bytes(receive, limit)
        boundary = boundary_of(headers)
        if boundary is not None:
            receive = require_end(receive, boundary)
        encoding = headers.get("content-encoding", "identity")
        declared = headers.get("content-length", "")
        if encoding.strip().lower() != "identity":
            response = problem(
                scope,
                "unsupported-body",
                f"the body is encoded as {encoding[:40]}; send it as it is",
                headers={"Connection": "close"},
            )
            await response(scope, receive, send)
        elif declared.isdecimal() and int(declared) > limit:
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
            await self._admit(scope, receive, send)
        else:
            await self.app(scope, receive, send)

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
        place = Place(self)

        async def send_answer(message: Message) -> None:
            # Given up before the answer is sent: a client may never read it.
            place.give_up()
            await send(message)

        try:
            await self.app(scope, receive, send_answer)
        finally:
            place.give_up()


class Place:
    """The place of one admitted request among those that are admitted at a time."""

    def __init__(self, admission: Admission) -> None:
        self._admission: Admission | None = admission
        admission.admitted += 1

    def give_up(self) -> None:
        """Let the next request have the place; once given up, nothing happens."""
        if self._admission is not None:
            self._admission.admitted -= 1
            self._admission = None


def boundary_of(headers: Headers) -> bytes | None:
    """Return the boundary of a multipart body, or None for another body."""
    kind, parameters = parse_options_header(headers.get("content-type", ""))
    return parameters.get(b"boundary") if kind == b"multipart/form-data" else None


def require_end(receive: Receive, boundary: bytes) -> Receive:
    """Return `receive`, raising HTTPException for a multipart body without its closing boundary.

    The parser accepts such a body, and drops its last field.
    """
    end, tail = b"--" + boundary + b"--", b""
    kept = TAIL + len(end)

    async def checked() -> Message:
        nonlocal tail
        message = await receive()
        if message["type"] == "http.request":
            tail = (tail + message.get("body", b"")[-kept:])[-kept:]
            if not message.get("more_body", False) and end not in tail:
                raise HTTPException(400, "the multipart body ends before its closing boundary")
        return message

    return checked


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
