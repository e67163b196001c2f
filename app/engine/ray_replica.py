"""A replica of the model on a Ray cluster, which streams the progress of each job."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from typing import Any

import ray
import torch

from app.engine.interface import (
    EVENT_SECONDS,
    Job,
    JobStatus,
    Model,
    RefinementStep,
    Result,
    Stage,
)
from app.engine.process import ProcessEngine
from app.loading import freeze_loaded_objects, load_stylizer
from app.settings import Settings
from model.errors import AdainError

# What a replica tells of a job.
Event = Stage | RefinementStep | Result | AdainError


class Relay(JobStatus):
    """Passes a job's progress from the model's thread to the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Stage | RefinementStep | None] = asyncio.Queue()
        self._shown = -math.inf

    def enter(self, stage: Stage) -> None:
        """Send a stage."""
        self._send(stage)

    def show(self, refined: RefinementStep) -> None:
        """Send a step of a refinement, at most once in EVENT_SECONDS."""
        if time.monotonic() - self._shown >= EVENT_SECONDS:
            self._shown = time.monotonic()
            self._send(refined)

    def end(self) -> None:
        """Send nothing more."""
        self._send(None)

    async def events(self) -> AsyncIterator[Stage | RefinementStep]:
        """Yield what was sent, until the end."""
        while (event := await self._events.get()) is not None:
            yield event

    def _send(self, event: Stage | RefinementStep | None) -> None:
        self._loop.call_soon_threadsafe(self._events.put_nowait, event)


class Replica:
    """A replica of the model."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]  # as Ray allows
        # Ray sets one thread, however many CPUs the replica has.
        context: Any = ray.get_runtime_context()
        cpus = context.get_assigned_resources().get("CPU", 1)
        torch.set_num_threads(max(1, int(cpus)))
        self.engine = ProcessEngine(load_stylizer(settings), settings)
        self.model = Model.of(self.engine.stylizer)
        await self.engine.warm_up()
        freeze_loaded_objects()

    def describe(self) -> Model:
        """Return which model it is."""
        return self.model

    async def stylize(self, job: Job, model: Model) -> AsyncIterator[Event]:
        """Paint a job: yield its progress, then its result or its error.

        Args:
            job: with styles that `model` has encoded.
            model: what the service believes this to be.
        """
        if model.weights != self.model.weights:
            yield OtherModelError("the weights are being exchanged; try again in a second")
            return
        relay = Relay()
        work = asyncio.create_task(self.engine.stylize(job, relay))
        work.add_done_callback(lambda _: relay.end())
        try:
            async for event in relay.events():
                yield event
            yield await work
        except AdainError as error:
            # Returned, not raised: Ray would log every mistake of a client as a failure.
            yield error
        finally:
            work.cancel()

    def check_health(self) -> None:
        """Raise if the device has failed, as after a CUDA error; Ray then replaces the replica."""
        torch.ones(1, device=self.engine.stylizer.device).item()


class OtherModelError(AdainError):
    """A job for other weights than a replica has."""

    code = "not-ready"
