"""Make docs/controls.md: every control as a row of pictures, by the bundled weights.

    python -m benchmarks.controls [-o docs]

The content comes with scikit-image: astronaut (NASA, public domain). The styles are of those that a
new library has (CC0).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps

from benchmarks.gallery import starters_named
from model import Stylizer, read_image
from training.sheet import tile

STYLE, OTHER = "night-brush", "waves-woodcut"
CELL = 224
HEAD = """# Controls

`python -m benchmarks.controls` makes this page. In each row the content and the style stand left;
[the README](../README.md#controls) has the names on the command line and in requests.
"""


class Row(NamedTuple):
    """A control.

    Attributes:
        name: of the control.
        meaning: a sentence.
        values: what stands under the pictures.
        paint: from one of the values, by its number, to the result.
    """

    name: str
    meaning: str
    values: list[str]
    paint: Callable[[int], Image.Image]


def rows(
    stylizer: Stylizer, content: Image.Image, style: Image.Image, other: Image.Image
) -> list[Row]:
    """Return all controls."""
    one, two = stylizer.encode_style(style), stylizer.encode_style(other)
    alphas, details = [0, 0.25, 0.5, 0.75, 1], [-1, -0.5, 0, 0.5, 1]
    brushes, masks = [128, 256, 384, 512, 768], halves(content.size)
    mixes = [[100, 1], [3, 1], [1, 1], [1, 3], [1, 100]]

    def paint_brush(number: int) -> Image.Image:
        return stylizer.stylize(content, stylizer.encode_style(style, style_size=brushes[number]))

    def paint_regions(number: int) -> Image.Image:
        if number < len(masks):
            return stylizer.stylize(content, [one, two], masks=masks[number])
        return stylizer.stylize(content, one, masks=masks[0][:1])

    return [
        Row(
            "alpha",
            "Strength: 0 is the content, 1 the full style.",
            [str(alpha) for alpha in alphas],
            lambda number: stylizer.stylize(content, one, alpha=alphas[number]),
        ),
        Row(
            "detail",
            "How much of the content's lines and shapes to keep.",
            [str(detail) for detail in details],
            lambda number: stylizer.stylize(content, one, detail=details[number]),
        ),
        Row(
            "style_size",
            "The brush: the shorter side at which the style is seen, in pixels.",
            [str(brush) for brush in brushes],
            paint_brush,
        ),
        Row(
            "weight",
            f"Two styles mixed, {STYLE} and {OTHER}.",
            ["100:1", "3:1", "1:1", "1:3", "1:100"],
            lambda number: stylizer.stylize(content, [one, two], weights=mixes[number]),
        ),
        Row(
            "mask",
            "A style for each part: left and right, above and below, blended, and one part alone.",
            ["left and right", "above and below", "blended", "one alone"],
            paint_regions,
        ),
        Row(
            "preserve_color",
            "The style's strokes in the content's colours.",
            ["false", "true"],
            lambda number: stylizer.stylize(content, one, preserve_color=bool(number)),
        ),
    ]


def halves(size: tuple[int, int]) -> list[list[Image.Image]]:
    """Return pairs of masks: left and right, above and below, and one that fades to the other."""
    fade = Image.linear_gradient("L").resize(size)
    below = fade.point([0] * 128 + [255] * 128)
    return [[mask, ImageOps.invert(mask)] for mask in (below.rotate(90), below, fade)]


def main() -> None:
    """Paint all rows, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"), help="folder to write")
    folder = parser.parse_args().output
    from skimage import data

    style, other = (read_image(each.file) for each in starters_named((STYLE, OTHER)).values())
    content = ImageOps.fit(Image.fromarray(data.astronaut()), (384, 384))
    stylizer = Stylizer.load()
    (folder / "controls").mkdir(exist_ok=True)
    page = HEAD
    for row in rows(stylizer, content, style, other):
        results = [row.paint(number) for number in range(len(row.values))]
        sheet = tile([[content, style, *results]], CELL)
        sheet.save(folder / "controls" / f"{row.name}.jpg", quality=85)
        values = ", ".join(row.values)
        page += f"\n## {row.name}\n\n{row.meaning} From left to right: {values}.\n\n"
        page += f"![{row.name}: {values}](controls/{row.name}.jpg)\n"
    (folder / "controls.md").write_text(page)


if __name__ == "__main__":
    main()
