"""Exact stylization in tiles: the memory depends on the tile, not on the picture.

AdaIN needs the channel statistics of the whole content, and so do its colours: there are two passes
over the tiles, one that measures them, and one that encodes each tile again and paints it by what
was measured. Each tile is computed with a halo of its surroundings as wide as the networks'
receptive fields, which is cut off again: the result is that of the whole picture at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from model.adain import EPSILON, ChannelStatistics, count_of, mean_and_variance, merge
from model.color import RunningColors
from model.conditioning import Condition
from model.pixels import STRIDE, to_pixels
from model.style import CHANNELS, Style

# The encoder's halo, in positions of relu4_1. What a position sees reaches 30 pixels beyond its own
# 8x8: 2 convolutions at full size, 2 at a half, 4 at a quarter and 1 at an eighth, 2 + 4 + 16 + 8.
HALO = 4
# Called after each part of the work with how many are done and how many there are; an error that it
# raises ends the work.
OnPart = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of positions of relu4_1, the last row and column not in it."""

    top: int
    left: int
    bottom: int
    right: int

    def of(self, features: Tensor, stride: int) -> Tensor:
        """Return the window of N x C x H x W features with stride x stride values a position."""
        rows, columns = self.slices(stride)
        return features[:, :, rows, columns]

    def within(self, outer: Window) -> Window:
        """Return this window as seen from the corner of another, which holds it."""
        return Window(
            self.top - outer.top,
            self.left - outer.left,
            self.bottom - outer.top,
            self.right - outer.left,
        )

    def slices(self, stride: int = STRIDE) -> tuple[slice, slice]:
        """Return the rows and columns that the window covers; by default those of pixels."""
        rows = slice(stride * self.top, stride * self.bottom)
        return rows, slice(stride * self.left, stride * self.right)


class Tile(NamedTuple):
    """What is kept of a tile, and what is computed for it.

    Attributes:
        inner: what is kept.
        seen: what the decoder is given, the inner part and its halo.
        outer: what the encoder is given, the inner part and both networks' halos.
    """

    inner: Window
    seen: Window
    outer: Window


def tiles(height: int, width: int, side: int, halo: int = 0) -> list[Tile]:
    """Cover height x width positions with tiles of which about side x side each is kept.

    All are encoded in one shape, and decoded in one: for each further shape the convolutions are
    compiled anew, and what is compiled lies in the midst of freed memory, which then no longer
    holds the next feature map.

    Args:
        height, width, side: in positions of relu4_1.
        halo: the decoder's halo.
    """
    rows, columns = (spans(length, side, halo) for length in (height, width))
    return [
        Tile(
            *(
                Window(top, left, bottom, right)
                for (top, bottom), (left, right) in zip(row, column, strict=True)
            )
        )
        for row in rows
        for column in columns
    ]


def spans(length: int, side: int, halo: int) -> list[tuple[tuple[int, int], ...]]:
    """Return where the tiles along one axis begin and end: inner, seen and outer of each."""
    parts = -(-length // side)
    both = HALO + halo
    size = -(-(length + 2 * both * (parts - 1)) // parts)
    if size >= length:
        return [((0, length),) * 3]
    # At the edges of `seen` are features whose surroundings the encoder did not see whole. They lie
    # beyond the decoder's halo around the inner part, which is painted without them.
    outer, seen = (evenly(length, each, parts) for each in (size, size - HALO))
    cuts = [0, *(start + both for start, _ in outer[1:]), length]
    return list(zip(pairwise(cuts), seen, outer, strict=True))


def evenly(length: int, size: int, parts: int) -> list[tuple[int, int]]:
    """Return where parts of one size begin and end, the first and the last at the ends."""
    starts = [(length - size) * part // (parts - 1) for part in range(parts)]
    return [(start, start + size) for start in starts]


class RunningStatistics:
    """Channel statistics of features that come in parts."""

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, features: Tensor, region: Tensor | None) -> None:
        """Take in 1 x C x H x W features; `region` (1 x 1 x H x W in [0, 1]) weighs positions."""
        self._parts.append((count_of(features, region), *mean_and_variance(features, region)))

    def result(self) -> ChannelStatistics:
        """Return the statistics of all parts; without parts, any finite statistics."""
        _, mean, variance = merge(self._parts)
        return ChannelStatistics(mean, (variance + EPSILON).sqrt())


class RunningStyle:
    """The style that a content has of its own, measured part by part; see `model.style.measure`."""

    def __init__(self) -> None:
        self._taps = [RunningStatistics() for _ in CHANNELS]
        self._colors = RunningColors()

    def add(self, image: Tensor, taps: Sequence[Tensor], region: Tensor | None) -> None:
        """Take in a part: its pixels, its features, and where it counts."""
        self._colors.add(image, region)
        for level, (running, features) in enumerate(zip(self._taps, taps, strict=True)):
            running.add(features, None if region is None else F.avg_pool2d(region, 2**level))

    def result(self) -> Style:
        """Return the style of all parts."""
        return Style(tuple(each.result() for each in self._taps), self._colors.result())


class TiledWork(Protocol):
    """The work on each tile.

    Attributes:
        depth: bits of the result's channels, 8 or 16.
    """

    depth: int

    @property
    def measured(self) -> Sequence[Tensor | None]:
        """What the content's own style is taken over; None is everything."""

    def conditions(self, contents: Sequence[Style]) -> list[Condition]:
        """Return the decoder's conditions for contents, one for each of `measured`."""

    def paint(
        self,
        image: Tensor,
        taps: Sequence[Tensor],
        conditions: Sequence[Condition],
        window: Window,
    ) -> Tensor:
        """Return the painted window, 1 x 3 x h x w."""


def stylize_tiles(
    pixels: np.ndarray,
    work: TiledWork,
    *,
    tile: int,
    halo: int,
    encode: Callable[[np.ndarray], tuple[Tensor, Sequence[Tensor]]],
    on_part: OnPart,
) -> np.ndarray:
    """Stylize a picture tile by tile.

    Args:
        pixels: H x W x 3, uint8; the sides are multiples of 8.
        work: measures and paints.
        tile: side of a tile in pixels; its halo comes on top.
        halo: the decoder's halo, in positions of relu4_1.
        encode: pixels to 1 x 3 x H x W and its features.
        on_part: hears of the progress; a part is a tile, in each of the passes.

    Returns:
        H x W x 3, uint8 or uint16.
    """
    height, width, side = (length // STRIDE for length in (*pixels.shape[:2], tile))
    to_measure, to_paint = tiles(height, width, side), tiles(height, width, side, halo)
    total = len(to_measure) + len(to_paint)

    def look(outer: Window, window: Window) -> tuple[Tensor, list[Tensor]]:
        """Return a window's pixels and features, computed from those of `outer`."""
        image, taps = encode(pixels[outer.slices()])
        here = window.within(outer)
        return here.of(image, STRIDE), [
            here.of(features, STRIDE >> level) for level, features in enumerate(taps)
        ]

    def measure(part: Tile) -> None:
        image, taps = look(part.outer, part.inner)
        for own, region in zip(running, work.measured, strict=True):
            own.add(image, taps, None if region is None else part.inner.of(region, STRIDE))

    def paint(part: Tile) -> np.ndarray:
        result = work.paint(*look(part.outer, part.seen), conditions, part.seen)
        return to_pixels(result, work.depth)[part.inner.within(part.seen).slices()]

    # In functions of their own, so that a tile's features are freed before the next is encoded.
    running = [RunningStyle() for _ in work.measured]
    for done, part in enumerate(to_measure, 1):
        measure(part)
        on_part(done, total)
    conditions = work.conditions([own.result() for own in running])
    painted = np.empty(pixels.shape, np.uint8 if work.depth == 8 else np.uint16)
    for done, part in enumerate(to_paint, len(to_measure) + 1):
        painted[part.inner.slices()] = paint(part)
        on_part(done, total)
    return painted
