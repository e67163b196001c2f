"""Seconds per picture and peak memory, ours beside a plain implementation, in one run.

    python -m benchmarks.speed [--sizes 512 1024] [--large 2048] [--rounds 5] [--device auto]

Each method has a process of its own, so that its peak memory is its own; they take turns, one
picture at a time, so that noise of the machine meets all alike. Sizes that are `large` are measured
once, and without the plain implementation. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np
from PIL import Image

STYLE_SIDE = 512
PLAIN = "(c) plain eager float32"
CACHED = "(a) ours, cached style"
NEW = "(b) ours, new style"
KNOWN = "(d) ours, cached style and content"
FLOAT32 = "(a) in float32"


def picture(side: int, seed: int) -> Image.Image:
    """Return smooth noise: the speed does not depend on what is in a picture."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side // 8, side // 8, 3), np.uint8)
    return Image.fromarray(pixels).resize((side, side))


def prepare(method: str, device: str, content: Image.Image) -> Callable[[], Image.Image]:
    """Load a method, and return what stylizes `content` once."""
    style = picture(STYLE_SIDE, 1)
    if method == PLAIN:
        from benchmarks.plain import Plain
        from model.runtime import choose_device

        plain = Plain(device=str(choose_device(device)))
        return lambda: plain.stylize(content, style)

    from model import Stylizer

    # The same content comes again and again: but for one method it is to be as if it were new.
    kept = {} if method == KNOWN else {"content_cache_bytes": 0}
    precision = "float32" if method == FLOAT32 else "auto"
    stylizer = Stylizer.load(device=device, precision=precision, **kept)
    if method == NEW:
        return lambda: stylizer.stylize(content, stylizer.encode_style(style))
    known = stylizer.encode_style(style)
    return lambda: stylizer.stylize(content, known)


def work(method: str, device: str, size: int, pipe: Connection) -> None:
    """Stylize once for each message; answer seconds and the peak of resident memory in MiB."""
    run = prepare(method, device, picture(size, 0))
    run()
    pipe.send(None)
    while pipe.recv():
        started = time.perf_counter()
        run()
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pipe.send((seconds, peak / 1024))


def measure(
    methods: list[str], device: str, size: int, rounds: int
) -> dict[str, tuple[float, float]]:
    """Return for each method the median seconds and the peak of resident memory in MiB."""
    context = multiprocessing.get_context("spawn")
    pipes, processes, results = {}, [], {}
    for method in methods:
        pipes[method], theirs = context.Pipe()
        process = context.Process(target=work, args=(method, device, size, theirs))
        process.start()
        processes.append(process)
        pipes[method].recv()  # one after the other: loading must not disturb a warm-up
    rows: dict[str, list[tuple[float, float]]] = {method: [] for method in methods}
    for _ in range(rounds):
        for method in methods:
            pipes[method].send(True)
            rows[method].append(pipes[method].recv())
    for method, process in zip(methods, processes, strict=True):
        pipes[method].send(False)
        process.join()
        seconds, peaks = zip(*rows[method], strict=True)
        results[method] = statistics.median(seconds), max(peaks)
    return results


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--large", type=int, nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    print("| picture | method | seconds | speed against (c) | peak MiB |")
    print("|---|---|---|---|---|")
    for size in args.sizes:
        show(size, measure([PLAIN, NEW, CACHED, KNOWN, FLOAT32], args.device, size, args.rounds))
    for size in args.large:
        show(size, measure([CACHED, FLOAT32], args.device, size, 1))


def show(size: int, results: dict[str, tuple[float, float]]) -> None:
    """Print the rows of a size."""
    for method, (seconds, peak) in results.items():
        ratio = f"{results[PLAIN][0] / seconds:.2f}" if PLAIN in results else ""
        print(f"| {size}x{size} | {method} | {seconds:#.3g} | {ratio} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
