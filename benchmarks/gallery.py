"""Make docs/gallery.jpg, the README's sheet: pictures of scikit-image in styles painted here.

    python -m benchmarks.gallery -o docs/gallery.jpg
    python -m benchmarks.gallery -o docs/quality.jpg --before FOLDER

With --before, what the weights in that folder make stands left of what the others make.

The contents come with scikit-image: astronaut (NASA, public domain), chelsea (Stefan van der Walt,
CC0), coffee (Rachel Michetti, CC0), rocket (SpaceX, CC0).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from model import Stylizer
from training.sheet import make_sheet, tile

SIDE = 512
CONTENTS = ("chelsea", "astronaut", "coffee", "rocket")
Color = tuple[int, int, int]


def night() -> Image.Image:
    """Brush strokes along a field of whirls, light around the whirls."""
    random = np.random.default_rng(4)
    image = Image.new("RGB", (SIDE, SIDE), (16, 28, 78))
    draw = ImageDraw.Draw(image)
    whirls = random.uniform(0, SIDE, (5, 2))
    for _ in range(9000):
        x, y = random.uniform(0, SIDE, 2)
        offsets = np.array([x, y]) - whirls
        distance = np.hypot(*offsets.T)
        near = np.exp(-((distance / 90) ** 2))
        around = offsets[:, ::-1] * [-1, 1] / distance[:, None]
        flow_x, flow_y = (around * near[:, None]).sum(0)
        angle = math.atan2(flow_y + 0.1, flow_x + 0.35)
        glow = float(np.exp(-((distance.min() / 45) ** 2)))
        blue = random.uniform(0.3, 1)
        color = mix_colors((round(20 * blue), round(90 * blue), round(190 * blue)), glow, random)
        dx, dy = 9 * math.cos(angle), 9 * math.sin(angle)
        draw.line((x - dx, y - dy, x + dx, y + dy), color, 4)
    return image


def mix_colors(color: Color, glow: float, random: np.random.Generator) -> Color:
    """Return `color`, nearer to one of two yellows the stronger the glow."""
    light = [(250, 210, 60), (255, 240, 170)][random.integers(2)]
    red, green, blue = (round(a + glow * (b - a)) for a, b in zip(color, light, strict=True))
    return red, green, blue


def glass() -> Image.Image:
    """Stained glass: the cells nearest to random points, in lead."""
    random = np.random.default_rng(8)
    points = random.uniform(0, SIDE, (160, 2))
    palette = np.array(
        [
            (200, 30, 40),
            (240, 170, 30),
            (30, 90, 170),
            (20, 130, 90),
            (240, 230, 200),
            (110, 40, 120),
        ]
    )
    y, x = np.mgrid[:SIDE, :SIDE]
    distances = np.hypot(x[..., None] - points[:, 0], y[..., None] - points[:, 1])
    two = np.partition(distances, 1, axis=-1)[..., :2]
    shade = random.uniform(0.7, 1.1, (160, 1))
    cells = (palette[random.integers(len(palette), size=160)] * shade)[distances.argmin(-1)]
    cells[two[..., 1] - two[..., 0] < 5] = (15, 12, 20)
    return Image.fromarray(cells.clip(0, 255).astype(np.uint8))


def dawn() -> Image.Image:
    """Warm bands of paint that wave across the picture."""
    random = np.random.default_rng(3)
    image = Image.new("RGB", (SIDE, SIDE), (60, 30, 30))
    draw = ImageDraw.Draw(image)
    palette = [
        (220, 90, 30),
        (245, 160, 50),
        (150, 45, 35),
        (90, 60, 50),
        (50, 70, 80),
        (250, 205, 120),
    ]
    for _ in range(1400):
        y0, x0 = random.uniform(-20, SIDE + 20), random.uniform(-80, SIDE)
        color = palette[int((y0 / 70 + random.normal(0, 0.7)) % len(palette))]
        points = [
            (x0 + t, y0 + 22 * math.sin((x0 + t) / 60 + y0 / 90) + random.normal(0, 0.8))
            for t in range(0, 110, 8)
        ]
        draw.line(points, color, int(random.integers(3, 8)), joint="curve")
    return image.filter(ImageFilter.SMOOTH)


def ink() -> Image.Image:
    """Pen hatching on paper, denser where it is dark."""
    random = np.random.default_rng(5)
    image = Image.new("RGB", (SIDE, SIDE), (244, 238, 222))
    draw = ImageDraw.Draw(image)
    for _ in range(5200):
        x, y = random.uniform(0, SIDE, 2)
        dark = 0.5 + 0.5 * math.sin(x / 55 + 1.3 * math.sin(y / 70)) * math.cos(y / 60)
        if random.uniform() < dark**1.5:
            angle = 0.8 if dark < 0.7 or random.uniform() < 0.6 else 2.3
            length = random.uniform(8, 26)
            dx, dy = length * math.cos(angle), length * math.sin(angle)
            draw.line((x, y, x + dx, y + dy), (28, 30, 48), 2)
    return image


def compare(
    before: Stylizer,
    after: Stylizer,
    contents: Sequence[Image.Image],
    styles: Sequence[Image.Image],
    cell: int,
) -> Image.Image:
    """Return a grid: contents down the left, and under each style what two stylizers make of it."""
    header: list[Image.Image | None] = [None]
    squares = [ImageOps.fit(content, (cell, cell)) for content in contents]
    rows: list[list[Image.Image | None]] = [[square] for square in squares]
    for style in styles:
        header += [style, None]
        for stylizer in (before, after):
            statistics = stylizer.encode_style(style)
            for row, square in zip(rows, squares, strict=True):
                row.append(stylizer.stylize(square, statistics))
    return tile([header, *rows], cell)


def main() -> None:
    """Paint the styles, stylize, and write the sheet."""
    from skimage import data

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to write")
    parser.add_argument("--encoder", type=Path, help="weights in place of the bundled ones")
    parser.add_argument("--decoder", type=Path, help="weights in place of the bundled ones")
    parser.add_argument("--before", type=Path, help="folder of an encoder and a decoder")
    args = parser.parse_args()
    contents = [Image.fromarray(getattr(data, name)()) for name in CONTENTS]
    styles = [night(), glass(), dawn(), ink()]
    stylizer = Stylizer.load(encoder=args.encoder, decoder=args.decoder)
    if args.before:
        before = Stylizer.load(
            encoder=args.before / "encoder.safetensors", decoder=args.before / "decoder.safetensors"
        )
        sheet = compare(before, stylizer, contents, styles, cell=224)
    else:
        sheet = make_sheet(stylizer, contents, styles, cell=320)
    sheet.save(args.output, quality=88)


if __name__ == "__main__":
    main()
