"""The losses that optimisation and training share (Gatys et al. 2016; Huang & Belongie 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from model.adain import EPSILON, ChannelStatistics, channel_statistics


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Return half the sum of squared differences (the paper's eq. 1).

    Its derivative by `features` is their difference (eq. 2).
    """
    return (features.float() - target.float()).square().sum() / 2


def gram(features: Tensor, region: Tensor | None = None) -> Tensor:
    """Return the Gram matrices of features over the number of positions (eq. 3).

    Divided, so that pictures of different sizes can be compared.

    Args:
        features: B x N x H x W, any floating dtype.
        region: B x 1 x H x W in [0, 1], how much each position counts (Gatys et al. 2017).

    Returns:
        B x N x N, float32.
    """
    vectors = features.float().flatten(2)
    if region is None:
        return vectors @ vectors.mT / vectors.shape[2]
    share = region.flatten(2)
    return (vectors * share) @ vectors.mT / share.sum(2, keepdim=True).clamp_min(EPSILON)


def gram_loss(result: Tensor, target: Tensor) -> Tensor:
    """Return a layer's style loss (eq. 4), 1 / (4 N^2 M^2) times the sum of squared differences.

    Args:
        result, target: B x N x N from `gram`, which has divided by the M positions already; the
            loss is the mean over the B pictures.
    """
    return (result - target).square().mean() / 4


def statistics(features: Tensor, region: Tensor | None = None) -> Tensor:
    """Return mean and deviation of each channel, which AdaIN compares in place of Gram matrices."""
    return joined(channel_statistics(features, region))


def joined(statistics: ChannelStatistics) -> Tensor:
    """Return mean and deviation as one tensor, N x C x 2."""
    return torch.cat([statistics.mean, statistics.std], dim=2)[..., 0]


def statistics_loss(result: Tensor, target: Tensor) -> Tensor:
    """Return the squared distances of mean and deviation, as AdaIN is trained with (its eq. 13)."""
    return (result - target).square().sum(2).mean()


def smoothness_loss(image: Tensor) -> Tensor:
    """Return the mean squared difference of neighbouring pixels of N x 3 x H x W."""
    down = (image[:, :, 1:] - image[:, :, :-1]).square().mean()
    across = (image[..., 1:] - image[..., :-1]).square().mean()
    return down + across


def range_loss(image: Tensor) -> Tensor:
    """Return the mean squared excess of pixels over [0, 1], which clipping would cut off."""
    return (image - image.clamp(0, 1)).square().mean()
