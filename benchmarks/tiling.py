"""What tiles cost, and what they save: time and peak memory beside the whole at once.

    python -m benchmarks.tiling [--sizes 1024 2048] [--rounds 3] [--huge 10000]

Each way has a process of its own, so that its peak memory is its own. With --huge a picture of that
many pixels a side is painted once, in tiles. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import time
from multiprocessing.connection import Connection

from benchmarks.speed import STYLE_SIDE, picture
from model.stylizer import TILE


def work(size: int, tile: int, rounds: int, pipe: Connection) -> None:
    """Stylize; send the median seconds and the peak of memory above the loaded model, in MiB."""
    from model import Stylizer

    stylizer = Stylizer.load()
    style = stylizer.encode_style(picture(STYLE_SIDE, 1))
    before = peak()
    content = picture(2048, 0).resize((size, size))
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        stylizer.stylize(content, style, tile=tile)
        seconds.append(time.perf_counter() - started)
    pipe.send((statistics.median(seconds), peak() - before))


def peak() -> float:
    """Return the peak of this process's resident memory, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(size: int, tile: int, rounds: int) -> tuple[float, float]:
    """Return the seconds and the MiB of a size and a tile, in a process of their own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(size, tile, rounds, theirs))
    process.start()
    result: tuple[float, float] = ours.recv()
    process.join()
    return result


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 2048])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--huge", type=int, help="pixels a side of one more picture")
    args = parser.parse_args()
    print("| picture | painted | seconds | time against the whole | MiB above the model |")
    print("|---|---|---|---|---|")
    for size in args.sizes:
        whole = measure(size, size, args.rounds)
        show(size, "whole", whole, whole[0])
        show(size, f"in tiles of {TILE}", measure(size, TILE, args.rounds), whole[0])
    if args.huge:
        show(args.huge, f"in tiles of {TILE}", measure(args.huge, TILE, 1), None)


def show(size: int, way: str, result: tuple[float, float], whole: float | None) -> None:
    """Print a row."""
    seconds, memory = result
    ratio = f"{seconds / whole:.2f}" if whole else ""
    print(f"| {size}x{size} | {way} | {seconds:.2f} | {ratio} | {memory:.0f} |")


if __name__ == "__main__":
    main()
