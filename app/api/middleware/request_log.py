"""Middleware: a log line for each request, and the request's id in its response."""

from __future__ import annotations

import logging
import time
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.scope import request_id
from app.metrics import Metrics

logger = logging.getLogger("adain.request")
# nginx's status for a client that disconnected before the answer; only the log shows it.
CLIENT_GONE = 499


class RequestLog:
    """Gives every response its X-Request-ID, and logs and counts each request.

    Handlers add fields (sizes, stage times) to `request.state.log`; no picture content and no file
    names are ever logged.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        fields: dict[str, Any] = {"id": request_id(scope)}
        scope["state"].update(log=fields, started=started)
        status = CLIENT_GONE

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = fields["id"]
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception:
            status = 500
            raise
        finally:
            seconds = time.perf_counter() - started
            self.metrics.count(scope, status, seconds)
            logger.info(
                "request",
                extra={
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "total_ms": round(1000 * seconds, 1),
                    **fields,
                },
            )
