"""A connection of the HTTP server, with bounds on what its client may send, and how slowly."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from app.api.problems import problem
from app.api.scope import request_id

logger = logging.getLogger("adain")
# Requests that may wait on a connection for the answer before theirs. Clients of today send no
# request before that has come; thousands at once would keep the interpreter from all others.
MAX_PIPELINED = 4
# Bytes that may come without one of a body among them: a head, the extensions of a chunk, trailers.
MAX_HEAD_BYTES = 2**16
# Headers of a head, trailers too. Parsing the thousands that fit takes longer than an answer.
MAX_HEADERS = 100
# How long a connection stays open for a client that sends on after its answer.
LINGER_SECONDS = 5.0
# The option SO_LINGER, on and with no time: a connection that is closed is reset, its data dropped.
RESET = struct.pack("ii", 1, 0)


class Limits(NamedTuple):
    """What clients are allowed.

    Attributes:
        connections: open at a time; further ones are closed at once.
        head_seconds: until the head of a request has come.
        send_seconds: until an answer is taken.
    """

    connections: int
    head_seconds: float
    send_seconds: float


class PatientTransport:
    """A transport whose `close` lets a client that still sends read the answer.

    A socket that is closed with unread data resets the connection, and the client loses an answer
    that it has not read: that its body is too large, for instance. So the writing end is closed
    alone, and what still comes is read and dropped for a while (RFC 9112, section 9.6).
    """

    def __init__(self, transport: asyncio.Transport, sends: Callable[[], bool]) -> None:
        """Wrap a transport; `sends` tells whether the client is amid a request."""
        self._transport, self._sends = transport, sends
        self._closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Return whether the connection is closed, or about to be."""
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Close the connection, at once or once the client has stopped sending."""
        if self.is_closing() or not self._sends():
            self._transport.close()
            return
        self._closing = True
        try:
            self._transport.write_eof()
        except OSError:  # the client has reset the connection, which nobody has read yet
            self._transport.close()
            return
        self._transport.resume_reading()
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.close)

    def abort(self) -> None:
        """Close the connection at once, and free what the system holds for a client to read."""
        connection = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._transport.abort()


class Protocol(HttpToolsProtocol):
    """A connection that is closed when its client is too slow.

    uvicorn itself waits without end for the rest of a request's head, and for a client to read.
    """

    def __init__(self, *args: Any, limits: Limits, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = limits
        self._head_begun = False
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, unless there are too many connections."""
        super().connection_made(PatientTransport(transport, self._client_sends))  # type: ignore[arg-type]
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux keeps what is unread for minutes otherwise
            connection = transport.get_extra_info("socket")
            milliseconds = round(1000 * self._limits.send_seconds)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        if len(self.connections) > self._limits.connections:
            logger.warning("connection refused: %d are open, the most", self._limits.connections)
            transport.abort()
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks, and tell the request that is in work."""
        for timer in (self._head_timer, self._send_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        # uvicorn tells the last request alone, which may wait for the answer to this one.
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Parse what has come; where that is no whole head of a request, the rest is awaited."""
        if self.transport.is_closing():
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse_head_of(MAX_HEAD_BYTES, "bytes")
        if self._is_idle() and self._head_timer is None and not self.transport.is_closing():
            self._await_head()

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        self._head_begun = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one too many is an error, which ends the parsing of what else has come."""
        super().on_header(name, value)
        if len(self.headers) > MAX_HEADERS:
            raise ValueError("too many headers")

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that a request has come to its end."""
        self._head_bytes = 0
        super().on_message_complete()

    def on_headers_complete(self) -> None:
        """Stop the clock of the head, and start the request; drop a client that sends too many."""
        self._head_begun = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if len(self.pipeline) < MAX_PIPELINED:
            super().on_headers_complete()
        elif not self.transport.is_closing():  # what else has come is parsed, and starts nothing
            logger.warning("connection dropped: %d requests wait on it, the most", MAX_PIPELINED)
            self.transport.abort()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Bound how long the rest of the answer may take where the connection closes after it."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._await_reading()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection without further requests, and bound how long that may take."""
        super().timeout_keep_alive_handler()
        self._await_reading()

    def pause_writing(self) -> None:
        """Bound how long the client may leave an answer unread."""
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        """Stop the clock: the client has read the answer, or nearly."""
        super().resume_writing()
        if self._send_timer is not None and not self.transport.is_closing():
            self._send_timer.cancel()
            self._send_timer = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP or has too many headers, as a problem like all others."""
        if self.headers and len(self.headers) > MAX_HEADERS:
            self._refuse_head_of(MAX_HEADERS, "headers")
        else:
            self._refuse("malformed-request", f"{msg} It is no HTTP/1.1.")

    def _client_sends(self) -> bool:
        return self._head_begun or (self.cycle is not None and self.cycle.more_body)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self._limits.head_seconds, self._refuse_head)

    def _refuse_head(self) -> None:
        if self.transport.is_closing():
            return
        if self._head_begun:
            seconds = f"{self._limits.head_seconds:g}"
            self._refuse("upload-too-slow", f"the head had not come after {seconds} seconds")
        else:
            self.transport.close()

    def _refuse_head_of(self, limit: int, unit: str) -> None:
        """End a request whose head, extensions or trailers have no end."""
        if self._head_begun and self._is_idle():
            self._refuse("head-too-large", f"the head has more than {limit} {unit}", limit=limit)
        else:
            self.transport.abort()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_reading(self) -> None:
        if self._send_timer is None:
            self._send_timer = self.loop.call_later(self._limits.send_seconds, self.transport.abort)

    def _refuse(self, code: str, detail: str, *, limit: float | None = None) -> None:
        scope: Scope = {"type": "http", "headers": []}
        headers = {"Connection": "close", "X-Request-ID": request_id(scope)}
        response = problem(scope, code, detail, headers=headers, limit=limit)
        lines = [name + b": " + value + b"\r\n" for name, value in response.raw_headers]
        head = [STATUS_LINE[response.status_code], *lines, b"\r\n"]
        self.transport.write(b"".join(head) + bytes(response.body))
        self.transport.close()
        self._await_reading()
