"""Two replicas on a Ray cluster against one process of as many threads: is anything lost?

    python -m benchmarks.ray [--side 256] [--seconds 20] [--rounds 3] [--clients 32]
                            [--requests 1000]

Runs `adain serve`, and `adain serve --engine ray` with two model replicas of one CPU each, side by
side, and asks one at a time. Throughput: Locust's clients ask again as soon as they are answered,
in rounds by turns; 32 of them are for each of two replicas one batch to paint, and one that waits
meanwhile. Overhead: what one client waits for beyond the model's time. Loss: one replica
is killed after a third of the requests. Prints a Markdown table; exits with 1 where one was lost.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import httpx

from benchmarks.load import load, save_style
from benchmarks.server import Server, jpeg

PROCESS, RAY = "one process, two threads", "two Ray replicas"
REPLICAS = "ray::ServeReplica:adain:model"
ALONE = 30


def main() -> None:
    """Measure, print the table, and exit with 1 where a request was lost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--seconds", type=int, default=20, help="length of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=1000, help="while a replica is killed")
    args = parser.parse_args()
    settings = {"ADAIN_MAX_REQUESTS": str(args.clients)}
    on_ray = {"ADAIN_RAY_REPLICAS": "2", "RAY_ADDRESS": "local"}
    servers = {
        PROCESS: Server(**settings),
        RAY: Server("--engine", "ray", **settings, **on_ray),
    }
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        file = Path(folder) / "content.jpg"
        file.write_bytes(jpeg(args.side, 0))
        saved, overheads = {}, {}
        for name, server in servers.items():
            stack.enter_context(closing(server)).start()
            with httpx.Client(base_url=server.url, timeout=60) as client:
                saved[name] = save_style(client)
                overheads[name] = overhead(client, file.read_bytes(), saved[name])
        rates: dict[str, list[float]] = {name: [] for name in servers}
        for _ in range(args.rounds):
            for name, server in servers.items():
                sent = ["--content", str(file), "--saved", saved[name], "--period", "0"]
                answers = load(server.url, args.clients, args.seconds, sent)
                good = answers["200"]
                seconds = good["last_request_timestamp"] - good["start_time"]
                rates[name].append(good["num_requests"] / seconds)
        print_table(rates, overheads)
        statuses = kill_one(servers[RAY].url, file.read_bytes(), saved[RAY], args)
    shown = ", ".join(f"{count} of {status}" for status, count in sorted(statuses.items()))
    print(f"\n{args.requests} requests, one of two replicas killed meanwhile: {shown}")
    sys.exit(0 if statuses.keys() == {200} else 1)


def print_table(rates: dict[str, list[float]], overheads: dict[str, float]) -> None:
    """Print the median of the rounds, and what one client waited for."""
    print("| engine | pictures a second | of one process | beyond the model, ms |")
    print("|---|---|---|---|")
    base = statistics.median(rates[PROCESS])
    for name, measured in rates.items():
        rate = statistics.median(measured)
        print(
            f"| {name} | {rate:.2f} | {rate / base:.0%} | {1000 * overheads[name]:.1f} |",
            flush=True,
        )


def overhead(client: httpx.Client, content: bytes, saved: str) -> float:
    """Return the median of the seconds that a request takes beyond those of the model."""
    beyond = []
    for _ in range(ALONE):
        started = time.perf_counter()
        response = stylize(client, content, saved)
        total = time.perf_counter() - started
        response.raise_for_status()
        model = re.search(r"model;dur=([\d.]+)", response.headers["server-timing"])
        assert model is not None
        beyond.append(total - float(model[1]) / 1000)
    return statistics.median(beyond)


def stylize(client: httpx.Client, content: bytes, saved: str) -> httpx.Response:
    """Stylize once."""
    data = {"style_id": saved, "format": "jpeg"}
    return client.post("/v1/stylize", files={"content": content}, data=data)


def kill_one(url: str, content: bytes, saved: str, args: argparse.Namespace) -> Counter[int]:
    """Send requests, kill a replica after a third of them, and return how they were answered."""
    with (
        httpx.Client(base_url=url, timeout=60) as client,
        ThreadPoolExecutor(args.clients) as threads,
    ):
        asked = [threads.submit(stylize, client, content, saved) for _ in range(args.requests)]
        asked[args.requests // 3].result()
        os.kill(processes(REPLICAS)[0], signal.SIGKILL)
        return Counter(each.result().status_code for each in asked)


def processes(title: str) -> list[int]:
    """Return the ids of the processes whose command begins with a title."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            if command.startswith(title.encode()):
                found.append(int(folder.name))
    return found


if __name__ == "__main__":
    main()
