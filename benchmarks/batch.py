"""Pictures of one size painted at once: pictures a second, and how near the device's matrix rate.

    python -m benchmarks.batch [--sizes 256 512 1024] [--batches 1 2 4 8] [--device auto]

From decoded pictures to painted pixels, with a known style. All batches of a size take turns, and a
multiplication of matrices among them. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import torch

from benchmarks.limit import MATRIX_SIDE, multiply_adds, seconds_of
from benchmarks.speed import STYLE_SIDE, picture
from model import Style, Stylizer
from model.painting import Painting


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    stylizer = Stylizer.load(device=args.device, content_cache_bytes=0)
    style = stylizer.encode_style(picture(STYLE_SIDE, 1))
    print(f"{stylizer.device}, {str(stylizer.dtype).removeprefix('torch.')}\n")
    print("| picture | at once | pictures a second | speed against one | of the matrix rate |")
    print("|---|---|---|---|---|")
    for size in args.sizes:
        seconds, matrix = measure(stylizer, style, size, [1, *args.batches], args.rounds)
        alone = seconds[1]
        for batch in args.batches:
            rate = 1 / seconds[batch]
            share = rate * multiply_adds(size) / (MATRIX_SIDE**3 / matrix)
            print(f"| {size}x{size} | {batch} | {rate:.2f} | {alone * rate:.2f} | {share:.0%} |")


@torch.inference_mode()
def measure(
    stylizer: Stylizer, style: Style, size: int, batches: list[int], rounds: int
) -> tuple[dict[int, float], float]:
    """Return the median seconds of a picture by batch, and those of a product of matrices."""
    painting = Painting.plan(picture(size, 0), 1)
    shape = (MATRIX_SIDE, MATRIX_SIDE)
    a, b = (torch.rand(shape, device=stylizer.device, dtype=stylizer.dtype) for _ in range(2))
    works: dict[int, Callable[[], object]] = {
        batch: lambda batch=batch: stylizer.paint([painting] * batch, [[style]] * batch)
        for batch in batches
    }
    matrix: list[float] = []
    times: dict[int, list[float]] = {batch: [] for batch in batches}
    for _ in range(rounds + 1):
        matrix.append(seconds_of(lambda: a @ b, stylizer.device))
        for batch, work in works.items():
            times[batch].append(seconds_of(work, stylizer.device) / batch)
    return (
        {batch: statistics.median(each[1:]) for batch, each in times.items()},
        statistics.median(matrix[1:]),
    )


if __name__ == "__main__":
    main()
