"""Colours: of the content in a stylized picture, of a style in a content."""

from __future__ import annotations

from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

# Least variance that is divided by, of colours in [0, 1]: below are steps of 8 bits, not colours.
MIN_VARIANCE = 1e-4


def keep_color(stylized: Image.Image, content: Image.Image) -> Image.Image:
    """Return `stylized` with the colours of `content`, both RGB and of one size.

    Luminance-only transfer (Gatys et al. 2016, "Preserving color in neural artistic style
    transfer", section 3.2), in Y'CbCr: luma from the stylized picture, chroma from the content. The
    alternative, matching the style's colours to the content's beforehand, would need the style
    picture anew for each content, where we keep only its channel statistics.
    """
    luma = stylized.convert("YCbCr").getchannel("Y")
    _, blue, red = content.convert("YCbCr").split()
    return Image.merge("YCbCr", (luma, blue, red)).convert("RGB")


class ColorMoments(NamedTuple):
    """Mean (3) and covariance (3 x 3) of a picture's colours, float64."""

    mean: Tensor
    covariance: Tensor


def color_moments(image: Tensor, region: Tensor | None = None) -> ColorMoments:
    """Return the moments of the colours of 1 x 3 x H x W; `region` weighs its positions."""
    colors = image[0].flatten(1).double()
    counts = None if region is None else region.flatten().double().clamp_min(torch.finfo().eps)
    mean = colors.mean(1) if counts is None else colors @ counts / counts.sum()
    return ColorMoments(mean, torch.cov(colors, correction=0, aweights=counts))


def match_color(image: Tensor, own: ColorMoments, target: ColorMoments) -> Tensor:
    """Move colours linearly so that their moments change from `own` to `target`.

    The linear transfer of Gatys et al. 2016, "Preserving color in neural artistic style transfer",
    by the symmetric roots of the covariances. Values may leave [0, 1].

    Args:
        image: 1 x 3 x H x W.
        own, target: see `color_moments`.
    """
    matrix = power(target.covariance, 0.5) @ power(own.covariance, -0.5)
    offset = target.mean - matrix @ own.mean
    colors = matrix.to(image) @ image.flatten(2) + offset.to(image)[:, None]
    return colors.view_as(image)


def power(matrix: Tensor, exponent: float) -> Tensor:
    """Return a power of a symmetric matrix of variances, those below MIN_VARIANCE raised to it."""
    values, vectors = torch.linalg.eigh(matrix)
    raised: Tensor = vectors * values.clamp_min(MIN_VARIANCE) ** exponent @ vectors.mT
    return raised
