"""The image transformation network (Johnson, Alahi & Fei-Fei 2016), one for many styles.

A style is one scale and one shift for each channel of each normalization, and nothing else
(conditional instance normalization; Dumoulin, Shlens & Kudlur 2017), so a mix of styles is a mix of
those. It paints faster than AdaIN, in the styles that it was trained on alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.adain import EPSILON
from model.errors import ParameterError
from model.networks.upsampling import upsample_convolution
from model.painting import Painting
from model.pixels import network_input, to_pixels, to_tensor
from model.runtime import within_memory

RESIDUAL_BLOCKS = 5


class ConditionalNorm(nn.Module):
    """Instance normalization whose scale and shift are the style's."""

    def __init__(self, styles: int, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(styles, channels))
        self.shift = nn.Parameter(torch.zeros(styles, channels))

    def forward(self, x: Tensor, shares: Tensor) -> Tensor:
        """Normalize each channel, then scale and shift it as the shares of the styles say.

        Args:
            x: N x C x H x W.
            shares: N x styles, summing to 1.
        """
        # In float32, because these are statistics over a whole picture.
        normalized = F.instance_norm(x.float())
        scale, shift = (shares @ each.float() for each in (self.scale, self.shift))
        return (normalized * scale[:, :, None, None] + shift[:, :, None, None]).to(x.dtype)


class Block(nn.Module):
    """A convolution with reflection padding, and a conditional normalization."""

    def __init__(
        self, styles: int, channels: tuple[int, int], *, side: int = 3, stride: int = 1
    ) -> None:
        super().__init__()
        padding = side // 2
        self.convolution = nn.Conv2d(*channels, side, stride, padding, padding_mode="reflect")
        self.norm = ConditionalNorm(styles, channels[1])

    def forward(self, x: Tensor, shares: Tensor) -> Tensor:
        """Return N x C' x H' x W'."""
        result: Tensor = self.norm(self.convolution(x), shares)
        return result


class UpBlock(Block):
    """A block after nearest-neighbour upsampling by 2, which leaves no checkerboard pattern."""

    def forward(self, x: Tensor, shares: Tensor) -> Tensor:
        """Return N x C' x 2H x 2W."""
        up = upsample_convolution(x, self.convolution.weight, self.convolution.bias)
        result: Tensor = self.norm(up, shares)
        return result


class StyleNetwork(nn.Module):
    """Two strided convolutions, five residual blocks, two upsamplings.

    Attributes:
        names: of the styles, in the order of the shares.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        styles = len(self.names)
        self.down = nn.ModuleList(
            [
                Block(styles, (3, 32), side=9),
                Block(styles, (32, 64), stride=2),
                Block(styles, (64, 128), stride=2),
            ]
        )
        self.residual = nn.ModuleList(
            [Block(styles, (128, 128)) for _ in range(2 * RESIDUAL_BLOCKS)]
        )
        self.up = nn.ModuleList([UpBlock(styles, (128, 64)), UpBlock(styles, (64, 32))])
        self.out = Block(styles, (32, 3), side=9)

    def select(self, names: Sequence[str]) -> StyleNetwork:
        """Return the same network with some of its styles alone, in this order.

        Raises:
            ParameterError: it has no style of a name.
        """
        for name in names:
            if name not in self.names:
                raise ParameterError(
                    f"the network has no style {name!r}; choose from {', '.join(self.names)}"
                )
        rows = [self.names.index(name) for name in names]
        chosen = StyleNetwork(names)
        state = {
            key: value[rows] if key.endswith(("scale", "shift")) else value
            for key, value in self.state_dict().items()
        }
        chosen.load_state_dict(state)
        return chosen

    def forward(self, image: Tensor, shares: Tensor) -> Tensor:
        """Paint pictures.

        Args:
            image: N x 3 x H x W, sRGB in [0, 1], float32; H and W multiples of 4, 16 or more.
            shares: N x styles, each row summing to 1.

        Returns:
            N x 3 x H x W in [0, 1], float32.
        """
        x = (image - 0.5).to(self.out.convolution.weight.dtype)
        for block in self.down:
            x = F.relu(block(x, shares))
        for first, second in zip(self.residual[::2], self.residual[1::2], strict=True):
            # No ReLU behind the sum (Gross & Wilber 2016, as Johnson et al. have it).
            x = x + second(F.relu(first(x, shares)), shares)
        for block in self.up:
            x = F.relu(block(x, shares))
        painted: Tensor = self.out(x, shares).float().sigmoid()
        return painted

    @torch.inference_mode()
    def paint(self, painting: Painting) -> np.ndarray:
        """Return the painted pixels of a painting with one share for each name, for its `finish`.

        Alpha fades the result over the content; a mask gives its style that part of the picture.

        Raises:
            DeviceError: the picture does not fit the device's memory.
        """
        device = self.out.convolution.weight.device
        image = to_tensor(painting.pixels(), device)
        shares = torch.tensor(painting.shares, device=device)[None]
        with within_memory(device):
            if painting.masks is None:
                painted = self(image, shares)
            else:
                alone = torch.eye(len(self.names), device=device)
                each = torch.cat([self(image, one[None]) for one in alone])
                masks = [network_input(mask, device) for mask in painting.masks]
                weights = torch.cat(masks) * shares.view(-1, 1, 1, 1)
                weights /= weights.sum(0, keepdim=True).clamp_min(EPSILON)
                painted = (weights * each).sum(0, keepdim=True)
        return to_pixels(torch.lerp(image, painted, painting.alpha), painting.depth)
