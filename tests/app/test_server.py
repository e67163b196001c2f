"""The server's bounds on slow and many clients, over real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
import uvicorn
from PIL import Image

from app import connection, server
from app.connection import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_PIPELINED,
    Limits,
    PatientTransport,
    Protocol,
)
from app.engine.process import ProcessEngine
from app.main import create_app
from app.server import listen
from app.settings import Settings
from model import Stylizer
from tests.conftest import Hold, wait_until_ready, written_out
from tests.pictures import encoded, noise, painting, photo

FIN_WAIT_1 = "04"  # closed here, with data on the way: in /proc/net/tcp
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST_GET = GET[:-2] + b"Connection: close\r\n\r\n"
FILES = {"content": encoded(photo()), "style": encoded(painting())}


@contextmanager
def bounded(
    stylizer: Stylizer, limits: Limits, sent_ahead: int | None = None, **chosen: object
) -> Iterator[tuple[str, int]]:
    """A server with limits that are quick to reach: its address.

    The system takes `sent_ahead` bytes of an answer before the client reads; None: what it likes.
    """
    settings = Settings(**chosen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "HEAD_SECONDS", limits.head_seconds)
        uvicorn_server = server.server_of(
            create_app(settings, ProcessEngine(stylizer, settings)),
            settings.model_copy(
                update={
                    "send_seconds": limits.send_seconds,
                    "max_connections": limits.connections,
                }
            ),
        )
    with closing(listen("127.0.0.1", 0)) as listener:
        if sent_ahead is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sent_ahead)
        thread = threading.Thread(target=uvicorn_server.run, args=([listener],))
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            uvicorn_server.should_exit = True
            thread.join()


def read_all(connection: socket.socket) -> bytes:
    data = b""
    try:
        while chunk := connection.recv(65536):
            data += chunk
    except ConnectionResetError:
        pass
    return data


def connect(address: tuple[str, int]) -> closing[socket.socket]:
    return closing(socket.create_connection(address, 20))


def problem_in(answer: bytes) -> tuple[int, dict[str, object]]:
    head, _, body = answer.rpartition(b"\r\n\r\n")
    assert b"x-request-id: " in head.lower()
    return int(head.split()[1]), json.loads(body)


@pytest.mark.slow
def test_a_half_sent_head_gets_408_and_an_idle_connection_is_closed(stylizer: Stylizer) -> None:
    with bounded(stylizer, Limits(100, 0.5, 60)) as address:
        with connect(address) as half:
            half.sendall(b"GET /livez HTTP/1.1\r\nHos")
            status, problem = problem_in(read_all(half))
            assert (status, problem["type"]) == (408, "urn:adain:problem:upload-too-slow")
        with connect(address) as idle:
            assert read_all(idle) == b""
        with connect(address) as second:  # the head of a second request trickles
            second.sendall(GET)
            assert second.recv(12) == b"HTTP/1.1 200"
            begun = time.monotonic()
            try:
                while time.monotonic() - begun < 10:
                    second.sendall(b"G" if time.monotonic() - begun < 0.1 else b"E")
                    time.sleep(0.1)
            except OSError:
                pass
            assert time.monotonic() - begun < 8


def test_what_is_no_http_gets_a_problem(stylizer: Stylizer) -> None:
    with bounded(stylizer, Limits(100, 5, 60)) as address, connect(address) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        status, problem = problem_in(read_all(connection))
    assert (status, problem["type"]) == (400, "urn:adain:problem:malformed-request")


def test_more_connections_than_allowed_are_closed_at_once(stylizer: Stylizer) -> None:
    with bounded(stylizer, Limits(3, 20, 60)) as address:
        kept = [socket.create_connection(address) for _ in range(3)]
        time.sleep(0.2)
        with connect(address) as more:
            assert read_all(more) == b""
        for connection in kept:
            connection.close()
        time.sleep(0.2)
        with connect(address) as later:
            later.sendall(GET)
            assert later.recv(12) == b"HTTP/1.1 200"


def test_answers_are_sent_at_once() -> None:
    with closing(listen("127.0.0.1", 0)) as listener, connect(listener.getsockname()):
        accepted, _ = listener.accept()
        with closing(accepted):
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


BEGUN = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = BEGUN + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"


@pytest.mark.parametrize(
    ("begun", "piece", "limit"),
    [
        (b"GET /", b"a", MAX_HEAD_BYTES),
        (BEGUN + b"X: ", b"a", MAX_HEAD_BYTES),
        (BEGUN, b"a: b\r\n", MAX_HEADERS),
    ],
)
def test_a_head_without_end_is_refused(
    stylizer: Stylizer, begun: bytes, piece: bytes, limit: int
) -> None:
    with bounded(stylizer, Limits(100, 20, 60)) as address, connect(address) as client:
        threading.Thread(target=send_quietly, args=(client, begun + 200_000 * piece)).start()
        status, problem = problem_in(read_all(client))
        assert (status, problem["type"]) == (431, "urn:adain:problem:head-too-large")
        assert problem["limit"] == limit


@pytest.mark.parametrize(("begun", "piece"), [(b"1;", b"a"), (b"0\r\n", b"a: b\r\n")])
def test_extensions_and_trailers_without_end_are_dropped(
    stylizer: Stylizer, begun: bytes, piece: bytes
) -> None:
    with bounded(stylizer, Limits(100, 20, 60)) as address, connect(address) as client:
        data = CHUNKED + begun + 10_000_000 * piece
        threading.Thread(target=send_quietly, args=(client, data)).start()
        assert dropped(client, seconds=10)


def test_a_large_head_and_a_body_of_small_chunks_are_taken(stylizer: Stylizer) -> None:
    request = httpx.Request("POST", "http://localhost", files=FILES, data={"style_size": "64"})
    headers = {"Content-Type": request.headers["Content-Type"], "X-Long": "a" * 60_000}
    body = request.read()
    chunks = (body[at : at + 1] for at in range(len(body)))
    with bounded(stylizer, Limits(100, 20, 60)) as address:
        url = f"http://{address[0]}:{address[1]}/v1/stylize"
        assert httpx.post(url, content=chunks, headers=headers, timeout=60).status_code == 200


def test_as_many_headers_as_a_head_may_have_are_taken(stylizer: Stylizer) -> None:
    with bounded(stylizer, Limits(100, 20, 60)) as address, connect(address) as client:
        client.sendall(BEGUN + (MAX_HEADERS - 2) * b"a: b\r\n" + b"Connection: close\r\n\r\n")
        assert read_all(client).startswith(b"HTTP/1.1 200")


def test_clients_may_send_some_requests_at_once_and_not_many(stylizer: Stylizer) -> None:
    with bounded(stylizer, Limits(100, 5, 60)) as address:
        with connect(address) as connection:
            connection.sendall(GET * MAX_PIPELINED + LAST_GET)
            assert read_all(connection).count(b"HTTP/1.1 200") == MAX_PIPELINED + 1
        with connect(address) as connection:
            connection.sendall(GET * (MAX_PIPELINED + 2))
            assert dropped(connection, seconds=5)


def test_a_connection_that_the_client_has_reset_can_be_closed() -> None:
    """That is found out by closing it where nothing was read since: at the end of the server."""

    async def close_after_reset() -> bool:
        loop = asyncio.get_running_loop()
        with closing(listen("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            accepted, _ = listener.accept()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=accepted)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, connection.RESET)
        client.close()
        PatientTransport(transport, lambda: True).close()
        return transport.is_closing()

    assert asyncio.run(close_after_reset())


def post_of(files: dict[str, bytes]) -> bytes:
    """A whole request to stylize."""
    data = {"style_size": "64"}
    url = "http://localhost/v1/stylize"
    return written_out(httpx.Request("POST", url, files=files, data=data))


@pytest.mark.parametrize("requests", [1, 2])
def test_a_client_that_leaves_ends_its_request_and_those_that_wait(
    stylizer: Stylizer, caplog: pytest.LogCaptureFixture, requests: int
) -> None:
    hold = Hold()
    with caplog.at_level(logging.INFO, "adain.request"), bounded(stylizer, Limits(9, 5, 60)) as at:
        with httpx.Client(base_url=f"http://{at[0]}:{at[1]}", timeout=60) as client:
            wait_until_ready(client)
        handle = stylizer.encoder.register_forward_pre_hook(hold)
        try:
            with connect(at) as connection:
                connection.sendall(requests * post_of(FILES))
                assert hold.reached.wait(20)
            wait_until(lambda: 499 in [getattr(each, "status", 0) for each in caplog.records])
        finally:
            hold.release()
            handle.remove()


@pytest.mark.slow
def test_answers_that_are_not_read_hold_no_place_and_are_dropped(stylizer: Stylizer) -> None:
    """Clients that pipeline requests and never read what comes."""
    small = {"files": FILES, "data": {"style_size": "64"}}
    files = FILES | {"content": encoded(noise(512, 512), "PNG")}
    whole = post_of(files)
    with bounded(stylizer, Limits(100, 5, 1.5), 65536, max_requests=3) as address:
        client = httpx.Client(base_url=f"http://{address[0]}:{address[1]}", timeout=60)
        wait_until_ready(client)
        deaf = [connect_deaf(address) for _ in range(3)]
        for connection in deaf:
            threading.Thread(target=send_quietly, args=(connection, whole * 3)).start()
        # The model paints up to two pictures for each of them, and no more.
        for connection in deaf:
            assert dropped(connection, seconds=60)
        wait_until(lambda: client.post("/v1/stylize", **small).status_code == 200)
        answers = [client.post("/v1/stylize", **small) for _ in range(3)]
        assert [each.status_code for each in answers] == [200, 200, 200]
        for connection in deaf:
            assert len(read_all(connection)) < 3 * len(files["content"])
            connection.close()
        client.close()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="an option of Linux")
def test_the_system_frees_what_a_client_leaves_unread(stylizer: Stylizer) -> None:
    whole = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n"
    with (
        bounded(stylizer, Limits(100, 5, 1)) as address,
        closing(connect_deaf(address)) as connection,
    ):
        port = connection.getsockname()[1]
        connection.sendall(whole + b"\r\n" + whole + b"Connection: close\r\n\r\n")
        wait_until(lambda: state_towards(port) == FIN_WAIT_1)
        wait_until(lambda: state_towards(port) is None)


def state_towards(port: int) -> str | None:
    """The state of the server's end of a connection, as the system has it."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return next((row[3] for row in rows if row[2].endswith(f":{port:04X}")), None)


def wait_until(happened: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def connect_deaf(address: tuple[str, int]) -> socket.socket:
    """A connection whose system takes no more than a few kilobytes that are not read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(address)
    connection.settimeout(5)
    return connection


def dropped(connection: socket.socket, seconds: float) -> bool:
    """Whether the other side resets the connection within so many seconds."""
    poll = select.poll()
    poll.register(connection, 0)  # a hang-up is always reported, readable data is not
    return bool(poll.poll(1000 * seconds))


def send_quietly(connection: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        connection.sendall(data)


@pytest.mark.slow
@pytest.mark.parametrize("content", [photo(), noise(800, 800)], ids=["small", "on disk"])
def test_the_grace_period_holds_and_what_is_not_done_by_then_gets_503(
    content: Image.Image, tmp_path: Path
) -> None:
    files = FILES | {"content": encoded(content)}
    with closing(listen("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "ADAIN_PORT": str(port),
        "ADAIN_GRACE_SECONDS": "1",
        "ADAIN_DATA_DIR": str(tmp_path),
        "ADAIN_MAX_REFINE_SECONDS": "50",
    }
    command = [sys.executable, "-m", "app.cli", "serve"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            for _ in range(600):
                try:
                    if client.get("/readyz").status_code == 200:
                        break
                except httpx.HTTPError:
                    time.sleep(0.1)
            answers: list[httpx.Response] = []

            def ask() -> None:
                data = {"size": "64", "style_size": "64", "refine": "40"}
                answers.append(client.post("/v1/stylize", files=files, data=data))

            asking = threading.Thread(target=ask)
            asking.start()
            time.sleep(2)
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            assert time.monotonic() - begun < 8
            asking.join()
        [answer] = answers
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:adain:problem:stopping"
        assert "retry-after" in answer.headers
    finally:
        process.kill()


def test_the_limit_of_open_files_is_raised_as_far_as_it_goes() -> None:
    resource = pytest.importorskip("resource")
    assert server.raise_file_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_the_protocol_is_uvicorns_own() -> None:
    assert issubclass(Protocol, uvicorn.protocols.http.httptools_impl.HttpToolsProtocol)
