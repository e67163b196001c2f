"""adain serve: the HTTP service."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import webbrowser

from app import logs
from app.api.middleware.hosts import is_everywhere, is_loopback
from app.errors import ServiceError
from app.loading import freeze_loaded_objects
from app.main import create_app
from app.server import listen, serve
from app.settings import Settings, describe, refuse_unknown_variables

logger = logging.getLogger("adain")


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
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
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
        run_here(settings, listener, open_browser=args.open)
    return 0


def page_address(listener: socket.socket) -> str:
    """Return the address of the page, for a browser on this machine."""
    host, port = listener.getsockname()[:2]
    if is_everywhere(host):
        host = "localhost"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def run_here(settings: Settings, listener: socket.socket, *, open_browser: bool) -> None:
    """Serve with the model in this process."""
    app = create_app(settings)
    logs.configure(settings.log_level, settings.log_format)
    address = page_address(listener)
    # Standard error is for people; the log, which machines may read, goes to standard output.
    print(f"adain is at {address} (Ctrl-C ends it)", file=sys.stderr, flush=True)
    if open_browser:
        webbrowser.open(address)
    if not is_loopback(settings.host) and not settings.api_keys:
        logger.warning(
            "listening on %s without keys: everyone who reaches this address can use the service "
            "and change its styles; set ADAIN_API_KEYS, or put a proxy with logins in front",
            settings.host,
        )
    freeze_loaded_objects()
    serve(app, settings, listener)


def run_on_ray(settings: Settings) -> int:
    """Serve with the model on a Ray cluster."""
    try:
        from app import ray_service
    except ImportError as error:
        raise ServiceError("not-ready", "Ray is missing: pip install 'adain[ray]'") from error
    ray_service.run(settings)
    return 0
