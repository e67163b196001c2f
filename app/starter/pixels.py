"""Pixels of the starter pictures, as arrays in [0, 1] and as images."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from app.starter.scenes import Pixels

Paint = tuple[int, int, int]


def to_image(pixels: Pixels) -> Image.Image:
    """Return pixels in [0, 1] as an RGB image."""
    return Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def to_pixels(image: Image.Image) -> Pixels:
    """Return an image's pixels in [0, 1]."""
    return np.asarray(image, np.float32) / 255


def blur(pixels: Pixels, radius: float) -> Pixels:
    """Return pixels (H x W or H x W x 3) blurred."""
    return to_pixels(to_image(pixels).filter(ImageFilter.GaussianBlur(radius)))


def as_paint(pixel: Pixels) -> Paint:
    """Return three floats as Pillow's colour."""
    red, green, blue = (int(255 * min(max(float(value), 0), 1)) for value in pixel)
    return red, green, blue
