"""Exact stylization in tiles: the memory it takes is the tile's, whatever the picture's size.

AdaIN needs the channel statistics of the whole content, so there are two passes over the tiles: one
that measures the features, and one that encodes each tile again, gives it the statistics of the
style by those of the whole content, and decodes it. Each tile is computed with a halo of its
surroundings as wide as the networks' receptive fields, which is cut off again: the result is that
of the whole picture at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from model.adain import EPSILON, ChannelStatistics
from model.encoder import STRIDE
from model.image import to_pixels

# In positions of relu4_1. What a position sees, and what a pixel is decoded from, each reach 30
# pixels beyond their own 8x8: 2 convolutions at full size, 2 at a half, 4 at a quarter and 1 at an
# eighth, 2 + 4 + 16 + 8.
HALO = 4
# Called after each tile with how many are done, and how many there are in both passes; raising an
# error ends the work.
OnTile = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of positions of relu4_1, the last row and column not in it."""

    top: int
    left: int
    bottom: int
    right: int

    def grown(self, height: int, width: int) -> Window:
        """Return the window with a halo around it, as far as the picture goes."""
        return Window(
            max(self.top - HALO, 0),
            max(self.left - HALO, 0),
            min(self.bottom + HALO, height),
            min(self.right + HALO, width),
        )

    def of(self, features: Tensor) -> Tensor:
        """Return this part of features (N x C x H x W) of the whole picture."""
        return features[:, :, self.top : self.bottom, self.left : self.right]

    def within(self, outer: Window) -> Window:
        """Return this window as seen from the corner of another, which holds it."""
        return Window(
            self.top - outer.top,
            self.left - outer.left,
            self.bottom - outer.top,
            self.right - outer.left,
        )

    def slices(self) -> tuple[slice, slice]:
        """Return the rows and columns of pixels that the window covers."""
        rows = slice(STRIDE * self.top, STRIDE * self.bottom)
        return rows, slice(STRIDE * self.left, STRIDE * self.right)


def windows(height: int, width: int, side: int) -> list[Window]:
    """Cover height x width positions with windows of about side x side, all of similar size."""
    rows, columns = (cuts(length, side) for length in (height, width))
    return [
        Window(top, left, bottom, right)
        for top, bottom in pairwise(rows)
        for left, right in pairwise(columns)
    ]


def cuts(length: int, side: int) -> list[int]:
    """Return where to cut `length` into the fewest equal parts of at most `side`."""
    parts = -(-length // side)
    return [length * part // parts for part in range(parts + 1)]


class RunningStatistics:
    """Channel statistics of features that come in parts (Chan, Golub & LeVeque 1979).

    Each part's mean and sum of squared deviations are merged with those of the parts before it,
    which loses no digits, as the difference of a sum of squares and a squared sum would.
    """

    def __init__(self) -> None:
        self.count: Tensor | float = 0.0
        self.mean: Tensor | float = 0.0
        self.squares: Tensor | float = 0.0

    def add(self, features: Tensor, region: Tensor | None) -> None:
        """Take in 1 x C x H x W features; `region` (1 x 1 x H x W in [0, 1]) weighs positions."""
        weight = torch.ones_like(features[:, :1]) if region is None else region
        features, weight = features.double(), weight.double()
        count = weight.sum()
        if count == 0:
            return
        mean = (features * weight).sum((2, 3), keepdim=True) / count
        squares = ((features - mean).square() * weight).sum((2, 3), keepdim=True)
        total = self.count + count
        apart = mean - self.mean
        self.squares = self.squares + squares + apart.square() * (self.count * count / total)
        self.mean = self.mean + apart * (count / total)
        self.count = total

    def result(self, channels: int) -> ChannelStatistics:
        """Return the statistics of all parts; of none, any finite ones, as none of them is used."""
        shape = (1, channels, 1, 1)
        mean = torch.as_tensor(self.mean).expand(shape).float()
        variance = torch.as_tensor(self.squares / max(float(self.count), EPSILON)).expand(shape)
        return ChannelStatistics(mean, (variance + EPSILON).sqrt().float())


def stylize_tiles(
    pixels: np.ndarray,
    tile: int,
    regions: Sequence[Tensor | None],
    encode: Callable[[np.ndarray], Tensor],
    transfer: Callable[[Tensor, Sequence[ChannelStatistics], Window], Tensor],
    decode: Callable[[Tensor], Tensor],
    on_tile: OnTile,
) -> np.ndarray:
    """Stylize a picture tile by tile.

    Args:
        pixels: H x W x 3, uint8; the sides are multiples of 8.
        tile: side of a tile in pixels; its halo comes on top.
        regions: what content statistics are taken over, 1 x 1 x H/8 x W/8 each; None is everything.
        encode: pixels to relu4_1.
        transfer: features of a window and the content's statistics, one for each region, to t.
        decode: t to 1 x 3 x H x W.
        on_tile: hears of the progress.

    Returns:
        H x W x 3, uint8.
    """
    height, width = (side // STRIDE for side in pixels.shape[:2])
    parts = windows(height, width, max(1, tile // STRIDE))
    running = [RunningStatistics() for _ in regions]
    channels = 0
    for done, part in enumerate(parts):
        outer = part.grown(height, width)
        features = part.within(outer).of(encode(pixels[outer.slices()]))
        channels = features.shape[1]
        for statistics, region in zip(running, regions, strict=True):
            statistics.add(features, None if region is None else part.of(region))
        on_tile(done + 1, 2 * len(parts))
    contents = [statistics.result(channels) for statistics in running]
    painted = np.empty_like(pixels)
    for done, part in enumerate(parts):
        # The decoder needs a halo of features, and each of those one of pixels.
        inner = part.grown(height, width)
        outer = inner.grown(height, width)
        features = inner.within(outer).of(encode(pixels[outer.slices()]))
        decoded = to_pixels(decode(transfer(features, contents, inner)))
        painted[part.slices()] = decoded[part.within(inner).slices()]
        on_tile(len(parts) + done + 1, 2 * len(parts))
    return painted
