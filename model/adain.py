"""Channel statistics and adaptive instance normalization (Huang & Belongie, ICCV 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from model.errors import ParameterError

# Inside the square root, as in the authors' code: keeps the gradient and the division finite
# where a channel is constant.
EPSILON = 1e-5


# eq=False: statistics compare and hash by identity, since a tensor has no truth value.
@dataclass(frozen=True, slots=True, eq=False)
class ChannelStatistics:
    """Mean and standard deviation of each channel: all that AdaIN knows of a style.

    Attributes:
        mean, std: N x C x 1 x 1, float32; at relu4_1 C is 512, so one style takes 4 KiB.
    """

    mean: Tensor
    std: Tensor

    @property
    def nbytes(self) -> int:
        """The memory that the statistics take."""
        return self.mean.nbytes + self.std.nbytes

    def to(self, device: torch.device) -> ChannelStatistics:
        """Return the statistics on `device`."""
        return ChannelStatistics(self.mean.to(device), self.std.to(device))

    def to_bytes(self) -> bytes:
        """Return the statistics as a safetensors file in memory."""
        return save({"mean": self.mean.contiguous(), "std": self.std.contiguous()})

    @classmethod
    def from_bytes(cls, data: bytes) -> ChannelStatistics:
        """Return the statistics that `to_bytes` wrote.

        Raises:
            ParameterError: `data` was not written by `to_bytes`.
        """
        try:
            tensors = load(data)
            mean, std = tensors["mean"], tensors["std"]
        except (SafetensorError, KeyError) as error:
            raise ParameterError(f"these bytes hold no channel statistics: {error}") from error
        if mean.ndim != 4 or mean.shape[2:] != (1, 1) or mean.shape != std.shape:
            raise ParameterError(
                "channel statistics need a mean and a std of shape N x C x 1 x 1, "
                f"not {tuple(mean.shape)} and {tuple(std.shape)}"
            )
        return cls(mean.float(), std.float())


def channel_statistics(features: Tensor, region: Tensor | None = None) -> ChannelStatistics:
    """Return mean and standard deviation per channel over height and width (paper, eq. 5 and 6).

    The variance is the population's (divided by H*W), so that a single position has one too.

    Args:
        features: N x C x H x W, any floating dtype; computed in float32.
        region: N x 1 x H x W in [0, 1], how much each position counts; None counts all alike.
    """
    features = features.float()
    if region is None:
        var, mean = torch.var_mean(features, dim=(2, 3), correction=0, keepdim=True)
    else:
        # An empty region has no statistics; any finite ones will do, as none of them is used.
        total = region.sum(dim=(2, 3), keepdim=True).clamp_min(EPSILON)
        mean = (features * region).sum(dim=(2, 3), keepdim=True) / total
        var = ((features - mean).square() * region).sum(dim=(2, 3), keepdim=True) / total
    return ChannelStatistics(mean, (var + EPSILON).sqrt())


def adain(
    features: Tensor, style: ChannelStatistics, content: ChannelStatistics | None = None
) -> Tensor:
    """Give content features the style's channel statistics (paper, eq. 8).

    Args:
        features: content features f(c), N x C x H x W, any floating dtype.
        style: statistics to take on, N or 1 in the first dimension.
        content: the statistics that `features` are to be freed of; by default their own.

    Returns:
        t = sigma(s) * (f(c) - mu(c)) / sigma(c) + mu(s), N x C x H x W, float32.
    """
    content = content or channel_statistics(features)
    return style.std * ((features.float() - content.mean) / content.std) + style.mean


def mix(styles: Sequence[ChannelStatistics], weights: Sequence[float]) -> ChannelStatistics:
    """Return the convex combination of styles; `weights` are positive and sum to 1.

    AdaIN is affine in the style's statistics, so this gives the same features as the paper's
    combination of the styles' targets (section 7.2), at the cost of one style.
    """
    return ChannelStatistics(
        torch.stack([w * s.mean for s, w in zip(styles, weights, strict=True)]).sum(0),
        torch.stack([w * s.std for s, w in zip(styles, weights, strict=True)]).sum(0),
    )


def adain_regions(
    features: Tensor,
    styles: Sequence[ChannelStatistics],
    weights: Sequence[float],
    regions: Sequence[Tensor],
    contents: Sequence[ChannelStatistics],
) -> Tensor:
    """Give each region its own style, from the region's own content statistics.

    Args:
        features: N x C x H x W, any floating dtype.
        styles, weights, regions: one each per style; a region is N x 1 x H x W in [0, 1]. Where
            regions overlap their styles mix by weight; where there is none, features stay.
        contents: the content's statistics in each region.

    Returns:
        N x C x H x W, float32.
    """
    features = features.float()
    target = torch.zeros_like(features)
    total = torch.zeros_like(features[:, :1])
    for style, weight, region, content in zip(styles, weights, regions, contents, strict=True):
        share = weight * region
        target += share * adain(features, style, content)
        total += share
    return torch.where(total > 0, target / total.clamp_min(EPSILON), features)
