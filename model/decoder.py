"""The decoder g: the encoder's mirror, from relu4_1 back to a picture."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.encoder import convolution, relu

# Rows: the four taps of the folded kernel, by their distance from the output pixel;
# columns: the three taps of the 3x3 kernel that read the same source pixel.
FOLD = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def upsample_convolution(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """Nearest-neighbour upsampling by 2, then the 3x3 convolution with reflection padding.

    Computed as one transposed convolution, without the upsampled features: each source pixel is
    read twice along each axis, so the taps that read it can be summed beforehand. That leaves 16
    multiplications for each source pixel in place of 36. Reflecting the upsampled features
    repeats the border pixel, so at the source's size the padding is replication.

    Args:
        x: N x C_in x H x W.
        convolution: 3x3, C_in to C_out.

    Returns:
        N x C_out x 2H x 2W.
    """
    fold = torch.tensor(FOLD, device=x.device)
    weight = torch.einsum("oiyx,ay,bx->ioab", convolution.weight.float(), fold, fold)
    weight = weight.to(x.dtype).contiguous(memory_format=torch.channels_last)
    x = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return F.conv_transpose2d(x, weight, convolution.bias, stride=2, padding=3)


class Decoder(nn.Module):
    """Nine convolutions, each named after the encoder's layer that it mirrors.

    No normalization layers: they would undo what AdaIN did (paper, section 7.1). The last layer is
    linear; values outside [0, 1] are the caller's to clip.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv4_1 = convolution(512, 256)
        self.conv3_4 = convolution(256, 256)
        self.conv3_3 = convolution(256, 256)
        self.conv3_2 = convolution(256, 256)
        self.conv3_1 = convolution(256, 128)
        self.conv2_2 = convolution(128, 128)
        self.conv2_1 = convolution(128, 64)
        self.conv1_2 = convolution(64, 64)
        self.conv1_1 = convolution(64, 3)

    def forward(self, features: Tensor) -> Tensor:
        """Decode features at relu4_1.

        Args:
            features: N x 512 x H/8 x W/8, any floating dtype; computed in the weights' dtype.

        Returns:
            N x 3 x H x W, sRGB, about [0, 1], float32.
        """
        x = features.to(self.conv4_1.weight.dtype)
        x = relu(self.conv4_1(x))
        x = relu(upsample_convolution(x, self.conv3_4))
        x = relu(self.conv3_1(relu(self.conv3_2(relu(self.conv3_3(x))))))
        x = relu(upsample_convolution(x, self.conv2_2))
        x = relu(self.conv2_1(x))
        x = relu(upsample_convolution(x, self.conv1_2))
        image: Tensor = self.conv1_1(x)
        return image.float()
