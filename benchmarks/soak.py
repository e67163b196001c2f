"""Many good and bad requests at once, restarts among them: is every answer right, is memory flat?

    python -m benchmarks.soak [--requests 5000] [--clients 8] [--restarts 2]
    python -m benchmarks.soak --requests 2000 --restarts 0

Starts `adain serve`. Every picture that it returns is compared with what the Python API makes of
the same input, every error with the status that it should have. At a restart the server gets
SIGTERM, must exit with 0, and is started anew; clients try again where the connection fails or the
answer is 503. Prints a Markdown table; exits with 1 where an answer was lost or wrong.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from benchmarks.server import Server
from benchmarks.speed import picture
from model import Stylizer, read_image
from model.images import encode_image

RETRY_SECONDS = 60
STYLE_SIZE = 64
MEMORY = "process_resident_memory_bytes "


@dataclass(frozen=True)
class Case:
    """A request, and the status and picture that should come of it."""

    request: dict[str, Any]
    status: int
    expected: np.ndarray | None = None


def cases(stylizer: Stylizer) -> list[Case]:
    """Return good requests of several sizes and controls, and as many bad ones."""
    style = picture(96, 1)
    statistics = stylizer.encode_style(style, style_size=STYLE_SIZE)
    style_file = encode_image(style, "png")
    made = []
    for size, alpha in [((64, 64), 1.0), ((96, 64), 0.5), ((40, 120), 1.0), ((200, 160), 0.8)]:
        content = picture(256, size[0]).resize(size)
        expected = np.asarray(stylizer.stylize(content, statistics, alpha=alpha))
        files = {"content": encode_image(content, "png"), "style": style_file}
        data = {"style_size": str(STYLE_SIZE), "alpha": str(alpha)}
        made.append(Case({"files": files, "data": data}, 200, expected))
    good = made[0].request["files"]
    broken = encode_image(picture(128, 5), "jpeg")[:900]
    made += [
        Case({"files": good | {"content": b"no picture"}}, 415),
        Case({"files": good | {"content": broken}}, 422),
        Case({"files": good, "data": {"alpha": "2"}}, 422),
        Case({"files": {"content": good["content"]}, "data": {"style_id": "unknown"}}, 404),
    ]
    return made


class Soak:
    """The clients and what they found.

    Attributes:
        found: how often an answer was right, retried, lost, or wrong.
    """

    def __init__(self, client: httpx.Client, cases: list[Case], requests: int) -> None:
        self.client = client
        self.cases = cases
        self.requests = requests
        self.found: Counter[str] = Counter()
        self.done = 0
        self._lock = threading.Lock()
        self._numbers = itertools.count()

    def work(self) -> None:
        """Send requests until there have been enough."""
        while (number := next(self._numbers)) < self.requests:
            outcome = self._send(self.cases[number % len(self.cases)])
            with self._lock:
                self.found[outcome] += 1
                self.done += 1

    def _send(self, case: Case) -> str:
        deadline = time.monotonic() + RETRY_SECONDS
        while time.monotonic() < deadline:
            try:
                response = self.client.post("/v1/stylize", **case.request)
            except httpx.TransportError:
                response = None
            if response is not None and response.status_code != 503:
                return "right" if is_right(case, response) else f"wrong ({response.status_code})"
            with self._lock:
                self.found["retried"] += 1
            time.sleep(0.2)
        return "lost"


def is_right(case: Case, response: httpx.Response) -> bool:
    """Whether a response is what its request should get."""
    if response.status_code != case.status:
        return False
    if case.expected is None:
        return response.headers["content-type"] == "application/problem+json"
    return np.array_equal(np.asarray(read_image(response.content)), case.expected)


def memory(url: str) -> float:
    """Return the server's resident memory in MiB."""
    text = httpx.get(f"{url}/metrics").text
    return next(
        float(line.removeprefix(MEMORY)) / 2**20
        for line in text.splitlines()
        if line.startswith(MEMORY)
    )


def wait(condition: Callable[[], bool]) -> None:
    """Return once a condition holds."""
    while not condition():
        time.sleep(0.01)


def main() -> None:
    """Run, print the table, and exit with 1 where an answer was lost or wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--restarts", type=int, default=2)
    args = parser.parse_args()
    server = Server()
    server.start()
    made = cases(Stylizer.load())
    begun = time.perf_counter()
    with (
        httpx.Client(base_url=server.url, timeout=30) as client,
        ThreadPoolExecutor(args.clients) as pool,
    ):
        soak = Soak(client, made, args.requests)
        clients = [pool.submit(soak.work) for _ in range(args.clients)]
        wait(lambda: soak.done >= args.requests // 10)
        early = memory(server.url)
        for restart in range(args.restarts):
            target = args.requests * (restart + 1) // (args.restarts + 1)
            wait(lambda target=target: soak.done >= target)  # type: ignore[misc]
            server.stop()
            server.start()
        for each in clients:
            each.result()
    seconds = time.perf_counter() - begun
    late = memory(server.url)
    server.stop()
    print("| measure | value |")
    print("|---|---|")
    print(f"| requests | {args.requests} by {args.clients} clients in {seconds:.0f} s |")
    for outcome, count in sorted(soak.found.items()):
        print(f"| {outcome} | {count} |")
    print(f"| restarts by SIGTERM, each with exit code 0 | {args.restarts} |")
    if not args.restarts:
        print(f"| resident MiB after a tenth of them, and after all | {early:.0f}, {late:.0f} |")
    sys.exit(0 if soak.found["right"] == args.requests else 1)


if __name__ == "__main__":
    main()
