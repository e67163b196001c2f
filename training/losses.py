"""The training losses: the paper's (Huang & Belongie 2017, section 5), and those of our decoder.

The paper's compare statistics by their squared distance, which is some thirty times as large for
extreme styles as for most: a decoder then learns those few. `relative_distance` treats all alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from model.adain import ChannelStatistics, channel_statistics
from model.losses import joined, statistics_loss

# The most positions of a tap that its covariance is taken over, or of a picture for its palette.
POSITIONS = 4096
# Directions in RGB along which colours are compared, and how many quantiles of each.
DIRECTIONS, QUANTILES = 16, 1024


def style_loss(results: Sequence[ChannelStatistics], styles: Sequence[ChannelStatistics]) -> Tensor:
    """Return the squared distances of mean and deviation, summed over the taps (eq. 13).

    Each distance is the mean over pictures and channels: taps weigh alike, however wide.

    Args:
        results: the results' channel statistics at each tap.
        styles: the styles', in the same order.
    """
    distances = [
        statistics_loss(joined(result), joined(style))
        for result, style in zip(results, styles, strict=True)
    ]
    return torch.stack(distances).sum()


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


def correlation_loss(features: Tensor, content: Tensor) -> Tensor:
    """Return 1 less the correlation of each channel with the content's, for each picture, N.

    Args:
        features: the result's, N x C x H x W, any floating dtype.
        content: the content's, as `white` returns them.
    """
    # Half the mean squared distance of what is normalised is 1 less the correlation.
    normalized = white(features, channel_statistics(features))
    return (normalized - content).square().mean((1, 2, 3)) / 2


def white(features: Tensor, own: ChannelStatistics) -> Tensor:
    """Return features with mean 0 and deviation 1 in each channel, float32."""
    return (features.float() - own.mean) / own.std


def covariance(features: Tensor) -> Tensor:
    """Return the covariance of the channels, N x C x C, float32: a Gram matrix of centred features.

    Over at most `POSITIONS` evenly spaced positions, which tell enough of a texture.

    Args:
        features: N x C x H x W, any floating dtype, in which the products are computed.
    """
    vectors = spaced(features).permute(0, 2, 3, 1).flatten(1, 2).float()
    # Centred before rounding, or the variance in half precision could come out negative.
    vectors = (vectors - vectors.mean(1, keepdim=True)).to(features.dtype)
    return (vectors.mT @ vectors).float() / vectors.shape[1]


def spaced(features: Tensor) -> Tensor:
    """Return N x C x H x W at about `POSITIONS` evenly spaced positions, or at all if fewer."""
    stride = max(1, int(math.sqrt(features.shape[2] * features.shape[3] / POSITIONS)))
    return features[:, :, ::stride, ::stride]


def palette(image: Tensor) -> Tensor:
    """Return quantiles of the colours along fixed directions, N x DIRECTIONS x QUANTILES.

    Args:
        image: N x 3 x H x W, any size.
    """
    random = torch.Generator().manual_seed(0)
    directions = F.normalize(torch.randn(DIRECTIONS, 3, generator=random), dim=1).to(image.device)
    projected = (directions @ spaced(image).flatten(2).float()).sort(dim=2).values
    return F.interpolate(projected, QUANTILES, mode="linear", align_corners=True)


def palette_loss(result: Tensor, target: Tensor) -> Tensor:
    """Return the sliced Wasserstein distance of colours in [0, 1] (Rabin et al. 2011).

    Mean and covariance say nothing of the shape of a distribution: two inks on paper have the
    moments of a gradient.

    Args:
        result, target: as `palette` returns them, N and N or 1.
    """
    return (result - target).abs().mean()


def relative_distance(result: Tensor, target: Tensor) -> Tensor:
    """Return |a - b|^2 / (|a|^2 + |b|^2), the mean over N pictures: from 0 to 2 for every style.

    After Cheng et al. 2021, "Style-aware normalized loss for improving arbitrary style transfer".

    Args:
        result, target: N x ..., of one shape.
    """
    a, b = result.flatten(1), target.flatten(1)
    scale = a.square().sum(1) + b.square().sum(1) + 1e-6
    return ((a - b).square().sum(1) / scale).mean()
