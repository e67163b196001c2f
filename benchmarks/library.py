"""What a saved style saves: requests a second by style_id, and with the style's picture.

    python -m benchmarks.library [--side 512] [--rounds 8]

One client over a real server of its own; the ways take turns, so that a busy machine slows all of
them. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
import time

import httpx

from benchmarks.server import jpeg, serving

WAYS = ("style_id", "picture, seen before", "picture, new")


def main() -> None:
    """Save a style, measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=512, help="of content and styles, in pixels")
    parser.add_argument("--rounds", type=int, default=8)
    args = parser.parse_args()
    content, style = jpeg(args.side, 0), jpeg(args.side, 1)
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    with serving() as client:
        saved = client.post("/v1/styles", data={"name": "benchmark"}, files={"file": style}).json()
        for index in range(args.rounds + 1):
            new = jpeg(args.side, 2 + index)
            seconds[WAYS[0]].append(measure(client, content, None, saved["id"]))
            seconds[WAYS[1]].append(measure(client, content, style, None))
            seconds[WAYS[2]].append(measure(client, content, new, None))
    # The first round encoded the style for those that know it.
    medians = {way: statistics.median(each[1:]) for way, each in seconds.items()}
    print("| style sent as | requests a second | speed against a new picture |")
    print("|---|---|---|")
    for way, median in medians.items():
        print(f"| {way} | {1 / median:.2f} | {medians[WAYS[2]] / median:.2f} |")


def measure(client: httpx.Client, content: bytes, style: bytes | None, id: str | None) -> float:
    """Return the seconds of a request with a style's picture or with its id."""
    files = [("content", ("c.jpg", content))]
    if style is not None:
        files.append(("style", ("s.jpg", style)))
    data = {"format": "jpeg"} | ({"style_id": id} if id else {})
    started = time.perf_counter()
    client.post("/v1/stylize", files=files, data=data).raise_for_status()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
