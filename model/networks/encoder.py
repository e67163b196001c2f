"""The encoder f: VGG-19 (Simonyan & Zisserman 2015) up to relu4_1."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor, nn
from torch.nn import functional as F

from model.errors import ParameterError
from model.networks.pauses import pause

# Mean and deviation of ImageNet's training pictures, for RGB in [0, 1].
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Output channels of each convolution, in order; max pooling lies between blocks.
LAYERS = {
    "conv1_1": 64, "conv1_2": 64,
    "conv2_1": 128, "conv2_2": 128,
    "conv3_1": 256, "conv3_2": 256, "conv3_3": 256, "conv3_4": 256,
    "conv4_1": 512, "conv4_2": 512, "conv4_3": 512, "conv4_4": 512,
    "conv5_1": 512,
}  # fmt: skip
TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


def convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    """Return a 3x3 convolution with reflection padding.

    VGG pads with zeros; reflection avoids the dark frame that zeros leave around the picture
    (the AdaIN paper, section 6, does so for both networks).
    """
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, padding_mode="reflect")


def relu(x: Tensor) -> Tensor:
    """Return the ReLU, computed in place."""
    return F.relu(x, inplace=True)


def pool(x: Tensor) -> Tensor:
    """2x2 max pooling that keeps the last row and column of an odd size."""
    return F.max_pool2d(x, 2, ceil_mode=True)


def average_pool(x: Tensor) -> Tensor:
    """2x2 average pooling, as `pool`; Gatys et al. (2015) find its gradients smoother."""
    return F.avg_pool2d(x, 2, ceil_mode=True)


def normalize(image: Tensor) -> Tensor:
    """Give the picture (N x 3 x H x W in [0, 1]) zero mean and unit deviation over ImageNet.

    As torchvision's function of that name, whose import would double the start-up time.
    """
    mean = image.new_tensor(IMAGENET_MEAN).view(3, 1, 1)
    std = image.new_tensor(IMAGENET_STD).view(3, 1, 1)
    return (image - mean) / std


class Encoder(nn.Module):
    """Convolutions named as in VGG-19, nine up to conv4_1, their filters *normalised*.

    Each filter is scaled to a mean activation of 1 over pictures and positions (Gatys et al. 2015),
    with which the four taps weigh alike in the style loss. VGG's own scale trains poor decoders.
    """

    # `__init__` adds the layers by name, which mypy does not see.
    conv1_1: nn.Conv2d

    def __init__(self, last: str = "conv4_1") -> None:
        """Lay out the layers.

        Args:
            last: the deepest layer, conv4_1 or beyond it; see `LAYERS`. Stylization needs no more
                than conv4_1, optimisation may look at others.
        """
        super().__init__()
        in_channels = 3
        for name, channels in LAYERS.items():
            self.add_module(name, convolution(in_channels, channels))
            in_channels = channels
            if name == last:
                break

    @property
    def activations_known(self) -> tuple[str, ...]:
        """The names that `activations` takes, in the network's order."""
        return tuple(name.replace("conv", "relu") for name, _ in self.named_children())

    def activations(
        self, image: Tensor, names: Iterable[str], pool: Callable[[Tensor], Tensor] = pool
    ) -> dict[str, Tensor]:
        """Return the activations of the named layers, in the weights' dtype.

        Args:
            image: N x 3 x H x W, sRGB in [0, 1], float32; H and W at least twice the deepest
                layer's stride, for relu4_1 16.
            names: such as relu1_1; what lies behind the deepest of them is not computed.
            pool: halves the sides between blocks; `average_pool` is the other choice.

        Returns:
            By name, N x C x H' x W'.

        Raises:
            ParameterError: this encoder has no such layer, or the picture is too small for it.
        """
        missing = set(names)
        # Normalised before rounding to the weights' precision: bfloat16 has 8 significant bits.
        x = normalize(image).to(self.conv1_1.weight.dtype)
        found: dict[str, Tensor] = {}
        block = "1"
        for (layer_name, layer), name in zip(
            self.named_children(), self.activations_known, strict=True
        ):
            if not missing:
                break
            if layer_name[4] != block:
                x, block = pool(x), layer_name[4]
                if min(x.shape[2:]) < 2:  # reflection padding needs two positions to reflect
                    raise ParameterError(f"a picture is too small for {', '.join(sorted(missing))}")
            x = relu(layer(x))
            pause()
            if name in missing:
                found[name] = x
                missing.remove(name)
        if missing:
            raise ParameterError(
                f"this encoder has no {', '.join(sorted(missing))}; "
                f"choose from {', '.join(self.activations_known)}"
            )
        return found

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return relu1_1, relu2_1, relu3_1 and relu4_1; see `activations`.

        Returns:
            N x 64 x H x W, N x 128 x H/2 x W/2, N x 256 x H/4 x W/4, N x 512 x H/8 x W/8.
        """
        found = self.activations(image, TAPS)
        return found["relu1_1"], found["relu2_1"], found["relu3_1"], found["relu4_1"]
