"""VGG-19 up to relu4_1 as a classifier, from which an encoder is folded."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from model.networks.encoder import Encoder, convolution, normalize, pool, relu
from training.colors import ColorHead
from training.normalization import layers

# Layers whose output is pooled.
POOLED = ("conv1_2", "conv2_2", "conv3_4")


class Answer(NamedTuple):
    """The classifier's output for N pictures.

    Attributes:
        logits: N x classes.
        colors: see `training.colors`.
    """

    logits: Tensor
    colors: Tensor


class Classifier(nn.Module):
    """The encoder with batch norm, and over it a head of two more convolutions.

    The head's convolutions make what is particular to the classes, so that relu4_1 need not, and
    stays as general as it is in the middle of a whole VGG-19.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.norms = nn.ModuleDict(
            {name: nn.BatchNorm2d(conv.out_channels) for name, conv in layers(self.encoder)}
        )
        self.color_head = ColorHead()
        self.class_head = nn.Sequential(
            *block(512, 512),
            nn.MaxPool2d(2, ceil_mode=True),
            *block(512, 512),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(512, classes),
        )
        for module in (*self.encoder.modules(), *self.class_head.modules()):
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> Answer:
        """Classify.

        Args:
            image: N x 3 x H x W in [0, 1], float32; H and W multiples of 8.
        """
        x = normalize(image)
        for name, layer in layers(self.encoder):
            x = relu(self.norms[name](layer(x)))
            if name in POOLED:
                x = pool(x)
        return Answer(self.class_head(x), self.color_head(x))

    @torch.no_grad()
    def fold(self) -> Encoder:
        """Return the encoder with batch norm folded into its convolutions: the same function."""
        folded = Encoder()
        for (name, source), (_, target) in zip(layers(self.encoder), layers(folded), strict=True):
            norm = self.norms[name]
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            weight, bias = fuse_conv_bn_weights(
                source.weight,
                source.bias,
                norm.running_mean,
                norm.running_var,
                norm.eps,
                norm.weight,
                norm.bias,
            )
            target.weight.copy_(weight)
            assert target.bias is not None
            target.bias.copy_(bias)
        return folded


def block(in_channels: int, out_channels: int) -> tuple[nn.Module, ...]:
    """Return a convolution with batch norm and ReLU."""
    return (
        convolution(in_channels, out_channels),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
