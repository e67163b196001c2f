"""The application factory: `uvicorn --factory app.main:create_app`, or `adain serve`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from app import metrics, problems, progress, styles, stylize, web
from app.cache import StyleCache
from app.database import Database
from app.engine import Engine
from app.gate import Gate
from app.keys import Keys
from app.library import StyleLibrary
from app.logs import RequestLog
from app.problems import Problem, ServiceError
from app.settings import Settings
from app.starter import starters
from app.worker import Worker
from model.stylizer import Stylizer

logger = logging.getLogger("adain")
DESCRIPTION = """
Arbitrary style transfer: any content picture and any style picture in, the stylized picture out.

Every error is `application/problem+json` (RFC 9457). Every response has an `X-Request-ID`.
"""


def create_app(settings: Settings | None = None, engine: Engine | None = None) -> FastAPI:
    """Return the service.

    Args:
        settings: by default from the environment.
        engine: what runs the model; by default a worker in this process, loaded as the settings
            say.

    Raises:
        WeightsError, DeviceError: the model cannot be loaded.
        pydantic.ValidationError: a setting is out of its bounds.
    """
    settings = settings or Settings()
    engine = engine or Worker(load_stylizer(settings), settings)
    library = load_library(settings)
    meters = metrics.Metrics()
    in_work = progress.Progress()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.model = await engine.start()
        meters.describe(app.state.model)
        opening = asyncio.create_task(library.run(lambda: open_library(library)))
        yield
        engine.close()
        library.close()
        opening.cancel()

    app = FastAPI(
        title="adain",
        version=version("adain"),
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.engine = engine
    app.state.cache = StyleCache(settings.style_cache_bytes)
    app.state.library = library
    app.state.progress = in_work
    app.state.metrics = meters
    meters.watch("adain_queue_depth", "Stylizations that wait for the model.", in_work.queued)
    meters.watch("adain_in_work", "Stylizations in work, the waiting ones too.", in_work.all)
    for routes in (stylize, styles, progress, metrics):
        app.include_router(routes.router)
    app.add_api_route("/livez", livez, summary="Whether the process answers")
    app.add_api_route(
        "/readyz",
        readyz,
        summary="Whether the model is warm",
        responses={503: {"model": Problem, "description": "The model is still warming up."}},
    )
    app.add_api_route("/v1/limits", limits, summary="What this service takes and gives at most")
    web.register(app)
    problems.register(app)
    # The last one added is the outermost.
    app.add_middleware(Gate, settings=settings)
    if settings.api_keys:
        keys = [key.get_secret_value() for key in settings.api_keys]
        app.add_middleware(Keys, keys=keys)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["Authorization", "X-API-Key", "X-Request-ID"],
            expose_headers=["Server-Timing", "X-Request-ID", "Retry-After", "Location"],
        )
    app.add_middleware(RequestLog, metrics=meters)
    return app


def load_stylizer(settings: Settings) -> Stylizer:
    """Load the model that the settings name."""
    return Stylizer.load(
        encoder=settings.encoder,
        decoder=settings.decoder,
        device=settings.device,
        precision=settings.precision,
        content_cache_bytes=settings.content_cache_bytes,
    )


def load_library(settings: Settings) -> StyleLibrary:
    """Name the style library that the settings name; it is opened on first use.

    Raises:
        ServiceError: the URL of the database is none of a database that we use.
    """
    secret = settings.database_url
    database = Database(secret.get_secret_value() if secret else None, settings.data_dir)
    return StyleLibrary(database, settings.max_saved_styles, starters)


def open_library(library: StyleLibrary) -> None:
    """Open the library at start: the first visitor need not wait, and a failure is in the log.

    Without its library the service still stylizes; each use of the library tries again.
    """
    try:
        library.prepare()
    except ServiceError as error:
        logger.error("%s", error)


async def livez() -> JSONResponse:
    """Answer as long as the event loop turns."""
    return JSONResponse({"status": "alive"})


class Limits(BaseModel):
    """The limits that clients may want to know; see the settings of the same names."""

    max_size: int = Field(description="longest side of a result in pixels")
    max_styles: int = Field(description="styles of one request")
    max_body_bytes: int = Field(description="a request body")
    max_pixels: int = Field(description="pixels of a picture that is sent")
    max_refine_seconds: float = Field(description="a refinement; 0: there is none")


async def limits(request: Request) -> Limits:
    """Return the limits in force."""
    settings: Settings = request.app.state.settings
    return Limits(
        max_size=stylize.largest(settings, request.app.state.model),
        max_styles=settings.max_styles,
        max_body_bytes=settings.max_body_bytes,
        max_pixels=settings.max_pixels,
        max_refine_seconds=settings.max_refine_seconds,
    )


async def readyz(request: Request) -> JSONResponse:
    """Answer 200 once a warm-up stylization is done, and 503 before."""
    if not request.app.state.engine.ready:
        raise ServiceError("not-ready", "the model is warming up; try again in a second")
    return JSONResponse({"status": "ready"})
