"""What the service adds to the model: HTTP time against model time, over a real server.

    python -m benchmarks.server [--side 512] [--requests 10]

Starts `adain serve` on a free port of the loopback interface, sends a JPEG content and a known
style, and compares the client's time with the model's in Server-Timing. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

from benchmarks.speed import picture
from model.formats import WRITE_FORMATS


def jpeg(side: int, seed: int) -> bytes:
    """Return a picture as a JPEG file."""
    file = io.BytesIO()
    picture(side, seed).save(file, "JPEG", quality=90)
    return file.getvalue()


def measure(client: httpx.Client, side: int, format: str, requests: int) -> tuple[float, float]:
    """Return the median milliseconds of whole requests, and of the model in them."""
    files = [("content", ("c.jpg", jpeg(side, 0))), ("style", ("s.jpg", jpeg(512, 1)))]
    totals, models = [], []
    for _ in range(requests + 1):
        started = time.perf_counter()
        response = client.post("/v1/stylize", files=files, data={"format": format})
        totals.append(1000 * (time.perf_counter() - started))
        response.raise_for_status()
        model = re.search(r"model;dur=([\d.]+)", response.headers["server-timing"])
        assert model is not None
        models.append(float(model[1]))
    # The first request encoded the style.
    return statistics.median(totals[1:]), statistics.median(models[1:])


def main() -> None:
    """Start the server, measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--requests", type=int, default=10)
    args = parser.parse_args()
    with serving() as client:
        print("| picture | result | HTTP ms | model ms | overhead |")
        print("|---|---|---|---|---|")
        for name in WRITE_FORMATS:
            total, model = measure(client, args.side, name, args.requests)
            print(
                f"| {args.side}x{args.side} | {name} | {total:.0f} | {model:.0f} "
                f"| {(total - model) / model:.1%} |"
            )
        print("\nThe content is known, so that the model computes the decoder alone.")


class Server:
    """`adain serve` with options, on a free port of the loopback interface, its library its own.

    Attributes:
        url: the same after each start.
    """

    def __init__(self, *options: str, **environment: str) -> None:
        self._options, self._environment = options, environment
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = tempfile.TemporaryDirectory()

    def start(self) -> None:
        """Start the process, and return once its model is warm."""
        command = [Path(sys.executable).with_name("adain"), "serve", "--port", str(self.port)]
        settings = {"ADAIN_HOST": "127.0.0.1", "ADAIN_DATA_DIR": self._folder.name}
        self._process = subprocess.Popen(
            [*command, *self._options],
            env=os.environ | settings | self._environment,
            stdout=subprocess.DEVNULL,
        )
        wait_until_ready(self.url)

    @property
    def pid(self) -> int:
        """The number of the process, which has been started."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """Ask the process to end by SIGTERM, and see that it does so with 0."""
        if self._process is None:
            return
        self._process.terminate()
        code = self._process.wait()
        if code != 0:
            raise SystemExit(f"adain serve ended with {code} after SIGTERM")

    def close(self) -> None:
        """End the process, where it has not been stopped, and remove the library."""
        self.stop()
        self._folder.cleanup()


def free_port() -> int:
    """Return a port of the loopback interface that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving() -> Iterator[httpx.Client]:
    """Run a server, and yield a client of it."""
    with closing(Server()) as server:
        server.start()
        with httpx.Client(base_url=server.url, timeout=60) as client:
            yield client


def wait_until_ready(url: str) -> None:
    """Return once the server at `url` is warm."""
    for _ in range(1200):
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit("the server did not become ready within two minutes")


if __name__ == "__main__":
    main()
