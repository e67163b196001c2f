"""Channel statistics and adaptive instance normalization (Huang & Belongie, ICCV 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from model.runtime import precise

# Inside the square root, as in the authors' code: keeps the gradient and the division finite
# where a channel is constant.
EPSILON = 1e-5
# Statistics are taken over parts of this size: sums of so many float32 lose no digits that matter.
PART_POSITIONS = 2**15


# eq=False: statistics compare and hash by identity, since a tensor has no truth value.
@dataclass(frozen=True, slots=True, eq=False)
class ChannelStatistics:
    """Mean and standard deviation of each channel: all that AdaIN knows of a style.

    Attributes:
        mean, std: N x C x 1 x 1, float32.
    """

    mean: Tensor
    std: Tensor


def channel_statistics(features: Tensor, region: Tensor | None = None) -> ChannelStatistics:
    """Return mean and standard deviation per channel over height and width (paper, eq. 5 and 6).

    The variance is the population's (divided by H*W), so that a single position has one too.

    Args:
        features: N x C x H x W, any floating dtype; computed in float32.
        region: N x 1 x H x W in [0, 1], how much each position counts; None counts all alike.
    """
    mean, variance = mean_and_variance(features, region)
    return ChannelStatistics(mean, (variance + EPSILON).sqrt())


def mean_and_variance(features: Tensor, region: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return both as `channel_statistics` needs them, N x C x 1 x 1, float32."""
    if features.requires_grad or features.device.type != "cpu":
        return mean_and_variance_at_once(features, region)
    # On a CPU memory bandwidth is the limit: parts of a few rows stay in the cache.
    rows = max(1, PART_POSITIONS // features.shape[3])
    parts = torch.split(features, rows, 2)
    regions = [None] * len(parts) if region is None else torch.split(region, rows, 2)
    merged = merge(
        [
            (count_of(part, own), *mean_and_variance_at_once(part, own))
            for part, own in zip(parts, regions, strict=True)
        ]
    )
    return merged[1], merged[2]


def mean_and_variance_at_once(
    features: Tensor, region: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the same, computed from all features together."""
    if region is not None:
        features = features.float()
        # The statistics of an empty region are never used; they only must be finite.
        total = region.sum(dim=(2, 3), keepdim=True).clamp_min(EPSILON)
        mean = (features * region).sum(dim=(2, 3), keepdim=True) / total
        variance = ((features - mean).square() * region).sum(dim=(2, 3), keepdim=True) / total
        return mean, variance
    if features.requires_grad or features.device.type != "cpu":
        variance, mean = torch.var_mean(features.float(), dim=(2, 3), correction=0, keepdim=True)
        return mean, variance
    # Batch normalization's own reduction is 30 times as fast as var_mean on half precision. It
    # fills statistics over the batch, so it is asked for one picture at a time.
    # The running statistics that it also keeps are not used: a momentum of 0 leaves them at 0.
    unused = torch.zeros(features.shape[1])
    found = [
        torch.batch_norm_update_stats(picture, unused, unused, 0.0)
        for picture in torch.split(features, 1)
    ]
    means, variances = (torch.stack(each)[:, :, None, None] for each in zip(*found, strict=True))
    return means, variances


def count_of(features: Tensor, region: Tensor | None) -> Tensor:
    """Return over how many positions statistics are taken, N x 1 x 1 x 1 or 1 x 1 x 1 x 1."""
    if region is None:
        return torch.full((1, 1, 1, 1), features[0, 0].numel(), device=features.device)
    return precise(region).sum((2, 3), keepdim=True)


def merge(parts: Sequence[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """Return count, mean and variance of what comes in parts, each with its own three.

    Of the mean's squared distance and not of a difference of squares, which would lose digits
    (Chan, Golub & LeVeque 1979).
    """
    columns = ([precise(each) for each in column] for column in zip(*parts, strict=True))
    counts, means, variances = (torch.stack(column) for column in columns)
    total = counts.sum(0).clamp_min(EPSILON)
    mean = (counts * means).sum(0) / total
    variance = (counts * (variances + (means - mean).square())).sum(0) / total
    device = parts[0][1].device
    return total, mean.float().to(device), variance.float().to(device)


class Affine(NamedTuple):
    """An affine map of each channel: `scale` times a feature plus `shift`, N x C x 1 x 1 each."""

    scale: Tensor
    shift: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Return N x C x H x W, in the features' dtype."""
        return torch.addcmul(self.shift.to(features.dtype), features, self.scale.to(features.dtype))


def adain(style: ChannelStatistics, content: ChannelStatistics) -> Affine:
    """Return the map that gives content features the style's channel statistics (paper, eq. 8).

    t = sigma(s) * (f(c) - mu(c)) / sigma(c) + mu(s), as one multiplication and one addition.

    Args:
        style: statistics to take on, N or 1 in the first dimension.
        content: the statistics that the features are to be freed of.
    """
    scale = style.std / content.std
    return Affine(scale, style.mean - scale * content.mean)
