"""Whether a device paints what it should: tried once at load, where nobody could test it before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageOps, ImageStat

if TYPE_CHECKING:
    from model.stylizer import Stylizer

SIDE = 128
# Of 255, on average over the picture: bfloat16 differs by 0.6 from float32, float16 by less.
MAX_DIFFERENCE = 2.0


def paint_alike(one: Stylizer, other: Stylizer) -> bool:
    """Whether two stylizers of the same weights paint the same picture, but for rounding."""
    content = Image.effect_mandelbrot((SIDE, SIDE), (-2, -1.5, 1, 1.5), 60).convert("RGB")
    style = ImageOps.solarize(Image.radial_gradient("L"), 128).convert("RGB")
    painted = [
        each.stylize(content, each.encode_style(style, style_size=SIDE)) for each in (one, other)
    ]
    # What is not a number comes out as 0 or 255, and so differs.
    return max(ImageStat.Stat(ImageChops.difference(*painted)).mean) <= MAX_DIFFERENCE
