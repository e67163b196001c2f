"""The HTTP server: uvicorn, with bounds on how long a client may take and how many there may be."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import signal
import socket
import sys

import uvicorn
from fastapi import FastAPI

from app.connection import Limits, Protocol
from app.errors import ServiceError
from app.settings import Settings

try:
    import resource
except ImportError:  # Windows bounds the number of open files otherwise
    resource = None  # type: ignore[assignment]

# Connections that wait to be accepted; uvicorn's own default.
BACKLOG = 2048
# How long the head of a request may take; real clients send it at once.
HEAD_SECONDS = 10.0
# How long a cancelled request may take to say so: it closes the files of its pictures first.
ANSWER_SECONDS = 2.0
# Files that the service opens beside its connections: uploads, the library, the model's own.
OTHER_FILES = 256
# The most open files that the service asks the system for.
MAX_FILES = 65_536


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ServiceError: the address is in use, or is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ServiceError(
            "not-ready", f"cannot listen on {host} port {port}: {reason}; choose another --port"
        ) from error
    # Connections inherit this. Without it the body of an answer waits up to 40 ms for the client
    # to confirm the head; asyncio sets it only on sockets that name their protocol.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class Server(uvicorn.Server):
    """uvicorn, which waits at its end for the answers to the requests that it has cancelled."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: finish what can be, cancel the rest, and let it answer."""
        await super().shutdown(sockets)
        if self.server_state.tasks and not self.force_exit:  # which a second Ctrl-C sets
            await asyncio.wait(self.server_state.tasks, timeout=ANSWER_SECONDS)


def bounded_protocol(settings: Settings) -> functools.partial[Protocol]:
    """Return what makes a connection of uvicorn's, with the bounds that the settings name."""
    connections = min(settings.max_connections, max(1, raise_file_limit() - OTHER_FILES))
    limits = Limits(connections, HEAD_SECONDS, settings.send_seconds)
    return functools.partial(Protocol, limits=limits)


def server_of(app: FastAPI, settings: Settings) -> uvicorn.Server:
    """Return the server of an application."""
    config = uvicorn.Config(
        app,
        http=bounded_protocol(settings),  # type: ignore[arg-type]
        ws="none",
        # uvloop learns of the end of a decoding process by a signal, which others may take over.
        loop="asyncio",
        root_path=settings.root_path,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=settings.grace_seconds,
    )
    return Server(config)


def raise_file_limit() -> int:
    """Raise the limit of open files as far as the system lets this process; return what it is."""
    if resource is None:
        return MAX_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return soft


def serve(app: FastAPI, settings: Settings, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT; then end this process, however busy the model is."""
    # uvicorn raises the signal again once it has stopped. Python would then wait for the thread of
    # the model, whose result nobody awaits any more.
    signal.signal(signal.SIGTERM, lambda *_: leave(0))
    signal.signal(signal.SIGINT, lambda *_: leave(128 + signal.SIGINT))
    server_of(app, settings).run(sockets=[listener])


def leave(status: int) -> None:
    """End this process at once."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)
