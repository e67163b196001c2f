"""What each further style of a picture costs: mixed, each in its own region, or not seen before.

    python -m benchmarks.styles [--counts 1 2 4 8] [--side 512] [--rounds 7] [--device auto]

All take turns in one process. Prints a Markdown table; ratios are against one known style.
"""

from __future__ import annotations

import argparse
import statistics

from PIL import Image

from benchmarks.limit import seconds_of
from benchmarks.speed import STYLE_SIDE, picture
from model import Stylizer


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    stylizer = Stylizer.load(device=args.device)
    seconds = measure(stylizer, [1, *args.counts], args.side, args.rounds)
    one = seconds["known", 1]
    print(f"| styles of {args.side}x{args.side} | known, mixed | known, in regions | new, mixed |")
    print("|---|---|---|---|")
    for count in args.counts:
        cells = [
            f"{seconds[way, count]:.3f} s ({seconds[way, count] / one:.2f})"
            for way in ("known", "regions", "new")
        ]
        print(f"| {count} | {' | '.join(cells)} |")
    print("\nThe content is known, so that the model computes the decoder alone.")


def measure(
    stylizer: Stylizer, counts: list[int], side: int, rounds: int
) -> dict[tuple[str, int], float]:
    """Return the median seconds of a picture, by the way that its styles come and their number."""
    content = picture(side, 0)
    pictures = [picture(STYLE_SIDE, 1 + seed) for seed in range(max(counts))]
    known = [stylizer.encode_style(style) for style in pictures]
    masks = [stripe(side, index, len(known)) for index in range(len(known))]

    def new(count: int) -> None:
        stylizer.stylize(content, [stylizer.encode_style(style) for style in pictures[:count]])

    ways = {
        "known": lambda count: stylizer.stylize(content, known[:count]),
        "regions": lambda count: stylizer.stylize(content, known[:count], masks=masks[:count]),
        "new": new,
    }
    times: dict[tuple[str, int], list[float]] = {
        (way, count): [] for count in counts for way in ways
    }
    for _ in range(rounds + 1):
        for (way, count), each in times.items():
            work = ways[way]
            each.append(seconds_of(lambda w=work, n=count: w(n), stylizer.device))
    return {key: statistics.median(each[1:]) for key, each in times.items()}


def stripe(side: int, index: int, count: int) -> Image.Image:
    """Return the mask of one of `count` upright stripes."""
    mask = Image.new("L", (side, side))
    mask.paste(255, (side * index // count, 0, side * (index + 1) // count, side))
    return mask


if __name__ == "__main__":
    main()
