"""Colours of pictures: their moments, and how one picture takes on those of another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.pixels import to_pixels, to_tensor
from model.runtime import precise

# The least variance of colours in [0, 1] to divide by: less is quantization to 8 bits.
MIN_VARIANCE = 1e-4
# Rows of a uint8 picture that are converted to float at once: all of a huge one would not fit.
ROWS = 256


class ColorMoments(NamedTuple):
    """Mean (N x 3) and covariance (N x 3 x 3) of the colours of N pictures, float64."""

    mean: Tensor
    covariance: Tensor


def color_moments(image: Tensor, region: Tensor | None = None) -> ColorMoments:
    """Return the moments of the colours of N x 3 x H x W.

    Args:
        image: any floating dtype.
        region: N x 1 x H x W in [0, 1], how much each position counts; None counts all alike.
    """
    colors = precise(image.flatten(2))
    if region is None:
        mean = colors.mean(2)
        centered = colors - mean[:, :, None]
        return ColorMoments(mean, centered @ centered.mT / colors.shape[2])
    # The moments of an empty region are never used; they only must be finite.
    counts = precise(region.flatten(2)).clamp_min(torch.finfo().eps)
    total = counts.sum(2)
    mean = (colors * counts).sum(2) / total
    centered = colors - mean[:, :, None]
    return ColorMoments(mean, (centered * counts) @ centered.mT / total[:, :, None])


class ColorMap(NamedTuple):
    """An affine map of colours: `matrix` (N x 3 x 3) times a colour, plus `offset` (N x 3)."""

    matrix: Tensor
    offset: Tensor

    def __call__(self, image: Tensor) -> Tensor:
        """Return N x 3 x H x W with each colour mapped; values may leave [0, 1]."""
        matrix, offset = self.matrix.to(image), self.offset.to(image)
        return (matrix @ image.flatten(2) + offset[:, :, None]).view_as(image)


def transport(own: ColorMoments, target: ColorMoments) -> ColorMap:
    """Return the affine map that changes the moments of colours from `own` to `target`.

    Of all such maps the one that moves colours least (Monge-Kantorovich; Pitie & Kokaram 2007, "The
    linear Monge-Kantorovitch linear colour mapping for example-based colour transfer"):
    C^-1/2 (C^1/2 S C^1/2)^1/2 C^-1/2, C and S the covariances. It is the identity where both
    moments are the same.
    """
    root = power(own.covariance, 0.5)
    inverse = power(own.covariance, -0.5)
    between = power(root @ target.covariance @ root, 0.5, MIN_VARIANCE**2)
    matrix = inverse @ between @ inverse
    return ColorMap(matrix, target.mean - (matrix @ own.mean[..., None])[..., 0])


class RunningColors:
    """Moments of the colours of a picture that comes in parts."""

    def __init__(self) -> None:
        self._count = self._sum = self._products = torch.zeros(())  # becomes float64

    def add(self, image: Tensor, region: Tensor | None = None) -> None:
        """Take in 1 x 3 x H x W in [0, 1]; `region` as in `color_moments`."""
        colors = precise(image.flatten(2))
        counts = torch.ones_like(colors[:, :1]) if region is None else precise(region.flatten(2))
        # For colours in [0, 1], the difference of float64 sums loses no digits that matter.
        self._count = self._count + counts.sum(2)
        self._sum = self._sum + (colors * counts).sum(2)
        self._products = self._products + (colors * counts) @ colors.mT

    def result(self) -> ColorMoments:
        """Return the moments of all parts; without parts, any finite moments."""
        count = self._count.clamp_min(torch.finfo().eps)
        mean, products = self._sum / count, self._products / count[:, :, None]
        return ColorMoments(mean, products - mean[:, :, None] * mean[:, None, :])


def keep_color(painted: np.ndarray, content: np.ndarray, opacity: np.ndarray | None) -> np.ndarray:
    """Return `painted` with the mean and the covariance of the content's colours.

    Against the other way, the content's chroma under the luma of what is painted (Gatys et al.
    2016, "Preserving color in neural artistic style transfer", section 3.2), this keeps the
    content's lights and darks as well: a night stays a night.

    Args:
        painted: H x W x 3, uint8 or uint16.
        content: H x W x 3, uint8.
        opacity: H x W, uint8, how much of each pixel is seen; None: all.
    """
    moments = [RunningColors(), RunningColors()]
    for rows in slices(len(painted)):
        region = None if opacity is None else to_tensor(opacity[rows])
        for running, pixels in zip(moments, (painted, content), strict=True):
            running.add(to_tensor(pixels[rows]), region)
    change = transport(*(running.result() for running in moments))
    kept = np.empty_like(painted)
    for rows in slices(len(painted)):
        kept[rows] = to_pixels(change(to_tensor(painted[rows])), 8 * painted.itemsize)
    return kept


def slices(height: int) -> Iterator[slice]:
    """Yield the rows of a picture, some at a time."""
    for top in range(0, height, ROWS):
        yield slice(top, top + ROWS)


def power(matrix: Tensor, exponent: float, least: float = MIN_VARIANCE) -> Tensor:
    """Return a power of symmetric matrices (N x 3 x 3), eigenvalues below `least` raised to it."""
    values, vectors = torch.linalg.eigh(matrix)
    raised: Tensor = vectors * values.clamp_min(least).pow(exponent)[..., None, :] @ vectors.mT
    return raised
