"""What a style is to the networks: all that is kept of a style picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.nn import functional as F

from model.adain import ChannelStatistics, channel_statistics
from model.color import ColorMoments, color_moments
from model.errors import ParameterError

# Of the bytes that a style is stored in; those of another version are refused.
VERSION = 1
# Of relu1_1, relu2_1, relu3_1 and relu4_1.
CHANNELS = (64, 128, 256, 512)
SHAPES: dict[str, tuple[int, ...]] = {
    **{f"mean{tap}": (1, channels, 1, 1) for tap, channels in enumerate(CHANNELS, 1)},
    **{f"std{tap}": (1, channels, 1, 1) for tap, channels in enumerate(CHANNELS, 1)},
    "color_mean": (1, 3),
    "color_covariance": (1, 3, 3),
}


# eq=False: styles compare and hash by identity, since a tensor has no truth value.
@dataclass(frozen=True, slots=True, eq=False)
class Style:
    """A style, or what a content has in the place of one.

    Attributes:
        taps: channel statistics at relu1_1, relu2_1, relu3_1 and relu4_1, N x C x 1 x 1 each.
        colors: moments of the colours.
        modulation: what the decoder makes of all this, N x M, float32; None where it makes nothing.
        weights: fingerprint of the encoder and the decoder that the style is for.
    """

    taps: tuple[ChannelStatistics, ...]
    colors: ColorMoments
    modulation: Tensor | None = None
    weights: str = ""

    @property
    def nbytes(self) -> int:
        """The memory that the style takes, about 20 KiB."""
        return sum(tensor.nbytes for tensor in self.tensors().values())

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by the names that they have in a file."""
        named = {"color_mean": self.colors.mean, "color_covariance": self.colors.covariance}
        for number, tap in enumerate(self.taps, 1):
            named |= {f"mean{number}": tap.mean, f"std{number}": tap.std}
        return named if self.modulation is None else {**named, "modulation": self.modulation}

    @classmethod
    def of_tensors(cls, named: dict[str, Tensor], weights: str) -> Style:
        """Return the style that has these tensors."""
        return cls(
            tuple(ChannelStatistics(named[f"mean{n}"], named[f"std{n}"]) for n in range(1, 5)),
            ColorMoments(named["color_mean"], named["color_covariance"]),
            named.get("modulation"),
            weights,
        )

    def to(self, device: torch.device) -> Style:
        """Return the style on `device`."""
        moved = {name: tensor.to(device) for name, tensor in self.tensors().items()}
        return self.of_tensors(moved, self.weights)

    def to_bytes(self) -> bytes:
        """Return the style as a safetensors file in memory."""
        note = json.dumps({"kind": "style", "version": VERSION, "weights": self.weights})
        # One entry: safetensors writes several in any order, and equal styles are equal bytes.
        tensors = {name: tensor.contiguous() for name, tensor in self.tensors().items()}
        return save(tensors, metadata={"note": note})

    @classmethod
    def from_bytes(cls, data: bytes) -> Style:
        """Return the style that `to_bytes` wrote.

        Raises:
            ParameterError: `data` holds no whole style of this version; the message says why.
        """
        try:
            tensors = load(data)
            note = read_note(data)
        except (SafetensorError, KeyError, ValueError) as error:
            raise ParameterError(f"these bytes hold no style: {error}") from error
        if note.get("kind") != "style" or note.get("version") != VERSION:
            raise ParameterError(
                f"these bytes hold a {note.get('kind')} of version {note.get('version')}, and this "
                f"program reads a style of version {VERSION}; make it anew from its picture"
            )
        for name, shape in SHAPES.items():
            found = tuple(tensors[name].shape) if name in tensors else "absent"
            if found != shape:
                raise ParameterError(f"these bytes hold no style: {name} is {found}, not {shape}")
        for name, tensor in tensors.items():
            if not tensor.isfinite().all():
                raise ParameterError(f"these bytes hold no style: {name} is not finite")
        return cls.of_tensors(tensors, str(note["weights"]))


def measure(image: Tensor, taps: Sequence[Tensor], region: Tensor | None = None) -> Style:
    """Return the style that pictures have, without a modulation.

    Args:
        image: N x 3 x H x W, sRGB in [0, 1]; H and W multiples of 8.
        taps: its features, as the encoder returns them.
        region: 1 x 1 x H x W in [0, 1], how much each position counts; None counts all alike.
    """
    statistics = []
    for level, features in enumerate(taps):
        here = None if region is None else F.avg_pool2d(region, 2**level)
        statistics.append(channel_statistics(features, here))
    return Style(tuple(statistics), color_moments(image, region))


def read_note(data: bytes) -> dict[str, Any]:
    """Return the note in the header of a safetensors file, which `load` passes over."""
    length = int.from_bytes(data[:8], "little")
    note: dict[str, Any] = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["note"])
    return note


def mix(styles: Sequence[Style], weights: Sequence[float]) -> Style:
    """Return the convex combination of styles; `weights` are positive and sum to 1.

    AdaIN is affine in the style's statistics, so this gives the same features as the paper's
    combination of the styles' targets (section 7.2), at the cost of one style.
    """
    if len(styles) == 1:
        return styles[0]
    every = [style.tensors() for style in styles]
    mixed = {
        name: torch.stack([w * each[name] for w, each in zip(weights, every, strict=True)]).sum(0)
        for name in every[0]
    }
    return Style.of_tensors(mixed, styles[0].weights)
