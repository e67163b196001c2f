"""The application factory: `uvicorn --factory app.main:create_app`, or `adain serve`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI

from app.api import docs, health, metrics, page, problems, requests, styles, stylize
from app.api.forms import refuse_unknown_query
from app.api.middleware.admission import Admission
from app.api.middleware.deadline import Deadline
from app.api.middleware.hosts import Hosts
from app.api.middleware.keys import Keys
from app.api.middleware.origins import allow_origins
from app.api.middleware.request_log import RequestLog
from app.decoding.pool import Decoders
from app.engine.interface import Engine
from app.engine.process import ProcessEngine
from app.library.cache import StyleCache
from app.loading import load_library, load_stylizer
from app.service import Service
from app.settings import Settings

DESCRIPTION = """
Arbitrary style transfer: any content picture and any style picture in, the stylized picture out.

Every error is `application/problem+json` (RFC 9457). Every response has an `X-Request-ID`.
"""


def create_app(settings: Settings | None = None, engine: Engine | None = None) -> FastAPI:
    """Return the service.

    Args:
        settings: by default from the environment.
        engine: what runs the model; by default this process, with the model that the settings name.

    Raises:
        WeightsError, DeviceError: the model cannot be loaded.
        pydantic.ValidationError: a setting is out of its bounds.
    """
    settings = settings or Settings()
    engine = engine or ProcessEngine(load_stylizer(settings), settings)
    service = Service(
        settings,
        engine,
        load_library(settings),
        StyleCache(settings.style_cache_bytes),
        Decoders(settings),
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        opening = asyncio.create_task(service.open_library())
        yield
        opening.cancel()
        await service.close()

    app = FastAPI(
        title="adain",
        version=version("adain"),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(refuse_unknown_query)],
    )
    app.state.service = service
    for routes in (stylize, styles, requests, metrics, health):
        app.include_router(routes.router)
    page.register(app)
    docs.register(app)
    problems.register(app)
    # The last one added is the outermost.
    app.add_middleware(Deadline, seconds=settings.deadline_seconds)
    app.add_middleware(Admission, settings=settings)
    if settings.api_keys:
        keys = [key.get_secret_value() for key in settings.api_keys]
        app.add_middleware(Keys, keys=keys)
    if settings.cors_origins:
        allow_origins(app, settings.cors_origins)
    app.add_middleware(Hosts, settings=settings)
    app.add_middleware(RequestLog, metrics=service.metrics)
    return app
