"""The decoder's convolutions: their names and order, and how a style is folded into them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.adain import Affine
from model.conditioning import sum_of
from model.networks.encoder import convolution
from model.networks.pauses import pause
from model.networks.upsampling import upsample_convolution

# Channels at H/8, H/4, H/2 and H.
WIDTHS = (128, 128, 64, 32)
BLOCKS = 3
SLOPE = 0.1


class Layer(NamedTuple):
    """Weight and bias of a convolution with reflection padding."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve, in the dtype of `x`."""
        padding = self.weight.shape[2] // 2
        if padding:
            x = F.pad(x, (padding,) * 4, mode="reflect")
        return F.conv2d(x, self.weight.to(x.dtype), self.bias.to(x.dtype))

    def up(self, x: Tensor) -> Tensor:
        """Upsample by 2, then convolve."""
        return upsample_convolution(x, self.weight, self.bias)

    def after(self, affine: Affine, dtype: torch.dtype) -> Layer:
        """Return this convolution (1x1 or 3x3) of features that `affine` has mapped.

        The weight is rounded to `dtype` before the bias is made from it: what a nearly constant
        channel is scaled by is large, and the rounding of its mean must cancel.
        """
        scale, shift = affine.scale.flatten(), affine.shift.flatten()
        weight = (self.weight * scale[:, None, None]).to(dtype).float()
        return Layer(weight, self.bias + weight.sum((2, 3)) @ (shift / scale))

    def before(self, affine: Affine) -> Layer:
        """Return this convolution with its channels mapped by `affine`."""
        scale, shift = affine.scale.flatten(), affine.shift.flatten()
        return Layer(self.weight * scale[:, None, None, None], self.bias * scale + shift)


class RegionLayer:
    """Convolutions that differ from region to region, blended by the regions' shares."""

    def __init__(self, layers: Sequence[Layer], shares: Sequence[Tensor]) -> None:
        self._layers, self._shares = layers, shares

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve."""
        return self._blend([layer(x) for layer in self._layers])

    def up(self, x: Tensor) -> Tensor:
        """Upsample by 2, then convolve."""
        return self._blend([layer.up(x) for layer in self._layers])

    def _blend(self, parts: Sequence[Tensor]) -> Tensor:
        weighted = [part * share for part, share in zip(parts, self._shares, strict=True)]
        return sum_of(weighted).to(parts[0].dtype)


Convolution = Layer | RegionLayer


class Convolutions(nn.Module):
    """The decoder's convolutions, named after the encoder's layers that they answer to.

    Each `skip` reads a tap, and is added to the convolution before it.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        a, b, c, d = widths
        self.conv4_1 = convolution(512, a)
        for block in range(1, BLOCKS + 1):
            self.add_module(f"block{block}_1", convolution(a, a))
            self.add_module(f"block{block}_2", convolution(a, a))
        self.conv3_4, self.skip3_1 = convolution(a, b), nn.Conv2d(256, b, 1)
        self.conv3_2, self.conv3_1 = convolution(b, b), convolution(b, b)
        self.conv2_2, self.skip2_1 = convolution(b, c), nn.Conv2d(128, c, 1)
        self.conv2_1 = convolution(c, c)
        self.conv1_2, self.skip1_1 = convolution(c, d), nn.Conv2d(64, d, 1)
        self.conv1_1 = convolution(d, d)
        self.color = convolution(d, 3)

    def layers(self) -> dict[str, Layer]:
        """Return weight and bias of each, by name."""
        return {
            name: Layer(layer.weight, layer.bias)  # type: ignore[arg-type]
            for name, layer in self.named_children()
        }


def run(
    layers: Mapping[str, Convolution],
    taps: Sequence[Tensor],
    modulate: Callable[[str, Tensor], Tensor],
) -> Tensor:
    """Run the convolutions.

    Args:
        layers: by name; see `Convolutions`.
        taps: what they read, N x C x H' x W' each, from relu1_1 to relu4_1.
        modulate: maps the output of a layer of this name before its activation.

    Returns:
        N x 3 x H x W, float32.
    """

    def activate(name: str, x: Tensor) -> Tensor:
        pause()
        return leaky_relu(modulate(name, x))

    x = activate("conv4_1", layers["conv4_1"](taps[3]))
    for first, second in ((f"block{n}_1", f"block{n}_2") for n in range(1, BLOCKS + 1)):
        x = x + modulate(second, layers[second](activate(first, layers[first](x))))
        pause()
    x = activate("conv3_4", layers["conv3_4"].up(x) + layers["skip3_1"](taps[2]))
    x = activate("conv3_1", layers["conv3_1"](activate("conv3_2", layers["conv3_2"](x))))
    x = activate("conv2_2", layers["conv2_2"].up(x) + layers["skip2_1"](taps[1]))
    x = activate("conv2_1", layers["conv2_1"](x))
    x = activate("conv1_2", layers["conv1_2"].up(x) + layers["skip1_1"](taps[0]))
    x = activate("conv1_1", layers["conv1_1"](x))
    return layers["color"](x).float()


def level_of(name: str) -> int:
    """Return how many halvings below the picture a layer's output is."""
    if name == "color":
        return 0
    # The blocks are at H/8; conv3_2 and skip3_1 are at H/4, as the encoder's layers of block 3.
    return 3 if name.startswith("block") else int(name[4]) - 1


def leaky_relu(x: Tensor) -> Tensor:
    """Return the leaky ReLU, computed in place."""
    return F.leaky_relu(x, SLOPE, inplace=True)
