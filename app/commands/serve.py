"""adain serve: the HTTP service."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys

import uvicorn

from app import logs
from app.api.middleware.hosts import is_loopback
from app.errors import ServiceError
from app.main import create_app
from app.settings import Settings, describe, refuse_unknown_variables

logger = logging.getLogger("adain")
# Connections that wait to be accepted; uvicorn's own default.
BACKLOG = 2048


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Start the HTTP service. Its settings are environment variables; --host, "
        "--port and --engine go before them."
    )
    parser.epilog = f"environment variables:\n{describe()}"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", help="port to listen on")
    parser.add_argument("--engine", help="process, or ray for replicas on a Ray cluster")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT, then finish what was accepted."""
    names = ("host", "port", "engine")
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    refuse_unknown_variables(os.environ)
    settings = Settings(**given)
    if settings.engine == "ray":
        return run_on_ray(settings)
    # Before the model is loaded, which takes seconds.
    with listen(settings.host, settings.port) as listener:
        run_here(settings, listener)
    return 0


def run_here(settings: Settings, listener: socket.socket) -> None:
    """Serve with the model in this process."""
    app = create_app(settings)
    logs.configure(settings.log_level)
    if not is_loopback(settings.host) and not settings.api_keys:
        logger.warning(
            "listening on %s without keys: everyone who reaches this address can use the service "
            "and change its styles; set ADAIN_API_KEYS, or put a proxy with logins in front",
            settings.host,
        )
    # uvicorn raises the signal again after it has stopped; a requested stop must exit with 0.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=settings.grace_seconds,
    )
    uvicorn.Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ServiceError: the address is in use, or is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ServiceError(
            "not-ready", f"cannot listen on {host} port {port}: {reason}; choose another --port"
        ) from error


def run_on_ray(settings: Settings) -> int:
    """Serve with the model on a Ray cluster."""
    try:
        from app import ray_service
    except ImportError as error:
        raise ServiceError("not-ready", "Ray is missing: pip install 'adain[ray]'") from error
    ray_service.run(settings)
    return 0
