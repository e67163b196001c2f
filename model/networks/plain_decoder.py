"""The paper's decoder: the encoder's mirror, from relu4_1 alone back to a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from model.conditioning import Condition, blend
from model.networks.encoder import convolution, relu
from model.networks.pauses import pause
from model.networks.upsampling import upsample_convolution
from model.pixels import STRIDE
from model.style import Style

# Layers that follow nearest-neighbour upsampling, where the encoder pools.
UPSAMPLED = ("conv3_4", "conv2_2", "conv1_2")


class PlainDecoder(nn.Module):
    """Nine convolutions, each named after the encoder's layer that it mirrors (Huang & Belongie).

    No normalization layers: they would undo what AdaIN did (paper, section 7.1). The last layer is
    linear; values outside [0, 1] are the caller's to clip.

    Attributes:
        halo: positions of relu4_1 around a tile that its pixels are decoded from: 30 pixels.
    """

    halo = 4
    # A style has no modulation and no changes for this decoder; see `model.networks.decoder`.
    style_shapes: tuple[int, dict[str, tuple[int, int]]] = (0, {})

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

    def modulate(self, style: Style) -> None:
        """Return None: this decoder sees a style in its features alone."""

    def forward(
        self,
        image: Tensor,
        taps: Sequence[Tensor],
        conditions: Sequence[Condition],
        shares: Sequence[Tensor] = (),
        detail: float = 0.0,
    ) -> Tensor:
        """Paint, as `model.networks.decoder.Decoder` does; `image` and `detail` have no effect."""
        deepest = [condition.taps[-1] for condition in conditions]
        small = [nn.functional.avg_pool2d(share, STRIDE) for share in shares]
        return self.decode(blend(taps[-1].float(), deepest, small))

    def decode(
        self,
        features: Tensor,
        activate: Callable[[str, Tensor], Tensor] = lambda name, x: relu(x),
    ) -> Tensor:
        """Decode features at relu4_1.

        Args:
            features: N x 512 x H/8 x W/8, any floating dtype; computed in the weights' dtype.
            activate: ReLU, with the name of the layer whose output it is given.

        Returns:
            N x 3 x H x W, sRGB, about [0, 1], float32.
        """
        x = features.to(self.conv4_1.weight.dtype)
        for name, layer in self.named_children():
            assert isinstance(layer, nn.Conv2d)
            up = name in UPSAMPLED
            x = upsample_convolution(x, layer.weight, layer.bias) if up else layer(x)
            pause()
            if name != "conv1_1":
                x = activate(name, x)
        return x.float()
