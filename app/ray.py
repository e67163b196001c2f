"""The service on a Ray cluster: `adain serve --engine ray`, or a Serve configuration file.

Two deployments: "service" is the FastAPI app, which reads and writes pictures; "model" has replicas
that each hold one `Worker`. What travels between them are jobs: uint8 pictures, and encoded styles.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import ray
import torch
from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError
from ray.serve import Application
from ray.serve.config import HTTPOptions
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import logs
from app.engine import Model
from app.job import Job, Refined, Stage, Timed, Watch
from app.main import create_app, load_stylizer
from app.problems import ServiceError
from app.progress import EVENT_SECONDS
from app.settings import Settings
from app.worker import Worker
from model.errors import AdainError

# What a replica of the model tells of a job.
Event = Stage | Refined | Timed | AdainError
MODEL = "model"
# Beside stylizations: the page, the library, health checks.
OTHER_REQUESTS = 100
TRIES = 2
# The service has a log of its own.
LOGGING = {"enable_access_log": False}
# Of all of Ray's processes; a cluster's nodes need it too.
ENVIRONMENT = {
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "app.ray:middlewares",
    # Nobody is told whom one serves.
    "RAY_USAGE_STATS_ENABLED": "0",
    # By default Ray's workers give way to everything else on the machine.
    "RAY_worker_niceness": "0",
    # Jobs go from service to model as they are, not through the object store. Ray's proxies stay,
    # and so does the log.
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_ENABLE_DIRECT_INGRESS": "0",
    "RAY_SERVE_LOG_TO_STDERR": "1",
    # Ray lets 4 MB pass; what is too large the service has refused.
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": "-1",
    # Ray's processes have other arenas before `reuse_freed_memory` asks for one.
    "MALLOC_ARENA_MAX": "1",
}


class Relay(Watch):
    """Hands what a worker tells of a job to the event loop, to be sent on."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Stage | Refined | None] = asyncio.Queue()
        self._shown = -math.inf

    def enter(self, stage: Stage) -> None:
        """Send a stage."""
        self._send(stage)

    def show(self, refined: Refined) -> None:
        """Send a step of a refinement, not more often than watchers look."""
        if time.monotonic() - self._shown >= EVENT_SECONDS:
            self._shown = time.monotonic()
            self._send(refined)

    def end(self) -> None:
        """Send nothing more."""
        self._send(None)

    async def events(self) -> AsyncIterator[Stage | Refined]:
        """Yield what was sent, until the end."""
        while (event := await self._events.get()) is not None:
            yield event

    def _send(self, event: Stage | Refined | None) -> None:
        self._loop.call_soon_threadsafe(self._events.put_nowait, event)


class Painter:
    """A replica of the model."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]  # as Ray allows
        # Ray allows one thread, whatever CPUs the replica has.
        context: Any = ray.get_runtime_context()
        cpus = context.get_assigned_resources().get("CPU", 1)
        torch.set_num_threads(max(1, int(cpus)))
        self.worker = Worker(load_stylizer(settings), settings)
        self.model = Model.of(self.worker.stylizer)
        await self.worker.warm_up()

    def describe(self) -> Model:
        """Return which model it is."""
        return self.model

    async def stylize(self, job: Job, model: Model) -> AsyncIterator[Event]:
        """Paint a job: yield what becomes of it, last the result, or an error of the job's.

        Args:
            job: with styles that `model` has encoded.
            model: what the service believes this to be.
        """
        if model.weights != self.model.weights:
            yield OtherModelError("the weights are being exchanged; try again in a second")
            return
        relay = Relay()
        work = asyncio.create_task(self.worker.stylize(job, relay))
        work.add_done_callback(lambda _: relay.end())
        try:
            async for event in relay.events():
                yield event
            yield await work
        except AdainError as error:
            # As a value: raised, it would fill Ray's log with what clients did wrong.
            yield error
        finally:
            work.cancel()

    def check_health(self) -> None:
        """Raise where the device computes no more, as after an error of CUDA; Ray replaces it."""
        torch.ones(1, device=self.worker.stylizer.device).item()


class OtherModelError(AdainError):
    """A job for other weights than a replica has."""

    code = "not-ready"


class RayEngine:
    """The model of a cluster, as the service asks for it.

    Attributes:
        ready: whether a replica has said which model it is, which it does once it is warm.
    """

    def __init__(self, painters: DeploymentHandle[Any]) -> None:
        self.ready = False
        self._painters = painters

    async def start(self) -> Model:
        """Wait for the first replica, and return which model it is."""
        model: Model = await self._painters.describe.remote()
        self._model, self.ready = model, True
        return model

    async def stylize(self, job: Job, watch: Watch) -> Timed:
        """Paint a job on some replica, and if that dies, on another one.

        Raises:
            ServiceError: too many wait, or the second replica died too.
            Exception: what the model raised for this job.
        """
        for _ in range(TRIES):
            try:
                return await self._ask(job, watch)
            except RayActorError:
                watch.enter("queued")
            except BackPressureError as error:
                raise ServiceError(
                    "queue-full", "as many wait for the model as may; try again shortly"
                ) from error
        raise ServiceError(
            "model-lost", "the replicas that painted this ended before they were done; try again"
        )

    async def _ask(self, job: Job, watch: Watch) -> Timed:
        asked = begun = time.perf_counter()
        painters: Any = self._painters.options(stream=True)
        events = painters.stylize.remote(job, self._model)
        try:
            async for event in events:
                if isinstance(event, Timed):
                    return event
                if isinstance(event, AdainError):
                    raise event
                if isinstance(event, Refined):
                    watch.show(event)
                    if watch.enough.is_set():
                        seconds = time.perf_counter() - begun
                        return Timed(event.painted, begun - asked, seconds, 1)
                else:
                    watch.enter(event)
                    begun = time.perf_counter()
        finally:
            events.cancel()
        raise ServiceError("model-lost", "the model said nothing; try again")

    def close(self) -> None:
        """Nothing: the replicas are Ray's."""


class OneRequestId:
    """Middleware of Ray's proxy, which would add an X-Request-ID of its own to ours."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = logs.request_id(scope)
        MutableHeaders(scope=scope)["X-Request-ID"] = request_id

        async def send_once(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        await self.app(scope, receive, send_once)


def middlewares() -> list[Middleware]:
    """Return the middlewares of Ray's proxies, which `ENVIRONMENT` names to them."""
    return [Middleware(OneRequestId)]


def build(settings: dict[str, Any]) -> Application:
    """Return the application that a Serve configuration file names as `app.ray:build`.

    Args:
        settings: by their names, those that the environment does not hold.
    """
    known = Settings(**settings)
    application: Application = service(known).bind(model(known))
    return application


def model(settings: Settings) -> Application:
    """Return the model, in as many replicas as the settings say."""
    deployment: Any = serve.deployment(
        Painter,
        name=MODEL,
        logging_config=LOGGING,
        ray_actor_options={"num_cpus": settings.ray_cpus, "num_gpus": settings.ray_gpus},
        autoscaling_config={
            "min_replicas": settings.ray_replicas,
            "max_replicas": max(settings.ray_replicas, settings.ray_max_replicas),
            "target_ongoing_requests": settings.max_batch,
        },
        # One batch is painted while the next one comes together.
        max_ongoing_requests=2 * settings.max_batch,
        max_queued_requests=settings.max_requests,
        graceful_shutdown_timeout_s=settings.grace_seconds,
    )
    application: Application = deployment.bind(settings)
    return application


def service(settings: Settings, application: str | None = None) -> Any:
    """Return the deployment of the FastAPI app.

    Args:
        settings: of the service.
        application: the one that the model belongs to; None: the service's own.
    """

    def build_app() -> FastAPI:
        logs.configure(settings.log_level)
        return create_app(settings, RayEngine(serve.get_deployment_handle(MODEL, application)))

    return serve.deployment(
        serve.ingress(build_app)(),
        name="service",
        logging_config=LOGGING,
        # It works while the model does: what it needs of the CPU is a few per cent.
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
        # First the service, which finishes what it has accepted; the proxy would not let it.
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
        # Of one application Ray would end all at once; the service needs the model to the last.
        serve.run(model(settings), name="adain", route_prefix=None)
        serve.run(service(settings, "adain").bind(), name="service")
    except RuntimeError as error:
        applications = serve.status().applications.values()
        deployments = [each for of in applications for each in of.deployments.values()]
        failed = [each.message for each in deployments if each.status == "DEPLOY_FAILED"]
        # A traceback, whose last line is the error.
        reason = [*failed, str(error)][0].strip().splitlines()[-1]
        raise ServiceError("not-ready", f"Ray could not start the service: {reason}") from error
