"""From the bytes of an upload to the picture that a request needs, in its size.

They run in the decoding processes: what they return is small, and pictures are reduced while they
are decoded.
"""

from __future__ import annotations

from functools import partial

from PIL import Image

from model.controls import MAX_STYLE_ASPECT, MAX_STYLE_SIZE, fit_saved_style, fit_style
from model.images import read_image, to_mask
from model.scaling import longest_factor, resize_longest, scale, shortest_factor


def read_content(data: bytes, size: int | None, max_size: int, max_pixels: int) -> Image.Image:
    """Return a content with `size` pixels on its longest side; None: its own, up to `max_size`."""
    factor = partial(longest_factor, longest=size or max_size)
    image = read_image(data, max_pixels=max_pixels, factor=factor)
    return resize_longest(image, size or min(max(image.size), max_size))


def read_mask(data: bytes, max_size: int, max_pixels: int) -> Image.Image:
    """Return a mask, with at most `max_size` pixels on its longest side."""
    factor = partial(longest_factor, longest=max_size)
    mask = to_mask(read_image(data, max_pixels=max_pixels, factor=factor))
    return scale(mask, min(1.0, factor(mask.size)))


def read_style(data: bytes, style_size: int, max_pixels: int) -> Image.Image:
    """Return a style as the encoder sees it at `style_size`."""
    longest = MAX_STYLE_ASPECT * style_size
    factor = partial(shortest_factor, shortest=style_size, longest=longest)
    return fit_style(read_image(data, max_pixels=max_pixels, factor=factor), style_size)


def read_saved(data: bytes, max_pixels: int) -> Image.Image:
    """Return a style picture as the library keeps it: with what the largest style size needs."""
    longest = MAX_STYLE_ASPECT * MAX_STYLE_SIZE
    factor = partial(shortest_factor, shortest=MAX_STYLE_SIZE, longest=longest)
    return fit_saved_style(read_image(data, max_pixels=max_pixels, factor=factor))
