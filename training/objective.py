"""The losses of a decoder or a style in training, in a frozen encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.color import color_moments
from model.losses import range_loss, smoothness_loss
from model.networks.encoder import Encoder
from model.style import Style, measure
from training.losses import (
    correlation_loss,
    covariance,
    palette,
    palette_loss,
    relative_distance,
    white,
)

# Weights of the losses at relu1_1 to relu4_1: deeper taps see larger strokes, which are harder.
TAP_WEIGHTS = (4 / 15, 8 / 15, 16 / 15, 32 / 15)
# The content's weight is that of `detail` 0, times this to the power of `detail`.
DETAIL_BASE = 2.7
# Drawn a little beyond [-1, 1] and clipped: the ends are met more often than what lies between.
DETAIL_REACH = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class TermWeights:
    """The weight of each loss."""

    content: float = 3.8
    mean: float = 4.0
    covariance: float = 3.0
    palette: float = 5.0
    range: float = 10.0
    smoothness: float = 1.0
    identity: float = 60.0

    def of(self, terms: Sequence[str]) -> Tensor:
        """Return the weights of these losses."""
        return torch.tensor([getattr(self, name) for name in terms])


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A style to paint in.

    Attributes:
        style: without a modulation.
        covariances: the covariances of its features at each tap, N x C x C each.
        palette: of its picture; see `training.losses.palette`.
    """

    style: Style
    covariances: Sequence[Tensor]
    palette: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """A content, its features, and the style that it has of its own."""

    image: Tensor
    taps: Sequence[Tensor]
    own: Style

    def as_target(self) -> Target:
        """Return the picture as a style to paint in."""
        return Target(self.own, [covariance(tap) for tap in self.taps], palette(self.image))


class PaintingLosses:
    """Losses between a result, the content that it was painted from, and the style.

    Attributes:
        terms: names of the losses.
        encoder: frozen, in the precision that its convolutions are computed in.
    """

    terms: tuple[str, ...] = (
        "content",
        "mean",
        "covariance",
        "palette",
        "range",
        "smoothness",
    )

    def __init__(self, encoder: Encoder, device: torch.device, dtype: torch.dtype) -> None:
        """Take an encoder (float32, anywhere), and compute it on `device` in `dtype`."""
        self.encoder = encoder.to(device, dtype).to(memory_format=torch.channels_last)
        self.encoder.requires_grad_(False)
        self._per_tap = torch.tensor(TAP_WEIGHTS, device=device)

    @torch.no_grad()
    def encode(self, image: Tensor) -> Content:
        """Return pictures, N x 3 x H x W in [0, 1], as contents."""
        image = image.contiguous(memory_format=torch.channels_last)
        taps = self.encoder(image)
        return Content(image, taps, measure(image, taps))

    def losses(self, image: Tensor, content: Content, target: Target, detail: float) -> Tensor:
        """Return the values of `terms` for results.

        Args:
            image: the results, N x 3 x H x W.
            content: what they were painted from, N pictures.
            target: the styles, N or 1.
            detail: that they were painted with.
        """
        taps = self.encoder(image.contiguous(memory_format=torch.channels_last))
        kept = [
            correlation_loss(features, white(original, own))
            for features, original, own in zip(
                taps[2:], content.taps[2:], content.own.taps[2:], strict=True
            )
        ]
        moments = color_moments(image)  # the picture itself is the tap below relu1_1
        means, covariances = self._style_distances(taps, target)
        return torch.stack(
            [
                torch.stack(kept).mean() * DETAIL_BASE**detail,
                relative_distance(moments.mean, target.style.colors.mean).float() + means,
                relative_distance(moments.covariance, target.style.colors.covariance).float()
                + covariances,
                palette_loss(palette(image), target.palette),
                range_loss(image),
                smoothness_loss(image),
            ]
        )

    def _style_distances(self, taps: Sequence[Tensor], target: Target) -> tuple[Tensor, Tensor]:
        """Return the distances of means and of covariances, weighted over the taps."""
        means = [
            relative_distance(features.float().mean((2, 3), keepdim=True), style.mean)
            for features, style in zip(taps, target.style.taps, strict=True)
        ]
        covariances = [
            relative_distance(covariance(features), wanted)
            for features, wanted in zip(taps, target.covariances, strict=True)
        ]
        weighted = [(torch.stack(each) * self._per_tap).sum() for each in (means, covariances)]
        return weighted[0], weighted[1]


def draw_detail(seed: int, step: int) -> float:
    """Return the `detail` of a step, in [-1, 1]: one for all its batches."""
    random = np.random.default_rng((seed, step, 1))
    return float(np.clip(random.uniform(-DETAIL_REACH, DETAIL_REACH), -1, 1))
