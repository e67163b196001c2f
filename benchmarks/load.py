"""The service under many clients: throughput beside the bare model's, and how long clients wait.

    python -m benchmarks.load [--clients 1 4 8 16 64] [--seconds 40] [--side 256]

Locust's clients send a JPEG content and a saved style, and want a JPEG. First each asks again as
soon as it is answered, which shows what the service can do; then all together ask at a steady rate,
0.8 of the bare model's, whether answered or not, which shows how long one waits at a common load.
A client that is refused (503) waits as long as the answer says. The bare model stylizes the same
decoded picture one by one before and after each row, in this process, while the server rests.
Prints a Markdown table; times are of requests that succeeded.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx
from PIL import Image

from benchmarks.server import jpeg, serving
from benchmarks.speed import STYLE_SIDE, picture
from model import Style, Stylizer

BARE_ROUNDS = 8
STEADY = 0.8
ASKS, AT_ONCE = "each asks", "when answered"


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 8, 16, 64])
    parser.add_argument("--seconds", type=int, default=40, help="length of each row")
    parser.add_argument("--side", type=int, default=256)
    args = parser.parse_args()
    stylizer = Stylizer.load()
    style, content = stylizer.encode_style(picture(STYLE_SIDE, 1)), picture(args.side, 0)

    def bare() -> list[float]:
        return [seconds_of(stylizer, content, style) for _ in range(BARE_ROUNDS)]

    bare()  # warm-up
    print(
        "| clients | each asks | answers a second | of the bare model's | refused | p50 s ", end=""
    )
    print("| p95 s | p99 s |\n|---|---|---|---|---|---|---|---|")
    with serving() as client, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "content.jpg"
        file.write_bytes(jpeg(args.side, 0))
        saved = save_style(client)
        for steady in (0, STEADY):
            for clients in args.clients:
                before = bare()
                period = clients * statistics.median(before) / steady if steady else 0
                arguments = ["--content", str(file), "--saved", saved, "--period", str(period)]
                answers = load(client.base_url, clients, args.seconds, arguments)
                cells = [str(clients), f"every {period:.1f} s" if period else AT_ONCE]
                cells += describe(answers, 1 / statistics.median(before + bare()))
                print(f"| {' | '.join(cells)} |", flush=True)


def save_style(client: httpx.Client) -> str:
    """Save a style, and return its id once its statistics are known."""
    files = {"file": jpeg(STYLE_SIDE, 1)}
    saved: str = client.post("/v1/styles", data={"name": "benchmark"}, files=files).json()["id"]
    client.post("/v1/stylize", files={"content": jpeg(64, 0)}, data={"style_id": saved})
    return saved


def seconds_of(stylizer: Stylizer, content: Image.Image, style: Style) -> float:
    """Return the seconds of one stylization by the model alone."""
    started = time.perf_counter()
    stylizer.stylize(content, style)
    return time.perf_counter() - started


def load(url: object, clients: int, seconds: int, arguments: list[str]) -> dict[str, dict]:
    """Run so many clients for so long, and return Locust's statistics by HTTP status."""
    command = [sys.executable, "-m", "locust", "--locustfile", "benchmarks/users.py"]
    command += ["--headless", "--json", "--only-summary", "--loglevel", "ERROR"]
    command += ["--host", str(url)]
    command += ["--users", str(clients), "--spawn-rate", str(clients)]
    # What was asked for is answered before the clients leave.
    command += ["--run-time", str(seconds), "--stop-timeout", "60", *arguments]
    # Its tables go to standard error.
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {row["name"]: row for row in json.loads(done.stdout)}


def describe(answers: dict[str, dict], bare: float) -> list[str]:
    """Return the cells of a row, from the statistics and the pictures a second of the bare model.

    Raises:
        SystemExit: an answer was neither a picture nor a refusal.
    """
    if not answers.keys() <= {"200", "503"}:
        raise SystemExit(f"unexpected answers: {', '.join(answers)}")
    good = answers["200"]
    rate = good["num_requests"] / (good["last_request_timestamp"] - good["start_time"])
    refused = answers.get("503", {"num_requests": 0})["num_requests"]
    times = Counter({int(ms) / 1000: n for ms, n in good["response_times"].items()})
    cells = [f"{rate:.2f}", f"{rate / bare:.0%}", str(refused)]
    return cells + [f"{percentile(times, share):.2f}" for share in (0.5, 0.95, 0.99)]


def percentile(times: Counter[float], share: float) -> float:
    """Return the time that a share of the requests did not exceed."""
    values = sorted(times.elements())
    return values[min(len(values) - 1, int(share * len(values)))]


if __name__ == "__main__":
    main()
