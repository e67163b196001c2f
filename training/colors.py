"""A loss that makes the encoder keep colours, which a classifier has no use for.

Without it, relu4_1 of an encoder trained on small pictures hardly tells how bright a flat area is:
no decoder can then paint a sky of one tone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.pixels import STRIDE

# Mean colours of blocks of this side in pixels are to be read off relu4_1: four blocks for each of
# its positions, which also tells where within a position an edge is.
BLOCK = 4
BLOCKS = (STRIDE // BLOCK) ** 2
MIDDLE_GREY = 0.45
# Against the mean square of a scaled channel, which is about 5e-3.
RIDGE = 1e-6


class ColorHead(nn.Conv2d):
    """Reads colours off relu4_1, linearly and at each position alone."""

    def __init__(self) -> None:
        super().__init__(512, 3 * BLOCKS, 1)
        self.scale = self.in_channels**-0.5

    def forward(self, features: Tensor) -> Tensor:
        """Return N x 12 x H/8 x W/8 colours less middle grey, of relu4_1.

        512 channels push the answer at once: unscaled, steps that suit the encoder would be far
        too long here.
        """
        colors: Tensor = super().forward(features * self.scale)
        return colors


def color_loss(colors: Tensor, image: Tensor) -> Tensor:
    """Return the mean squared error of the colours that a head has read.

    Args:
        colors: the head's answer to relu4_1 of `image`, any floating dtype.
        image: N x 3 x H x W in [0, 1]; H and W multiples of 8.
    """
    return F.mse_loss(colors.float(), read(image))


def read(image: Tensor) -> Tensor:
    """Return what a head should answer to an image's relu4_1."""
    return F.pixel_unshuffle(F.avg_pool2d(image, BLOCK), STRIDE // BLOCK) - MIDDLE_GREY


@torch.no_grad()
def fit(head: ColorHead, features: Tensor, image: Tensor) -> None:
    """Make a head the best linear reader of some features (ridge regression).

    Args:
        head: on the device of the others.
        features: relu4_1 of `image`, N x 512 x H/8 x W/8, any floating dtype.
        image: N x 3 x H x W in [0, 1]; H and W multiples of 8.
    """
    x, y = (
        values.double().permute(0, 2, 3, 1).flatten(0, 2)
        for values in (features * head.scale, read(image))
    )
    x = F.pad(x, (0, 1), value=1.0)
    ridge = RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    solution = torch.linalg.solve(x.T @ x + ridge, x.T @ y).float()
    head.weight.copy_(solution[:-1].T[..., None, None])
    head.get_parameter("bias").copy_(solution[-1])
