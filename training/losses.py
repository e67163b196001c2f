"""The training losses (Huang & Belongie 2017, section 5), and two that keep results in bounds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from model.adain import ChannelStatistics


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared distance to AdaIN's output t at relu4_1 (eq. 12).

    Args:
        features: f(g(t)), N x 512 x H x W, any floating dtype.
        target: t, of the same shape.
    """
    return F.mse_loss(features.float(), target.float())


def style_loss(results: Sequence[ChannelStatistics], styles: Sequence[ChannelStatistics]) -> Tensor:
    """Return the squared distances of mean and deviation, summed over the taps (eq. 13).

    Each distance is the mean over pictures and channels: taps weigh alike, however wide.

    Args:
        results: the results' channel statistics at each tap.
        styles: the styles', in the same order.
    """
    distances = [
        F.mse_loss(result.mean, style.mean) + F.mse_loss(result.std, style.std)
        for result, style in zip(results, styles, strict=True)
    ]
    return torch.stack(distances).sum()


def range_loss(image: Tensor) -> Tensor:
    """Return the mean squared excess over [0, 1], which clipping would cut off.

    Args:
        image: the decoder's output, N x 3 x H x W.
    """
    return (image - image.clamp(0, 1)).square().mean()


def identity_loss(image: Tensor, content: Tensor, identity: Tensor) -> Tensor:
    """Return the squared distance between pixels of contents that are their own style.

    Statistics and relu4_1 tell little of a flat area's brightness; these pairs teach it (Park &
    Lee 2019, section 3.2, use such a loss).

    Args:
        image: the decoder's output, N x 3 x H x W.
        content: the contents, of the same shape, in [0, 1].
        identity: N, which pairs count; the mean is over all N, so that it weighs a pair alike
            however many a batch has.
    """
    distances = (image - content).square().mean(dim=(1, 2, 3))
    return (distances * identity).mean()
