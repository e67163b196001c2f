"""The service on a Ray cluster: `adain serve --engine ray`, or a Serve configuration file.

Two deployments: "service" is the FastAPI app, which reads and writes pictures; "model" has replicas
that each hold one `ProcessEngine`. Jobs travel between them: uint8 pictures and encoded styles.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import ray
from fastapi import FastAPI
from ray import serve
from ray.serve import Application
from ray.serve.config import HTTPOptions
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http import auto

from app import logs
from app.api.problems import problem
from app.api.scope import request_id
from app.engine.ray_engine import RayEngine
from app.engine.ray_replica import Replica
from app.errors import ServiceError
from app.loading import freeze_loaded_objects
from app.main import create_app
from app.server import bounded_protocol
from app.settings import Settings

MODEL = "model"
# Requests admitted beside stylizations: the page, the library, health checks.
OTHER_REQUESTS = 100
# The service writes its own access log.
LOGGING = {"enable_access_log": False}
# The environment of all Ray processes; the nodes of a cluster need it too.
ENVIRONMENT = {
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "app.ray_service:middlewares",
    # Ray sends no usage statistics to its makers.
    "RAY_USAGE_STATS_ENABLED": "0",
    # By default Ray's workers run at a low priority.
    "RAY_worker_niceness": "0",
    # Jobs go from the service to the model directly, not through the object store. The two
    # variables after it undo what this one changes besides.
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_ENABLE_DIRECT_INGRESS": "0",
    "RAY_SERVE_LOG_TO_STDERR": "1",
    # Ray's own limit is 4 MB; the service has already refused what is too large.
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": "-1",
    # Ray's processes allocate arenas before `reuse_freed_memory` can limit them to one.
    "MALLOC_ARENA_MAX": "1",
}


class OneRequestId:
    """Middleware of Ray's proxy, so that it adds no second X-Request-ID."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        own = request_id(scope)
        MutableHeaders(scope=scope)["X-Request-ID"] = own

        async def send_once(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = own
            await send(message)

        await self.app(scope, receive, send_once)


class AlwaysAnswered:
    """Middleware of Ray's proxy, which answers nothing where the service ended in a request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        started = False

        async def send_on(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        await self.app(scope, receive, send_on)
        if scope["type"] == "http" and not started:
            answer = problem(scope, "stopping", "the service ended before this was done; try again")
            await answer(scope, receive, send)


def middlewares() -> list[Middleware]:
    """Return the middlewares of Ray's proxies, which `ENVIRONMENT` names to them.

    The last one sees a request first. A proxy calls this before it starts its server, whose
    connections get the bounds of our own server's: Ray takes the protocol that uvicorn chooses by
    itself.
    """
    auto.AutoHTTPProtocol = bounded_protocol(Settings())  # type: ignore[assignment]
    return [Middleware(AlwaysAnswered), Middleware(OneRequestId)]


def build(settings: dict[str, Any]) -> Application:
    """Return the application that a Serve configuration file names as `app.ray_service:build`.

    Args:
        settings: by their names, those that the environment does not hold.
    """
    # Where Ray's proxies listen the cluster says, not the settings.
    known = Settings(**{"host": "0.0.0.0", **settings})
    application: Application = service(known).bind(model(known))
    return application


def model(settings: Settings) -> Application:
    """Return the model, in as many replicas as the settings say."""
    deployment: Any = serve.deployment(
        Replica,
        name=MODEL,
        logging_config=LOGGING,
        ray_actor_options={"num_cpus": settings.ray_cpus, "num_gpus": settings.ray_gpus},
        autoscaling_config={
            "min_replicas": settings.ray_replicas,
            "max_replicas": max(settings.ray_replicas, settings.ray_max_replicas),
            "target_ongoing_requests": settings.max_batch,
        },
        # One batch is painted while the next one gathers.
        max_ongoing_requests=2 * settings.max_batch,
        max_queued_requests=settings.max_requests,
        graceful_shutdown_timeout_s=settings.grace_seconds,
    )
    application: Application = deployment.bind(settings)
    return application


def service(settings: Settings, application: str | None = None) -> Any:
    """Return the deployment of the FastAPI app.

    Args:
        settings: the service's settings.
        application: the one that the model belongs to; None: the service's own.
    """

    def build_app() -> FastAPI:
        logs.configure(settings.log_level, settings.log_format)
        app = create_app(settings, RayEngine(serve.get_deployment_handle(MODEL, application)))
        freeze_loaded_objects()
        return app

    return serve.deployment(
        serve.ingress(build_app)(),
        name="service",
        logging_config=LOGGING,
        # The service needs a few per cent of a CPU while the model works.
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=settings.max_requests + OTHER_REQUESTS,
        graceful_shutdown_timeout_s=settings.grace_seconds,
    )


def run(settings: Settings) -> None:
    """Serve from this machine until SIGTERM or SIGINT; RAY_ADDRESS names a cluster to join.

    Raises:
        ServiceError: Ray could not start the service, and why.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    ray.init(include_dashboard=False)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        start(settings)
        stop.wait()
        # Delete the service first: it finishes its requests, which the proxy would cut off.
        serve.delete("service")
    finally:
        serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()


def start(settings: Settings) -> None:
    """Start proxy, model and service, and return once they work.

    Raises:
        ServiceError: one of them did not start, and why.
    """
    try:
        serve.start(http_options=HTTPOptions(host=settings.host, port=settings.port))
        # Two applications: Ray ends all deployments of one at once, and the service must finish
        # its requests before the model ends.
        serve.run(model(settings), name="adain", route_prefix=None)
        serve.run(service(settings, "adain").bind(), name="service")
    except RuntimeError as error:
        applications = serve.status().applications.values()
        deployments = [each for of in applications for each in of.deployments.values()]
        failed = [each.message for each in deployments if each.status == "DEPLOY_FAILED"]
        # The message is a traceback; its last line is the error.
        reason = [*failed, str(error)][0].strip().splitlines()[-1]
        raise ServiceError("not-ready", f"Ray could not start the service: {reason}") from error
