"""The real model and real servers, shared by the tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import torch
from xdist.scheduler import LoadFileScheduling

from app.engine import process
from app.engine.interface import Engine, Job, JobStatus, Result
from app.engine.process import ProcessEngine
from app.main import create_app
from app.server import listen, server_of
from app.settings import Settings
from model import Style, Stylizer
from tests.pictures import painting

if TYPE_CHECKING:
    from tests.cluster import RemoteHold


@pytest.fixture(scope="session", autouse=True)
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A style library of the tests' own: the user's is never touched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADAIN_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session", autouse=True)
def short_warm_up() -> Iterator[None]:
    """Servers here are ready sooner: no test depends on how fast their first picture is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "WARM_UP_SIDE", 32)
        yield


@pytest.fixture(scope="session")
def stylizer() -> Stylizer:
    """The bundled weights in float32 on the CPU: the same results on every machine.

    Without a cache of contents: tests hold the model in its encoder, and count what that is given.
    """
    return Stylizer.load(device="cpu", precision="float32", content_cache_bytes=0)


@pytest.fixture(scope="session")
def style(stylizer: Stylizer) -> Style:
    return stylizer.encode_style(painting(), style_size=64)


@pytest.fixture(scope="session")
def other_style(stylizer: Stylizer) -> Style:
    return stylizer.encode_style(painting(seed=7), style_size=64)


class Hold:
    """Holds the model at its next picture, until it is released.

    Attributes:
        reached: set once the model has a picture.
        sizes: height and width of every picture that the model got.
    """

    def __init__(self) -> None:
        self.reached, self._released = threading.Event(), threading.Event()
        self.sizes: list[tuple[int, int]] = []

    def __call__(self, _: object, args: tuple[torch.Tensor]) -> None:
        self.sizes.append((args[0].shape[2], args[0].shape[3]))
        self.reached.set()
        assert self._released.wait(60)

    def release(self) -> None:
        self._released.set()


class EngineThatKnows(ProcessEngine):
    """An engine in this process that notes who asks it.

    Attributes:
        clients: of all requests.
    """

    def __init__(self, stylizer: Stylizer, settings: Settings) -> None:
        super().__init__(stylizer, settings)
        self.clients: list[str] = []

    async def stylize(self, job: Job, status: JobStatus) -> Result:
        self.clients.append(job.client)
        return await super().stylize(job, status)


class EngineHere:
    """The engine of most tests: the model in this process."""

    def __init__(self, stylizer: Stylizer) -> None:
        self.stylizer = stylizer
        self.hooks: list[object] = []

    def start(self, settings: Settings) -> Engine:
        return ProcessEngine(self.stylizer, settings)

    def hold(self) -> Hold:
        hold = Hold()
        self.hooks.append(self.stylizer.encoder.register_forward_pre_hook(hold))
        return hold

    def release(self) -> None:
        while self.hooks:
            self.hooks.pop().remove()


class RayEngines:
    """Engines that ask the model of a Ray cluster."""

    def __init__(self, folder: Path) -> None:
        from tests import cluster

        self.folder, self.cluster = folder, cluster
        self.engine = cluster.painters(folder)

    def start(self, settings: Settings) -> Engine:
        return self.engine

    def hold(self) -> RemoteHold:
        return self.cluster.RemoteHold(self.folder)

    def release(self) -> None:
        """Nothing: a hold of files is over once it is released."""


# Modules whose tests of HTTP run on both engines.
ON_RAY = {
    f"tests.app.api.test_{name}" for name in ("keys", "problems", "refine", "styles", "stylize")
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests of HTTP on each engine, but for those that look into this process."""
    if "engines" in metafunc.fixturenames:
        inside = metafunc.definition.get_closest_marker("inside")
        names: list[object] = ["process"]
        if metafunc.module.__name__ in ON_RAY and not inside:
            names.append(pytest.param("ray", marks=pytest.mark.slow))
        metafunc.parametrize("engines", names, indirect=True, scope="session")


class Scheduling(LoadFileScheduling):
    """Runs the tests of a file in one process, and all tests on Ray, which share a cluster."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "ray" if "[ray" in nodeid or file.endswith("test_ray.py") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    """Let several processes share the tests so."""
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """A Ray cluster on this machine: the address of its proxy."""
    from tests.cluster import running

    with running() as url:
        yield url


@pytest.fixture(scope="session")
def ray_engines(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> RayEngines:
    return RayEngines(tmp_path_factory.mktemp("hold"))


@pytest.fixture(scope="session")
def engines(
    request: pytest.FixtureRequest, stylizer: Stylizer
) -> Iterator[EngineHere | RayEngines]:
    """What runs the model."""
    if request.param == "ray":
        yield request.getfixturevalue("ray_engines")
    else:
        yield EngineHere(stylizer)


@pytest.fixture
def hold(engines: EngineHere | RayEngines) -> Iterator[Callable[[], Hold | RemoteHold]]:
    """Hold the model from the call of this fixture on."""
    holds = []

    def start() -> Hold | RemoteHold:
        holds.append(engines.hold())
        return holds[-1]

    yield start
    for hold in holds:
        hold.release()
    engines.release()


@contextmanager
def serving(settings: Settings, engine: Engine, *, warm: bool = True) -> Iterator[httpx.Client]:
    """A real uvicorn on a free port of the loopback interface, and a client of it."""
    server = server_of(create_app(settings, engine), settings)
    listener = listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            thread.join(0.01)
        port = listener.getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            if warm:
                wait_until_ready(client)
            yield client
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def written_out(request: httpx.Request) -> bytes:
    """A whole request, as it goes over the wire."""
    head = [f"{request.method} {request.url.raw_path.decode()} HTTP/1.1"]
    head += [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + request.read()


def wait_until_ready(client: httpx.Client) -> None:
    """Return once the server has warmed its model."""
    deadline = time.monotonic() + 60
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="session")
def client(engines: EngineHere | RayEngines) -> Iterator[httpx.Client]:
    """A client of a server with small limits, so that they are quick to reach."""
    settings = Settings(max_body_bytes=2_000_000, max_pixels=1_000_000, max_size=512, max_styles=4)
    with serving(settings, engines.start(settings)) as client:
        yield client


@pytest.fixture(scope="session")
def serve(engines: EngineHere | RayEngines) -> Callable[..., object]:
    """Start a server with settings of the test's own."""

    def serve(*, warm: bool = True, **chosen: object) -> object:
        settings = Settings(**chosen)
        return serving(settings, engines.start(settings), warm=warm)

    return serve
