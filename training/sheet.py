"""A sheet of pictures: every content in every style, to judge quality by eye.

python -m training.sheet --content FOLDER --style FOLDER -o sheet.png
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from tqdm import tqdm

from model import Stylizer
from model.controls import MIN_SIZE, check_range
from model.images import flatten
from training.data.pictures import find_pictures
from training.loop.command import command_parser, guarded
from training.loop.settings import SOURCES

GAP = 4


def make_sheet(
    stylizer: Stylizer,
    contents: Sequence[Image.Image],
    styles: Sequence[Image.Image],
    *,
    cell: int = 256,
    alpha: float = 1.0,
) -> Image.Image:
    """Return a grid: styles along the top, contents down the left, results between.

    Args:
        stylizer: paints the results.
        contents, styles: normalized images; shown as squares cut from their middle.
        cell: side of each square, in pixels; contents are stylized at that size.
        alpha: strength of the styles.
    """
    squares = [ImageOps.fit(flatten(content), (cell, cell)) for content in contents]
    tops: list[Image.Image | None] = [ImageOps.fit(flatten(s), (cell, cell)) for s in styles]
    rows: list[list[Image.Image | None]] = [[square] for square in squares]
    for style in tqdm(styles, unit="style", leave=False, disable=None):
        statistics = stylizer.encode_style(style)
        for row, square in zip(rows, squares, strict=True):
            row.append(stylizer.stylize(square, statistics, alpha=alpha))
    return tile([[None, *tops], *rows], cell)


def tile(rows: Sequence[Sequence[Image.Image | None]], cell: int) -> Image.Image:
    """Return a grid of squares with sides of `cell` pixels; None leaves a place white."""
    step = cell + GAP
    size = step * max(map(len, rows)) - GAP, step * len(rows) - GAP
    grid = Image.new("RGB", size, "white")
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            if image is not None:
                grid.paste(ImageOps.fit(image, (cell, cell)), (j * step, i * step))
    return grid


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a sheet of the pictures in two folders; return the exit code: 0 done, 1 failed."""
    parser = command_parser("training.sheet", __doc__)
    required: dict[str, Any] = {"required": True, **SOURCES}
    parser.add_argument("--content", help="folders or zip files of content pictures", **required)
    parser.add_argument("--style", help="the same of style pictures", **required)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .png to write")
    parser.add_argument("--encoder", type=Path, help="weights in place of the bundled ones")
    parser.add_argument("--decoder", type=Path, help="weights in place of the bundled ones")
    parser.add_argument("--cell", type=int, default=256, help="side of a square (default 256)")
    parser.add_argument("--alpha", type=float, default=1.0, help="strength (default 1)")
    args = parser.parse_args(arguments)

    def work(_: threading.Event) -> bool:
        check_range("cell", args.cell, MIN_SIZE, math.inf)
        contents, styles = (
            [file.read() for file in find_pictures(sources)]
            for sources in (args.content, args.style)
        )
        stylizer = Stylizer.load(encoder=args.encoder, decoder=args.decoder)
        sheet = make_sheet(stylizer, contents, styles, cell=args.cell, alpha=args.alpha)
        sheet.save(args.output, "PNG")
        return True

    return guarded(parser.prog, work)


if __name__ == "__main__":
    sys.exit(main())
