"""A style as the networks see it: all that is kept of a style picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.nn import functional as F

from model.adain import ChannelStatistics, channel_statistics
from model.color import ColorMoments, color_moments
from model.errors import ParameterError
from model.files import read_note
from model.runtime import moved

# The version of the format that styles are stored in; other versions are refused.
VERSION = 1
# Channels of relu1_1, relu2_1, relu3_1 and relu4_1.
CHANNELS = (64, 128, 256, 512)
SHAPES: dict[str, tuple[int, ...]] = {
    **{f"mean{tap}": (1, channels, 1, 1) for tap, channels in enumerate(CHANNELS, 1)},
    **{f"std{tap}": (1, channels, 1, 1) for tap, channels in enumerate(CHANNELS, 1)},
    "color_mean": (1, 3),
    "color_covariance": (1, 3, 3),
}


# How much of a file `is_style_file` looks at.
HEAD_BYTES = 10
# The largest magnitude in a style's file; the statistics of real pictures stay far below.
LARGEST = 1e5
DTYPES = (torch.float16, torch.float32, torch.float64)


class Change(NamedTuple):
    """A change of a convolution's weight for one style: `left` times `right`, of rank R.

    As Hu et al. 2021, "LoRA: low-rank adaptation of large language models".

    Attributes:
        left: C_out x R.
        right: R x C_in k k.
    """

    left: Tensor
    right: Tensor

    def of(self, weight: Tensor) -> Tensor:
        """Return the change of a weight, C_out x C_in x k x k."""
        return (self.left @ self.right).view_as(weight)


# eq=False: styles compare and hash by identity, since a tensor has no truth value.
@dataclass(frozen=True, slots=True, eq=False)
class Style:
    """A style, or what a content has in the place of one.

    Attributes:
        taps: channel statistics at relu1_1, relu2_1, relu3_1 and relu4_1, N x C x 1 x 1 each.
        colors: moments of the colours.
        modulation: what the decoder makes of all this, N x M, float32; None where it makes nothing.
        weights: fingerprint of the encoder and the decoder that the style is for.
        changes: what a practised style adds to the decoder's convolutions, by name.
        detail: in [-1, 1], how much of a content the style keeps by itself (`Controls.detail`).
        picture: the file of the style picture, where the style is kept without one.
    """

    taps: tuple[ChannelStatistics, ...]
    colors: ColorMoments
    modulation: Tensor | None = None
    weights: str = ""
    changes: Mapping[str, Change] = field(default_factory=dict)
    detail: float = 0.0
    picture: bytes = b""

    @property
    def nbytes(self) -> int:
        """The memory that the style takes: about 20 KiB, and what a practised one changes."""
        return sum(tensor.nbytes for tensor in self.tensors().values()) + len(self.picture)

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by the names that they have in a file."""
        named = self.statistics()
        for name, change in self.changes.items():
            named |= {f"{name}.left": change.left, f"{name}.right": change.right}
        return named

    def statistics(self) -> dict[str, Tensor]:
        """Return the tensors that every style has, by name; styles are mixed number by number."""
        named = {"color_mean": self.colors.mean, "color_covariance": self.colors.covariance}
        for number, tap in enumerate(self.taps, 1):
            named |= {f"mean{number}": tap.mean, f"std{number}": tap.std}
        return named if self.modulation is None else {**named, "modulation": self.modulation}

    @classmethod
    def of_tensors(
        cls, named: Mapping[str, Tensor], weights: str, *, detail: float = 0.0, picture: bytes = b""
    ) -> Style:
        """Return the style that has these tensors."""
        changed = [name.removesuffix(".left") for name in named if name.endswith(".left")]
        return cls(
            tuple(ChannelStatistics(named[f"mean{n}"], named[f"std{n}"]) for n in range(1, 5)),
            ColorMoments(named["color_mean"], named["color_covariance"]),
            named.get("modulation"),
            weights,
            {name: Change(named[f"{name}.left"], named[f"{name}.right"]) for name in changed},
            detail,
            picture,
        )

    def to(self, device: torch.device) -> Style:
        """Return the style on `device`."""
        tensors = {name: moved(tensor, device) for name, tensor in self.tensors().items()}
        return self.of_tensors(tensors, self.weights, detail=self.detail, picture=self.picture)

    def to_bytes(self) -> bytes:
        """Return the style as a safetensors file in memory; changes are stored in float16."""
        note = {"kind": "style", "version": VERSION, "weights": self.weights, "detail": self.detail}
        tensors = {
            name: (tensor.half() if "." in name else tensor).contiguous()
            for name, tensor in self.tensors().items()
        }
        if self.picture:
            tensors["picture"] = torch.from_numpy(np.frombuffer(self.picture, np.uint8).copy())
        # One entry: safetensors writes several in any order, and equal styles are equal bytes.
        return save(tensors, metadata={"note": json.dumps(note)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Style:
        """Return the style that `to_bytes` wrote.

        Raises:
            ParameterError: `data` holds no whole style of this version; the message says why.
        """
        try:
            tensors, note = load(data), read_note(data)
        except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ParameterError(f"this is no style file: {error}") from error
        if note.get("kind") != "style" or note.get("version") != VERSION:
            raise ParameterError(
                f"this file holds a {note.get('kind')} of version {note.get('version')}, and this "
                f"program reads a style of version {VERSION}; make it anew from its picture"
            )
        picture, detail = tensors.pop("picture", None), note.get("detail")
        check_tensors(tensors)
        if not isinstance(detail, (int, float)) or not -1 <= detail <= 1:
            raise ParameterError("this style file is damaged: its detail is not in [-1, 1]")
        if picture is not None and (picture.dtype != torch.uint8 or picture.ndim != 1):
            raise ParameterError("this style file is damaged: its picture is no file")
        return cls.of_tensors(
            {name: tensor.float() if "." in name else tensor for name, tensor in tensors.items()},
            str(note.get("weights")),
            detail=float(detail),
            picture=b"" if picture is None else picture.numpy().tobytes(),
        )


@dataclass(frozen=True, slots=True)
class StyleLayout:
    """What the styles of a model look like.

    Attributes:
        weights: fingerprint of the model.
        modulation: how many numbers the decoder is modulated by; 0: it is not.
        convolutions: those that a style may change, with C_out and C_in k k.
    """

    weights: str
    modulation: int
    convolutions: Mapping[str, tuple[int, int]]

    def check(self, style: Style) -> None:
        """Raise ParameterError for a style that is for another model."""
        if style.weights != self.weights:
            raise ParameterError(
                "a style is for other weights than the loaded ones; make it anew from its "
                "picture, or load the weights that it was made with"
            )
        found = 0 if style.modulation is None else style.modulation.shape[-1]
        if found != self.modulation:
            raise ParameterError(
                f"a style has {found} numbers of modulation, and this decoder {self.modulation}"
            )
        for name, (left, right) in style.changes.items():
            if self.convolutions.get(name) != (left.shape[0], right.shape[1]):
                raise ParameterError(
                    f"a style changes a layer that the decoder does not have so: {name[:40]}"
                )


def is_style_file(head: bytes, length: int) -> bool:
    """Whether a file begins as a safetensors file does, which no picture does.

    Args:
        head: its first `HEAD_BYTES` or more.
        length: how many it has.
    """
    return head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < length


def read_style_file(data: bytes, layout: StyleLayout) -> Style:
    """Return a practised style with the file of its picture, `Style.picture`.

    Args:
        data: the file.
        layout: what the styles of the loaded model look like.

    Raises:
        ParameterError: the file is damaged, is for another model, or carries no picture.
    """
    style = Style.from_bytes(data)
    layout.check(style)
    if not style.picture:
        raise ParameterError("this style file carries no picture; practise the style anew")
    return style


def check_tensors(tensors: Mapping[str, Tensor]) -> None:
    """Raise ParameterError if a file's tensors are not those of a style."""
    damaged = "this style file is damaged"
    for name, shape in SHAPES.items():
        found = tuple(tensors[name].shape) if name in tensors else "absent"
        if found != shape:
            raise ParameterError(f"{damaged}: {name} is {found}, not {shape}")
    for name, tensor in tensors.items():
        convolution, _, part = name.rpartition(".")
        if name not in SHAPES and name != "modulation" and part not in ("left", "right"):
            raise ParameterError(f"{damaged}: {name[:40]} is no part of a style")
        if tensor.ndim != len(SHAPES.get(name, (1, 1))):
            raise ParameterError(f"{damaged}: {name[:40]} has {tensor.ndim} dimensions")
        # every comparison with NaN is false
        if tensor.dtype not in DTYPES or not (tensor.abs() <= LARGEST).all():
            raise ParameterError(f"{damaged}: {name[:40]} must hold numbers up to {LARGEST:g}")
        if part in ("left", "right"):
            pair = [tensors.get(f"{convolution}.{side}") for side in ("left", "right")]
            left, right = (None if each is None else each.shape for each in pair)
            if left is None or right is None or left[1:] != right[:1] or left[1] > sum(CHANNELS):
                raise ParameterError(f"{damaged}: the change of {convolution[:40]} does not fit")


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


def mix(styles: Sequence[Style], weights: Sequence[float]) -> Style:
    """Return the convex combination of styles; `weights` are positive and sum to 1.

    AdaIN is affine in the style's statistics, so this gives the same features as the paper's
    combination of the styles' targets (section 7.2), at the cost of one style. What practised
    styles change is added up, in these parts.
    """
    if len(styles) == 1:
        return styles[0]
    every = [style.statistics() for style in styles]
    mixed = {
        name: torch.stack([w * each[name] for w, each in zip(weights, every, strict=True)]).sum(0)
        for name in every[0]
    }
    changes = {}
    for name in dict.fromkeys(name for style in styles for name in style.changes):
        parts = [
            (w, s.changes[name]) for w, s in zip(weights, styles, strict=True) if name in s.changes
        ]
        changes[name] = Change(
            torch.cat([w * change.left for w, change in parts], 1),
            torch.cat([change.right for _, change in parts]),
        )
    detail = sum(w * style.detail for w, style in zip(weights, styles, strict=True))
    return replace(Style.of_tensors(mixed, styles[0].weights, detail=detail), changes=changes)
