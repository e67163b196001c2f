"""The paper's method as the usual scripts have it: eager float32, both pictures encoded each time.

What benchmarks/speed.py compares with; written from the paper. The weights of its decoder are
random: they cost what trained ones do.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from model.networks.encoder import IMAGENET_MEAN, IMAGENET_STD, Encoder
from model.networks.plain_decoder import PlainDecoder
from model.weights import load_encoder

ENCODER = "1_1 1_2 pool 2_1 2_2 pool 3_1 3_2 3_3 3_4 pool 4_1"
DECODER = "4_1 up 3_4 3_3 3_2 3_1 up 2_2 2_1 up 1_2 1_1"


def build(network: Encoder | PlainDecoder, plan: str) -> nn.Sequential:
    """Return an encoder or decoder as a chain of PyTorch's own modules."""
    tensors = network.state_dict()
    layers: list[nn.Module] = []
    for step in plan.split():
        if step == "pool":
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        elif step == "up":
            layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
        else:
            weight, bias = (tensors[f"conv{step}.{kind}"] for kind in ("weight", "bias"))
            convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 3)
            convolution.load_state_dict({"weight": weight, "bias": bias})
            layers += [nn.ReflectionPad2d(1), convolution, nn.ReLU()]
    return nn.Sequential(*layers[:-1] if isinstance(network, PlainDecoder) else layers)


class Plain:
    """Encodes content and style, and decodes, for each picture anew."""

    def __init__(self, decoder: PlainDecoder | None = None, device: str = "cpu") -> None:
        self.encoder = build(load_encoder(), ENCODER).to(device)
        self.decoder = build(decoder or PlainDecoder(), DECODER).to(device)
        self.device = device

    @torch.no_grad()
    def stylize(self, content: Image.Image, style: Image.Image) -> Image.Image:
        """Return the content in the style; both RGB, sides a multiple of 8."""
        c, s = (self.encoder(load(image).to(self.device)) for image in (content, style))
        (c_mean, c_std), (s_mean, s_std) = statistics(c), statistics(s)
        image = self.decoder((c - c_mean) / c_std * s_std + s_mean)
        pixels = (image[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
        return Image.fromarray(pixels.cpu().numpy())


def load(image: Image.Image) -> Tensor:
    """Return an RGB image as the encoder takes it, 1 x 3 x H x W."""
    tensor = torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1).contiguous()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return ((tensor - mean) / std)[None]


def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation per channel."""
    var, mean = torch.var_mean(features, dim=(2, 3), correction=0, keepdim=True)
    return mean, (var + 1e-5).sqrt()
