"""The encoder f: VGG-19 (Simonyan & Zisserman 2015) up to relu4_1."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

# Of ImageNet's training pictures, per RGB channel, in [0, 1].
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
# Three poolings: relu4_1 has one position for 8 x 8 pixels.
STRIDE = 8
# Reflection padding needs two positions to reflect, also at relu4_1.
MIN_SIDE = 2 * STRIDE


def convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    """Return a 3x3 convolution with reflection padding.

    VGG pads with zeros; reflection avoids the dark frame that zeros leave around the picture
    (the AdaIN paper, section 6, does so for both networks).
    """
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, padding_mode="reflect")


def relu(x: Tensor) -> Tensor:
    """ReLU in place: nothing else reads a convolution's output."""
    return F.relu(x, inplace=True)


def pool(x: Tensor) -> Tensor:
    """2x2 max pooling that keeps the last row and column of an odd size."""
    return F.max_pool2d(x, 2, ceil_mode=True)


def normalize(image: Tensor) -> Tensor:
    """Give the picture (N x 3 x H x W in [0, 1]) zero mean and unit deviation over ImageNet.

    As torchvision's function of that name, whose import would double the start-up time.
    """
    mean = image.new_tensor(IMAGENET_MEAN).view(3, 1, 1)
    std = image.new_tensor(IMAGENET_STD).view(3, 1, 1)
    return (image - mean) / std


class Encoder(nn.Module):
    """Nine convolutions named as in VGG-19, their filters *normalised*.

    Each filter is scaled to a mean activation of 1 over pictures and positions (Gatys et al. 2015),
    with which the four taps weigh alike in the style loss. VGG's own scale trains poor decoders.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1_1 = convolution(3, 64)
        self.conv1_2 = convolution(64, 64)
        self.conv2_1 = convolution(64, 128)
        self.conv2_2 = convolution(128, 128)
        self.conv3_1 = convolution(128, 256)
        self.conv3_2 = convolution(256, 256)
        self.conv3_3 = convolution(256, 256)
        self.conv3_4 = convolution(256, 256)
        self.conv4_1 = convolution(256, 512)

    def taps(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return relu1_1, relu2_1, relu3_1 and relu4_1 in the weights' dtype.

        Args:
            image: N x 3 x H x W, sRGB in [0, 1], float32; H and W at least 16.

        Returns:
            N x 64 x H x W, N x 128 x H/2 x W/2, N x 256 x H/4 x W/4, N x 512 x H/8 x W/8.
        """
        # Normalised before rounding to the weights' precision: bfloat16 has 8 significant bits.
        x = normalize(image).to(self.conv1_1.weight.dtype)
        relu1_1 = relu(self.conv1_1(x))
        relu2_1 = relu(self.conv2_1(pool(relu(self.conv1_2(relu1_1)))))
        relu3_1 = relu(self.conv3_1(pool(relu(self.conv2_2(relu2_1)))))
        x = relu(self.conv3_3(relu(self.conv3_2(relu3_1))))
        relu4_1 = relu(self.conv4_1(pool(relu(self.conv3_4(x)))))
        return relu1_1, relu2_1, relu3_1, relu4_1

    def forward(self, image: Tensor) -> Tensor:
        """Return relu4_1 of `image`; see `taps`."""
        return self.taps(image)[-1]
