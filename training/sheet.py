"""A sheet of pictures: every content in every style, to judge quality by eye.

python -m training.sheet --content FOLDER --style FOLDER -o sheet.png
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageOps
from tqdm import tqdm

from model import Stylizer, read_image
from model.image import flatten, list_pictures

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
    step = cell + GAP
    sheet = Image.new("RGB", (step * (len(styles) + 1) - GAP, step * (len(contents) + 1) - GAP))
    sheet.paste("white", (0, 0, *sheet.size))
    squares = [ImageOps.fit(flatten(content), (cell, cell)) for content in contents]
    for row, square in enumerate(squares, 1):
        sheet.paste(square, (0, row * step))
    for column, style in enumerate(tqdm(styles, unit="style"), 1):
        sheet.paste(ImageOps.fit(flatten(style), (cell, cell)), (column * step, 0))
        statistics = stylizer.encode_style(style)
        for row, square in enumerate(squares, 1):
            result = stylizer.stylize(square, statistics, alpha=alpha)
            sheet.paste(result, (column * step, row * step))
    return sheet


def main() -> None:
    """Make a sheet of the pictures in two folders."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--content", type=Path, required=True, help="folder of content pictures")
    parser.add_argument("--style", type=Path, required=True, help="folder of style pictures")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .png to write")
    parser.add_argument("--encoder", type=Path, help="weights in place of the bundled ones")
    parser.add_argument("--decoder", type=Path, help="weights in place of the bundled ones")
    parser.add_argument("--cell", type=int, default=256, help="side of a square (default 256)")
    parser.add_argument("--alpha", type=float, default=1.0, help="strength (default 1)")
    args = parser.parse_args()
    stylizer = Stylizer.load(encoder=args.encoder, decoder=args.decoder)
    contents, styles = (
        [read_image(path) for path in list_pictures(folder)]
        for folder in (args.content, args.style)
    )
    make_sheet(stylizer, contents, styles, cell=args.cell, alpha=args.alpha).save(args.output)


if __name__ == "__main__":
    main()
