"""What a hostile client does to a server, again and again.

Each function is one round of an attack on the server at a port of the loopback interface.
`attacking` runs all of them side by side, in a process of their own.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import random
import signal
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from PIL import Image

from benchmarks.fuzz import written

# As many pixels as the service lets a picture have.
SIDE = 6320
CONNECTIONS = 20
SECONDS = 20
PATIENCE = 120
QUESTION = b"GET /v1/styles HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass(frozen=True)
class Target:
    """The server that is attacked, on the loopback interface."""

    port: int
    pid: int

    def connect(self) -> socket.socket:
        """Return a new connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)


def many_scans(target: Target) -> None:
    """Send progressive JPEGs whose scans take seconds, some with more than any program writes."""
    for scans in (90, 12, 2000):
        post(target, repeated_scans(scans))


def large_masks(target: Target) -> None:
    """Send a content and eight masks of a few bytes and 40 megapixels each."""
    large = written(Image.new("1", (SIDE, SIDE), 1), "PNG")
    post(target, large, styles=8, masks=[large] * 8)


def many_chunks(target: Target) -> None:
    """Send a PNG of a million empty chunks."""
    name = b"teSt"
    chunk = struct.pack(">I", 0) + name + struct.pack(">I", zlib.crc32(name))
    plain = small_picture()
    post(target, plain[:33] + 1_000_000 * chunk + plain[33:])


def hasty_clients(target: Target) -> None:
    """Send two hundred requests at once on each of many connections."""
    with connections(target) as sockets:
        ask(sockets, 200 * QUESTION)
        time.sleep(SECONDS)


def deaf_clients(target: Target) -> None:
    """Ask for pages again and again on many connections, and read no answer."""
    with connections(target) as sockets:
        for _ in range(SECONDS):
            ask(sockets, 4 * QUESTION)
            time.sleep(1)


def half_heads(target: Target) -> None:
    """Begin requests on many connections, and never end their heads."""
    with connections(target) as sockets:
        for each in sockets:
            each.sendall(b"POST /v1/stylize HTTP/1.1\r\nHost: localhost\r\n")
        time.sleep(SECONDS)


def endless_heads(target: Target) -> None:
    """Send a head of ten million headers."""
    with closing(target.connect()) as connection:
        connection.sendall(QUESTION[:-2])
        for _ in range(1000):
            connection.sendall(10_000 * b"a: b\r\n")


def slow_bodies(target: Target) -> None:
    """Send bodies a byte at a time, to routes that take pictures and to one that takes none."""
    with connections(target) as sockets:
        for number, each in enumerate(sockets):
            line = ["PATCH /v1/styles/starry", "POST /v1/stylize"][number % 2]
            each.sendall(
                f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n"
                "Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode()
            )
        for _ in range(SECONDS):
            for each in sockets:
                with contextlib.suppress(OSError):
                    each.sendall(b"x")
            time.sleep(1)


def leaving_clients(target: Target) -> None:
    """Send whole requests, and leave before they are answered."""
    request = httpx.Request(
        "POST",
        f"http://localhost:{target.port}/v1/stylize",
        files=[("content", ("c", small_picture())), ("style", ("s", small_picture()))],
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    for _ in range(10):
        with closing(target.connect()) as connection:
            body = request.read()
            connection.sendall(f"POST /v1/stylize HTTP/1.1\r\n{head}\r\n".encode() + body)
            time.sleep(random.uniform(0, 0.1))
    time.sleep(1)


def killed_decoders(target: Target) -> None:
    """Kill one of the processes in which the server decodes."""
    if decoders := [each for each in processes_of(target.pid) if is_decoder(each)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(random.choice(decoders), signal.SIGKILL)
    time.sleep(5)


def invented_methods(target: Target) -> None:
    """Send requests of methods, paths and hosts that there are not."""
    with httpx.Client(base_url=f"http://localhost:{target.port}", timeout=PATIENCE) as client:
        for _ in range(20):
            word = f"X{random.randrange(10**9)}"
            client.request(word, f"/{word}")
            client.get("/v1/styles", headers={"Host": word})
    time.sleep(1)


ATTACKS: list[Callable[[Target], None]] = [
    many_scans,
    many_scans,
    many_scans,
    large_masks,
    large_masks,
    many_chunks,
    hasty_clients,
    deaf_clients,
    half_heads,
    endless_heads,
    slow_bodies,
    leaving_clients,
    killed_decoders,
    invented_methods,
]


@contextmanager
def attacking(target: Target) -> Iterator[None]:
    """Attack in all ways at once until the block ends."""
    process = multiprocessing.get_context("spawn").Process(target=attack, args=(target,))
    process.start()
    try:
        yield
    finally:
        if not process.is_alive():
            raise SystemExit("the attacks ended by themselves")
        process.kill()
        process.join()


def attack(target: Target) -> None:
    """Attack in all ways at once, for good."""
    os.nice(19)  # what the attackers compute is computed elsewhere in earnest
    threads = [threading.Thread(target=repeat, args=(each, target)) for each in ATTACKS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def repeat(attack: Callable[[Target], None], target: Target) -> None:
    """Repeat an attack; that the server ends its connections is what it should do."""
    while True:
        with contextlib.suppress(OSError, httpx.TransportError):
            attack(target)
        time.sleep(0.2)


def post(target: Target, content: bytes, styles: int = 1, masks: list[bytes] | None = None) -> None:
    """Send a content with styles and masks, and wait for the answer."""
    files = [("content", ("c", content))]
    files += [("style", ("s", small_picture()))] * styles
    files += [("mask", ("m", mask)) for mask in masks or []]
    url = f"http://localhost:{target.port}/v1/stylize"
    httpx.post(url, files=files, data={"size": "256"}, timeout=PATIENCE)


def ask(sockets: list[socket.socket], questions: bytes) -> None:
    """Send questions on each connection, as far as the server takes them."""
    for each in sockets:
        each.settimeout(0.2)
        with contextlib.suppress(OSError):
            each.sendall(questions)


@contextmanager
def connections(target: Target) -> Iterator[list[socket.socket]]:
    """Open many connections, and close them in the end."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(closing(target.connect())) for _ in range(CONNECTIONS)]


@functools.cache
def repeated_scans(count: int) -> bytes:
    """Return a grey progressive JPEG whose last scan comes `count` times."""
    whole = written(Image.new("L", (SIDE, SIDE), 99), "JPEG", progressive=True)
    scan = whole.rindex(b"\xff\xda")
    return whole[:scan] + whole[scan:-2] * count + whole[-2:]


@functools.cache
def small_picture() -> bytes:
    """Return a good picture."""
    return written(Image.radial_gradient("L").convert("RGB"), "PNG")


def processes_of(pid: int) -> list[int]:
    """Return the processes below a process, as far as the system says."""
    found: list[int] = []
    with contextlib.suppress(OSError):  # it may end meanwhile
        for file in Path(f"/proc/{pid}/task").glob("*/children"):
            found += [int(child) for child in file.read_text().split()]
    return found + [below for child in found for below in processes_of(child)]


def is_decoder(pid: int) -> bool:
    """Whether a process decodes pictures for the service."""
    try:
        return b"anyio.to_process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
