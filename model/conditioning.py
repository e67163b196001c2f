"""The conditions of a decoder: a style as one content takes it on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from model.adain import Affine, adain
from model.color import ColorMap, power, transport
from model.style import Change, Style, mix


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """The input of a decoder beside the content's features.

    Attributes:
        taps: AdaIN at relu1_1, relu2_1, relu3_1 and relu4_1.
        modulation: scales and shifts for the decoder, N x M; None if it has none.
        base: gives the content's pixels the style's colours.
        ink: the root of the covariance of the style's colours, N x 3 x 3, float64: takes whitened
            colours to the style's own. It is 0 where nothing is to be painted.
        changes: what a practised style adds to the decoder's convolutions, by name.
    """

    taps: tuple[Affine, ...]
    modulation: Tensor | None
    base: ColorMap
    ink: Tensor
    changes: Mapping[str, Change]


def condition(
    style: Style, content: Style, *, alpha: float = 1.0, preserve_color: bool = False
) -> Condition:
    """Return a style as a content takes it on.

    Args:
        style: of N or 1 pictures.
        content: the content's own, of N pictures or of one region.
        alpha: in [0, 1]; below 1 the style is mixed with the content's own in every respect. At 0
            the result is the content itself.
        preserve_color: whether to paint in the content's colours.
    """
    if alpha < 1:
        style = mix([style, content], [alpha, 1 - alpha])
    if preserve_color:
        style = replace(style, colors=content.colors)
    return Condition(
        tuple(adain(s, c) for s, c in zip(style.taps, content.taps, strict=True)),
        style.modulation,
        transport(content.colors, style.colors),
        # No least variance here: a grey style stays grey whatever the network paints.
        alpha * power(style.colors.covariance, 0.5, 0.0),
        style.changes,
    )


def normalize_shares(regions: Sequence[Tensor]) -> list[Tensor]:
    """Return each region's share of every position, summing to 1; alike where there is none.

    Args:
        regions: R times 1 x 1 x H x W, not negative.
    """
    stacked = torch.cat(list(regions))
    total = stacked.sum(0, keepdim=True)
    shares = torch.where(total > 0, stacked / total.clamp_min(1e-6), 1 / len(regions))
    return list(torch.split(shares, 1))


def blend(features: Tensor, affines: Sequence[Affine], shares: Sequence[Tensor]) -> Tensor:
    """Return features mapped by the affine map of each position: the shares' mean of `affines`.

    Args:
        features: N x C x H x W.
        affines: one, or one for each region.
        shares: 1 x 1 x H x W for each region, summing to 1; none where there are no regions.
    """
    if len(affines) == 1:
        return affines[0](features)
    # As a product of matrices: the terms of the sum, each of the size of the features, would take
    # gigabytes with many regions.
    weights = torch.stack([share.flatten() for share in shares], 1)

    def mean(values: Sequence[Tensor]) -> Tensor:
        mixed = weights @ torch.stack([value.flatten(1) for value in values], 1)
        return mixed.reshape(len(mixed), *features.shape[2:], -1).permute(0, 3, 1, 2)

    scales, shifts = zip(*affines, strict=True)
    return Affine(mean(scales), mean(shifts))(features)


def sum_of(tensors: Sequence[Tensor]) -> Tensor:
    """Return the sum of tensors of one shape."""
    return torch.stack(list(tensors)).sum(0)
