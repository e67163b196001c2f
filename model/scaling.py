"""Sizes of pictures, and pictures in other sizes."""

from __future__ import annotations

from PIL import Image

# Pictures that are scaled down are first reduced by a whole factor, which is several times faster,
# to no less than this many times their size.
REDUCING_GAP = 3.0


def resize_longest(image: Image.Image, longest: int) -> Image.Image:
    """Return the image scaled so that its longest side has `longest` pixels."""
    return scale(image, longest_factor(image.size, longest))


def longest_factor(size: tuple[int, int], longest: int) -> float:
    """Return the factor that gives the longest side of `size` `longest` pixels."""
    return longest / max(size)


def resize_shortest(image: Image.Image, shortest: int, longest: int) -> Image.Image:
    """Return the image scaled so that its shortest side has `shortest` pixels.

    Where that would take the longest side over `longest`, that side has `longest` pixels instead.
    """
    return scale(image, shortest_factor(image.size, shortest, longest))


def shortest_factor(size: tuple[int, int], shortest: int, longest: int) -> float:
    """Return the factor of `resize_shortest` for a picture of `size`."""
    return min(shortest / min(size), longest / max(size))


def scale(image: Image.Image, factor: float) -> Image.Image:
    """Return the image with both sides times `factor`, rounded, at least 1 pixel."""
    size = scaled_size(image.size, factor)
    if size == image.size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP)


def scaled_size(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """Return the size that `scale` gives a picture of `size`."""
    width, height = (max(1, round(side * factor)) for side in size)
    return width, height
