"""A local Ray cluster of two CPUs, whose model tests can hold as they hold the one in process."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
from ray import serve
from ray.serve.config import HTTPOptions

from app.engine.interface import Job, Model
from app.engine.ray_engine import RayEngine
from app.engine.ray_replica import Event, Replica
from app.ray_service import ENVIRONMENT
from app.settings import Settings
from benchmarks.server import free_port

CPUS = 2


class HeldReplica(Replica):
    """A model that waits, before each picture, as long as there is a file "held" in a folder."""

    async def __init__(self, settings: Settings, folder: Path) -> None:
        await super().__init__(settings)
        self.folder = folder
        self.engine.stylizer.encoder.register_forward_pre_hook(self.hold)

    def hold(self, _: object, args: tuple) -> None:
        with (self.folder / "sizes").open("a") as sizes:
            print(*args[0].shape[2:], file=sizes)
        while (self.folder / "held").exists():
            (self.folder / "reached").touch()
            time.sleep(0.01)


class Flag:
    """A file as an event."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def is_set(self) -> bool:
        return self.file.exists()

    def wait(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self.is_set() and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.is_set()


class RemoteHold:
    """Holds a `HeldReplica`; as `tests.conftest.Hold`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("sizes", "reached"):
            (folder / name).unlink(missing_ok=True)
        self.reached = Flag(folder / "reached")
        (folder / "held").touch()

    @property
    def sizes(self) -> list[tuple[int, int]]:
        lines = (self.folder / "sizes").read_text().splitlines()
        return [tuple(map(int, line.split())) for line in lines]

    def release(self) -> None:
        (self.folder / "held").unlink(missing_ok=True)


@contextmanager
def running() -> Iterator[str]:
    """Run a cluster, and yield the address of its proxy."""
    os.environ.update(ENVIRONMENT)
    ray.init(include_dashboard=False, num_cpus=CPUS, log_to_driver=False)
    port = free_port()
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=port))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        serve.shutdown()
        ray.shutdown()


class Silent(Replica):
    """A model that never answers."""

    async def __init__(self) -> None:
        self.model = Model("cpu", "float32", "none")

    async def stylize(self, job: Job, model: Model) -> AsyncIterator[Event]:
        yield "painting"
        await asyncio.sleep(600)

    def check_health(self) -> None:
        pass


def painters(folder: Path) -> RayEngine:
    """Deploy a model that can be held by files in a folder, and return an engine that asks it."""
    model = serve.deployment(
        HeldReplica,
        name="held",
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=16,
    )
    settings = Settings(
        device="cpu",
        precision="float32",
        max_batch=8,
        max_refine_seconds=10,
        content_cache_bytes=0,  # a content that is known does not reach the encoder, which is held
    )
    return RayEngine(serve.run(model.bind(settings, folder), name="held", route_prefix=None))
