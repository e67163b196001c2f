"""Good and bad requests at once, for long, restarts or attacks among them: is every answer right?

    python -m benchmarks.soak [--minutes 3] [--clients 8] [--restarts 2]
    python -m benchmarks.soak --minutes 60 --clients 2 --pause 0.5 --restarts 0 --attack
        [--engine ray] [--proxy]

Starts `adain serve`. Every picture that it returns is compared with what the Python API makes of
the same input (but for rounding on Ray), and every error with the status that it should have. At a
restart the server gets SIGTERM, must exit with 0, and is started anew; clients try again where the
connection fails or the answer is 503. With `--attack`, `benchmarks.attacks` run side by side after
a quarter of the time. Each client sends from an address of its own, and the attacks from another
one. With `--proxy` all comes through nginx, as `deploy/nginx.conf` has it.
Prints a Markdown table; exits with 1 where an answer was lost or wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from app.decoding.readers import read_content
from benchmarks.attacks import Target, attacking, is_decoder, processes_of
from benchmarks.fuzz import written
from benchmarks.proxy import example, nginx
from benchmarks.server import Server, free_port
from benchmarks.speed import picture
from model import Stylizer, read_image
from model.images import DEFAULT_MAX_PIXELS

RETRY_SECONDS = 60
STYLE_SIZE = 64
MAX_SIZE = 2048
SAMPLE_SECONDS = 1
# What pictures may differ by, of 255 and on average: on this engine alone, as a replica has one
# thread, and then bfloat16 rounds otherwise, by 0.11 where it was measured.
ROUNDING = {"ray": 0.3}
# The phases; the attacks begin after a quarter of the time.
CALM, ATTACKED = "calm", "attacked"
ATTACKED_SHARE = 0.75
FORMATS = ("png", "jpeg", "webp", "tiff", "avif", "gif", "bmp", "heif", "jxl")
LARGE = (4000, 3000)
# Sizes of each format: together more than the service keeps known contents of, so that each is new
# to it, as the pictures of its users are.
SIZES = 8
# Of each phase, what the server and its decoding processes took at each moment, in MiB.
Memories = dict[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class Case:
    """A request, and the status and picture that should come of it."""

    request: dict[str, Any]
    status: int
    expected: np.ndarray | None = None


def cases(stylizer: Stylizer, large: tuple[int, int] = LARGE, sizes: int = SIZES) -> list[Case]:
    """Return good requests of all formats, each in several sizes, and bad ones among them."""
    style = picture(96, 1)
    statistics = stylizer.encode_style(style, style_size=STYLE_SIZE)
    style_file = written(style, "png")
    chance = random.Random(0)

    def good(file: bytes, size: int | None) -> Case:
        content = read_content(file, size, MAX_SIZE, DEFAULT_MAX_PIXELS)
        alpha = chance.choice([0.5, 0.8, 1.0])
        expected = np.asarray(stylizer.stylize(content, statistics, alpha=alpha))
        data = {"style_size": str(STYLE_SIZE), "alpha": str(alpha)}
        if size is not None:
            data["size"] = str(size)
        return Case({"files": {"content": file, "style": style_file}, "data": data}, 200, expected)

    made = []
    for name in FORMATS:
        for _ in range(sizes):
            size = chance.randrange(40, 320), chance.randrange(40, 320)
            made.append(good(written(picture(320, size[0]).resize(size), name), None))
    made.append(good(written(picture(1024, 3).resize(large), "jpeg"), 320))
    files = made[0].request["files"]
    broken = written(picture(128, 5), "jpeg")[:900]
    bad = [
        Case({"files": files | {"content": b"no picture"}}, 415),
        Case({"files": files | {"content": broken}}, 422),
        Case({"files": files, "data": {"alpha": "2"}}, 422),
        Case({"files": {"content": files["content"]}, "data": {"style_id": "unknown"}}, 404),
    ]
    return made + sizes * bad


class Soak:
    """The clients and what they found.

    Attributes:
        phase: what goes on now; outcomes and seconds are kept for each.
        found: how often an answer was right, retried, lost, or wrong, in each phase.
        seconds: what good requests took, in each phase.
    """

    def __init__(
        self,
        cases: list[Case],
        over: Callable[[int], bool],
        pause: float = 0,
        rounding: float = 0,
    ) -> None:
        """Send nothing yet.

        Args:
            cases: the requests, which are sent in turn.
            over: from the number of the next request to whether there have been enough.
            pause: seconds that each client waits between its requests.
            rounding: what a picture may differ by, of 255 and on average.
        """
        self.cases, self.over = cases, over
        self.pause, self.rounding = pause, rounding
        self.phase = CALM
        self.found: dict[str, Counter[str]] = defaultdict(Counter)
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._lock = threading.Lock()
        self._numbers = itertools.count()

    def work(self, client: httpx.Client) -> None:
        """Send requests by a client until there have been enough."""
        while not self.over(number := next(self._numbers)):
            phase, case = self.phase, self.cases[number % len(self.cases)]
            started = time.monotonic()
            outcome = self._send(client, case)
            with self._lock:
                self.found[phase][outcome] += 1
                if case.expected is not None:
                    self.seconds[phase].append(time.monotonic() - started)
            time.sleep(self.pause)

    def _send(self, client: httpx.Client, case: Case) -> str:
        deadline = time.monotonic() + RETRY_SECONDS
        while time.monotonic() < deadline:
            try:
                response = client.post("/v1/stylize", **case.request)
            except httpx.TransportError:
                response = None
            if response is not None and response.status_code != 503:
                right = is_right(case, response, self.rounding)
                return "right" if right else f"wrong ({response.status_code})"
            with self._lock:
                self.found[self.phase]["retried"] += 1
            time.sleep(0.2)
        return "lost"


def is_right(case: Case, response: httpx.Response, rounding: float = 0) -> bool:
    """Whether a response is what its request should get."""
    if response.status_code != case.status:
        return False
    if case.expected is None:
        return response.headers["content-type"] == "application/problem+json"
    found = np.asarray(read_image(response.content), np.float32)
    return found.shape == case.expected.shape and np.abs(found - case.expected).mean() <= rounding


@contextlib.contextmanager
def proxied(port: int) -> Iterator[int]:
    """Run nginx before a server at a port, and yield the port of nginx."""
    own = free_port()
    with nginx(example(own, port, port), own):
        yield own


def client_of(port: int, address: str) -> httpx.Client:
    """Return a client that sends from an address of the loopback interface."""
    transport = httpx.HTTPTransport(local_address=address)
    url = f"http://127.0.0.1:{port}"
    return httpx.Client(base_url=url, timeout=RETRY_SECONDS, transport=transport)


def memory(pid: int) -> tuple[float, float]:
    """Return the resident MiB of a server, and of the processes in which it decodes."""
    processes = [pid, *processes_of(pid)]
    decoders = [each for each in processes if is_decoder(each)]
    others = [each for each in processes if each not in decoders]
    return sum(map(resident, others)), sum(map(resident, decoders))


def resident(pid: int) -> float:
    """Return the resident MiB of a process; 0 where it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def report(soak: Soak, memories: Memories) -> None:
    """Print what was found in each phase."""
    phases = list(soak.found)
    outcomes = sorted({outcome for found in soak.found.values() for outcome in found})
    print(f"| measure | {' | '.join(phases)} |\n|---|{'---|' * len(phases)}")
    for outcome in outcomes:
        print(f"| {outcome} | {' | '.join(str(soak.found[each][outcome]) for each in phases)} |")
    for share in (50, 99, 100):
        values = [f"{np.percentile(soak.seconds[each], share):.2f} s" for each in phases]
        print(f"| good requests, percentile {share} | {' | '.join(values)} |")
    for name, number in (("server", 0), ("decoding processes", 1)):
        for label, choose in (("first", lambda x: x[0]), ("last", lambda x: x[-1]), ("most", max)):
            values = [f"{choose([m[number] for m in memories[each]]):.0f}" for each in phases]
            print(f"| resident MiB of the {name}, {label} | {' | '.join(values)} |")


def main() -> None:
    """Run, print the table, and exit with 1 where an answer was lost or wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0)
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--attack", action="store_true")
    parser.add_argument("--engine", default="process")
    parser.add_argument("--proxy", action="store_true")
    args = parser.parse_args()
    server = Server("--engine", args.engine)
    server.start()
    made = cases(Stylizer.load())
    seconds, rounding = 60 * args.minutes, ROUNDING.get(args.engine, 0)
    end = time.monotonic() + seconds
    with (
        ThreadPoolExecutor(args.clients) as pool,
        contextlib.ExitStack() as stack,
    ):
        port = stack.enter_context(proxied(server.port)) if args.proxy else server.port
        soak = Soak(made, lambda _: time.monotonic() >= end, args.pause, rounding)
        clients = []
        for number in range(args.clients):
            client = stack.enter_context(client_of(port, f"127.0.0.{2 + number}"))
            clients.append(pool.submit(soak.work, client))
        memories: Memories = defaultdict(list)

        def wait_until(moment: float) -> None:
            while time.monotonic() < moment:
                time.sleep(SAMPLE_SECONDS)
                memories[soak.phase].append(memory(server.pid))

        for restart in range(args.restarts):
            wait_until(end - seconds * (1 - (restart + 1) / (args.restarts + 1)))
            server.stop()
            server.start()
        if args.attack:
            wait_until(end - ATTACKED_SHARE * seconds)
            stack.enter_context(attacking(Target(port, server.pid)))
            soak.phase = ATTACKED
        wait_until(end)
        for each in clients:
            each.result()
    server.close()
    report(soak, memories)
    found = sum(soak.found.values(), Counter[str]())
    sys.exit(0 if set(found) <= {"right", "retried"} else 1)


if __name__ == "__main__":
    main()
