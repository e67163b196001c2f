"""The service: what its routes work with, as one object."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from app.decoding.pool import Decoders
from app.engine.interface import Engine, Model
from app.errors import ServiceError
from app.library.cache import StyleCache
from app.library.store import StyleLibrary
from app.metrics import Metrics
from app.registry import RequestRegistry
from app.settings import Settings

logger = logging.getLogger("adain")
# The default limit by device type: about ten seconds of work on two CPU cores.
DEFAULT_MAX_SIZE = {"cuda": 4096, "cpu": 2048}


@dataclass(slots=True)
class Service:
    """What the routes work with.

    Attributes:
        settings: the service's settings.
        engine: runs the model.
        library: saved styles.
        cache: uploaded styles, encoded.
        decoders: decode the pictures of requests.
        requests: those in work.
        metrics: for Prometheus.
        model: which one the engine runs, once it has started.
    """

    settings: Settings
    engine: Engine
    library: StyleLibrary
    cache: StyleCache
    decoders: Decoders
    requests: RequestRegistry = field(default_factory=RequestRegistry)
    metrics: Metrics = field(default_factory=Metrics)
    _model: Model | None = None

    def __post_init__(self) -> None:
        self.metrics.watch(
            "adain_queue_depth", "Stylizations that wait for the model.", self.requests.queued
        )
        self.metrics.watch(
            "adain_in_work", "Stylizations in work, the waiting ones too.", self.requests.all
        )

    @property
    def model(self) -> Model:
        """Which model the engine runs."""
        assert self._model is not None, "the service has not started"
        return self._model

    @property
    def max_size(self) -> int:
        """The longest side that a result may have, in pixels."""
        kind = self.model.device.partition(":")[0]
        return self.settings.max_size or DEFAULT_MAX_SIZE.get(kind, 2048)

    async def start(self) -> None:
        """Start the engine and the decoders."""
        self.decoders.start()
        self._model = await self.engine.start()
        self.metrics.describe(self._model)

    async def open_library(self) -> None:
        """Open the library, so that the first request need not wait and a failure is logged.

        Without its library the service still stylizes; each use of the library tries again.
        """
        try:
            await self.library.run(self.library.prepare)
        except ServiceError as error:
            logger.error("%s", error)

    async def close(self) -> None:
        """End the engine, the decoders and the library."""
        self.engine.close()
        await self.decoders.close()
        self.library.close()


def current_service(request: Request) -> Service:
    """Return the service that answers a request."""
    service: Service = request.app.state.service
    return service


CurrentService = Annotated[Service, Depends(current_service)]
