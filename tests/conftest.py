"""The real model and real servers, shared by the tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
import torch
import uvicorn

from app.main import create_app
from app.settings import Settings
from app.worker import Worker
from model import ChannelStatistics, Stylizer
from tests.pictures import painting


@pytest.fixture(scope="session", autouse=True)
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A style library of the tests' own: the user's is never touched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADAIN_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session")
def stylizer() -> Stylizer:
    """The bundled weights in float32 on the CPU: the same results on every machine."""
    return Stylizer.load(device="cpu", precision="float32")


@pytest.fixture(scope="session")
def style(stylizer: Stylizer) -> ChannelStatistics:
    return stylizer.encode_style(painting(), style_size=64)


@pytest.fixture(scope="session")
def other_style(stylizer: Stylizer) -> ChannelStatistics:
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


@pytest.fixture
def hold(stylizer: Stylizer) -> Iterator[Callable[[], Hold]]:
    """Hold the model from the call of this fixture on."""
    holds = []

    def start() -> Hold:
        hold = Hold()
        holds.append((hold, stylizer.encoder.register_forward_pre_hook(hold)))
        return hold

    yield start
    for hold, hook in holds:
        hold.release()
        hook.remove()


@contextmanager
def serving(settings: Settings, stylizer: Stylizer, *, warm: bool = True) -> Iterator[httpx.Client]:
    """A real uvicorn on a free port of the loopback interface, and a client of it."""
    config = uvicorn.Config(
        create_app(settings, Worker(stylizer, settings)), port=0, log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            thread.join(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            if warm:
                wait_until_ready(client)
            yield client
    finally:
        server.should_exit = True
        thread.join()


def wait_until_ready(client: httpx.Client) -> None:
    """Return once the server has warmed its model."""
    deadline = time.monotonic() + 60
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="session")
def client(stylizer: Stylizer) -> Iterator[httpx.Client]:
    """A client of a server with small limits, so that they are quick to reach."""
    settings = Settings(max_body_bytes=2_000_000, max_pixels=1_000_000, max_size=512, max_styles=4)
    with serving(settings, stylizer) as client:
        yield client


@pytest.fixture
def serve(stylizer: Stylizer) -> Callable[..., object]:
    """Start a server with settings of the test's own."""
    return lambda **settings: serving(Settings(**settings), stylizer)
