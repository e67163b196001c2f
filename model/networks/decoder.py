"""The decoder g: from the content's features and a style to the picture, in the style's colours.

AdaIN gives the features at four taps the style's statistics, where the paper (Huang & Belongie
2017) does so at relu4_1 alone; the decoder reads them all, so that lines and faces need not pass
relu4_1. It paints a residual in the whitened colours of the style, on top of the content in the
style's colours: whatever it paints, the palette is the style's. A style also scales and shifts the
channels of each convolution (the idea of Dumoulin et al. 2017 and Ghiasi et al. 2017, without a
normalization, so that nothing depends on the rest of the picture).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.adain import Affine
from model.color import MIN_VARIANCE
from model.conditioning import Condition, blend, sum_of
from model.networks.convolutions import (
    WIDTHS,
    Convolution,
    Convolutions,
    Layer,
    RegionLayer,
    leaky_relu,
    level_of,
    run,
)
from model.style import CHANNELS, Change, Style

# The network that predicts the modulation: its hidden channels, and the range that its inputs are
# clipped to, in standard deviations over many styles.
CODE = 128
CODE_RANGE = 4.0
# How many inputs describe the colours: mean, deviation, correlations, log of the deviation; 3 each.
COLOR_NUMBERS = 12

# The skip connection that is added to each of these convolutions.
SKIPS = {"conv3_4": "skip3_1", "conv2_2": "skip2_1", "conv1_2": "skip1_1"}
# The convolution that reads each tap.
READERS = ("skip1_1", "skip2_1", "skip3_1", "conv4_1")


class Modulation(nn.Module):
    """A small network that predicts a scale and a shift for each channel from a style."""

    mean: Tensor
    std: Tensor

    def __init__(self, layers: dict[str, Layer]) -> None:
        super().__init__()
        inputs = 2 * sum(CHANNELS) + COLOR_NUMBERS
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))
        self.hidden1, self.hidden2 = nn.Linear(inputs, CODE), nn.Linear(CODE, CODE)
        self.channels = {name: len(layer.bias) for name, layer in layers.items()}
        self.out = nn.Linear(CODE, 2 * sum(self.channels.values()))

    def forward(self, style: Style) -> Tensor:
        """Return N x M: scales less 1 and shifts of each layer in turn."""
        x = ((describe(style) - self.mean) / self.std).clamp(-CODE_RANGE, CODE_RANGE)
        x = leaky_relu(self.hidden2(leaky_relu(self.hidden1(x))))
        modulation: Tensor = self.out(x)
        return modulation

    def split(self, modulation: Tensor | None) -> dict[str, Affine]:
        """Return what `forward` returned as an affine map for each layer."""
        assert modulation is not None  # this decoder's styles have one
        sizes = [2 * count for count in self.channels.values()]
        parts = torch.split(modulation[..., None, None], sizes, 1)
        pairs = [part.chunk(2, 1) for part in parts]
        return {
            name: Affine(1 + scale, shift)
            for name, (scale, shift) in zip(self.channels, pairs, strict=True)
        }


class Decoder(nn.Module):
    """Convolutions from relu4_1 up, joined by the other taps on their way.

    Attributes:
        halo: positions of relu4_1 around a tile that its pixels are decoded from: seven at H/8,
            three at H/4, two at H/2 and three at H are 75 pixels.
        convolutions: at `detail` 0.
        detail: how their weights change by `detail`: two networks, and all between them (as Wang
            et al. 2019, "Deep network interpolation").
        modulation: from a style to scales and shifts.
        center1 to center4, scale1 to scale4: bring AdaIN's output at each tap to mean 0 and
            deviation 1 over many styles. As it is it is large and of one sign, and filters die.
    """

    halo = 10

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.convolutions, self.detail = Convolutions(widths), Convolutions(widths)
        for parameter in self.detail.parameters():
            nn.init.zeros_(parameter)
        modulated = {
            name: layer
            for name, layer in self.convolutions.layers().items()
            if not name.startswith(("skip", "color"))
        }
        self.modulation = Modulation(modulated)
        for tap, channels in enumerate(CHANNELS, 1):
            self.register_buffer(f"center{tap}", torch.zeros(channels))
            self.register_buffer(f"scale{tap}", torch.ones(channels))

    def modulate(self, style: Style) -> Tensor:
        """Return the modulation of a style, N x M."""
        modulation: Tensor = self.modulation(style)
        return modulation

    def forward(
        self,
        image: Tensor,
        taps: Sequence[Tensor],
        conditions: Sequence[Condition],
        shares: Sequence[Tensor] = (),
        detail: float = 0.0,
    ) -> Tensor:
        """Paint pictures.

        Args:
            image: contents, N x 3 x H x W, sRGB in [0, 1], float32; H and W multiples of 8.
            taps: their features, as the encoder returns them; the convolutions are computed in
                the features' dtype.
            conditions: one for all of the picture, or one for each region.
            shares: of each region at each position, 1 x 1 x H x W, summing to 1; none where there
                are no regions.
            detail: in [-1, 1], how much of the content to keep.

        Returns:
            N x 3 x H x W, sRGB, about [0, 1], float32; what is outside is the caller's to clip.
        """
        if len(conditions) == 1 and len(image) == 1:
            residual = self._paint_folded(taps, conditions[0], detail)
        else:
            residual = self._paint(taps, conditions, shares, detail)
        painted = []
        for one in conditions:
            ink = one.ink.to(residual) @ residual.flatten(2)
            painted.append(one.base(image) + ink.view_as(image))
        if not shares:
            return painted[0]
        return sum_of([share * part for share, part in zip(shares, painted, strict=True)])

    def _paint(
        self,
        taps: Sequence[Tensor],
        conditions: Sequence[Condition],
        shares: Sequence[Tensor],
        detail: float,
    ) -> Tensor:
        """Return the residual, N x 3 x H x W, float32."""
        pyramid = [[F.avg_pool2d(share, 2**level) for share in shares] for level in range(4)]
        layers: Mapping[str, Convolution] = self.layers_at(detail, conditions[0].changes)
        if shares and any(one.changes for one in conditions):
            each = [self.layers_at(detail, one.changes) for one in conditions]
            layers = {
                name: RegionLayer([own[name] for own in each], pyramid[level_of(name)])
                for name in layers
            }
        inputs = [
            # In float32 with regions: the statistics of a flat region are extreme.
            blend(tap.float() if shares else tap, of_tap, pyramid[level]).to(tap.dtype)
            for level, (tap, of_tap) in enumerate(
                zip(taps, zip(*map(self.inputs, conditions), strict=True), strict=True)
            )
        ]
        modulations = [self.modulation.split(one.modulation) for one in conditions]

        def modulate(name: str, x: Tensor) -> Tensor:
            affines = [modulation[name] for modulation in modulations]
            return blend(x, affines, pyramid[level_of(name)])

        return run(layers, inputs, modulate)

    def _paint_folded(self, taps: Sequence[Tensor], condition: Condition, detail: float) -> Tensor:
        """Return the same for one picture and one condition, which is folded into the weights.

        That saves a pass over the features for each tap and each layer.
        """
        layers, dtype = self.layers_at(detail, condition.changes), taps[0].dtype
        for name, affine in zip(READERS, self.inputs(condition), strict=True):
            layers[name] = layers[name].after(affine, dtype)
        for name, affine in self.modulation.split(condition.modulation).items():
            layers[name] = layers[name].before(affine)
            if name in SKIPS:
                alone = Affine(affine.scale, torch.zeros_like(affine.shift))
                layers[SKIPS[name]] = layers[SKIPS[name]].before(alone)
        return run(layers, taps, lambda name, x: x)

    def layers_at(self, detail: float, changes: Mapping[str, Change]) -> dict[str, Layer]:
        """Return the convolutions at a `detail`, with the changes of a practised style."""
        layers = self.convolutions.layers()
        if detail:
            layers = {
                name: Layer(
                    torch.add(layer.weight, change.weight, alpha=detail),
                    torch.add(layer.bias, change.bias, alpha=detail),
                )
                for (name, layer), change in zip(
                    layers.items(), self.detail.layers().values(), strict=True
                )
            }
        for name, change in changes.items():
            weight, bias = layers[name]
            layers[name] = Layer(weight + change.of(weight), bias)
        return layers

    @property
    def style_shapes(self) -> tuple[int, dict[str, tuple[int, int]]]:
        """The number of modulation values, and C_out and C_in k k of each convolution."""
        shapes = {
            name: (len(layer.bias), layer.weight[0].numel())
            for name, layer in self.convolutions.layers().items()
        }
        return self.modulation.out.out_features, shapes

    def inputs(self, condition: Condition) -> list[Affine]:
        """Return AdaIN at each tap together with what `center` and `scale` do."""
        affines = []
        for tap, affine in enumerate(condition.taps, 1):
            center = self.get_buffer(f"center{tap}")[:, None, None]
            scale = self.get_buffer(f"scale{tap}")[:, None, None]
            affines.append(Affine(affine.scale * scale, (affine.shift - center) * scale))
        return affines


def describe(style: Style) -> Tensor:
    """Return the inputs of the modulation network: N x 1932 numbers of similar magnitude."""
    numbers = []
    for tap in style.taps:
        numbers += [tap.mean.flatten(1).clamp_min(0).log1p(), (tap.std.flatten(1) + 0.01).log()]
    mean, covariance = (each.float().to(numbers[0].device) for each in style.colors)
    std = covariance.diagonal(dim1=1, dim2=2).clamp_min(MIN_VARIANCE).sqrt()
    correlation = (covariance / (std[:, :, None] * std[:, None])).flatten(1)
    above_diagonal = correlation[:, [1, 2, 5]]
    numbers += [mean, std, above_diagonal, std.log()]
    return torch.cat(numbers, 1)
