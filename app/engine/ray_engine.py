"""The engine whose model runs in replicas on a Ray cluster."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle

from app.engine.interface import Job, JobStatus, Model, RefinementStep, Result
from app.errors import ServiceError
from model.errors import AdainError

# How many replicas a job is tried on when replicas die.
TRIES = 2


class RayEngine:
    """The model of a cluster, as the service asks for it.

    Attributes:
        ready: whether a replica has said which model it is, which it does once it is warm.
    """

    def __init__(self, replicas: DeploymentHandle[Any]) -> None:
        self.ready = False
        self._replicas = replicas

    async def start(self) -> Model:
        """Wait for the first replica, and return which model it is."""
        model: Model = await self._replicas.describe.remote()
        self._model, self.ready = model, True
        return model

    async def stylize(self, job: Job, status: JobStatus) -> Result:
        """Paint a job on some replica, and if that dies, on another one.

        Raises:
            ServiceError: too many wait, or the second replica died too.
            Exception: what the model raised for this job.
        """
        for _ in range(TRIES):
            try:
                return await self._ask(job, status)
            except RayActorError:
                status.enter("queued")
            except BackPressureError as error:
                raise ServiceError(
                    "queue-full", "as many wait for the model as may; try again shortly"
                ) from error
        raise ServiceError(
            "model-lost", "the replicas that painted this ended before they were done; try again"
        )

    async def _ask(self, job: Job, status: JobStatus) -> Result:
        asked = begun = time.perf_counter()
        replicas: Any = self._replicas.options(stream=True)
        events = replicas.stylize.remote(job, self._model)
        try:
            async for event in events:
                if isinstance(event, Result):
                    return event
                if isinstance(event, AdainError):
                    raise event
                if isinstance(event, RefinementStep):
                    status.show(event)
                    if status.enough.is_set():
                        return replace(
                            event.result,
                            queue_seconds=begun - asked,
                            model_seconds=time.perf_counter() - begun,
                        )
                else:
                    status.enter(event)
                    begun = time.perf_counter()
        finally:
            events.cancel()
        raise ServiceError("model-lost", "the model said nothing; try again")

    def close(self) -> None:
        """Do nothing: Ray ends the replicas."""
