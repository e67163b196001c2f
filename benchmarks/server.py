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
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.speed import picture
from model.image import WRITE_FORMATS


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


@contextmanager
def serving() -> Iterator[httpx.Client]:
    """Start `adain serve` with a library of its own, and yield a client of it once it is warm."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [Path(sys.executable).with_name("adain"), "serve", "--port", str(port)]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"ADAIN_HOST": "127.0.0.1", "ADAIN_DATA_DIR": folder}
        server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                wait_until_ready(client)
                yield client
        finally:
            server.terminate()
            server.wait()


def wait_until_ready(client: httpx.Client) -> None:
    """Return once the server is warm."""
    for _ in range(600):
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.ConnectError:
            pass
        time.sleep(0.1)
    raise SystemExit("the server did not become ready within a minute")


if __name__ == "__main__":
    main()
