"""adain serve: the HTTP service."""

from __future__ import annotations

import argparse
import signal
import sys

import uvicorn

from app import logs
from app.errors import ServiceError
from app.main import create_app
from app.settings import Settings, describe


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
    settings = Settings(**given)
    if settings.engine == "ray":
        return run_on_ray(settings)
    app = create_app(settings)
    logs.configure(settings.log_level)
    # uvicorn raises the signal again after it has stopped; a requested stop must exit with 0.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=settings.grace_seconds,
    )
    return 0


def run_on_ray(settings: Settings) -> int:
    """Serve with the model on a Ray cluster."""
    try:
        from app import ray_service
    except ImportError as error:
        raise ServiceError("not-ready", "Ray is missing: pip install 'adain[ray]'") from error
    ray_service.run(settings)
    return 0
