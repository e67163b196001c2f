"""Middleware: ends requests that pass the deadline, or whose client has disconnected."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem
from app.api.scope import SAFE_METHODS


class Deadline:
    """Bounds the time of all requests that may have a body.

    It answers 504 at the deadline, or 408 if the request's body has not arrived by then. Then, or
    when the client disconnects, the request is cancelled: a job that has not reached the model
    never does. A request that the server cancels because it stops gets 503.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS:
            await TimedRequest(self.app, self.seconds, scope, receive, send).run()
        else:
            await self.app(scope, receive, send)


class TimedRequest:
    """One request with a deadline, which applies until the response starts."""

    def __init__(
        self, app: ASGIApp, seconds: float, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._app, self._seconds = app, seconds
        self._scope, self._receive, self._send = scope, receive, send
        self._uploaded = self._answering = self._gone = False
        self._watcher: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Run the application, and answer in its place after the deadline."""
        try:
            async with asyncio.timeout(self._seconds) as self._deadline:
                await self._app(self._scope, self._receive_body, self._send_answer)
        except TimeoutError:
            if self._answering or not self._deadline.expired():
                raise
            if not self._gone:
                await self._refuse_late()
        except asyncio.CancelledError:
            if self._answering or self._gone:
                raise
            await self._refuse("stopping", "the service stops before this is done; try again")
        finally:
            if self._watcher is not None:
                self._watcher.cancel()

    async def _receive_body(self) -> Message:
        """Receive for the application; after the end of the body, watch for the client."""
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._uploaded = True
            self._watcher = asyncio.create_task(self._watch_client())
        return message

    async def _watch_client(self) -> None:
        await self._receive()  # nothing can follow the body but the end of the connection
        if not self._answering:
            self._gone = True
            self._deadline.reschedule(asyncio.get_running_loop().time())

    async def _send_answer(self, message: Message) -> None:
        self._answering = True
        self._deadline.reschedule(None)
        await self._send(message)

    async def _refuse_late(self) -> None:
        if self._uploaded:
            code = "deadline-passed"
            detail = f"no result after {self._seconds:g} seconds; choose a smaller size"
        else:
            code = "upload-too-slow"
            detail = f"the body had not come after {self._seconds:g} seconds"
        await self._refuse(code, f"{detail}, or try again later", limit=self._seconds)

    async def _refuse(self, code: str, detail: str, *, limit: float | None = None) -> None:
        headers = {"Connection": "close"}
        response = problem(self._scope, code, detail, limit=limit, headers=headers)
        await response(self._scope, self._receive, self._send)
