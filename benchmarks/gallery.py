"""Make docs/gallery.jpg, the README's sheet: pictures of scikit-image in starter styles.

    python -m benchmarks.gallery -o docs/gallery.jpg
    python -m benchmarks.gallery -o docs/quality.jpg --before FOLDER
    python -m benchmarks.gallery -o docs/practised.jpg --practised
    python -m benchmarks.gallery -o docs/detail.jpg --details -1 -0.5 0 0.5 1

With --before, what the weights in that folder make stands left of what the others make. With
--practised, what is made of a style's picture stands left of what the practised style makes. With
--details, each row is one content in one style, with more and more of the content kept.

The contents come with scikit-image: astronaut (NASA, public domain), chelsea (Stefan van der Walt,
CC0), coffee (Rachel Michetti, CC0), rocket (SpaceX, CC0).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image, ImageOps

from app.library.store import Starter
from app.starter import PAINTINGS, starters
from model import Stylizer, read_image
from model.style import Style
from training.sheet import make_sheet, tile

STYLES = ("night-brush", "sunset-glass", "waves-woodcut", "town-hatching")
CONTENTS = ("chelsea", "astronaut", "coffee", "rocket")


def compare(
    contents: Sequence[Image.Image],
    styles: Sequence[Image.Image],
    ways: Sequence[Sequence[tuple[Stylizer, Style]]],
    cell: int,
) -> Image.Image:
    """Return a grid: contents down the left, and under each style what two ways make of it."""
    header: list[Image.Image | None] = [None]
    squares = [ImageOps.fit(content, (cell, cell)) for content in contents]
    rows: list[list[Image.Image | None]] = [[square] for square in squares]
    for picture, pair in zip(styles, ways, strict=True):
        header += [picture, None]
        for stylizer, style in pair:
            for row, square in zip(rows, squares, strict=True):
                row.append(stylizer.stylize(square, style))
    return tile([header, *rows], cell)


def show_details(
    stylizer: Stylizer,
    contents: Sequence[Image.Image],
    styles: Sequence[Image.Image],
    details: Sequence[float],
    cell: int,
) -> Image.Image:
    """Return a row for each content and its style: both, and the result at each `detail`."""
    rows = []
    for content, style in zip(contents, styles, strict=True):
        square, encoded = ImageOps.fit(content, (cell, cell)), stylizer.encode_style(style)
        results = [stylizer.stylize(square, encoded, detail=detail) for detail in details]
        rows.append([square, style, *results])
    return tile(rows, cell)


def starters_named(names: Iterable[str]) -> dict[str, Starter]:
    """Return starter styles by the names of their files without a suffix, in their order."""
    known = {Path(of.file).stem: each for of, each in zip(PAINTINGS, starters(), strict=True)}
    return {name: known[name] for name in names}


def skimage_pictures() -> list[Image.Image]:
    """Return scikit-image's pictures named above."""
    from skimage import data

    return [Image.fromarray(getattr(data, name)()) for name in CONTENTS]


def main() -> None:
    """Paint the styles, stylize, and write the sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to write")
    parser.add_argument("--encoder", type=Path, help="weights in place of the bundled ones")
    parser.add_argument("--decoder", type=Path, help="weights in place of the bundled ones")
    parser.add_argument("--before", type=Path, help="folder of an encoder and a decoder")
    parser.add_argument("--practised", action="store_true", help="beside the practised styles")
    parser.add_argument(
        "--details", type=float, nargs="+", help="values from -1 to 1, a column each"
    )
    args = parser.parse_args()
    contents = skimage_pictures()
    chosen = list(starters_named(STYLES).values())
    styles = [read_image(each.file) for each in chosen]
    stylizer = Stylizer.load(encoder=args.encoder, decoder=args.decoder)
    if args.before:
        before = Stylizer.load(
            encoder=args.before / "encoder.safetensors", decoder=args.before / "decoder.safetensors"
        )
        both = (before, stylizer)
        ways = [[(each, each.encode_style(style)) for each in both] for style in styles]
        sheet = compare(contents, styles, ways, cell=224)
    elif args.practised:
        practised = [Style.from_bytes(each.practised or b"") for each in chosen]
        pairs = zip(map(stylizer.encode_style, styles), practised, strict=True)
        ways = [[(stylizer, style) for style in pair] for pair in pairs]
        sheet = compare(contents, styles, ways, cell=224)
    elif args.details:
        sheet = show_details(stylizer, contents, styles, args.details, cell=256)
    else:
        sheet = make_sheet(stylizer, contents, styles, cell=320)
    sheet.save(args.output, quality=88)


if __name__ == "__main__":
    main()
