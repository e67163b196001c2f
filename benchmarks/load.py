"""The service under many clients: throughput beside the bare model's, and how long clients wait.

    python -m benchmarks.load [--clients 1 4 8 16] [--requests 40] [--side 512]

Each client sends its next request as soon as the last one is answered (a closed loop): JPEG content
and result, a saved style. The bare model stylizes the same decoded picture before and after each
row, in this process, while the server rests. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
from PIL import Image

from benchmarks.server import jpeg, serving
from benchmarks.speed import STYLE_SIDE, picture
from model import ChannelStatistics, Stylizer

BARE_ROUNDS = 8


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--requests", type=int, default=40, help="in all, for each row")
    parser.add_argument("--side", type=int, default=512)
    args = parser.parse_args()
    stylizer = Stylizer.load()
    style, content = stylizer.encode_style(picture(STYLE_SIDE, 1)), picture(args.side, 0)

    def bare() -> list[float]:
        return [seconds_of(stylizer, content, style) for _ in range(BARE_ROUNDS)]

    bare()  # warm-up
    print("| clients | requests a second | share of the bare model's | p50 s | p95 s | p99 s |")
    print("|---|---|---|---|---|---|")
    with serving() as client:
        files = {"file": jpeg(STYLE_SIDE, 1)}
        saved = client.post("/v1/styles", data={"name": "benchmark"}, files=files).json()["id"]
        sent = jpeg(args.side, 0)
        send(client, sent, saved)
        for clients in args.clients:
            seconds = bare()
            rate, waits = load(client, clients, args.requests, sent, saved)
            alone = 1 / statistics.median(seconds + bare())
            cells = [f"{rate:.2f}", f"{rate / alone:.0%}"]
            cells += [f"{percentile(waits, share):.2f}" for share in (0.5, 0.95, 0.99)]
            print(f"| {clients} | {' | '.join(cells)} |")


def seconds_of(stylizer: Stylizer, content: Image.Image, style: ChannelStatistics) -> float:
    """Return the seconds of one stylization by the model alone."""
    started = time.perf_counter()
    stylizer.stylize(content, style)
    return time.perf_counter() - started


def load(
    client: httpx.Client, clients: int, requests: int, content: bytes, style: str
) -> tuple[float, list[float]]:
    """Return the requests a second of so many clients, and the seconds that each request took."""
    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        waits = list(pool.map(lambda _: send(client, content, style), range(requests)))
    return requests / (time.perf_counter() - started), waits


def send(client: httpx.Client, content: bytes, style: str) -> float:
    """Stylize once over HTTP, and return the seconds."""
    started = time.perf_counter()
    data = {"style_id": style, "format": "jpeg"}
    client.post("/v1/stylize", files={"content": content}, data=data).raise_for_status()
    return time.perf_counter() - started


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that a share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


if __name__ == "__main__":
    main()
