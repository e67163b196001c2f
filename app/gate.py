"""The gate in front of the application: body limit, admission and deadline."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import BodyTooLargeError, problem, too_large
from app.settings import Settings

STYLIZE_PATH = "/v1/stylize"
STYLES_PATH = "/v1/styles"
# What decodes pictures, and so takes time and memory.
ADMITTED = {("POST", STYLIZE_PATH), ("POST", STYLES_PATH)}


class Gate:
    """Middleware that turns requests away before their body is read, and ends those that last.

    - A body over the limit is refused: by its declared length at once, else while it streams in.
    - At most `max_requests` with pictures are admitted at a time; the next one gets 503 at once.
    - Such a one that is not answered by the deadline gets 504, or 408 where its body had not come
      by then. Then, and when its client has
      gone away, what has not reached the model yet never does.
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
        elif (scope["method"], scope["path"]) in ADMITTED:
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
            await self._run(scope, receive, send)
        finally:
            self.admitted -= 1

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = gone = uploaded = False
        watcher: asyncio.Task[None] | None = None

        async def watch() -> None:
            nonlocal gone
            await receive()  # nothing can follow the body but the end of the connection
            if not started:
                gone = True
                deadline.reschedule(asyncio.get_running_loop().time())

        async def receive_then_watch() -> Message:
            nonlocal watcher, uploaded
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                uploaded = True
                watcher = asyncio.create_task(watch())
            return message

        async def note_start(message: Message) -> None:
            nonlocal started
            started = True
            deadline.reschedule(None)
            await send(message)

        seconds = self.settings.deadline_seconds
        try:
            async with asyncio.timeout(seconds) as deadline:
                await self.app(scope, receive_then_watch, note_start)
        except TimeoutError:
            if started or not deadline.expired():
                raise
            if not gone:
                code, detail = (
                    ("deadline-passed", "no result after {:g} seconds; choose a smaller size")
                    if uploaded
                    else ("upload-too-slow", "the body had not come after {:g} seconds")
                )
                response = problem(
                    scope,
                    code,
                    f"{detail.format(seconds)}, or try again later",
                    limit=seconds,
                    headers={"Connection": "close"},
                )
                await response(scope, receive, send)
        finally:
            if watcher is not None:
                watcher.cancel()


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
