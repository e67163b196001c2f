"""The controls of a stylization: their bounds, and what styles, weights and masks are fitted to."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from PIL import Image

from model.errors import ParameterError
from model.formats import check_depth
from model.images import normalize, to_mask
from model.scaling import resize_shortest

# In pixels: the least longest side of a result, and bounds of the shorter side of a style.
MIN_SIZE = 16
MIN_STYLE_SIZE = 64
MAX_STYLE_SIZE = 1024
DEFAULT_STYLE_SIZE = 512
# Most bytes of content features that are kept for the next call: a content of 512 x 512 pixels
# takes 66 MiB in bfloat16 and 130 in float32.
CONTENT_CACHE_BYTES = 512 * 2**20
# Bounds the longer side of a style that is far from square.
MAX_STYLE_ASPECT = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Controls:
    """How a content is painted in its styles; the same for HTTP, the command line and Python.

    Attributes:
        weights: one per style, above 0; normalised to sum 1. None: all alike.
        alpha: in [0, 1], strength; 1 is the full style, 0 the content. (With a `PlainDecoder` 0 is
            the decoder's reconstruction of the content.)
        masks: one per style, white where the style goes, of the content's aspect ratio. Where masks
            overlap, styles mix; where none is white, the content shows untouched.
        preserve_color: keep the content's colours and take on the style's strokes alone.
        detail: in [-1, 1], how much of the content's lines and shapes to keep; 0 is what the
            styles are best at. It is added to their own, which is 0 but for practised ones, and
            their sum is cut to [-1, 1]. A `PlainDecoder` has no such choice.
        size: longest side of the result in pixels, 16 or more. None: as the content.
        depth: bits of the result's channels, 8 or 16: 16 keeps what the networks compute.
    """

    weights: Sequence[float] | None = None
    alpha: float = 1.0
    masks: Sequence[Image.Image] | None = None
    preserve_color: bool = False
    detail: float = 0.0
    size: int | None = None
    depth: int = 8

    def check(self, styles: int) -> None:
        """Check all that can be checked without the pictures.

        Args:
            styles: how many there are.

        Raises:
            ParameterError: a control is out of range, or there are more or fewer weights or masks
                than styles.
        """
        normalize_weights(self.weights, styles)
        check_range("alpha", self.alpha, 0, 1)
        if self.masks is not None:
            check_count("masks", len(self.masks), styles)
        check_range("detail", self.detail, -1, 1)
        if self.size is not None:
            check_range("size", self.size, MIN_SIZE, math.inf)
        check_depth(self.depth)


class ControlsDict(TypedDict, total=False):
    """The arguments of `Controls`, for functions that take them as their own."""

    weights: Sequence[float] | None
    alpha: float
    masks: Sequence[Image.Image] | None
    preserve_color: bool
    detail: float
    size: int | None


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise ParameterError unless low <= value <= high; NaN is in no range."""
    if not low <= value <= high:
        bounds = f"at least {low}" if high == math.inf else f"from {low} to {high}"
        limit = high if value > high else low
        # An integer may have more digits than a float can express, or a message should show.
        value = min(max(value, -sys.float_info.max), sys.float_info.max)
        raise ParameterError(
            f"{name} must be {bounds}, and is {value}", limit=limit, value=float(value)
        )


def check_count(name: str, count: int, styles: int) -> None:
    """Raise ParameterError unless `count` equals the number of styles; `name` is a plural."""
    if count != styles:
        raise ParameterError(
            f"there must be as many {name} as styles, {styles}, and there are {count}",
            limit=styles,
            value=count,
        )


def normalize_weights(weights: Sequence[float] | None, count: int) -> list[float]:
    """Return one weight per style, summing to 1.

    Raises:
        ParameterError: no style, not one weight per style, or one that is not above 0 and finite.
    """
    if count == 0:
        raise ParameterError("at least one style is needed", limit=1, value=0)
    if weights is None:
        return [1 / count] * count
    check_count("weights", len(weights), count)
    for weight in weights:
        if not 0 < weight < math.inf:
            raise ParameterError(
                f"a weight must be a number above 0, and one is {weight}", limit=0, value=weight
            )
    # Divided by the largest first: the sum of huge weights would not be finite.
    scaled = [weight / max(weights) for weight in weights]
    return [weight / sum(scaled) for weight in scaled]


def practice_applies(style_size: int) -> bool:
    """Return whether a practised style is used as it is, and does not go by its picture.

    Practising teaches strokes of one size; the picture gives those of any other.
    """
    return style_size == DEFAULT_STYLE_SIZE


def fit_style(style: Image.Image, style_size: int) -> Image.Image:
    """Return a style with `style_size` pixels on the shorter side, RGB, or RGBA as it comes.

    A style that was fitted before comes out as it went in.

    Raises:
        ParameterError: `style_size` is out of range.
    """
    check_range("style_size", style_size, MIN_STYLE_SIZE, MAX_STYLE_SIZE)
    return resize_shortest(normalize(style), style_size, MAX_STYLE_ASPECT * style_size)


def fit_saved_style(picture: Image.Image) -> Image.Image:
    """Return a style with as many pixels as the largest style_size asks for, or fewer."""
    picture = normalize(picture)
    shortest = min(*picture.size, MAX_STYLE_SIZE)
    return resize_shortest(picture, shortest, MAX_STYLE_ASPECT * MAX_STYLE_SIZE)


def fit_masks(masks: Sequence[Image.Image], count: int, size: tuple[int, int]) -> list[Image.Image]:
    """Return the masks as mode L in the content's size.

    Raises:
        ParameterError: not one mask per style, or a mask of another aspect ratio.
    """
    check_count("masks", len(masks), count)
    fitted = [to_mask(mask) for mask in masks]
    width, height = size
    for mask in fitted:
        # Scaling either picture rounds each of its sides by up to half a pixel.
        if abs(mask.width * height - mask.height * width) > max(*mask.size, *size):
            raise ParameterError(
                f"a mask of {mask.width}x{mask.height} does not fit a content of {width}x{height}: "
                "masks must have the content's aspect ratio"
            )
    return [mask.resize(size, Image.Resampling.BILINEAR) for mask in fitted]
