"""The loss that a stylized picture minimises (Gatys, Ecker & Bethge 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from model.losses import (
    content_loss,
    gram,
    gram_loss,
    range_loss,
    smoothness_loss,
    statistics,
    statistics_loss,
)
from model.networks.encoder import TAPS, Encoder, average_pool, pool

StyleBy = Literal["gram", "statistics"]
Pooling = Literal["max", "average"]
POOLS = {"max": pool, "average": average_pool}


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """Which losses count, and how much.

    Attributes:
        content_taps, style_taps: layers of the encoder; those of one kind weigh alike.
        style_by: "gram" compares Gram matrices, "statistics" mean and deviation as AdaIN does.
        content, style: weights of the two losses, the paper's alpha and beta. The content loss is
            divided by the number of features: the paper's sum grows with the picture, so that one
            ratio would mean another balance at every size.
        smoothness: weight of the total variation.
        outside: weight of values outside [0, 1]. The papers have no such term; but the result is
            clipped in the end, which would undo most of what the style loss has gained.
        pooling: "max" as VGG, or "average".
    """

    content_taps: Sequence[str] = ("relu4_1",)
    style_taps: Sequence[str] = TAPS
    style_by: StyleBy = "gram"
    content: float = 1.0
    style: float = 3.0
    smoothness: float = 1.0
    outside: float = 1000.0
    pooling: Pooling = "max"


class Losses(NamedTuple):
    """The weighted sum, and its terms unweighted; each a scalar."""

    total: Tensor
    content: Tensor
    style: Tensor
    smoothness: Tensor
    outside: Tensor


# The representations of style, each with the loss between two of them.
STYLES = {"gram": (gram, gram_loss), "statistics": (statistics, statistics_loss)}


class Objective:
    """The loss of a picture against one content, and a mix of styles in each region of it."""

    @torch.no_grad()
    def __init__(
        self,
        encoder: Encoder,
        weights: LossWeights,
        content: Tensor,
        styles: Sequence[Tensor],
        regions: Sequence[Tensor | None],
        mixes: Sequence[Sequence[float]],
        *,
        alpha: float = 1.0,
    ) -> None:
        """Compute the targets.

        Args:
            encoder: frozen; its precision is that of the activations.
            weights: see `LossWeights`.
            content: 1 x 3 x H x W, sRGB in [0, 1].
            styles: the same, of any size each.
            regions: 1 x 1 x H x W in [0, 1] each, or None for everywhere.
            mixes: for each region the share of each style, summing to 1.
            alpha: in [0, 1]; how far the style to reach lies from the content's own.

        Raises:
            ParameterError: the encoder has no layer of a name in `weights`.
        """
        self.encoder = encoder
        self.weights = weights
        self._regions = regions
        self._represent, self._distance = STYLES[weights.style_by]
        features = self._activations(content)
        self._contents = {name: features[name] for name in weights.content_taps}
        own = self._styles(features, regions)
        wanted = [self._styles(self._activations(style), [None]) for style in styles]
        self._targets = {
            name: [
                torch.lerp(mine, mixture([style[name][0] for style in wanted], mix), alpha)
                for mine, mix in zip(own[name], mixes, strict=True)
            ]
            for name in weights.style_taps
        }

    def __call__(self, image: Tensor) -> Losses:
        """Return the losses of a picture, 1 x 3 x H x W, of the content's size."""
        features = self._activations(image)
        zero = image.new_zeros(())
        contents = [
            content_loss(features[name], target) / target.numel()
            for name, target in self._contents.items()
        ]
        content = torch.stack(contents).mean() if contents else zero
        styles = []
        for name, own in self._styles(features, self._regions).items():
            styles += [
                self._distance(x, target)
                for x, target in zip(own, self._targets[name], strict=True)
            ]
        style = torch.stack(styles).mean() if styles else zero
        smoothness = smoothness_loss(image)
        weights = self.weights
        outside = range_loss(image)
        total = weights.content * content + weights.style * style
        total = total + weights.smoothness * smoothness + weights.outside * outside
        return Losses(total, content, style, smoothness, outside)

    def _activations(self, image: Tensor) -> dict[str, Tensor]:
        names = [*self.weights.content_taps, *self.weights.style_taps]
        return self.encoder.activations(image, names, POOLS[self.weights.pooling])

    def _styles(
        self, features: dict[str, Tensor], regions: Sequence[Tensor | None]
    ) -> dict[str, list[Tensor]]:
        """Return the style of each region, by layer."""
        return {
            name: [
                self._represent(features[name], at_size_of(features[name], region))
                for region in regions
            ]
            for name in self.weights.style_taps
        }


def mixture(representations: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Return the convex combination of styles."""
    weighted = [share * each for share, each in zip(shares, representations, strict=True)]
    return torch.stack(weighted).sum(0)


def at_size_of(features: Tensor, region: Tensor | None) -> Tensor | None:
    """Return a region (1 x 1 x H x W) as the share of each position of features."""
    return None if region is None else F.interpolate(region, features.shape[2:], mode="area")
