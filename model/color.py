"""Colours of pictures: their moments, and how one picture takes on those of another."""

from __future__ import annotations

from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

# Least variance that is divided by, of colours in [0, 1]: below are steps of 8 bits, not colours.
MIN_VARIANCE = 1e-4


def keep_color(stylized: Image.Image, content: Image.Image) -> Image.Image:
    """Return `stylized` with the chroma of `content`, both RGB and of one size.

    Luminance-only transfer (Gatys et al. 2016, "Preserving color in neural artistic style
    transfer", section 3.2), in Y'CbCr: luma from the stylized picture, chroma from the content.
    """
    luma = stylized.convert("YCbCr").getchannel("Y")
    _, blue, red = content.convert("YCbCr").split()
    return Image.merge("YCbCr", (luma, blue, red)).convert("RGB")


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
    colors = image.flatten(2).double()
    if region is None:
        mean = colors.mean(2)
        centered = colors - mean[:, :, None]
        return ColorMoments(mean, centered @ centered.mT / colors.shape[2])
    # An empty region has no colours; any finite moments will do, as none of them is used.
    counts = region.flatten(2).double().clamp_min(torch.finfo().eps)
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


def power(matrix: Tensor, exponent: float, least: float = MIN_VARIANCE) -> Tensor:
    """Return a power of symmetric matrices (N x 3 x 3), eigenvalues below `least` raised to it."""
    values, vectors = torch.linalg.eigh(matrix)
    raised: Tensor = vectors * values.clamp_min(least).pow(exponent)[..., None, :] @ vectors.mT
    return raised
